//! Tests of `LifespanRules`.

use asgi::{
    DisconnectReason, HttpResponseStart, LifespanShutdownComplete, LifespanShutdownFailed,
    LifespanStartupComplete, LifespanStartupFailed, ReceiveEvent, SendError, State,
};
use asgi_rules::{AppEnd, LifespanOutcome, LifespanRules, LifespanVerdict};

use crate::support::{ENDS, Make, Random, assert_text, show};

type NamedPhase = (&'static str, fn() -> LifespanRules);

const PHASES: [NamedPhase; 5] = [
    ("starting", LifespanRules::new),
    ("refused", || {
        let mut rules = LifespanRules::default();
        rules.send(refuse()).unwrap();
        rules
    }),
    ("running", running),
    ("stopping", stopping),
    ("stopped", || {
        let mut rules = stopping();
        rules.send(LifespanShutdownComplete::new().into()).unwrap();
        rules
    }),
];

fn refuse() -> asgi::SendEvent {
    LifespanStartupFailed::new("no database").into()
}

fn running() -> LifespanRules {
    let mut rules = LifespanRules::new();
    rules.send(LifespanStartupComplete::new().into()).unwrap();
    rules
}

fn stopping() -> LifespanRules {
    let mut rules = running();
    assert!(rules.shutdown());
    rules
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
            let mut rules = make();
            let before = format!("{rules:?}");
            let result = rules.send(event());
            if result.is_err() {
                assert_eq!(format!("{rules:?}"), before, "{name} in {phase}");
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
            let LifespanVerdict { outcome, fault, .. } = make().ended(end);
            table += &format!("{phase} | {end:?} | {outcome:?} | {fault:?}\n");
        }
    }
    assert_text(&table, include_str!("tables/lifespan_ends.txt"));
}

#[test]
fn the_app_receives_the_startup_once_and_the_shutdown_on_each_call() {
    let mut rules = LifespanRules::new();
    let startup = rules.receive();
    assert!(matches!(startup, Some(ReceiveEvent::LifespanStartup(_))));
    assert!(rules.receive().is_none());
    rules.send(LifespanStartupComplete::new().into()).unwrap();
    assert!(rules.receive().is_none());
    assert!(rules.shutdown());
    for _ in 0..2 {
        let shutdown = rules.receive();
        assert!(matches!(shutdown, Some(ReceiveEvent::LifespanShutdown(_))));
    }
    rules.send(LifespanShutdownComplete::new().into()).unwrap();
    let shutdown = rules.receive();
    assert!(matches!(shutdown, Some(ReceiveEvent::LifespanShutdown(_))));
    // After a failed shutdown, it is the same.
    let mut rules = stopping();
    rules.send(LifespanShutdownFailed::new("").into()).unwrap();
    let shutdown = rules.receive();
    assert!(matches!(shutdown, Some(ReceiveEvent::LifespanShutdown(_))));
}

#[test]
fn an_app_that_refused_to_start_receives_no_shutdown() {
    let mut rules = LifespanRules::new();
    rules.receive();
    rules.send(refuse()).unwrap();
    assert!(!rules.shutdown());
    assert!(rules.receive().is_none());
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
    let mut rules = running();
    rules.ended(AppEnd::Returned);
    assert!(!rules.shutdown(), "the app has ended");
}

#[test]
fn closed_resolves_once_the_server_takes_no_more_events() {
    for (phase, make) in PHASES {
        let over = phase == "refused" || phase == "stopped";
        let reason = over.then_some(DisconnectReason::Complete);
        assert_eq!(make().closed(), reason, "{phase}");
        let mut rules = make();
        rules.ended(AppEnd::Returned);
        assert_eq!(rules.closed(), Some(DisconnectReason::Complete));
        assert_eq!(rules.ready(), Err(SendError::over()), "{phase}");
    }
}

#[test]
fn no_sequence_of_events_starts_or_stops_a_server_twice() {
    let mut stopped = 0;
    for seed in 0..2_000 {
        let mut random = Random::new(seed);
        let mut rules = LifespanRules::new();
        // The outcomes so far, in order.
        let mut outcomes = Vec::new();
        let mut asked = false;
        for _ in 0..random.below(16) {
            match random.below(8) {
                0 => asked |= rules.shutdown(),
                1 => {
                    let event = rules.receive();
                    let shutdown = matches!(event, Some(ReceiveEvent::LifespanShutdown(_)));
                    assert_eq!(shutdown, asked, "seed {seed}");
                }
                _ => {
                    let (_, event) = random.pick(&EVENTS);
                    let before = format!("{rules:?}");
                    match rules.send(event()) {
                        Ok(outcome) => outcomes.push(outcome),
                        Err(_) => assert_eq!(format!("{rules:?}"), before, "seed {seed}"),
                    }
                }
            }
        }
        let verdict = rules.ended(random.pick(&ENDS));
        outcomes.extend(verdict.outcome);
        assert!(rules.send(refuse()).unwrap_err().is_over());
        let valid = match &outcomes[..] {
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
        assert!(valid, "seed {seed}: {outcomes:?}");
        stopped += usize::from(asked);
    }
    assert!(stopped > 200, "only {stopped} runs reached the shutdown");
}
