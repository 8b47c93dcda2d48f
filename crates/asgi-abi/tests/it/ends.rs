//! How a call ends, from the server's point of view.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use asgi::{
    AppError, DisconnectReason, HttpResponseStart, LifespanScope, ReceiveEvent, ReceiveHalf,
    Receiver, Scope, SendError, Sender, WebSocketScope,
};

use crate::support::{Exchange, Running, call, eventually, get, run};

/// An error with a cause.
#[derive(Debug)]
struct Wrapped(&'static str, Box<dyn Error + Send + Sync>);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.1)
    }
}

/// The error that the server gets if the app returns this one.
#[track_caller]
fn crossed(make: fn(&Scope) -> AppError, scope: impl Into<Scope>) -> AppError {
    let app = move |scope: Scope, _: Receiver, _: Sender| async move {
        Err::<(), AppError>(make(&scope))
    };
    run(app, scope, &Exchange::default()).unwrap_err()
}

/// ABI-034
#[test]
fn an_error_crosses_with_its_causes() {
    let error = crossed(
        |_| {
            Wrapped(
                "cannot start",
                Box::new(Wrapped("no database", "refused".into())),
            )
            .into()
        },
        get("/"),
    );
    assert_eq!(error.to_string(), "cannot start");
    assert_eq!(
        error.chain().to_string(),
        "cannot start: no database: refused"
    );
    assert!(!error.is_unsupported() && !error.is_disconnected());
}

/// ABI-034
#[test]
fn unsupported_crosses_with_the_kind_of_the_scope() {
    for (scope, kind) in [
        (Scope::from(LifespanScope::new()), "lifespan"),
        (get("/").into(), "http"),
        (
            WebSocketScope::new("/".parse().unwrap()).into(),
            "websocket",
        ),
    ] {
        let error = crossed(AppError::unsupported, scope);
        assert!(error.is_unsupported());
        assert_eq!(
            error.chain().to_string(),
            format!("this app does not serve this kind of scope: {kind}")
        );
    }
}

#[test]
fn unsupported_crosses_inside_another_error() {
    let error = crossed(
        |scope| Wrapped("the router", AppError::unsupported(scope).into_error()).into(),
        get("/"),
    );
    assert!(error.is_unsupported());
    assert_eq!(
        error.chain().to_string(),
        "the router: this app does not serve this kind of scope: http"
    );
}

#[test]
fn a_disconnected_error_crosses() {
    async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
        send.send(HttpResponseStart::ok()).await?;
        Ok(())
    }
    let exchange = Exchange::default();
    exchange.lock().ready_error = Some(SendError::disconnected(DisconnectReason::Lost));
    let error = run(app, get("/"), &exchange).unwrap_err();
    assert!(error.is_disconnected());
    let error = error.into_error().downcast::<SendError>().unwrap();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::Lost));
}

#[test]
fn disconnected_crosses_inside_another_error() {
    let error = crossed(
        |_| {
            let gone = SendError::disconnected(DisconnectReason::Closed);
            Wrapped("could not upload", gone.into()).into()
        },
        get("/"),
    );
    assert!(error.is_disconnected());
    assert_eq!(
        error.chain().to_string(),
        "could not upload: the client is gone: it closed the connection"
    );
}

#[test]
fn an_abort_crosses_with_its_causes() {
    let error = crossed(|_| AppError::aborted(), get("/"));
    assert!(error.is_aborted() && !error.is_disconnected());
    assert_eq!(
        error.chain().to_string(),
        "aborted: the app breaks off its exchange"
    );
    let error = crossed(|_| AppError::aborted_by("the upstream is gone"), get("/"));
    assert!(error.is_aborted());
    assert_eq!(
        error.chain().to_string(),
        "aborted: the app breaks off its exchange: the upstream is gone"
    );
}

#[test]
fn a_cause_that_a_wrapper_hides_crosses() {
    let error = crossed(
        |_| {
            let gone = SendError::disconnected(DisconnectReason::Reset(1 << 61));
            std::io::Error::other(gone).into()
        },
        get("/"),
    );
    assert_eq!(
        error.disconnect_reason(),
        Some(DisconnectReason::Reset(1 << 61))
    );
    assert_eq!(
        error.chain().to_string(),
        format!(
            "the client is gone: it reset the stream with code {}",
            1_u64 << 61
        )
    );
    let error = crossed(
        |scope| std::io::Error::other(AppError::unsupported(scope).into_error()).into(),
        get("/"),
    );
    assert!(error.is_unsupported());
    assert_eq!(
        error.chain().to_string(),
        "this app does not serve this kind of scope: http"
    );
}

