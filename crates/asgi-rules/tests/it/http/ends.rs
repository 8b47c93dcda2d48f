//! Clients that leave, and apps that end.

use asgi::{DisconnectReason, SendError};
use asgi_rules::{AppEnd, Ending, Fault, HttpRules, Verdict};

use super::{PHASES, get, last, rejected, sent, start};
use crate::support::{ENDS, assert_text};

#[test]
fn every_end_in_every_phase() {
    type Disconnect = (&'static str, fn(&mut HttpRules));
    const DISCONNECTS: [Disconnect; 5] = [
        ("connected", |_| {}),
        ("closed", |rules| {
            rules.disconnected(DisconnectReason::Closed);
        }),
        ("closed and reported", |rules| {
            rules.disconnected(DisconnectReason::Closed);
            rules.report_disconnect();
        }),
        ("lost", |rules| {
            rules.disconnected(DisconnectReason::Lost);
        }),
        ("lost and reported", |rules| {
            rules.disconnected(DisconnectReason::Lost);
            let _ = rules.report_ready();
        }),
    ];
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (disconnect, apply) in DISCONNECTS {
            let mut line = format!("{phase} | {disconnect}");
            for end in ENDS {
                let mut rules = make();
                apply(&mut rules);
                let Verdict { ending, fault, .. } = rules.ended(end);
                line += &format!(" | {ending:?}");
                line += &fault.map_or(String::new(), |fault| format!(", {fault:?}"));
            }
            table += &(line + "\n");
        }
    }
    assert_text(&table, include_str!("../tables/http_ends.txt"));
}

/// CORE-017, HTTP-041, HTTP-042
#[test]
fn a_client_that_closed_its_side_still_gets_its_response() {
    let mut rules = get();
    rules.disconnected(DisconnectReason::Closed);
    // `receive` and `closed` return the reason, but the client is not gone, so `send` works.
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Closed));
    assert_eq!(rules.report_ready(), Ok(()));
    assert_text(
        &sent(&mut rules, [start(200, &[]).into(), last("a")]),
        r#"response 200 Length(1) {"content-length": "1"} "a""#,
    );
    assert_eq!(
        rules.report_disconnect(),
        Some(DisconnectReason::Closed),
        "the reason does not change"
    );
}

#[test]
fn nothing_is_taken_once_the_client_cannot_be_reached() {
    for reason in [
        DisconnectReason::Lost,
        DisconnectReason::Reset(8),
        DisconnectReason::TimedOut,
        DisconnectReason::ProtocolError,
        DisconnectReason::Shutdown,
    ] {
        let mut rules = get();
        assert_eq!(rules.report_ready(), Ok(()));
        rules.disconnected(DisconnectReason::Closed);
        assert_eq!(rules.report_ready(), Ok(()));
        rules.disconnected(reason);
        rules.disconnected(DisconnectReason::Lost);
        rules.disconnected(DisconnectReason::Closed);
        assert_eq!(rules.report_ready(), Err(SendError::disconnected(reason)));
        let error = rules.send(start(200, &[]).into()).unwrap_err();
        assert_eq!(error.disconnect_reason(), Some(reason));
        assert_eq!(rules.report_disconnect(), Some(reason));
    }
}

/// HTTP-083
#[test]
fn the_reason_never_changes_after_the_app_has_learned_it() {
    let mut rules = get();
    assert_eq!(rules.report_disconnect(), None);
    rules.disconnected(DisconnectReason::Closed);
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Closed));
    rules.disconnected(DisconnectReason::Lost);
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Closed));
    assert_eq!(
        rules.report_ready(),
        Err(SendError::disconnected(DisconnectReason::Lost))
    );
    rules.ended(AppEnd::Returned);
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Closed));

    // An error of `send` also counts.
    let mut rules = get();
    rules.disconnected(DisconnectReason::Reset(8));
    assert!(rules.report_ready().is_err());
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Reset(8)));
}

