//! Header fields: lent as an array, rebuilt as a [`HeaderMap`] on the other side.

mod block;
mod cache;

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use self::block::Block;
use self::cache::{Known, with_cache};
use crate::abi;

pub(crate) use self::cache::recycle;

/// How many fields are lent without an allocation: more than browsers send.
const ON_STACK: usize = 32;

/// Lends `fields` for as long as `call` runs.
pub(crate) fn with_lent<R>(fields: &HeaderMap, call: impl FnOnce(&[abi::Header]) -> R) -> R {
    if fields.len() > ON_STACK {
        return call(&lend(fields));
    }
    let mut lent = [const { MaybeUninit::<abi::Header>::uninit() }; ON_STACK];
    for (place, (name, value)) in lent.iter_mut().zip(fields) {
        place.write(lend_field(name, value));
    }
    // SAFETY: `iter` yields `len` fields, which are no more than there are places, so that many
    // were written.
    call(unsafe { abi::slice(lent.as_ptr().cast(), fields.len()) })
}

/// The array that lends `fields`; it must not outlive them.
pub(crate) fn lend(fields: &HeaderMap) -> Vec<abi::Header> {
    fields
        .iter()
        .map(|(name, value)| lend_field(name, value))
        .collect()
}

/// One element of such an array.
pub(crate) fn lend_field(name: &HeaderName, value: &HeaderValue) -> abi::Header {
    abi::Header {
        name: abi::Str::new(name.as_str()),
        value: abi::Str::from_bytes(value.as_bytes()),
        flags: if value.is_sensitive() {
            abi::HEADER_SENSITIVE
        } else {
            0
        },
    }
}

/// Copies fields that the other side lent. The error says what is wrong with them.
///
/// # Safety
///
/// Unless it is NULL or empty, `headers` must point to `n` valid headers.
pub(crate) unsafe fn rebuild(
    headers: *const abi::Header,
    n: usize,
) -> Result<HeaderMap, &'static str> {
    // SAFETY: the caller's promise.
    let (_, fields) = unsafe { rebuild_beside(abi::Str::NULL, headers, n)? };
    Ok(fields)
}

/// Copies fields, and a text that is kept in the same allocation.
///
/// # Safety
///
/// The text must be valid, and `headers` as for [`rebuild`].
pub(crate) unsafe fn rebuild_beside(
    text: abi::Str,
    headers: *const abi::Header,
    n: usize,
) -> Result<(Bytes, HeaderMap), &'static str> {
    // SAFETY: the caller's promise.
    let (text, headers) = unsafe { (text.as_bytes(), abi::slice(headers, n)) };
    // SAFETY: the caller's promise: the texts of valid headers are valid.
    let headers = headers.iter().map(|header| unsafe { Lent::new(header) });
    with_cache(|kept| {
        let known = match kept.known(headers.clone()) {
            Known::All => return Ok((copy(text), kept.again(headers.len())?)),
            Known::Values(values) => Some(values),
            Known::Nothing => None,
        };
        let is_known = |n: usize| known.is_some_and(|values| values & (1 << n) != 0);
        let fresh = headers.clone().enumerate();
        let fresh = fresh.filter(|(n, _)| !is_known(*n));
        let fresh = fresh.map(|(_, header)| header.value);
        let mut block = Block::of(std::iter::once(text).chain(fresh));
        let text = block.split_to(text.len());
        if !are_values(&block.0) {
            return Err("a header value with control characters");
        }
        let value = |header: &Lent<'_>| {
            let value = block.split_to(header.value.len());
            // SAFETY: all bytes are such as a value may have: that was looked at above.
            let mut value = unsafe { HeaderValue::from_maybe_shared_unchecked(value) };
            value.set_sensitive(header.is_sensitive);
            value
        };
        let fields = match known {
            Some(values) => kept.build_again(values, headers, value)?,
            None => kept.build(headers, value)?,
        };
        Ok((text, fields))
    })
}

/// One text alone.
fn copy(text: &[u8]) -> Bytes {
    match text {
        [] => Bytes::new(),
        b"/" => Bytes::from_static(b"/"),
        text => Bytes::copy_from_slice(text),
    }
}

/// A header that the other side lent.
#[derive(Clone, Copy)]
struct Lent<'a> {
    name: &'a [u8],
    value: &'a [u8],
    is_sensitive: bool,
}