#[test]
fn an_error_of_misuse_crosses_as_a_failure() {
    let error = crossed(|_| SendError::misuse("a", "b").into(), get("/"));
    assert!(!error.is_disconnected());
    assert_eq!(error.to_string(), "the app sent a, expected b");
}

/// The payload of the panic of the server's `poll`.
#[track_caller]
fn panicked(running: Running) -> Box<dyn Any + Send> {
    catch_unwind(AssertUnwindSafe(|| running.end())).expect_err("the call did not panic")
}

/// ABI-015
#[test]
fn a_panic_reaches_the_server_with_its_message() {
    async fn formatted(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        panic!("{} bytes", 7)
    }
    async fn constant(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        panic!("constant")
    }
    async fn opaque(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        panic_any(7)
    }
    async fn late(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        panic!("later")
    }
    let message = |running| *panicked(running).downcast::<String>().unwrap();
    let exchange = Exchange::default();
    assert_eq!(message(call(formatted, get("/"), &exchange)), "7 bytes");
    assert_eq!(message(call(constant, get("/"), &exchange)), "constant");
    assert_eq!(
        message(call(opaque, get("/"), &exchange)),
        "a panic without a message"
    );
    assert_eq!(message(call(late, get("/"), &exchange)), "later");
}

#[test]
fn a_panic_in_the_text_of_an_error_is_a_panic_of_the_app() {
    #[derive(Debug)]
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no text")
        }
    }
    impl Error for Broken {}
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        Err(Broken.into())
    }
    let payload = panicked(call(app, get("/"), &Exchange::default()));
    assert_eq!(*payload.downcast::<String>().unwrap(), "no text");
}

/// ABI-013
#[test]
fn both_halves_are_dropped_at_every_end() {
    async fn ok(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        Ok(())
    }
    async fn panics(_: Scope, _receive: Receiver, _send: Sender) -> Result<(), AppError> {
        panic!("at once")
    }
    async fn hangs(_: Scope, _receive: Receiver, _send: Sender) -> Result<(), AppError> {
        std::future::pending().await
    }
    let returned = |exchange: &Exchange| {
        let state = exchange.lock();
        state.receive_dropped && state.send_dropped
    };
    let exchange = Exchange::default();
    run(ok, get("/"), &exchange).unwrap();
    assert!(returned(&exchange));

    let exchange = Exchange::default();
    panicked(call(panics, get("/"), &exchange));
    assert!(returned(&exchange));

    let exchange = Exchange::default();
    let mut running = call(hangs, get("/"), &exchange);
    assert!(running.poll().is_pending());
    assert!(!returned(&exchange));
    drop(running);
    // The call does not wait for the server, so the app's runtime may poll it now.
    eventually(|| returned(&exchange));

    // Never polled.
    let exchange = Exchange::default();
    drop(call(hangs, get("/"), &exchange));
    assert!(returned(&exchange));
}

/// A value of a cancelled app whose destructor needs the app's runtime.
struct CleansUp;

static CLEANED_UP: AtomicU32 = AtomicU32::new(0);

impl Drop for CleansUp {
    fn drop(&mut self) {
        tokio::spawn(async { CLEANED_UP.fetch_add(1, Ordering::SeqCst) });
    }
}

/// ABI-017
#[test]
fn a_call_that_is_dropped_during_a_sleep_is_cancelled_in_its_runtime() {
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        let _guard = CleansUp;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(())
    }
    let mut running = call(app, get("/"), &Exchange::default());
    assert!(running.poll().is_pending());
    drop(running);
    eventually(|| CLEANED_UP.load(Ordering::SeqCst) == 1);
}

/// ABI-014
#[test]
fn a_panic_during_a_cancellation_stays_in_the_library() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in a destructor")
        }
    }
    async fn app(_: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        let _guard = Panics;
        std::future::pending().await
    }
    let mut running = call(app, get("/"), &Exchange::default());
    assert!(running.poll().is_pending());
    drop(running);
}

// For example, a closure of a middleware may panic. Without a boundary this would end the call too.
/// ABI-014
#[test]
fn a_panic_in_the_servers_half_ends_the_call_with_a_panic() {
    struct Panics;
    impl ReceiveHalf for Panics {
        fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
            panic!("in a middleware")
        }
    }
    async fn app(_: Scope, mut receive: Receiver, _: Sender) -> Result<(), AppError> {
        receive.receive().await;
        Ok(())
    }
    // Only to set the app.
    drop(call(app, get("/"), &Exchange::default()));
    let (_, send) = Exchange::default().halves();
    let loaded = asgi::DynApp::new(crate::support::library().app());
    let running = loaded.start(get("/").into(), Receiver::new(Panics), send);
    let payload = panicked(Running(running));
    assert_eq!(
        *payload.downcast::<String>().unwrap(),
        "the server's half panicked"
    );
}
