//! News about the list, as server-sent events and over a WebSocket.

use std::convert::Infallible;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::list::Todos;

/// Waits for the next news. Returns `None` if there can be no more.
async fn next(news: &mut Receiver<String>) -> Option<String> {
    loop {
        match news.recv().await {
            Ok(news) => return Some(news),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}

pub(super) async fn events(State(todos): State<Todos>) -> impl IntoResponse {
    let news = stream::unfold(todos.news(), async |mut news| {
        let event = Event::default().data(next(&mut news).await?);
        Some((Ok::<_, Infallible>(event), news))
    });
    let hello = stream::once(async { Ok(Event::default().data("hello")) });
    Sse::new(hello.chain(news)).keep_alive(KeepAlive::default())
}

pub(super) async fn websocket(upgrade: WebSocketUpgrade, State(todos): State<Todos>) -> Response {
    upgrade.on_upgrade(async move |socket| serve(socket, todos).await)
}

/// Adds a todo for each text of the client, and sends it all news.
async fn serve(socket: WebSocket, todos: Todos) {
    let mut news = todos.news();
    let (mut send, mut receive) = socket.split();
    loop {
        tokio::select! {
            message = receive.next() => match message {
                Some(Ok(Message::Text(text))) => drop(todos.add(&text)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
            news = next(&mut news) => {
                let Some(news) = news else { return };
                if send.send(news.into()).await.is_err() {
                    return;
                }
            }
        }
    }
}
