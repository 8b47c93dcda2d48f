use std::task::Poll;

use asgi::{
    AppError, DynApp, LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    Receiver, Scope, Sender, State,
};
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

/// LIFE-006, LIFE-009, LIFE-010, LIFE-014, LIFE-015, LIFE-016
#[test]
fn an_outcome_says_whether_the_server_goes_on() {
    use LifespanOutcome as Outcome;
    let started = |outcome: Outcome| match outcome.started() {
        Ok(_) => "serve".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(started(Outcome::Serve(State::new())), "serve");
    assert_eq!(started(Outcome::Unsupported), "serve");
    assert_eq!(
        started(Outcome::Refused("no disk".into())),
        "the app did not start: no disk"
    );
    assert_eq!(started(Outcome::StartupFailed), "the app did not start");
    let stopped = |outcome: Outcome| outcome.stopped().err().map(|error| error.to_string());
    assert_eq!(stopped(Outcome::ShutdownComplete), None);
    assert_eq!(stopped(Outcome::Gone), None);
    let failed = stopped(Outcome::ShutdownFailed("full".into()));
    assert_eq!(failed.as_deref(), Some("the app did not clean up: full"));
}

/// LIFE-004, LIFE-010
#[test]
fn a_server_waits_for_the_start_of_the_app_that_it_runs() {
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        receive.receive().await;
        Err("no disk".into())
    }
    let (lifespan, running) = LifespanExchange::start(&DynApp::new(app));
    let mut started = Box::pin(lifespan.started());
    assert!(once(|cx| started.as_mut().poll(cx)).is_pending());
    let mut run = Box::pin(lifespan.clone().run(running));
    let Poll::Ready((fault, end)) = once(|cx| run.as_mut().poll(cx)) else {
        panic!("the app waits");
    };
    assert_eq!(
        end.describe(fault.unwrap()).to_string(),
        "the app failed: no disk"
    );
    let Poll::Ready(started) = once(|cx| started.as_mut().poll(cx)) else {
        panic!("the server waits");
    };
    assert_eq!(started.unwrap_err().to_string(), "the app did not start");
}

/// LIFE-012, LIFE-014
#[test]
fn a_server_waits_until_the_app_has_cleaned_up() {
    async fn app(_: Scope, mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
        receive.receive().await;
        send.send(LifespanStartupComplete::new()).await?;
        receive.receive().await;
        Ok(send.send(LifespanShutdownFailed::new("full")).await?)
    }
    let (lifespan, running) = LifespanExchange::start(&DynApp::new(app));
    let mut run = Box::pin(lifespan.clone().run(running));
    assert!(once(|cx| run.as_mut().poll(cx)).is_pending());
    let mut started = Box::pin(lifespan.started());
    assert!(once(|cx| started.as_mut().poll(cx)).is_ready());
    let mut stop = Box::pin(lifespan.stop());
    assert!(once(|cx| stop.as_mut().poll(cx)).is_pending());
    assert!(once(|cx| run.as_mut().poll(cx)).is_ready());
    let Poll::Ready(stopped) = once(|cx| stop.as_mut().poll(cx)) else {
        panic!("the server waits");
    };
    assert_eq!(
        stopped.unwrap_err().to_string(),
        "the app did not clean up: full"
    );
}

/// LIFE-011
#[test]
fn a_server_stops_at_once_if_the_app_has_ended() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        Ok(send.send(LifespanStartupComplete::new()).await?)
    }
    let (lifespan, running) = LifespanExchange::start(&DynApp::new(app));
    let mut run = Box::pin(lifespan.clone().run(running));
    assert!(once(|cx| run.as_mut().poll(cx)).is_ready());
    let mut started = Box::pin(lifespan.started());
    assert!(once(|cx| started.as_mut().poll(cx)).is_ready());
    let mut stop = Box::pin(lifespan.stop());
    assert!(matches!(
        once(|cx| stop.as_mut().poll(cx)),
        Poll::Ready(Ok(()))
    ));
}
