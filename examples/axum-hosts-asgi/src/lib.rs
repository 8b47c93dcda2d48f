//! An axum router with an asgi app below `/counter`.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use asgi::{App, AppError, HttpResponseStart, Receiver, Scope, Sender, State};
use asgi_tower::AppService;
use axum::Router;
use axum::routing::get;

/// What the app makes at startup, and each request gets.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

/// An asgi app that counts its requests. It knows nothing of axum.
pub fn counter() -> impl App {
    let lifespan = asgi_util::lifespan(
        async || {
            let mut state = State::new();
            state.insert(Counter::default());
            Ok(state)
        },
        async |_state| Ok(()),
    );
    lifespan.with(count)
}

async fn count(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let counter = http
        .state
        .get_ref::<Counter>()
        .ok_or("startup was not called")?;
    let number = counter.0.fetch_add(1, Ordering::Relaxed) + 1;
    let text = format!(
        "request {number} for {} in {}\n",
        http.local_path(),
        http.root_path
    );
    let start = HttpResponseStart::ok().content_type("text/plain; charset=utf-8");
    Ok(send.respond(start, text).await?)
}

/// The router of the program.
pub fn router(counter: AppService) -> Router {
    Router::new()
        .route("/", get(async || "This is axum. Try /counter/page.\n"))
        .nest_service("/counter", counter)
}
