//! The trait `App`, and a type that holds any app.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use crate::{AppError, Receiver, Scope, Sender};

/// A web app.
///
/// A server calls the app once for each [`Scope`]. The app talks to the server through a
/// [`Receiver`] and a [`Sender`].
///
/// Every `async fn(Scope, Receiver, Sender) -> Result<(), AppError>` is an app, and so is every
/// closure with this signature. Implement the trait for a type if the app has fields, as a
/// middleware has.
///
/// # Contract
///
/// - An app **must** return [`AppError::unsupported`] for a kind of scope that it does not know.
///   For a lifespan, the server then starts without it. For a request or a WebSocket, this is an
///   error like any other.
/// - A server **must** call the app once for each scope. It **must not** give the same
///   [`Receiver`] or [`Sender`] to two calls.
/// - A server **may** drop the future at any time, for example if the client has left and the grace
///   period is over, or if the server stops. Work that must continue belongs in a task that the app
///   spawns.
/// - `Send` and `Sync` are required, so frameworks whose handlers stay on one thread need a bridge.
/// - An app **may** move its `Receiver` and its `Sender` to other tasks. After the app has
///   returned, each `send` fails with [`SendError::is_over`](crate::SendError::is_over).
///
/// Spec: core §1.
pub trait App: Send + Sync + 'static {
    /// Serves one scope. The exchange is over when the future resolves.
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send;

    /// Calls the app and returns a boxed future that owns it.
    ///
    /// [`DynApp::start`] calls this method. The default boxes the future of [`call`](Self::call).
    /// Override it if the app only chooses another app, as a router does. Then return the future
    /// of that app: this saves one allocation for each request.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use asgi::{App, AppError, AppFuture, DynApp, Receiver, Scope, Sender};
    ///
    /// struct Switch(DynApp, DynApp);
    ///
    /// impl Switch {
    ///     fn choose(&self, scope: &Scope) -> &DynApp {
    ///         if scope.kind() == "http" { &self.0 } else { &self.1 }
    ///     }
    /// }
    ///
    /// impl App for Switch {
    ///     async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    ///         self.choose(&scope).call(scope, receive, send).await
    ///     }
    ///
    ///     fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static> {
    ///         self.choose(&scope).start(scope, receive, send)
    ///     }
    /// }
    /// ```
    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static>
    where
        Self: Sized,
    {
        Box::pin(async move { self.call(scope, receive, send).await })
    }
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

// There is no impl for `Box` and `&`, because it would conflict with the impl for closures.
impl<A: App> App for Arc<A> {
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send {
        (**self).call(scope, receive, send)
    }

    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static> {
        A::start(Self::clone(&self), scope, receive, send)
    }
}

/// The boxed future of a running app.
pub type AppFuture<'a> = Pin<Box<dyn Future<Output = Result<(), AppError>> + Send + 'a>>;

/// An app whose type is erased.
///
/// Routers and servers use it to hold apps of different types. A clone is cheap and refers to the
/// same app.
///
/// Spec: core §1.
#[derive(Clone)]
pub struct DynApp(Arc<dyn ErasedApp>);

impl DynApp {
    /// Erases the type of `app`.
    ///
    /// If `app` is already a `DynApp`, this does not wrap it again.
    pub fn new(app: impl App) -> Self {
        match (&app as &dyn Any).downcast_ref::<Self>() {
            Some(erased) => erased.clone(),
            None => Self(Arc::new(app)),
        }
    }

    /// Calls the app and returns a future that owns the app, so that it can move to another task.
    ///
    /// This allocates once, unless the app overrides [`App::start`].
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

    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static> {
        Self::start(&self, scope, receive, send)
    }
}

opaque_debug!(DynApp);

trait ErasedApp: Send + Sync {
    fn call_erased(&self, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'_>;
    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static>;
}

impl<A: App> ErasedApp for A {
    fn call_erased(&self, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'_> {
        Box::pin(self.call(scope, receive, send))
    }

    fn start(self: Arc<Self>, scope: Scope, receive: Receiver, send: Sender) -> AppFuture<'static> {
        <A as App>::start(self, scope, receive, send)
    }
}
