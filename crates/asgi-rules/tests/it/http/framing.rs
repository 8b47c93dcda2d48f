//! Fields, lengths and trailers: how much goes out behind which head.

use asgi::HttpResponseTrailers;
use asgi_rules::HttpRules;
use http::HeaderValue;

use super::{fields, get, head, last, more, rejected, sent, start};
use crate::support::assert_text;

#[test]
fn a_body_in_one_part_gets_its_length() {
    let one = |exchange: &mut HttpRules, status, body| {
        sent(exchange, [start(status, &[]).into(), last(body)])
    };
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
fn an_implied_length_is_left_out_where_the_framing_tells_it() {
    let get = || get().with_implied_length();
    let head = || head().with_implied_length();
    let one =
        |exchange: &mut _, status, body| sent(exchange, [start(status, &[]).into(), last(body)]);
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
fn an_empty_answer_to_head_has_no_length_of_its_own() {
    let shown = sent(&mut head(), [start(200, &[]).into(), last("")]);
    assert_text(&shown, r#"response 200 Empty {} """#);
}

#[test]
fn the_length_that_the_app_set_stays() {
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
fn a_response_without_content_swallows_its_body() {
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
fn a_body_that_is_not_sent_with_304_tells_no_length() {
    let shown = sent(&mut get(), [start(304, &[]).into(), last("abc")]);
    assert_text(&shown, r#"response 304 Empty {} """#);
}

#[test]
fn the_connection_is_the_servers_and_its_fields_do_not_go_out() {
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
fn connection_close_asks_to_close() {
    for (value, closes) in [
        ("close", true),
        ("x,  Close ", true),
        ("closed", false),
        ("keep-alive", false),
        ("", false),
    ] {
        let mut exchange = get();
        let mut start = start(200, &[("connection", "x")]);
        start
            .headers
            .append("connection", HeaderValue::from_static(value));
        let shown = sent(&mut exchange, [start.into(), last("")]);
        assert_eq!(shown.contains(" close "), closes, "{value}: {shown}");
    }
}

#[test]
fn a_content_length_is_one_number_of_digits() {
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
fn a_body_beyond_its_length_is_misuse_and_can_be_mended() {
    for part in [more("abcd"), last("abcd")] {
        let mut exchange = get();
        sent(
            &mut exchange,
            [start(200, &[("content-length", "5")]).into(), more("ab")],
        );
        assert_eq!(
            rejected(&mut exchange, part).to_string(),
            "the app sent a body part of 4 bytes, expected at most 3: that is left of the \
             content-length"
        );
        assert_text(&sent(&mut exchange, [last("cde")]), r#"last "cde""#);
    }
}

#[test]
fn a_body_short_of_its_length_is_misuse_and_can_be_mended() {
    let mut exchange = get();
    sent(
        &mut exchange,
        [start(200, &[("content-length", "5")]).into(), more("ab")],
    );
    assert_eq!(
        rejected(&mut exchange, last("cd")).to_string(),
        "the app sent a last body part of 2 bytes, expected 3: that is left of the content-length"
    );
    assert_text(
        &sent(&mut exchange, [more("cd"), last("e")]),
        "data \"cd\"\nlast \"e\"",
    );
}

/// HTTP-030, HTTP-031
#[test]
fn the_length_of_a_body_that_is_not_sent_is_not_checked() {
    let length = [("content-length", "100")];
    let exchanges = [(200, head()), (204, get()), (205, get()), (304, get())];
    for (status, mut exchange) in exchanges {
        sent(
            &mut exchange,
            [start(status, &length).into(), more("a"), last("")],
        );
        assert!(exchange.is_complete(), "{status}");
    }
    let mut exchange = head();
    let length = [("content-length", "1")];
    sent(&mut exchange, [start(200, &length).into(), last("ab")]);
    assert!(exchange.is_complete());
}

#[test]
fn trailers_go_out_as_one_section_behind_a_body_without_length() {
    let mut exchange = get();
    let start = start(200, &[("content-length", "1"), ("trailer", "a, b")]).with_trailers();
    let first = HttpResponseTrailers::more(fields(&[("a", "1"), ("a", "2"), ("te", "x")]));
    let rest = HttpResponseTrailers::new(fields(&[
        ("a", "3"),
        ("b", "4"),
        ("content-length", "1"),
        ("trailer", "a"),
        ("connection", "close"),
    ]));
    let shown = sent(
        &mut exchange,
        [start.into(), last("x"), first.into(), rest.into()],
    );
    assert_text(
        &shown,
        r#"
        head 200 Stream trailers {"trailer": "a, b"} "x"
        trailers {"a": "1", "a": "2", "a": "3", "b": "4"}
        "#,
    );
    assert!(exchange.is_complete());
}

#[test]
fn the_length_of_a_body_before_trailers_is_still_checked() {
    let mut exchange = get();
    let start = start(200, &[("content-length", "1")]).with_trailers();
    sent(&mut exchange, [start.into()]);
    assert!(rejected(&mut exchange, last("ab")).is_misuse());
    assert!(rejected(&mut exchange, last("")).is_misuse());
}

#[test]
fn trailers_of_a_response_without_content_are_swallowed() {
    let mut exchange = head();
    let start = start(200, &[("content-length", "1")]).with_trailers();
    let trailers = HttpResponseTrailers::new(fields(&[("a", "1")]));
    assert_text(
        &sent(&mut exchange, [start.into(), last("x"), trailers.into()]),
        r#"
        head 200 Empty {"content-length": "1"} ""
        last ""
        "#,
    );
    assert!(exchange.is_complete());
}
