//! The order of errors, for an event that is wrong in more than one way. (CORE-027)

use asgi::{
    DisconnectReason, Extension, Extensions, HttpResponseEarlyHint, HttpResponsePush,
    HttpResponseTrailers, SendError, SendEvent,
};
use asgi_rules::{AppEnd, HttpRules};
use http::{HeaderMap, Method};

use super::{PHASES, get, last, rejected, sent, start};

/// Returns the rules for a connection without extensions.
fn plain() -> HttpRules {
    HttpRules::new(&Method::GET, Extensions::new())
}

fn trailers() -> HttpResponseTrailers {
    HttpResponseTrailers::new(HeaderMap::new())
}

#[test]
fn over_comes_before_gone() {
    let mut rules = get();
    rules.disconnected(DisconnectReason::Lost);
    assert!(rules.report_ready().unwrap_err().is_disconnected());
    rules.ended(AppEnd::Returned);
    assert_eq!(rejected(&mut rules, last("")), SendError::over());
}

#[test]
fn gone_comes_before_misuse_and_refused() {
    let wrong: [SendEvent; 2] = [last(""), trailers().into()];
    for event in wrong {
        let mut rules = plain();
        rules.disconnected(DisconnectReason::Reset(8));
        // The first error changes the rules, because the app learns the reason. So `rejected` can
        // only check the second.
        assert!(rules.report_ready().is_err());
        let error = rejected(&mut rules, event);
        assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Reset(8)));
    }
}

#[test]
fn after_the_last_event_everything_is_misuse() {
    let mut rules = plain();
    sent(&mut rules, [start(200, &[]).into(), last("")]);
    assert!(rejected(&mut rules, trailers()).is_misuse());
    assert!(rejected(&mut rules, HttpResponseEarlyHint::default()).is_misuse());
}

#[test]
fn an_event_of_an_extension_that_is_not_offered_is_refused_even_out_of_place() {
    assert!(rejected(&mut plain(), trailers()).is_refused());
    let mut rules = HttpRules::new(&Method::GET, Extensions::new().with(Extension::Trailers));
    let start = start(200, &[]).with_trailers();
    sent(&mut rules, [start.into(), last("")]);
    let push = HttpResponsePush::new("/".parse().unwrap());
    assert!(rejected(&mut rules, push).is_refused());
}

/// TRAIL-002, TRAIL-003
#[test]
fn other_misuse_comes_before_other_refusals() {
    // `http.response.start` does not belong to an extension, but this one asks for trailers.
    for wrong in [start(199, &[]), start(200, &[("content-length", "x")])] {
        assert!(rejected(&mut plain(), wrong.with_trailers()).is_misuse());
    }
    let mut rules = plain();
    sent(&mut rules, [start(200, &[]).into()]);
    let second = start(200, &[]).with_trailers();
    assert!(rejected(&mut rules, second).is_misuse());
    assert!(rejected(&mut plain(), start(200, &[]).with_trailers()).is_refused());
    // Once trailers are due, a hint is misuse and not just too late.
    let (_, due) = PHASES[3];
    assert!(rejected(&mut due(), HttpResponseEarlyHint::default()).is_misuse());
}