impl Lent<'_> {
    /// # Safety
    ///
    /// The header's texts must be valid during `'a`.
    unsafe fn new(header: &abi::Header) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                name: header.name.as_bytes(),
                value: header.value.as_bytes(),
                is_sensitive: header.flags & abi::HEADER_SENSITIVE != 0,
            }
        }
    }
}

/// Whether all bytes are such as a field's value may have (RFC 9110 §5.5). Without a branch, so
/// that the compiler looks at many at once.
fn are_values(bytes: &[u8]) -> bool {
    let is_wrong = |byte: u8| ((byte < b' ') & (byte != b'\t')) | (byte == 0x7f);
    !bytes.iter().fold(false, |any, byte| any | is_wrong(*byte))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::cache::with_cache;
    use super::{are_values, rebuild, recycle, with_lent};
    use crate::abi;

    fn crossed(fields: &HeaderMap) -> HeaderMap {
        // SAFETY: what is lent is valid during the call.
        with_lent(fields, |lent| unsafe { rebuild(lent.as_ptr(), lent.len()) }).unwrap()
    }

    /// With `Debug`, which tells what is sensitive.
    #[track_caller]
    fn crosses(fields: &HeaderMap) {
        assert_eq!(format!("{:?}", crossed(fields)), format!("{fields:?}"));
    }

    #[test]
    fn fields_that_come_again_are_what_they_are_whatever_came_before() {
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
        let mut fields = HeaderMap::new();
        for _ in 0..5000 {
            // Often the same as before, often with one thing changed.
            match random(8) {
                0 => fields.clear(),
                1 | 2 => {
                    fields.append(names[random(4)].clone(), HeaderValue::from_static("new"));
                }
                3 | 4 => {
                    let n = random(fields.len() as u64 + 1);
                    if let Some(value) = fields.values_mut().nth(n) {
                        *value = HeaderValue::from_static(values[random(4)]);
                        value.set_sensitive(random(4) == 0);
                    }
                }
                _ => {}
            }
            crosses(&fields);
            recycle(crossed(&fields));
        }
    }

    #[test]
    fn as_many_fields_as_a_template_cannot_hold_cross_again_and_again() {
        for n in [47, 49, 64, 65, 200] {
            let mut fields = HeaderMap::new();
            for n in 0..n {
                let name = HeaderName::try_from(format!("x-{n}")).unwrap();
                fields.append(name, HeaderValue::from(n));
            }
            for _ in 0..4 {
                crosses(&fields);
            }
        }
    }

    #[test]
    fn repeated_names_need_not_stand_side_by_side() {
        let header = |name, value| abi::Header {
            name: abi::Str::new(name),
            value: abi::Str::new(value),
            flags: 0,
        };
        let lent = [header("a", "1"), header("b", "2"), header("a", "3")];
        for _ in 0..4 {
            // SAFETY: what is lent is static.
            let fields = unsafe { rebuild(lent.as_ptr(), lent.len()) }.unwrap();
            let all: Vec<_> = fields.get_all("a").iter().collect();
            assert_eq!(all, ["1", "3"]);
            assert_eq!(fields["b"], "2");
        }
    }

    #[test]
    fn secrets_are_not_kept() {
        let mut fields = HeaderMap::new();
        fields.append(header::HOST, HeaderValue::from_static("example.org"));
        fields.append(header::COOKIE, HeaderValue::from_static("secret"));
        fields.append(header::AUTHORIZATION, HeaderValue::from_static("secret"));
        let mut token = HeaderValue::from_static("secret");
        token.set_sensitive(true);
        fields.append("x-token", token);
        for _ in 0..200 {
            crosses(&fields);
        }
        let kept = with_cache(|kept| format!("{:?}", kept.template()));
        assert!(kept.contains("example.org"), "{kept}");
        assert!(!kept.contains("secret"), "{kept}");
    }

    #[test]
    fn control_characters_are_found_wherever_they_are() {
        for len in 0..70 {
            let plain = vec![b'a'; len];
            assert!(are_values(&plain));
            for at in 0..len {
                for (byte, is_value) in [(0, false), (0x1f, false), (0x7f, false), (9, true)] {
                    let mut bytes = plain.clone();
                    bytes[at] = byte;
                    assert_eq!(are_values(&bytes), is_value, "{byte} at {at} of {len}");
                }
            }
        }
        assert!(are_values(b" ~\x80\xff"));
    }
}