#[test]
fn after_a_complete_response_the_reason_is_always_complete() {
    let (_, complete) = PHASES[4];
    let mut rules = complete();
    rules.disconnected(DisconnectReason::Lost);
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Complete));
    assert!(rules.send(last("")).unwrap_err().is_misuse());

    let mut rules = get();
    rules.disconnected(DisconnectReason::Closed);
    sent(&mut rules, [start(200, &[]).into(), last("")]);
    assert_eq!(
        rules.report_disconnect(),
        Some(DisconnectReason::Complete),
        "the app had not learned another reason"
    );
}

#[test]
fn after_the_app_has_ended_each_send_fails_with_over() {
    for (phase, make) in PHASES {
        let mut rules = make();
        rules.ended(AppEnd::Returned);
        assert_eq!(rules.report_ready(), Err(SendError::over()), "{phase}");
        assert!(rejected(&mut rules, last("")).is_over(), "{phase}");
        assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Complete));
    }
    let mut rules = get();
    rules.disconnected(DisconnectReason::Lost);
    rules.ended(AppEnd::Returned);
    assert_eq!(rules.report_ready(), Err(SendError::over()));
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Lost));
}

#[test]
fn an_app_that_fails_after_a_complete_response_is_at_fault() {
    let (_, complete) = PHASES[4];
    let mut rules = complete();
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Complete));
    let verdict = Verdict::new(Ending::Complete, Some(Fault::Failed));
    assert_eq!(rules.ended(AppEnd::Failed), verdict);
}

#[test]
fn the_end_of_an_app_follows_from_its_result() {
    let scope = asgi::LifespanScope::new().into();
    for (result, end) in [
        (Ok(()), AppEnd::Returned),
        (Err(asgi::AppError::from("broken")), AppEnd::Failed),
        (
            Err(asgi::AppError::unsupported(&scope)),
            AppEnd::Unsupported,
        ),
        (Err(asgi::AppError::aborted()), AppEnd::Aborted),
    ] {
        assert_eq!(AppEnd::from(&result), end);
    }
}

/// CORE-028, CORE-029
#[test]
fn an_app_that_aborts_breaks_its_exchange_off_and_has_no_fault() {
    for (phase, make) in PHASES {
        let mut rules = make();
        let ending = match rules.is_complete() {
            true => Ending::Complete,
            false => Ending::Abort,
        };
        let verdict = Verdict::new(ending, None);
        assert_eq!(rules.ended(AppEnd::Aborted), verdict, "{phase}");
    }
}

/// HTTP-079
#[test]
fn an_app_may_promise_trailers_and_send_none() {
    let (_, trailers) = PHASES[3];
    let mut rules = trailers();
    let verdict = Verdict::new(Ending::WithoutTrailers, None);
    assert_eq!(rules.ended(AppEnd::Returned), verdict);
    assert!(rules.is_complete());
    assert_eq!(rules.report_disconnect(), Some(DisconnectReason::Complete));

    // If it fails, the response is incomplete. The same is true if it said that more trailers come.
    assert_eq!(trailers().ended(AppEnd::Failed).ending, Ending::Abort);
    let (_, more) = PHASES[5];
    let verdict = Verdict::new(Ending::Abort, Some(Fault::Incomplete));
    assert_eq!(more().ended(AppEnd::Returned), verdict);
}

#[test]
fn a_question_tells_the_app_nothing() {
    let mut rules = get();
    assert!(!rules.has_left() && !rules.is_gone());
    rules.disconnected(DisconnectReason::Closed);
    assert!(rules.has_left() && !rules.is_gone());
    rules.disconnected(DisconnectReason::Lost);
    assert!(rules.has_left() && rules.is_gone());
    // The app does not know that its client left, so its end is its fault.
    assert_eq!(rules.ended(AppEnd::Failed).fault, Some(Fault::Failed));

    let mut rules = get();
    rules.disconnected(DisconnectReason::Lost);
    assert!(rules.report_ready().is_err());
    assert_eq!(rules.ended(AppEnd::Failed).fault, None);
}
