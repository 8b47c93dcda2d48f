//! What an app is, and one type that holds any.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use crate::{AppError, Receiver, Scope, Sender};

/// A web app: called once for each [`Scope`], talks through its [`Receiver`] and [`Sender`].
///
/// An `async fn(Scope, Receiver, Sender) -> Result<(), AppError>` is one, and so is a closure of
/// that shape. Implement the trait for a type that holds something, as a middleware holds an app.
///
/// # Contract
///
/// - An app **must** return [`AppError::unsupported`] for a scope that it does not know. A server
///   then goes on without it, or answers that it cannot be done.
/// - A server **must** call it once for each scope and **must not** share its halves with another.
/// - A server **may** drop the future at any time: the client left and its grace is over, or the
///   server stops. What must survive that belongs in a task of the app's own.
/// - Both halves **may** be moved to other tasks, but once the app has returned the exchange is
///   over: what they do then is told with [`SendError::is_over`](crate::SendError::is_over).
///
/// Spec: core §1.
pub trait App: Send + Sync + 'static {
    /// Serves one scope, until the future is done.
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send;
}

impl<F, Fut> App for F
where
    F: Fn(Scope, Receiver, Sender) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send {
        self(scope, receive, send)
    }
}

// Not for `Box` or `&`: those would clash with the impl for closures.
impl<A: App> App for Arc<A> {
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send {
        (**self).call(scope, receive, send)
    }
}

/// The future of an app that runs, erased.
pub type AppFuture<'a> = Pin<Box<dyn Future<Output = Result<(), AppError>> + Send + 'a>>;

/// Any app behind one type: for routers, and for servers.
///
/// Cloning it is cheap and gives the same app.
///
/// Spec: core §1.
#[derive(Clone)]
pub struct DynApp(Arc<dyn ErasedApp>);

impl DynApp {
    /// Erases the type of `app`. One that is erased already stays as it is.
    pub fn new(app: impl App) -> Self {
        match (&app as &dyn Any).downcast_ref::<Self>() {
            Some(erased) => erased.clone(),
            None => Self(Arc::new(app)),
        }
    }

    /// Calls the app with a future that owns it, so that it can move to another task.
    ///
    /// Costs one allocation.
    pub fn start(&self, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static> {
        Arc::clone(&self.0).start(scope, receive, send)
    }
}

impl App for DynApp {
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send {
        self.0.call_erased(scope, receive, send)
    }
}

impl fmt::Debug for DynApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynApp").finish_non_exhaustive()
    }
}

trait ErasedApp: Send + Sync {
    fn call_erased(&self, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'_>;
    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static>;
}

impl<A: App> ErasedApp for A {
    fn call_erased(&self, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'_> {
        Box::pin(self.call(scope, receive, send))
    }

    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static> {
        Box::pin(async move { self.call(scope, receive, send).await })
    }
}
