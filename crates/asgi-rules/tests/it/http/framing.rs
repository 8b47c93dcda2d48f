//! Tests of headers, lengths and trailers.

use asgi::HttpResponseTrailers;
use asgi_rules::HttpRules;
use http::HeaderValue;

use super::{get, head, headers, last, more, rejected, sent, start};
use crate::support::assert_text;

#[test]
fn a_body_in_one_part_gets_its_length() {
    let one =
        |rules: &mut HttpRules, status, body| sent(rules, [start(status, &[]).into(), last(body)]);
    assert_text(
        &[
            one(&mut get(), 200, "hello"),
            one(&mut get(), 200, ""),
            one(&mut get(), 404, "no"),
            one(&mut head(), 200, "hello"),
        ]
        .concat(),
        r#"
        response 200 Length(5) {"content-length": "5"} "hello"
        response 200 Length(0) {"content-length": "0"} ""
        response 404 Length(2) {"content-length": "2"} "no"
        response 200 Empty {"content-length": "5"} ""
        "#,
    );
}

#[test]
fn an_implied_length_is_left_out_if_the_framing_contains_it() {
    let get = || get().with_implied_length();
    let head = || head().with_implied_length();
    let one = |rules: &mut _, status, body| sent(rules, [start(status, &[]).into(), last(body)]);
    let length = || start(200, &[("content-length", "5")]).into();
    assert_text(
        &[
            one(&mut get(), 200, "hello"),
            one(&mut get(), 205, ""),
            one(&mut head(), 200, "hello"),
            one(&mut head(), 200, ""),
            sent(&mut get(), [length(), last("hello")]),
        ]
        .concat(),
        r#"
        response 200 Length(5) {} "hello"
        response 205 Empty {"content-length": "0"} ""
        response 200 Empty {"content-length": "5"} ""
        response 200 Empty {} ""
        response 200 Length(5) {"content-length": "5"} "hello"
        "#,
    );
}

