//! Chat rooms over WebSockets.
//!
//! | path | what it is |
//! | --- | --- |
//! | `/` | the page of the chat |
//! | `/ws/ROOM/NAME` | the WebSocket of one person in a room |
//!
//! [`room`] has the rooms and sends messages to their members. [`protocol`] has the messages on the
//! WebSocket.

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
use self::room::{Member, RoomError, Rooms};

const PAGE: &str = include_str!("page.html");

/// The app: the server calls it for the page, for each WebSocket, and for its own lifespan.
pub(crate) async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::WebSocket(websocket) => chat(&websocket, receive, send).await,
        Scope::Http(request) => page(&request, send).await,
        Scope::Lifespan(_) => lifespan(receive, send).await,
        other => Err(AppError::unsupported(&other)),
    }
}

/// Makes the rooms at startup. All WebSockets find the same rooms in the state of their scope.
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
    match (&*request.local_path(), &request.method) {
        ("/", &Method::GET | &Method::HEAD) => send.respond(html, PAGE).await?,
        ("/", _) => {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            send.respond(text(status), "Method not allowed\n").await?;
        }
        _ => {
            let status = StatusCode::NOT_FOUND;
            send.respond(text(status), "Not found\n").await?;
        }
    }
    Ok(())
}

/// One WebSocket: joins a room, or gets the reason why it cannot.
async fn chat(
    scope: &WebSocketScope,
    mut receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let rooms: Arc<Rooms> = scope.state.get().ok_or("the app was not started")?;
    receive.receive().await;
    let path = scope.local_path();
    let place = path.strip_prefix("/ws/");
    let joined = match place.and_then(|place| place.split_once('/')) {
        Some((room, name)) => Rooms::join(&rooms, room, name),
        None => Err(RoomError::NoRoom),
    };
    let mut member = match joined {
        Ok(member) => member,
        Err(why) => return deny(scope, &mut send, &why).await,
    };
    send.send(WebSocketAccept::new()).await?;
    let welcome = event::welcome(&member, &format!("{:?}", scope.version));
    send.send(WebSocketSend::text(welcome)).await?;
    let close = run(&mut member, &mut receive, &mut send).await?;
    // Leaves the room first: `send` may wait for the client.
    drop(member);
    if let Some(close) = close {
        send.send(close).await?;
    }
    Ok(())
}

/// Passes messages in both directions until one ends. Returns the close to send, if there is one.
///
/// While a message waits because the client reads slowly, the app takes nothing from the client, and the
/// messages of others fill the member's queue. When the queue is full, the room removes the member.
async fn run(
    member: &mut Member,
    receive: &mut Receiver,
    send: &mut Sender,
) -> Result<Option<WebSocketClose>, AppError> {
    loop {
        let next = tokio::select! {
            event = receive.receive() => match event {
                ReceiveEvent::WebSocketReceive(event) => handle(member, event.message),
                // The client has closed the WebSocket or is gone, or the server stops.
                _ => return Ok(None),
            },
            message = member.next_message() => match message {
                Some(text) => Some(text),
                None => return Ok(Some(too_slow())),
            },
        };
        let Some(text) = next else {
            continue;
        };
        tokio::select! {
            sent = send.send(WebSocketSend::text(text)) => sent?,
            () = member.removed() => return Ok(Some(too_slow())),
        }
    }
}

/// Code 1013, "Try Again Later": the client did nothing wrong and may come back.
fn too_slow() -> WebSocketClose {
    WebSocketClose::new(1013).reason("too slow: too many messages were waiting")
}

/// Handles a message of a member. Returns the reply for this member only, if there is one.
fn handle(member: &mut Member, message: Message) -> Option<Text> {
    match protocol::parse(&message) {
        Ok(_) if !member.may_send(Instant::now()) => {
            Some(event::problem("too many messages at once, wait a moment"))
        }
        Ok(text) => {
            member.say(text);
            None
        }
        Err(problem) => Some(event::problem(problem)),
    }
}

/// Tells a client why it may not join: with a response, if the connection supports that.
async fn deny(scope: &WebSocketScope, send: &mut Sender, why: &RoomError) -> Result<(), AppError> {
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
