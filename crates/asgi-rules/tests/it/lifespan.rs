//! What an app may send in its lifespan, and what becomes of its end.

use asgi::{
    DisconnectReason, HttpResponseStart, LifespanShutdownComplete, LifespanShutdownFailed,
    LifespanStartupComplete, LifespanStartupFailed, ReceiveEvent, SendError, State,
};
use asgi_rules::{AppEnd, LifespanOutcome, LifespanRules, LifespanVerdict};

use crate::support::{ENDS, Make, Random, assert_text, show};

type Phase = (&'static str, fn() -> LifespanRules);

const PHASES: [Phase; 5] = [
    ("starting", LifespanRules::new),
    ("refused", || {
        let mut exchange = LifespanRules::default();
        exchange.send(refuse()).unwrap();
        exchange
    }),
    ("running", running),
    ("stopping", stopping),
    ("stopped", || {
        let mut exchange = stopping();
        exchange
            .send(LifespanShutdownComplete::new().into())
            .unwrap();
        exchange
    }),
];

fn refuse() -> asgi::SendEvent {
    LifespanStartupFailed::new("no database").into()
}

fn running() -> LifespanRules {
    let mut exchange = LifespanRules::new();
    exchange
        .send(LifespanStartupComplete::new().into())
        .unwrap();
    exchange
}

fn stopping() -> LifespanRules {
    let mut exchange = running();
    assert!(exchange.shutdown());
    exchange
}

const EVENTS: [(&str, Make); 5] = [
    ("startup.complete", || {
        let mut state = State::new();
        state.insert(7_u8);
        LifespanStartupComplete::with_state(state).into()
    }),
    ("startup.failed", refuse),
    ("shutdown.complete", || {
        LifespanShutdownComplete::new().into()
    }),
    ("shutdown.failed", || {
        LifespanShutdownFailed::new("disk full").into()
    }),
    ("http", || HttpResponseStart::ok().into()),
];

#[test]
fn every_event_in_every_phase() {
    let mut table = String::new();
    for (phase, make) in PHASES {
        for (name, event) in EVENTS {
            let mut exchange = make();
            let before = format!("{exchange:?}");
            let result = exchange.send(event());
            if result.is_err() {
                assert_eq!(format!("{exchange:?}"), before, "{name} in {phase}");
            }
            let shown = show(result, |outcome| format!("{outcome:?}"));
            table += &format!("{phase} | {name} | {shown}\n");
        }
    }
    assert_text(&table, include_str!("tables/lifespan_events.txt"));
}

#[test]
fn every_end_in_every_phase() {
    let mut table = String::new();
    for (phase, make) in PHASES {
        for end in ENDS {
            let LifespanVerdict { outcome, fault } = make().ended(end);
            table += &format!("{phase} | {end:?} | {outcome:?} | {fault:?}\n");
        }
    }
    assert_text(&table, include_str!("tables/lifespan_ends.txt"));
}

#[test]
fn the_app_receives_the_startup_once_and_the_shutdown_for_ever() {
    let mut exchange = LifespanRules::new();
    let startup = exchange.receive();
    assert!(matches!(startup, Some(ReceiveEvent::LifespanStartup(_))));
    assert!(exchange.receive().is_none());
    exchange
        .send(LifespanStartupComplete::new().into())
        .unwrap();
    assert!(exchange.receive().is_none());
    assert!(exchange.shutdown());
    for _ in 0..2 {
        let shutdown = exchange.receive();
        assert!(matches!(shutdown, Some(ReceiveEvent::LifespanShutdown(_))));
    }
    exchange
        .send(LifespanShutdownComplete::new().into())
        .unwrap();
    let shutdown = exchange.receive();
    assert!(matches!(shutdown, Some(ReceiveEvent::LifespanShutdown(_))));
    // A shutdown that failed is one too.
    let mut exchange = stopping();
    exchange
        .send(LifespanShutdownFailed::new("").into())
        .unwrap();
    let shutdown = exchange.receive();
    assert!(matches!(shutdown, Some(ReceiveEvent::LifespanShutdown(_))));
}

#[test]
fn an_app_that_refused_to_start_receives_no_shutdown() {
    let mut exchange = LifespanRules::new();
    exchange.receive();
    exchange.send(refuse()).unwrap();
    assert!(!exchange.shutdown());
    assert!(exchange.receive().is_none());
}

#[test]
fn only_an_app_that_runs_is_asked_to_shut_down() {
    for (phase, asked) in [
        ("starting", false),
        ("refused", false),
        ("running", true),
        ("stopping", true),
        ("stopped", false),
    ] {
        let (_, make) = PHASES.into_iter().find(|(name, _)| *name == phase).unwrap();
        assert_eq!(make().shutdown(), asked, "{phase}");
    }
    let mut exchange = running();
    exchange.ended(AppEnd::Returned);
    assert!(!exchange.shutdown(), "it has ended");
}

#[test]
fn closed_is_told_once_nothing_that_the_app_sends_matters() {
    for (phase, make) in PHASES {
        let over = phase == "refused" || phase == "stopped";
        let reason = over.then_some(DisconnectReason::Complete);
        assert_eq!(make().closed(), reason, "{phase}");
        let mut exchange = make();
        exchange.ended(AppEnd::Returned);
        assert_eq!(exchange.closed(), Some(DisconnectReason::Complete));
        assert_eq!(exchange.ready(), Err(SendError::over()), "{phase}");
    }
}

#[test]
fn no_sequence_of_events_starts_or_stops_a_server_twice() {
    let mut stopped = 0;
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut exchange = LifespanRules::new();
        // What the server has learned, in order.
        let mut learned = Vec::new();
        let mut asked = false;
        for _ in 0..random.below(16) {
            match random.below(8) {
                0 => asked |= exchange.shutdown(),
                1 => {
                    let event = exchange.receive();
                    let shutdown = matches!(event, Some(ReceiveEvent::LifespanShutdown(_)));
                    assert_eq!(shutdown, asked, "seed {seed}");
                }
                _ => {
                    let (_, event) = random.pick(&EVENTS);
                    let before = format!("{exchange:?}");
                    match exchange.send(event()) {
                        Ok(outcome) => learned.push(outcome),
                        Err(_) => assert_eq!(format!("{exchange:?}"), before, "seed {seed}"),
                    }
                }
            }
        }
        let verdict = exchange.ended(random.pick(&ENDS));
        learned.extend(verdict.outcome);
        assert!(exchange.send(refuse()).unwrap_err().is_over());
        let lawful = match &learned[..] {
            [LifespanOutcome::Serve(_), end] => match end {
                LifespanOutcome::Gone => true,
                LifespanOutcome::ShutdownComplete | LifespanOutcome::ShutdownFailed(_) => asked,
                _ => false,
            },
            [
                LifespanOutcome::Refused(_)
                | LifespanOutcome::StartupFailed
                | LifespanOutcome::Unsupported,
            ] => !asked,
            _ => false,
        };
        assert!(lawful, "seed {seed}: {learned:?}");
        stopped += usize::from(asked);
    }
    assert!(stopped > 200, "{stopped} were stopped");
}
