//! `App::start`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use asgi::{App, AppError, AppFuture, DynApp, LifespanScope, Receiver, Scope, Sender};

use crate::support::{Taken, now, receiver};

/// Counts how it is called.
#[derive(Default)]
struct Router {
    calls: AtomicU32,
    starts: AtomicU32,
}

impl App for Router {
    async fn call(&self, _: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn start(self: Arc<Self>, _: Scope, _: Receiver, _: Sender) -> AppFuture<'static> {
        self.starts.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn start(app: &DynApp) -> Result<(), AppError> {
    let receive = receiver([asgi::LifespanStartup::new()]);
    let send = Taken::default().sender();
    now(app.start(LifespanScope::new().into(), receive, send))
}

#[test]
fn a_router_returns_the_future_of_its_handler() {
    let router = Arc::new(Router::default());
    start(&DynApp::new(Arc::clone(&router))).unwrap();
    start(&DynApp::new(Arc::new(DynApp::new(Arc::clone(&router))))).unwrap();
    assert_eq!(router.starts.load(Ordering::Relaxed), 2);
    assert_eq!(router.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn other_apps_are_started_through_call() {
    async fn app(scope: Scope, _: Receiver, _: Sender) -> Result<(), AppError> {
        Err(AppError::unsupported(&scope))
    }
    assert!(start(&DynApp::new(app)).unwrap_err().is_unsupported());
}
