//! Which error an app gets for an event that is wrong in more than one way. (CORE-027)

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseEarlyHint, HttpResponsePush,
    HttpResponseTrailers, SendError, SendEvent,
};
use asgi_rules::{AppEnd, HttpRules};
use http::{HeaderMap, Method};

use super::{PHASES, get, last, rejected, sent, start};

/// An exchange on a connection that can do nothing beyond the core.
fn plain() -> HttpRules {
    HttpRules::new(&Method::GET, Extensions::new())
}

fn trailers() -> HttpResponseTrailers {
    HttpResponseTrailers::new(HeaderMap::new())
}

#[test]
fn over_comes_before_gone() {
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Lost);
    assert!(exchange.ready().unwrap_err().is_disconnected());
    exchange.ended(AppEnd::Returned);
    assert_eq!(rejected(&mut exchange, last("")), SendError::over());
}

#[test]
fn gone_comes_before_misuse_and_refused() {
    let wrong: [SendEvent; 2] = [last(""), trailers().into()];
    for event in wrong {
        let mut exchange = plain();
        exchange.disconnected(DisconnectReason::Reset(8));
        // What it was told is recorded with the first error, so `rejected` is for the second.
        assert!(exchange.ready().is_err());
        let error = rejected(&mut exchange, event);
        assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Reset(8)));
    }
}

#[test]
fn behind_the_last_event_everything_is_misuse() {
    let mut exchange = plain();
    sent(&mut exchange, [start(200, &[]).into(), last("")]);
    assert!(rejected(&mut exchange, trailers()).is_misuse());
    assert!(rejected(&mut exchange, HttpResponseEarlyHint::default()).is_misuse());
}

#[test]
fn an_event_of_an_extension_that_is_not_offered_is_refused_even_out_of_place() {
    assert!(rejected(&mut plain(), trailers()).is_refused());
    let mut exchange = HttpRules::new(&Method::GET, Extensions::new().with(Extension::Trailers));
    let start = start(200, &[]).with_trailers();
    sent(&mut exchange, [start.into(), last("")]);
    let push = HttpResponsePush::new("/".parse().unwrap());
    assert!(rejected(&mut exchange, push).is_refused());
}

#[test]
fn any_other_misuse_comes_before_any_other_refusal() {
    // `http.response.start` is no event of an extension, but this one asks for trailers.
    for wrong in [start(199, &[]), start(200, &[("content-length", "x")])] {
        assert!(rejected(&mut plain(), wrong.with_trailers()).is_misuse());
    }
    let mut exchange = plain();
    sent(&mut exchange, [start(200, &[]).into()]);
    let second = start(200, &[]).with_trailers();
    assert!(rejected(&mut exchange, second).is_misuse());
    assert!(rejected(&mut plain(), start(200, &[]).with_trailers()).is_refused());
    // Once trailers are due a hint is out of place, and not just too late.
    let (_, due) = PHASES[3];
    assert!(rejected(&mut due(), HttpResponseEarlyHint::default()).is_misuse());
}