#[test]
fn an_empty_response_to_head_gets_no_length() {
    let shown = sent(&mut head(), [start(200, &[]).into(), last("")]);
    assert_text(&shown, r#"response 200 Empty {} """#);
}

#[test]
fn the_length_that_the_app_sets_stays() {
    let length = || start(200, &[("content-length", "5")]).into();
    assert_text(
        &[
            sent(&mut get(), [length(), last("hello")]),
            sent(&mut get(), [length(), more("he"), more("llo"), last("")]),
            sent(&mut head(), [length(), last("")]),
            sent(
                &mut get(),
                [start(304, &[("content-length", "5")]).into(), last("")],
            ),
        ]
        .concat(),
        r#"
        response 200 Length(5) {"content-length": "5"} "hello"
        head 200 Length(5) {"content-length": "5"} "he"
        data "llo"
        last ""
        response 200 Empty {"content-length": "5"} ""
        response 304 Empty {"content-length": "5"} ""
        "#,
    );
}

#[test]
fn the_body_of_a_response_without_content_is_discarded() {
    let length = [("content-length", "9")];
    let two = || [more("a"), last("bc")];
    let mut shown = String::new();
    for status in [204, 205, 304] {
        shown += &sent(
            &mut get(),
            [start(status, &[]).into()].into_iter().chain(two()),
        );
        shown += &sent(&mut get(), [start(status, &length).into(), last("abc")]);
    }
    shown += &sent(
        &mut head(),
        [start(200, &[]).into()].into_iter().chain(two()),
    );
    assert_text(
        &shown,
        r#"
        head 204 Empty {} ""
        last ""
        response 204 Empty {} ""
        head 205 Empty {"content-length": "0"} ""
        last ""
        response 205 Empty {"content-length": "0"} ""
        head 304 Empty {} ""
        last ""
        response 304 Empty {"content-length": "9"} ""
        head 200 Empty {} ""
        last ""
        "#,
    );
}

#[test]
fn a_discarded_body_of_a_304_adds_no_length() {
    let shown = sent(&mut get(), [start(304, &[]).into(), last("abc")]);
    assert_text(&shown, r#"response 304 Empty {} """#);
}

#[test]
fn connection_headers_are_not_sent() {
    let start = start(
        200,
        &[
            ("connection", "keep-alive, x"),
            ("keep-alive", "timeout=1"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "gzip"),
            ("upgrade", "h2c"),
            ("x", "1"),
            ("x", "2"),
        ],
    );
    assert_text(
        &sent(&mut get(), [start.into(), last("a")]),
        r#"response 200 Length(1) {"x": "1", "x": "2", "content-length": "1"} "a""#,
    );
}

#[test]
fn connection_close_closes_the_connection() {
    for (value, closes) in [
        ("close", true),
        ("x,  Close ", true),
        ("closed", false),
        ("keep-alive", false),
        ("", false),
    ] {
        let mut rules = get();
        let mut start = start(200, &[("connection", "x")]);
        start
            .headers
            .append("connection", HeaderValue::from_static(value));
        let shown = sent(&mut rules, [start.into(), last("")]);
        assert_eq!(shown.contains(" close "), closes, "{value}: {shown}");
    }
}

#[test]
fn a_content_length_is_one_number_with_digits_only() {
    for value in [
        "",
        "+1",
        "-1",
        "1 ",
        "0x1",
        "1,1",
        "a",
        "18446744073709551616",
    ] {
        let error = rejected(&mut get(), start(200, &[("content-length", value)]));
        assert!(error.is_misuse(), "{value}");
        assert!(error.to_string().contains(&format!("{value:?}")), "{error}");
    }
    let twice = [("content-length", "1"), ("content-length", "1")];
    assert!(rejected(&mut get(), start(200, &twice)).is_misuse());
    let longest = start(200, &[("content-length", "18446744073709551615")]);
    sent(&mut get(), [longest.into()]);
}

#[test]
fn a_body_longer_than_its_length_is_misuse_and_can_be_corrected() {
    for part in [more("abcd"), last("abcd")] {
        let mut rules = get();
        sent(
            &mut rules,
            [start(200, &[("content-length", "5")]).into(), more("ab")],
        );
        assert_eq!(
            rejected(&mut rules, part).to_string(),
            "the app sent a body part of 4 bytes, expected at most 3, the rest of the \
             content-length"
        );
        assert_text(&sent(&mut rules, [last("cde")]), r#"last "cde""#);
    }
}

#[test]
fn a_body_shorter_than_its_length_is_misuse_and_can_be_corrected() {
    let mut rules = get();
    sent(
        &mut rules,
        [start(200, &[("content-length", "5")]).into(), more("ab")],
    );
    assert_eq!(
        rejected(&mut rules, last("cd")).to_string(),
        "the app sent a last body part of 2 bytes, expected 3, the rest of the content-length"
    );
    assert_text(
        &sent(&mut rules, [more("cd"), last("e")]),
        "data \"cd\"\nlast \"e\"",
    );
}

/// HTTP-030, HTTP-031
#[test]
fn the_length_of_a_discarded_body_is_not_checked() {
    let length = [("content-length", "100")];
    let cases = [(200, head()), (204, get()), (205, get()), (304, get())];
    for (status, mut rules) in cases {
        sent(
            &mut rules,
            [start(status, &length).into(), more("a"), last("")],
        );
        assert!(rules.is_complete(), "{status}");
    }
    let mut rules = head();
    let length = [("content-length", "1")];
    sent(&mut rules, [start(200, &length).into(), last("ab")]);
    assert!(rules.is_complete());
}

/// TRAIL-005, TRAIL-006
#[test]
fn trailers_are_sent_as_one_section_after_a_body_without_length() {
    let mut rules = get();
    let start = start(200, &[("content-length", "1"), ("trailer", "a, b")]).with_trailers();
    let first = HttpResponseTrailers::more(headers(&[("a", "1"), ("a", "2"), ("te", "x")]));
    let rest = HttpResponseTrailers::new(headers(&[
        ("a", "3"),
        ("b", "4"),
        ("content-length", "1"),
        ("trailer", "a"),
        ("connection", "close"),
    ]));
    let shown = sent(
        &mut rules,
        [start.into(), last("x"), first.into(), rest.into()],
    );
    assert_text(
        &shown,
        r#"
        head 200 Stream trailers {"trailer": "a, b"} "x"
        trailers {"a": "1", "a": "2", "a": "3", "b": "4"}
        "#,
    );
    assert!(rules.is_complete());
}

#[test]
fn the_length_of_a_body_before_trailers_is_still_checked() {
    let mut rules = get();
    let start = start(200, &[("content-length", "1")]).with_trailers();
    sent(&mut rules, [start.into()]);
    assert!(rejected(&mut rules, last("ab")).is_misuse());
    assert!(rejected(&mut rules, last("")).is_misuse());
}

#[test]
fn trailers_of_a_response_without_content_are_discarded() {
    let mut rules = head();
    let start = start(200, &[("content-length", "1")]).with_trailers();
    let trailers = HttpResponseTrailers::new(headers(&[("a", "1")]));
    assert_text(
        &sent(&mut rules, [start.into(), last("x"), trailers.into()]),
        r#"
        head 200 Empty {"content-length": "1"} ""
        last ""
        "#,
    );
    assert!(rules.is_complete());
}
