//! A complete response in one call.

use asgi::{DisconnectReason, Extensions, HttpResponseStart, SendError};
use asgi_rules::{AppEnd, HttpRules, WireEvent};
use bytes::Bytes;
use http::Method;

use super::{all, last, start};

/// The result of the last event that was tried, and what the next event then gets.
fn outcome(mut rules: HttpRules, result: &Result<WireEvent, SendError>) -> String {
    let (held, complete) = (rules.is_held(), rules.is_complete());
    let next = rules.send(last("abc"));
    let end = rules.ended(AppEnd::Returned);
    format!("{result:?}, held {held}, complete {complete}, then {next:?}, end {end:?}")
}

/// HTTP-085
#[test]
fn a_complete_response_is_the_same_as_its_two_events() {
    let begin: [fn(&mut HttpRules); 5] = [
        |_| {},
        |rules| drop(rules.send(start(200, &[]).into()).unwrap()),
        |rules| {
            for event in [start(200, &[]).into(), last("x")] {
                rules.send(event).unwrap();
            }
        },
        |rules| rules.disconnected(DisconnectReason::Lost),
        |rules| rules.disconnected(DisconnectReason::Closed),
    ];
    let starts: [fn() -> HttpResponseStart; 8] = [
        || start(200, &[]),
        || start(200, &[("connection", "close"), ("x-a", "b")]),
        || start(200, &[("content-length", "3")]),
        || start(200, &[("content-length", "9")]),
        || start(200, &[("content-length", "x")]),
        || start(204, &[]),
        || start(103, &[]),
        || start(200, &[]).with_trailers(),
    ];
    let mut different = 0;
    for method in [Method::GET, Method::HEAD] {
        for extensions in [all(), Extensions::new()] {
            for begin in begin {
                for make in starts {
                    for body in ["", "abc"] {
                        for implied in [false, true] {
                            let rules = || {
                                let mut rules = HttpRules::new(&method, extensions.clone());
                                if implied {
                                    rules = rules.with_implied_length();
                                }
                                begin(&mut rules);
                                rules
                            };
                            let mut at_once = rules();
                            let result = at_once.respond(make(), Bytes::from(body));
                            let at_once = outcome(at_once, &result);
                            let mut one_by_one = rules();
                            let first = one_by_one.send(make().into());
                            let result = first.and_then(|_| one_by_one.send(last(body)));
                            let one_by_one = outcome(one_by_one, &result);
                            assert_eq!(at_once, one_by_one, "{method} {:?} {body:?}", make());
                            different += u32::from(at_once.starts_with("Err"));
                        }
                    }
                }
            }
        }
    }
    assert!(different > 100, "{different} of the cases are refused");
}
