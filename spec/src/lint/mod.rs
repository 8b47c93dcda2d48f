//! An app around any app that checks both sides as they run.

mod around;
mod call;
mod judged;
mod lifespan;
mod process;
mod received;
mod response;
mod scope;
mod socket;
mod violation;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use asgi::{App, AppError, Receiver, Scope, Sender};

pub(crate) use self::around::around;
pub(crate) use self::call::LintedCall;
pub(crate) use self::process::Process;
pub(crate) use self::response::ResponseModel;
pub(crate) use self::socket::SocketModel;
pub(crate) use self::violation::{LintFinding, Report};
pub use self::violation::{Side, Violation};

/// An app around any app or middleware that checks both sides as they run, and names the requirement
/// that is broken.
///
/// Put it around an app in the app's tests, around the app inside a middleware, or around the app
/// that a server in a test calls. It checks
///
/// - what the server gives: the scope, the order and the content of the events, the answer to each
///   event that the app sends, and what comes after the end;
/// - what the app sends: the order, the values, the use of extensions that the scope does not offer,
///   and the end without a complete answer.
///
/// The table in `spec/lint.md` says for each requirement which side is checked, or why none is.
///
/// Lint changes nothing else. Events and wakers pass as they are, and it starts no task.
///
/// # What happens on a violation
///
/// By default Lint panics in the call of the side that it watches: in the app's `send` or `receive`,
/// or at the end of the app. If somebody has caught that panic, such as a task of the app, Lint
/// panics once more when the app returns. With [`report`](Self::report), it tells each [`Violation`]
/// to a function instead, and everything goes on. Within one call of the app, it tells each
/// requirement once for each side.
///
/// ```
/// use asgi::{App, AppError, HttpResponseBody, HttpResponseStart, HttpScope};
/// use asgi::{Receiver, Scope, Sender};
/// use asgi_spec::{Lint, Side};
/// # use asgi::*;
/// # use std::task::{Context, Poll, Waker};
/// # struct Server;
/// # impl ReceiveHalf for Server {
/// #     fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
/// #         Poll::Ready(HttpRequest::last("").into())
/// #     }
/// # }
/// # impl SendHalf for Server {
/// #     fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
/// #         Poll::Ready(Ok(()))
/// #     }
/// #     fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
/// #         match event {
/// #             SendEvent::HttpResponseStart(_) => Ok(()),
/// #             _ => Err(SendError::misuse("the event", "a start")),
/// #         }
/// #     }
/// #     fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<DisconnectReason> {
/// #         Poll::Pending
/// #     }
/// #     fn closed_handle(&self) -> Closed {
/// #         Closed::new(std::future::pending())
/// #     }
/// # }
///
/// /// An app that forgets the start.
/// async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
///     Ok(send.send(HttpResponseBody::last("Hello")).await?)
/// }
///
/// let app = Lint::new(app).report(|violation| {
///     assert_eq!((violation.id, violation.side), ("HTTP-021", Side::App));
///     println!("{violation}");
/// });
/// # let scope = HttpScope::new(http::Method::GET, "/".parse()?);
/// # let called = DynApp::new(app).start(scope.into(), Receiver::new(Server), Sender::new(Server))
/// #     .as_mut().poll(&mut Context::from_waker(Waker::noop()));
/// # assert!(matches!(called, Poll::Ready(Err(_))));
/// # Ok::<(), http::uri::InvalidUri>(())
/// ```
///
/// # Limits
///
/// - Lint knows what passes through it. It does not see what the client gets, and it does not see a
///   header that [`HttpResponseStart::header`](asgi::HttpResponseStart::header) could not add: the
///   sender of the crate `asgi` answers that itself.
/// - An empty part with `more_body` that comes too early or too late is not a fault of the app:
///   [`Sender::flush`] sends such parts.
/// - Violations that a call finds after its panic was caught are lost if the server then drops the
///   call.
pub struct Lint<A> {
    app: A,
    report: Arc<Report>,
    skipped: Arc<[&'static str]>,
    process: Arc<Process>,
}

impl<A: App> Lint<A> {
    /// Puts Lint around an app. It panics on a violation.
    pub fn new(app: A) -> Self {
        Self {
            app,
            report: Arc::new(Report::Panic),
            skipped: Arc::new([]),
            process: Arc::new(Process::new()),
        }
    }

    /// Tells each violation to a function instead of a panic.
    ///
    /// The function is called where the violation happens, so it must not wait.
    #[must_use]
    pub fn report(mut self, tell: impl Fn(Violation) + Send + Sync + 'static) -> Self {
        self.report = Arc::new(Report::Tell(Box::new(tell)));
        self
    }

    /// Does not report violations of this requirement, for a test that breaks it on purpose.
    #[must_use]
    pub fn skip(mut self, id: &'static str) -> Self {
        self.skipped = self.skipped.iter().copied().chain([id]).collect();
        self
    }
}

impl<A: App> App for Lint<A> {
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        let call = Arc::new(LintedCall::new(
            &scope,
            Arc::clone(&self.report),
            Arc::clone(&self.skipped),
            Arc::clone(&self.process),
        ));
        let running = RunningCall(Arc::clone(&call));
        call.begin(&scope);
        let (receive, send) = around(&call, receive, send);
        let result = self.app.call(scope, receive, send).await;
        drop(running);
        call.returned(&result);
        result
    }
}

/// Says that the call is over, also if the app panics or the server drops it.
struct RunningCall(Arc<LintedCall>);

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.0.over();
    }
}

impl<A> fmt::Debug for Lint<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lint").finish_non_exhaustive()
    }
}
