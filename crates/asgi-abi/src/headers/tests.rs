//! Headers cross unchanged, with and without the cache.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cache::with_cache;
use super::{are_valid_values, from_abi, recycle, with_abi_headers};
use crate::abi;

fn crossed(headers: &HeaderMap) -> HeaderMap {
    // SAFETY: the array is valid during the closure.
    with_abi_headers(headers, |array| unsafe {
        from_abi(array.as_ptr(), array.len())
    })
    .unwrap()
}

/// Compares with `Debug`, which shows which values are sensitive.
#[track_caller]
fn assert_crosses(headers: &HeaderMap) {
    assert_eq!(format!("{:?}", crossed(headers)), format!("{headers:?}"));
}

#[test]
fn repeated_headers_cross_unchanged_whatever_came_before() {
    let names = [
        header::HOST,
        header::COOKIE,
        HeaderName::from_static("x-a"),
        HeaderName::from_static("x-b"),
    ];
    let values = ["", "1", "2", "a value that is longer than the others"];
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 33) % below) as usize
    };
    let mut headers = HeaderMap::new();
    for _ in 0..5000 {
        // Often unchanged, often with one change.
        match random(8) {
            0 => headers.clear(),
            1 | 2 => {
                headers.append(names[random(4)].clone(), HeaderValue::from_static("new"));
            }
            3 | 4 => {
                let n = random(headers.len() as u64 + 1);
                if let Some(value) = headers.values_mut().nth(n) {
                    *value = HeaderValue::from_static(values[random(4)]);
                    value.set_sensitive(random(4) == 0);
                }
            }
            _ => {}
        }
        assert_crosses(&headers);
        recycle(crossed(&headers));
    }
}

#[test]
fn more_headers_than_a_template_can_hold_cross_repeatedly() {
    for n in [47, 49, 64, 65, 200] {
        let mut headers = HeaderMap::new();
        for n in 0..n {
            let name = HeaderName::try_from(format!("x-{n}")).unwrap();
            headers.append(name, HeaderValue::from(n));
        }
        for _ in 0..4 {
            assert_crosses(&headers);
        }
    }
}

#[test]
fn a_name_may_repeat_after_other_names() {
    let header = |name, value| abi::Header {
        name: abi::Str::new(name),
        value: abi::Str::new(value),
        flags: 0,
    };
    let array = [header("a", "1"), header("b", "2"), header("a", "3")];
    for _ in 0..4 {
        // SAFETY: the array is valid here, and its texts are static.
        let headers = unsafe { from_abi(array.as_ptr(), array.len()) }.unwrap();
        let all: Vec<_> = headers.get_all("a").iter().collect();
        assert_eq!(all, ["1", "3"]);
        assert_eq!(headers["b"], "2");
    }
}

#[test]
fn the_cache_keeps_no_secrets() {
    let mut headers = HeaderMap::new();
    headers.append(header::HOST, HeaderValue::from_static("example.org"));
    headers.append(header::COOKIE, HeaderValue::from_static("secret"));
    headers.append(header::AUTHORIZATION, HeaderValue::from_static("secret"));
    let mut token = HeaderValue::from_static("secret");
    token.set_sensitive(true);
    headers.append("x-token", token);
    for _ in 0..200 {
        assert_crosses(&headers);
    }
    let template = with_cache(|cache| format!("{:?}", cache.template()));
    assert!(template.contains("example.org"), "{template}");
    assert!(!template.contains("secret"), "{template}");
}

#[test]
fn control_characters_are_found_at_every_position() {
    for len in 0..70 {
        let plain = vec![b'a'; len];
        assert!(are_valid_values(&plain));
        for at in 0..len {
            for (byte, is_value) in [(0, false), (0x1f, false), (0x7f, false), (9, true)] {
                let mut bytes = plain.clone();
                bytes[at] = byte;
                assert_eq!(
                    are_valid_values(&bytes),
                    is_value,
                    "{byte} at {at} of {len}"
                );
            }
        }
    }
    assert!(are_valid_values(b" ~\x80\xff"));
}
