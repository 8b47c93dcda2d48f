//! Offers and answers.

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

use super::{Agreement, DeflateSettings, Direction, MalformedExtensions, both, negotiate};

const SETTINGS: DeflateSettings = DeflateSettings {
    window_bits: 12,
    context_takeover: true,
};

const LARGEST: DeflateSettings = DeflateSettings {
    window_bits: 15,
    context_takeover: true,
};

const NO_TAKEOVER: DeflateSettings = DeflateSettings {
    window_bits: 12,
    context_takeover: false,
};

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(
            SEC_WEBSOCKET_EXTENSIONS,
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

/// The answer to an offer; empty if there is none.
#[track_caller]
fn answer(value: &str, settings: DeflateSettings) -> String {
    match negotiate(&headers(&[value]), settings).unwrap() {
        Some((_, answer)) => answer.to_str().unwrap().to_owned(),
        None => String::new(),
    }
}

fn agreement(value: &str, settings: DeflateSettings) -> Agreement {
    negotiate(&headers(&[value]), settings).unwrap().unwrap().0
}

fn direction(window_bits: u8, context_takeover: bool) -> Direction {
    Direction {
        window_bits,
        context_takeover,
    }
}

#[test]
fn an_offer_gets_its_answer() {
    // The table writes `deflate` for `permessage-deflate` in offers and leaves it out in answers.
    let table = [
        // The offers of browsers: Chromium and WebKit, then Firefox.
        (
            "deflate; client_max_window_bits",
            "server_max_window_bits=12; client_max_window_bits=12",
        ),
        ("deflate", "server_max_window_bits=12"),
        // The window is the smaller of the offer and the setting.
        (
            "deflate; server_max_window_bits=9",
            "server_max_window_bits=9",
        ),
        (
            "deflate; server_max_window_bits=12",
            "server_max_window_bits=12",
        ),
        (
            "deflate; server_max_window_bits=15",
            "server_max_window_bits=12",
        ),
        (
            "deflate; client_max_window_bits=8",
            "server_max_window_bits=12; client_max_window_bits=8",
        ),
        (
            "deflate; client_max_window_bits=11",
            "server_max_window_bits=12; client_max_window_bits=11",
        ),
        (
            "deflate; client_max_window_bits=15",
            "server_max_window_bits=12; client_max_window_bits=12",
        ),
        // Context takeover.
        (
            "deflate; server_no_context_takeover",
            "server_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "deflate; client_no_context_takeover",
            "client_no_context_takeover; server_max_window_bits=12",
        ),
        (
            "deflate; client_max_window_bits; server_max_window_bits=10; client_no_context_takeover; \
             server_no_context_takeover",
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=12",
        ),
        // Ways to write it.
        (
            "deflate;server_max_window_bits=\"10\"",
            "server_max_window_bits=10",
        ),
        (
            "deflate;server_max_window_bits=\"1\\0\"",
            "server_max_window_bits=10",
        ),
        (
            " deflate\t;  server_max_window_bits = 10 ",
            "server_max_window_bits=10",
        ),
        (", deflate ,,", "server_max_window_bits=12"),
        // Other extensions, and their parameters.
        (
            "x-webkit-deflate-frame, deflate",
            "server_max_window_bits=12",
        ),
        (
            "foo; a=1; b; a=\"2\", deflate; server_max_window_bits=9",
            "server_max_window_bits=9",
        ),
        // The first offer that the server supports.
        (
            "deflate; server_max_window_bits=9, deflate",
            "server_max_window_bits=9",
        ),
        (
            "deflate; server_max_window_bits=8, deflate",
            "server_max_window_bits=12",
        ),
        (
            "deflate; unknown, deflate; server_max_window_bits=11",
            "server_max_window_bits=11",
        ),
    ];
    for (offer, expected) in table {
        let offer = offer.replace("deflate", "permessage-deflate");
        let offer = offer.replace("x-webkit-permessage-deflate", "x-webkit-deflate");
        let expected = format!("permessage-deflate; {expected}");
        assert_eq!(answer(&offer, SETTINGS), expected, "{offer}");
    }
}

#[test]
fn an_offer_that_the_server_does_not_support_is_declined() {
    let table = [
        // zlib has no such window.
        "server_max_window_bits=8",
        // Invalid values.
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "server_max_window_bits=010",
        "server_max_window_bits=100",
        "server_max_window_bits=+9",
        "server_max_window_bits=a",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits=1",
        "client_max_window_bits=-9",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        // Twice.
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=10",
        // Unknown.
        "foo",
        "foo=10",
        "Server_No_Context_Takeover",
        "client_max_window_bits; foo",
    ];
    for parameters in table {
        let offer = format!("permessage-deflate; {parameters}");
        assert_eq!(answer(&offer, SETTINGS), "", "{offer}");
        let two = format!("{offer}, permessage-deflate");
        let expected = "permessage-deflate; server_max_window_bits=12";
        assert_eq!(answer(&two, SETTINGS), expected, "{two}");
    }
}

#[test]
fn there_is_no_answer_without_an_offer() {
    for offer in [
        "",
        ",",
        "x-webkit-deflate-frame",
        "permessage-bzip2; a",
        "deflate",
        "permessage",
    ] {
        assert_eq!(answer(offer, SETTINGS), "", "{offer}");
    }
    assert_eq!(negotiate(&HeaderMap::new(), SETTINGS), Ok(None));
}

#[test]
fn the_largest_windows_need_no_mention() {
    let table = [
        ("permessage-deflate", "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate",
        ),
        (
            "permessage-deflate; client_max_window_bits=15",
            "permessage-deflate",
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            "permessage-deflate; server_max_window_bits=15",
        ),
    ];
    for (offer, expected) in table {
        assert_eq!(answer(offer, LARGEST), expected, "{offer}");
    }
}

#[test]
fn without_context_takeover_the_answer_names_both_sides() {
    let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                    server_max_window_bits=12";
    assert_eq!(answer("permessage-deflate", NO_TAKEOVER), expected);
    let agreement = agreement("permessage-deflate", NO_TAKEOVER);
    assert!(!agreement.server.context_takeover && !agreement.client.context_takeover);
}

#[test]
fn the_agreement_equals_the_answer() {
    let table = [
        ("", direction(12, true), direction(15, true)),
        (
            "; client_max_window_bits",
            direction(12, true),
            direction(12, true),
        ),
        (
            "; client_max_window_bits=8",
            direction(12, true),
            direction(8, true),
        ),
        (
            "; server_max_window_bits=9",
            direction(9, true),
            direction(15, true),
        ),
        (
            "; server_no_context_takeover",
            direction(12, false),
            direction(15, true),
        ),
        (
            "; client_no_context_takeover",
            direction(12, true),
            direction(15, false),
        ),
    ];
    for (parameters, server, client) in table {
        let agreement = agreement(&format!("permessage-deflate{parameters}"), SETTINGS);
        assert_eq!(agreement, Agreement { server, client }, "{parameters}");
    }
}

#[test]
fn an_impossible_window_becomes_the_nearest_possible_one() {
    for (window_bits, expected) in [(0, 9), (8, 9), (16, 15), (255, 15)] {
        let settings = DeflateSettings {
            window_bits,
            context_takeover: true,
        };
        let agreement = agreement("permessage-deflate; client_max_window_bits", settings);
        assert_eq!(agreement, both(direction(expected, true)));
    }
}

#[test]
fn several_headers_are_one_list() {
    let offers = [
        "foo",
        "permessage-deflate; server_max_window_bits=8",
        "bar, permessage-deflate; server_max_window_bits=10",
        "permessage-deflate",
    ];
    let (agreement, _) = negotiate(&headers(&offers), SETTINGS).unwrap().unwrap();
    assert_eq!(agreement.server.window_bits, 10);
}

#[test]
fn a_header_that_does_not_follow_the_grammar_is_an_error() {
    let table = [
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate; =",
        "permessage-deflate; =1",
        "permessage-deflate; a=",
        "permessage-deflate; a=,",
        "permessage-deflate; a=\"",
        "permessage-deflate; a=\"\"",
        "permessage-deflate; a=\"1",
        "permessage-deflate; a=\"1\\",
        "permessage-deflate; a=\"1\"2",
        "permessage-deflate; a=\"1 2\"",
        "permessage-deflate; a=\"1\\\"2\"",
        "permessage-deflate; a=1 2",
        "permessage-deflate; a b",
        "permessage-deflate foo",
        "permessage deflate",
        ";",
        "=",
        "\"permessage-deflate\"",
        "permessage-deflate; a=1=2",
        "permessage/deflate",
        "permessage-deflate, foo bar",
        "foo(bar)",
    ];
    for value in table {
        let result = negotiate(&headers(&[value]), SETTINGS);
        assert_eq!(result, Err(MalformedExtensions), "{value}");
        let result = negotiate(&headers(&["permessage-deflate", value]), SETTINGS);
        assert_eq!(
            result,
            Err(MalformedExtensions),
            "{value} after a valid one"
        );
    }
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_bytes(b"permessage-deflate; \xfc").unwrap();
    headers.append(SEC_WEBSOCKET_EXTENSIONS, value);
    assert_eq!(negotiate(&headers, SETTINGS), Err(MalformedExtensions));
}

#[test]
fn only_the_first_offers_are_looked_at() {
    let fifteen = "permessage-deflate; server_max_window_bits=8,".repeat(15);
    let sixteenth = format!("{fifteen} permessage-deflate");
    assert_eq!(
        answer(&sixteenth, SETTINGS),
        "permessage-deflate; server_max_window_bits=12"
    );
    let seventeenth = format!("{fifteen} foo, permessage-deflate");
    assert_eq!(answer(&seventeenth, SETTINGS), "");
}
