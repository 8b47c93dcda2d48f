//! Builds the lifespan of an app from two functions.

use asgi::{
    App, AppError, LifespanShutdownComplete, LifespanShutdownFailed, LifespanStartupComplete,
    LifespanStartupFailed, ReceiveEvent, Receiver, Scope, Sender, State,
};

/// Builds the lifespan of an app.
///
/// `startup` prepares the app and returns its state. The server puts a clone of the state into each
/// later scope. `shutdown` cleans up; it gets the same state. If one of them fails, the server logs
/// the error with its causes. After a failed startup, the server does not start.
///
/// The result is an app that serves only the lifespan. [`LifespanApp::with`] adds the app that serves
/// everything else. A framework can also call the lifespan from its own `call`.
///
/// ```
/// use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender, State};
/// use asgi_util::lifespan;
///
/// struct Pool(String);
///
/// async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
///     let Scope::Http(http) = scope else {
///         return Err(AppError::unsupported(&scope));
///     };
///     let pool = http.state.get::<Pool>().ok_or("no pool")?;
///     send.respond(HttpResponseStart::ok(), pool.0.clone()).await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// let lifespan = lifespan(
///     || async {
///         let mut state = State::new();
///         state.insert(Pool("connected".to_owned()));
///         Ok(state)
///     },
///     |_state| async { Ok(()) },
/// );
/// let client = asgi_testing::Client::new(lifespan.with(app)).startup().await?;
/// assert_eq!(client.get("/").await?.text(), "connected");
/// client.shutdown().await?;
/// # Ok(()) }
/// ```
pub fn lifespan<S, SF, D, DF>(startup: S, shutdown: D) -> LifespanApp<S, D>
where
    S: Fn() -> SF + Send + Sync + 'static,
    SF: Future<Output = Result<State, AppError>> + Send,
    D: Fn(State) -> DF + Send + Sync + 'static,
    DF: Future<Output = Result<(), AppError>> + Send,
{
    LifespanApp { startup, shutdown }
}

/// The lifespan of an app. [`lifespan`] returns it.
#[derive(Debug, Clone)]
pub struct LifespanApp<S, D> {
    startup: S,
    shutdown: D,
}

impl<S, D> LifespanApp<S, D> {
    /// Returns an app with this lifespan that gives every other scope to `app`.
    ///
    /// `app` gets no lifespan of its own.
    pub fn with<A: App>(self, app: A) -> WithLifespan<S, D, A> {
        WithLifespan {
            lifespan: self,
            app,
        }
    }
}

impl<S, SF, D, DF> App for LifespanApp<S, D>
where
    S: Fn() -> SF + Send + Sync + 'static,
    SF: Future<Output = Result<State, AppError>> + Send,
    D: Fn(State) -> DF + Send + Sync + 'static,
    DF: Future<Output = Result<(), AppError>> + Send,
{
    async fn call(
        &self,
        scope: Scope,
        mut receive: Receiver,
        mut send: Sender,
    ) -> Result<(), AppError> {
        let Scope::Lifespan(_) = scope else {
            return Err(AppError::unsupported(&scope));
        };
        while !matches!(receive.receive().await, ReceiveEvent::LifespanStartup(_)) {}
        let state = match (self.startup)().await {
            Ok(state) => state,
            Err(error) => {
                let message = error.chain().to_string();
                return Ok(send.send(LifespanStartupFailed::new(message)).await?);
            }
        };
        send.send(LifespanStartupComplete::with_state(state.clone()))
            .await?;
        while !matches!(receive.receive().await, ReceiveEvent::LifespanShutdown(_)) {}
        match (self.shutdown)(state).await {
            Ok(()) => send.send(LifespanShutdownComplete::new()).await?,
            Err(error) => {
                let message = error.chain().to_string();
                send.send(LifespanShutdownFailed::new(message)).await?;
            }
        }
        Ok(())
    }
}

/// An app and its lifespan. [`LifespanApp::with`] returns it.
#[derive(Debug, Clone)]
pub struct WithLifespan<S, D, A> {
    lifespan: LifespanApp<S, D>,
    app: A,
}

impl<S, D, A> App for WithLifespan<S, D, A>
where
    LifespanApp<S, D>: App,
    A: App,
{
    async fn call(&self, scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
        if let Scope::Lifespan(_) = scope {
            return self.lifespan.call(scope, receive, send).await;
        }
        self.app.call(scope, receive, send).await
    }
}
