use asgi::{AppError, LifespanShutdownComplete, LifespanStartupComplete};
use asgi_rules::exchange::LifespanExchange;
use asgi_rules::{AppEnd, Fault, LifespanOutcome};

use super::{Task, once, receive, send};

/// LIFE-004, LIFE-012
#[test]
fn the_app_starts_and_shuts_down() {
    let lifespan = LifespanExchange::new();
    let (mut receiver, mut sender) = lifespan.halves();
    let (app, server) = (Task::new(), Task::new());
    assert_eq!(receive(&mut receiver), "LifespanStartup(LifespanStartup)");
    assert!(server.poll(|cx| lifespan.poll_outcome(cx)).is_pending());
    send(&mut sender, LifespanStartupComplete::new()).unwrap();
    assert_eq!(server.take_wakes(), 1);
    let outcome = lifespan.take_outcome();
    assert!(matches!(outcome, Some(LifespanOutcome::Serve(_))));

    assert!(app.poll(|cx| receiver.poll_receive(cx)).is_pending());
    assert!(lifespan.shutdown());
    assert_eq!(app.take_wakes(), 1);
    assert_eq!(receive(&mut receiver), "LifespanShutdown(LifespanShutdown)");
    assert!(app.poll(|cx| sender.poll_closed(cx)).is_pending());
    send(&mut sender, LifespanShutdownComplete::new()).unwrap();
    assert_eq!(app.take_wakes(), 1);
    assert!(once(|cx| sender.poll_closed(cx)).is_ready());
    let outcome = lifespan.take_outcome();
    assert!(matches!(outcome, Some(LifespanOutcome::ShutdownComplete)));
    assert_eq!(lifespan.ended(AppEnd::Returned), None);
    assert!(lifespan.take_outcome().is_none());
}

/// LIFE-009, LIFE-010
#[test]
fn an_end_before_the_start_is_an_outcome() {
    let lifespan = LifespanExchange::new();
    let server = Task::new();
    assert!(server.poll(|cx| lifespan.poll_outcome(cx)).is_pending());
    let result = Err(AppError::unsupported_kind("lifespan"));
    assert_eq!(lifespan.ended(&result), None);
    assert_eq!(server.take_wakes(), 1);
    let outcome = lifespan.take_outcome();
    assert!(matches!(outcome, Some(LifespanOutcome::Unsupported)));

    let lifespan = LifespanExchange::new();
    assert_eq!(lifespan.ended(AppEnd::Panicked), Some(Fault::Panicked));
    let outcome = lifespan.take_outcome();
    assert!(matches!(outcome, Some(LifespanOutcome::StartupFailed)));
    assert!(!lifespan.shutdown());
}

/// An app can be ready and return in one poll. The server sees both, in order. (LIFE-011)
#[test]
fn the_end_of_the_app_comes_after_its_last_outcome() {
    let lifespan = LifespanExchange::new();
    let (_receive, mut sender) = lifespan.halves();
    send(&mut sender, LifespanStartupComplete::new()).unwrap();
    lifespan.ended(AppEnd::Returned);
    let outcome = lifespan.take_outcome();
    assert!(matches!(outcome, Some(LifespanOutcome::Serve(_))));
    let outcome = lifespan.take_outcome();
    assert!(matches!(outcome, Some(LifespanOutcome::Gone)));
    let error = send(&mut sender, LifespanStartupComplete::new()).unwrap_err();
    assert!(error.is_over());
}
