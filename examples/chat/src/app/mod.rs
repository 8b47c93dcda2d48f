//! Rooms to talk in, over WebSockets.
//!
//! | path | what it is |
//! | --- | --- |
//! | `/` | a page to talk on |
//! | `/ws/ROOM/NAME` | the socket of somebody in a room |
//!
//! [`room`] knows who is where and hands on what is said; [`protocol`] is what goes over the socket.

mod protocol;
mod room;

use std::sync::Arc;
use std::time::Instant;

use asgi::{
    AppError, Extension, HttpResponseStart, HttpScope, LifespanShutdownComplete,
    LifespanStartupComplete, Message, ReceiveEvent, Receiver, Scope, Sender, State, Text,
    WebSocketAccept, WebSocketClose, WebSocketHttpResponseBody, WebSocketHttpResponseStart,
    WebSocketScope, WebSocketSend,
};
use http::{HeaderValue, Method, StatusCode, header};

use self::protocol::event;
use self::room::{Member, NotJoined, Rooms};

const PAGE: &str = include_str!("page.html");

/// The app: called for the page, for each socket, and for the life of the server.
pub(crate) async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::WebSocket(socket) => talk(&socket, receive, send).await,
        Scope::Http(request) => page(&request, send).await,
        Scope::Lifespan(_) => lifespan(receive, send).await,
        other => Err(AppError::unsupported(&other)),
    }
}

/// The rooms are made at start-up: all sockets find the same ones in their scope.
async fn lifespan(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) => {
                let mut state = State::new();
                state.insert(Rooms::default());
                send.send(LifespanStartupComplete::with_state(state))
                    .await?;
            }
            ReceiveEvent::LifespanShutdown(_) => {
                send.send(LifespanShutdownComplete::new()).await?;
                return Ok(());
            }
            _ => {}
        }
    }
}

async fn page(request: &HttpScope, mut send: Sender) -> Result<(), AppError> {
    let html = HttpResponseStart::ok().content_type("text/html; charset=utf-8");
    let text = |status| HttpResponseStart::new(status).content_type("text/plain; charset=utf-8");
    match (request.local_path(), &request.method) {
        ("/", &Method::GET | &Method::HEAD) => send.respond(html, PAGE).await?,
        ("/", _) => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            send.respond(text(status), "GET it\n").await?;
        }
        _ => {
            let status = StatusCode::NOT_FOUND;
            send.respond(text(status), "Not found\n").await?;
        }
    }
    Ok(())
}

/// One socket: joins a room, or is told why not.
async fn talk(
    scope: &WebSocketScope,
    mut receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let rooms: Arc<Rooms> = scope.state.get().ok_or("the rooms were never opened")?;
    receive.receive().await;
    let place = scope.local_path().strip_prefix("/ws/");
    let joined = match place.and_then(|place| place.split_once('/')) {
        Some((room, name)) => Rooms::join(&rooms, room, name),
        None => Err(NotJoined::NoPlace),
    };
    let mut member = match joined {
        Ok(member) => member,
        Err(why) => return deny(scope, &mut send, &why).await,
    };
    send.send(WebSocketAccept::new()).await?;
    let welcome = event::welcome(&member, &format!("{:?}", scope.version));
    send.send(WebSocketSend::text(welcome)).await?;
    let close = attend(&mut member, &mut receive, &mut send).await?;
    // Who is not there any more is told so before the goodbye has reached who left.
    drop(member);
    if let Some(close) = close {
        send.send(close).await?;
    }
    Ok(())
}

/// Hands on what is said in both directions, until one of them ends. How to close, if that is left to do.
///
/// While a message waits because its client reads slowly, nothing that the client says is taken, and
/// what others say piles up in the member's queue: to its end, where the room lets go of it.
async fn attend(
    member: &mut Member,
    receive: &mut Receiver,
    send: &mut Sender,
) -> Result<Option<WebSocketClose>, AppError> {
    loop {
        let next = tokio::select! {
            said = receive.receive() => match said {
                ReceiveEvent::WebSocketReceive(event) => hear(member, event.message),
                // The client has closed, or is gone, or the server stops.
                _ => return Ok(None),
            },
            heard = member.heard() => match heard {
                Some(text) => Some(text),
                None => return Ok(Some(too_slow())),
            },
        };
        let Some(text) = next else {
            continue;
        };
        tokio::select! {
            sent = send.send(WebSocketSend::text(text)) => sent?,
            () = member.dropped() => return Ok(Some(too_slow())),
        }
    }
}

/// 1013, "Try Again Later": nothing is wrong with the client, and it may come back.
fn too_slow() -> WebSocketClose {
    WebSocketClose::new(1013).reason("too slow: you have missed too much")
}

/// Takes what a member says. What is to be said to it alone, if there is something.
fn hear(member: &mut Member, message: Message) -> Option<Text> {
    match protocol::said(&message) {
        Ok(_) if !member.may_speak(Instant::now()) => {
            Some(event::problem("that was too much at once, wait a little"))
        }
        Ok(text) => {
            member.say(text);
            None
        }
        Err(problem) => Some(event::problem(problem)),
    }
}

/// Tells a client why it may not join, in a response where the connection can do that.
async fn deny(scope: &WebSocketScope, send: &mut Sender, why: &NotJoined) -> Result<(), AppError> {
    if !scope.extensions.has(Extension::WebSocketHttpResponse) {
        send.send(WebSocketClose::default()).await?;
        return Ok(());
    }
    let mut start = WebSocketHttpResponseStart::new(why.status());
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    start.headers.insert(header::CONTENT_TYPE, text);
    send.send(start).await?;
    let body = WebSocketHttpResponseBody::new(format!("{why}\n"), false);
    send.send(body).await?;
    Ok(())
}
