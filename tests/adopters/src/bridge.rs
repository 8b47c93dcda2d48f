//! A router of axum. Nothing but [`app`] knows that it runs as an app.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocketUpgrade};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{StatusCode, header};

/// The app.
pub fn app() -> impl asgi::App {
    asgi_tower::app(router())
}

/// How many handlers run, and what they have received last, by a name that the client gives.
#[derive(Clone, Default)]
struct Handlers(Arc<Mutex<HashMap<String, Handler>>>);

#[derive(Default)]
struct Handler {
    running: u32,
    received: String,
}

impl Handlers {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Handler>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handler runs until the guard is dropped.
    fn enter(&self, name: String) -> Running {
        self.lock().entry(name.clone()).or_default().running += 1;
        Running(self.clone(), name)
    }
}

struct Running(Handlers, String);

impl Running {
    fn set_received(&self, text: String) {
        if let Some(handler) = self.0.lock().get_mut(&self.1) {
            handler.received = text;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(handler) = self.0.lock().get_mut(&self.1) {
            handler.running -= 1;
        }
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "Hello, world!\n"))
        .route("/hello/{name}", get(hello))
        .route("/peer", get(peer))
        .route("/length", post(length))
        .route("/echo", post(echo))
        .route("/running/{name}", get(running))
        .route("/received/{name}", get(received))
        .route("/slow/{name}", get(slow))
        .route("/ticks/{name}", get(ticks))
        .route("/silent/{name}", get(silent))
        .route("/ws/echo/{name}", any(echo_messages))
        .route("/ws/guarded", any(guarded))
        .route("/ws/closes", any(closes))
        .route("/ws/drops", any(drops))
        .route("/ws/pings", any(pings))
        .route("/ws/floods", any(floods))
        .with_state(Handlers::default())
}

async fn hello(Path(name): Path<String>) -> String {
    format!("Hello {name}\n")
}

async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.to_string()
}

async fn length(body: Bytes) -> String {
    body.len().to_string()
}

async fn echo(request: Request) -> Response {
    Response::new(request.into_body())
}

async fn running(State(handlers): State<Handlers>, Path(name): Path<String>) -> String {
    let handlers = handlers.lock();
    handlers.get(&name).map_or(0, |one| one.running).to_string()
}

async fn received(State(handlers): State<Handlers>, Path(name): Path<String>) -> String {
    let handlers = handlers.lock();
    handlers
        .get(&name)
        .map_or_else(String::new, |one| one.received.clone())
}

async fn slow(State(handlers): State<Handlers>, Path(name): Path<String>) -> &'static str {
    let _running = handlers.enter(name);
    tokio::time::sleep(Duration::from_secs(600)).await;
    "late"
}

fn events(running: Running, events: impl Stream<Item = u32> + Send + 'static) -> impl IntoResponse {
    Sse::new(events.map(move |number| {
        let _running = &running;
        Ok::<_, Infallible>(Event::default().data(number.to_string()))
    }))
}

async fn ticks(State(handlers): State<Handlers>, Path(name): Path<String>) -> impl IntoResponse {
    let ticks = tokio::time::interval(Duration::from_millis(5));
    let ticks = stream::unfold((ticks, 0), async |(mut ticks, number)| {
        ticks.tick().await;
        Some((number, (ticks, number + 1)))
    });
    events(handlers.enter(name), ticks)
}

async fn silent(State(handlers): State<Handlers>, Path(name): Path<String>) -> impl IntoResponse {
    let once = stream::once(async { 0 });
    events(handlers.enter(name), once.chain(stream::pending()))
}

async fn echo_messages(
    upgrade: WebSocketUpgrade,
    State(handlers): State<Handlers>,
    Path(name): Path<String>,
) -> Response {
    let upgrade = upgrade.protocols(["chat"]).max_message_size(64 << 20);
    upgrade
        .max_frame_size(64 << 20)
        .on_upgrade(async move |mut socket| {
            let running = handlers.enter(name);
            while let Some(message) = socket.recv().await {
                match message {
                    Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                        if socket.send(message).await.is_err() {
                            return;
                        }
                    }
                    Ok(Message::Close(Some(frame))) => {
                        running.set_received(format!("{} {}", frame.code, frame.reason));
                    }
                    Ok(message) => running.set_received(format!("{message:?}")),
                    Err(error) => running.set_received(error.to_string()),
                }
            }
        })
}

async fn guarded(upgrade: WebSocketUpgrade, request: Request) -> Response {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return upgrade.on_upgrade(async |_| {});
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
    (StatusCode::UNAUTHORIZED, challenge, "who are you?").into_response()
}

async fn closes(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        let close = CloseFrame {
            code: 4001,
            reason: "enough".into(),
        };
        // It fails if the client has left.
        let _ = socket.send("bye".into()).await;
        let _ = socket.send(Message::Close(Some(close))).await;
    })
}

async fn drops(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |socket| drop(socket))
}

async fn pings(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        let _ = socket.send(Message::Ping("ping".into())).await;
        let answer = socket.recv().await;
        let is_pong = matches!(answer, Some(Ok(Message::Pong(_))));
        let _ = socket.send(format!("pong: {is_pong}").into()).await;
    })
}

/// Sends 4 MiB before it receives anything, and then counts what it receives.
async fn floods(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        const PART: usize = 64 * 1024;
        for _ in 0..64 {
            if socket.send(vec![7; PART].into()).await.is_err() {
                return;
            }
        }
        let mut count = 0;
        while count < 64 * PART
            && let Some(Ok(Message::Binary(data))) = socket.recv().await
        {
            count += data.len();
        }
        let _ = socket.send(count.to_string().into()).await;
    })
}
