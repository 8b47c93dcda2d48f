//! `AppError`: the questions look through every wrapper.

use std::error::Error;
use std::{fmt, io};

use asgi::{AppError, DisconnectReason, HttpDisconnect, LifespanScope, Scope, SendError};

use crate::support::{change, now, receiver};

fn gone() -> SendError {
    SendError::disconnected(DisconnectReason::Reset(1 << 61))
}

fn unsupported() -> AppError {
    AppError::unsupported(&Scope::from(LifespanScope::new()))
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Hides the type of an error but not its source, as `eyre::Report` does as a boxed error.
#[derive(Debug)]
struct Opaque(BoxError);

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Opaque {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// An app's own error with a cause.
#[derive(Debug)]
struct Context(BoxError);

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not serve")
    }
}

impl Error for Context {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// All the wrappers in which an app may return `error`.
fn wrappers(error: impl Fn() -> BoxError) -> Vec<(&'static str, AppError)> {
    let anyhow = || anyhow::Error::from(Context(error()));
    vec![
        ("as it is", AppError::from(error())),
        ("a cause", Context(error()).into()),
        ("opaque", Opaque(error()).into()),
        ("io::Error", io::Error::other(error()).into()),
        (
            "a cause of io::Error",
            io::Error::other(Context(error())).into(),
        ),
        (
            "io::Error in itself",
            io::Error::other(io::Error::other(error())).into(),
        ),
        (
            "io::Error in a cause",
            Context(io::Error::other(error()).into()).into(),
        ),
        (
            "an opaque io::Error",
            Opaque(io::Error::other(error()).into()).into(),
        ),
        (
            "a boxed io::Error",
            Box::new(io::Error::other(error())).into(),
        ),
        ("anyhow", anyhow().into()),
        (
            "anyhow with context",
            anyhow().context("while it served").into(),
        ),
        (
            "anyhow of io::Error",
            anyhow::Error::from(io::Error::other(error())).into(),
        ),
        ("io::Error of anyhow", io::Error::other(anyhow()).into()),
    ]
}

#[test]
fn a_client_that_left_is_seen_through_every_wrapper() {
    let mut seen = 0;
    for (wrapper, error) in wrappers(|| gone().into()) {
        assert!(error.is_disconnected(), "{wrapper}: {error:?}");
        assert!(!error.is_unsupported() && !error.is_aborted(), "{wrapper}");
        seen += 1;
    }
    // The type itself, directly in `anyhow`, which hides it.
    let error = AppError::from(anyhow::Error::from(gone()));
    assert!(error.is_disconnected());
    change(
        "anyhow and io::Error hide it: logged as the app's fault",
        seen,
    );
}

/// CORE-002
#[test]
fn an_unsupported_scope_is_seen_through_every_wrapper() {
    for (wrapper, error) in wrappers(|| unsupported().into_error()) {
        assert!(error.is_unsupported(), "{wrapper}: {error:?}");
        assert!(!error.is_disconnected() && !error.is_aborted(), "{wrapper}");
    }
}

#[test]
fn an_abort_is_seen_through_every_wrapper() {
    for (wrapper, error) in wrappers(|| AppError::aborted().into_error()) {
        assert!(error.is_aborted(), "{wrapper}: {error:?}");
        assert!(
            !error.is_disconnected() && !error.is_unsupported(),
            "{wrapper}"
        );
    }
    change("an ERROR line, or 500", AppError::aborted().is_aborted());
}

#[test]
fn other_errors_are_none_of_these() {
    for error in [
        AppError::from("no"),
        SendError::over().into(),
        SendError::refused("no").into(),
        SendError::misuse("a", "b").into(),
        io::Error::from(io::ErrorKind::NotFound).into(),
    ] {
        assert!(!error.is_disconnected() && !error.is_unsupported() && !error.is_aborted());
    }
}

#[test]
fn a_chain_says_everything_once() {
    let lost = SendError::disconnected(DisconnectReason::Lost);
    let chain = |error: AppError| error.chain().to_string();
    assert_eq!(
        chain(lost.clone().into()),
        "the client is gone: the connection was lost"
    );
    assert_eq!(
        chain(io::Error::other(lost.clone()).into()),
        "the client is gone: the connection was lost"
    );
    assert_eq!(
        chain(anyhow::Error::from(lost).context("while it served").into()),
        "while it served: the client is gone: the connection was lost"
    );
    assert_eq!(
        chain(unsupported()),
        "this app does not serve this kind of scope: lifespan"
    );
    assert_eq!(
        chain(AppError::aborted()),
        "aborted: the app breaks off its exchange"
    );
    assert_eq!(
        chain(AppError::aborted_by("the upstream is gone")),
        "aborted: the app breaks off its exchange: the upstream is gone"
    );
    let mut receive = receiver([HttpDisconnect::new(DisconnectReason::Closed)]);
    assert_eq!(
        chain(now(receive.body(1)).unwrap_err().into()),
        "the request body is incomplete: the client is gone: it closed the connection"
    );
}

#[test]
fn a_chain_may_live_across_an_await() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    // This did not compile: `Chain` was not `Send`.
    let future = is_send(async {
        let error = AppError::from("no");
        let chain = error.chain();
        std::future::ready(()).await;
        chain.to_string()
    });
    let text = now(future);
    change("does not compile", &text);
    assert_eq!(text, "no");
}

#[test]
fn only_an_end_without_a_reader_is_gone() {
    for (reason, gone) in [
        (DisconnectReason::Complete, false),
        (DisconnectReason::Closed, false),
        (DisconnectReason::Lost, true),
        (DisconnectReason::Reset(1 << 61), true),
        (DisconnectReason::TimedOut, true),
        (DisconnectReason::ProtocolError, true),
        (DisconnectReason::Shutdown, true),
    ] {
        assert_eq!(reason.is_gone(), gone, "{reason:?}");
    }
    change(
        "`closed` resolves with `Closed`, but `send` still works",
        (),
    );
}
