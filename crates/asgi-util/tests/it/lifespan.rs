//! The lifespan that is built from two functions.

use asgi::{AppError, HttpResponseStart, Receiver, Scope, Sender, State};
use asgi_testing::Client;
use asgi_util::lifespan;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

async fn app(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let count = http
        .state
        .get::<AtomicU8>()
        .map_or(0, |count| count.load(Ordering::Relaxed));
    send.respond(HttpResponseStart::ok(), format!("{count}"))
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_state_of_the_startup_is_in_each_scope_and_in_the_shutdown() {
    let shutdowns = Arc::new(AtomicU8::new(0));
    let counter = Arc::clone(&shutdowns);
    let lifespan = lifespan(
        || async {
            let mut state = State::new();
            state.insert(AtomicU8::new(5));
            Ok(state)
        },
        move |state: State| {
            let counter = Arc::clone(&counter);
            async move {
                let count = state.get::<AtomicU8>().ok_or("no state")?;
                counter.store(count.load(Ordering::Relaxed), Ordering::Relaxed);
                Ok(())
            }
        },
    );
    let client = Client::new(lifespan.with(app)).startup().await.unwrap();
    assert_eq!(client.get("/").await.unwrap().text(), "5");
    assert_eq!(shutdowns.load(Ordering::Relaxed), 0);
    client.shutdown().await.unwrap();
    assert_eq!(shutdowns.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn a_failed_startup_tells_the_server_why_with_its_causes() {
    let lifespan = lifespan(
        || async { Err(std::io::Error::other("no database").into()) },
        |_| async { Ok(()) },
    );
    let error = Client::new(lifespan.with(app)).startup().await.unwrap_err();
    assert_eq!(error.message(), "no database");
    assert!(error.app_error().is_none());
}

#[tokio::test]
async fn a_failed_shutdown_tells_the_server_why() {
    let lifespan = lifespan(
        || async { Ok(State::new()) },
        |_| async { Err("stuck".into()) },
    );
    let client = Client::new(lifespan.with(app)).startup().await.unwrap();
    let error = client.shutdown().await.unwrap_err();
    assert_eq!(error.message(), "stuck");
}

#[tokio::test]
async fn a_lifespan_alone_serves_nothing_else() {
    let lifespan = lifespan(|| async { Ok(State::new()) }, |_| async { Ok(()) });
    let response = Client::new(lifespan).get("/").await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(response.app_error().unwrap().is_unsupported());
}
