//! Clients that leave and apps that end.

use asgi::{DisconnectReason, SendError};
use asgi_rules::{AppEnd, Ending, Fault, HttpRules, Verdict};

use super::{PHASES, get, last, rejected, sent, start};
use crate::support::{ENDS, assert_text};

#[test]
fn every_end_in_every_phase() {
    type Leave = (&'static str, fn(&mut HttpRules));
    const LEAVES: [Leave; 5] = [
        ("connected", |_| {}),
        ("closed", |exchange| {
            exchange.disconnected(DisconnectReason::Closed);
        }),
        ("closed and told", |exchange| {
            exchange.disconnected(DisconnectReason::Closed);
            exchange.disconnect();
        }),
        ("lost", |exchange| {
            exchange.disconnected(DisconnectReason::Lost);
        }),
        ("lost and told", |exchange| {
            exchange.disconnected(DisconnectReason::Lost);
            let _ = exchange.ready();
        }),
    ];
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (leave, apply) in LEAVES {
            let mut line = format!("{phase} | {leave}");
            for end in ENDS {
                let mut exchange = make();
                apply(&mut exchange);
                let Verdict { ending, fault } = exchange.ended(end);
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
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Closed);
    // What `receive` and `closed` tell; what `send` asks is whether the client is gone, and it is not.
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));
    assert_eq!(exchange.ready(), Ok(()));
    assert_text(
        &sent(&mut exchange, [start(200, &[]).into(), last("a")]),
        r#"response 200 Length(1) {"content-length": "1"} "a""#,
    );
    assert_eq!(
        exchange.disconnect(),
        Some(DisconnectReason::Closed),
        "the reason stays"
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
        let mut exchange = get();
        assert_eq!(exchange.ready(), Ok(()));
        exchange.disconnected(DisconnectReason::Closed);
        assert_eq!(exchange.ready(), Ok(()));
        exchange.disconnected(reason);
        exchange.disconnected(DisconnectReason::Lost);
        exchange.disconnected(DisconnectReason::Closed);
        assert_eq!(exchange.ready(), Err(SendError::disconnected(reason)));
        let error = exchange.send(start(200, &[]).into()).unwrap_err();
        assert_eq!(error.disconnect_reason(), Some(reason));
        assert_eq!(exchange.disconnect(), Some(reason));
    }
}

#[test]
fn the_reason_of_the_end_never_changes_once_it_is_told() {
    let mut exchange = get();
    assert_eq!(exchange.disconnect(), None);
    exchange.disconnected(DisconnectReason::Closed);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));
    assert_eq!(
        exchange.ready(),
        Err(SendError::disconnected(DisconnectReason::Lost))
    );
    exchange.ended(AppEnd::Returned);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Closed));

    // What `send` told counts as well.
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Reset(8));
    assert!(exchange.ready().is_err());
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Reset(8)));
}

#[test]
fn a_complete_response_ends_in_complete_whatever_comes_behind_it() {
    let (_, complete) = PHASES[4];
    let mut exchange = complete();
    exchange.disconnected(DisconnectReason::Lost);
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Complete));
    assert!(exchange.send(last("")).unwrap_err().is_misuse());

    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Closed);
    sent(&mut exchange, [start(200, &[]).into(), last("")]);
    assert_eq!(
        exchange.disconnect(),
        Some(DisconnectReason::Complete),
        "it had not been told otherwise"
    );
}

#[test]
fn a_half_that_outlives_its_app_is_told_that_it_is_over() {
    for (phase, make) in PHASES {
        let mut exchange = make();
        exchange.ended(AppEnd::Returned);
        assert_eq!(exchange.ready(), Err(SendError::over()), "{phase}");
        assert!(rejected(&mut exchange, last("")).is_over(), "{phase}");
        assert_eq!(exchange.disconnect(), Some(DisconnectReason::Complete));
    }
    let mut exchange = get();
    exchange.disconnected(DisconnectReason::Lost);
    exchange.ended(AppEnd::Returned);
    assert_eq!(exchange.ready(), Err(SendError::over()));
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Lost));
}

#[test]
fn an_app_that_was_told_of_a_complete_response_has_no_excuse_to_fail() {
    let (_, complete) = PHASES[4];
    let mut exchange = complete();
    assert_eq!(exchange.disconnect(), Some(DisconnectReason::Complete));
    let verdict = Verdict {
        ending: Ending::Complete,
        fault: Some(Fault::Failed),
    };
    assert_eq!(exchange.ended(AppEnd::Failed), verdict);
}

#[test]
fn how_an_app_ended_is_read_from_its_result() {
    let scope = asgi::LifespanScope::new().into();
    for (result, end) in [
        (Ok(()), AppEnd::Returned),
        (Err(asgi::AppError::from("broken")), AppEnd::Failed),
        (
            Err(asgi::AppError::unsupported(&scope)),
            AppEnd::Unsupported,
        ),
    ] {
        assert_eq!(AppEnd::from(&result), end);
    }
}
