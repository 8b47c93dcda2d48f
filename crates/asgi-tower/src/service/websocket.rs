//! WebSockets of a host, over the upgrade that hyper offers.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use asgi::{
    DisconnectReason, DynApp, Extensions, HttpScope, Message, Text, WebSocketClose, WebSocketScope,
};
use asgi_rules::exchange::{RunningApp, WebSocketExchange};
use asgi_rules::{
    AppEnd, Fault, WebSocketEnding, WebSocketRules, WebSocketVerdict, WebSocketWireEvent, WireEvent,
};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message as WireMessage, Utf8Bytes};

use super::response::AppBody;

/// The largest message of a client: 16 MiB, as Ferricorn's default.
const MAX_MESSAGE_SIZE: usize = 16 << 20;

/// How many bytes of messages may wait for the client before the app waits.
const ROOM: usize = 64 * 1024;

/// How long a client may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

type HostedSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A handshake that the host can accept.
pub(super) struct HostHandshake {
    on_upgrade: OnUpgrade,
    /// `None` over HTTP/2.
    key: Option<HeaderValue>,
}

impl HostHandshake {
    /// Takes the handshake from the head of a request, if it is one.
    pub(super) fn take(parts: &mut request::Parts) -> Option<Self> {
        let has = |name: HeaderName, word: &str| {
            let values = parts.headers.get_all(name).iter();
            let mut words = values.filter_map(|value| value.to_str().ok());
            words.any(|value| {
                value
                    .split(',')
                    .any(|one| one.trim().eq_ignore_ascii_case(word))
            })
        };
        if !has(SEC_WEBSOCKET_VERSION, "13") {
            return None;
        }
        let key = match parts.version {
            // RFC 8441 §5
            Version::HTTP_2 if parts.method == Method::CONNECT => None,
            // RFC 6455 §4.2.1
            Version::HTTP_11 if parts.method == Method::GET => {
                if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
                    return None;
                }
                Some(parts.headers.get(SEC_WEBSOCKET_KEY)?.clone())
            }
            _ => return None,
        };
        let on_upgrade = parts.extensions.remove()?;
        Some(Self { on_upgrade, key })
    }

    fn response(&self, accept: asgi::WebSocketAccept) -> Response<AppBody> {
        let mut response = Response::new(AppBody::empty());
        *response.headers_mut() = accept.headers;
        let headers = response.headers_mut();
        let subprotocol = accept.subprotocol.as_deref();
        if let Some(Ok(name)) = subprotocol.map(HeaderValue::from_str) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
        }
        if let Some(key) = &self.key {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) {
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            }
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        response
    }
}

/// Starts the app in a task of its own, and waits for its answer to the handshake.
pub(super) async fn serve(
    app: DynApp,
    http: HttpScope,
    handshake: HostHandshake,
    grace: Duration,
) -> Response<AppBody> {
    let (answer, answered) = oneshot::channel();
    let task = SocketTask {
        what: format!("{} {}", http.method, http.target),
        grace,
    };
    tokio::spawn(task.run(app, websocket_scope(http), handshake, answer));
    // Without an answer, the runtime has dropped the task.
    answered
        .await
        .unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR))
}

fn status(status: StatusCode) -> Response<AppBody> {
    let mut response = Response::new(AppBody::empty());
    *response.status_mut() = status;
    response
}

fn websocket_scope(http: HttpScope) -> WebSocketScope {
    let mut scope = WebSocketScope::new(http.target);
    scope.version = http.version;
    scope.scheme = match &*http.scheme {
        "https" => "wss".into(),
        _ => "ws".into(),
    };
    scope.subprotocols = subprotocols(&http.headers);
    scope.root_path = http.root_path;
    scope.headers = http.headers;
    scope.client = http.client;
    scope.server = http.server;
    scope.state = http.state;
    // A host cannot deny a handshake with a response that streams, so this offers no response.
    scope.extensions = Extensions::new();
    scope.extensions.tls = http.extensions.tls;
    scope
}

fn subprotocols(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The task of one WebSocket.
struct SocketTask {
    what: String,
    grace: Duration,
}

impl SocketTask {
    async fn run(
        self,
        app: DynApp,
        scope: WebSocketScope,
        handshake: HostHandshake,
        mut answer: oneshot::Sender<Response<AppBody>>,
    ) {
        let offered = scope.subprotocols.clone();
        let exchange = WebSocketExchange::new(WebSocketRules::new(offered, Extensions::new()));
        let exchange = exchange.with_room(ROOM);
        let (receive, send) = exchange.halves();
        let running = RunningApp::new(app.start(scope.into(), receive, send));
        let (ended, mut verdict) = oneshot::channel();
        let mut running = pin!(self.run_app(&exchange, running, ended).fuse());

        let first = tokio::select! {
            first = next_output(&exchange, &mut verdict) => first,
            // The app may answer just before it ends, so its end is seen in `next_output`.
            () = forever(&mut running) => return,
            () = answer.closed() => {
                exchange.disconnected(DisconnectReason::Lost);
                return self.grace(&exchange, running.as_mut()).await;
            }
        };
        let accept = match first {
            Ok(WebSocketWireEvent::Accept(accept)) => accept,
            Ok(WebSocketWireEvent::Denial(WireEvent::Response(head, _))) => {
                let _ = answer.send(status(head.status));
                return self.grace(&exchange, running.as_mut()).await;
            }
            Ok(_) => return,
            Err(verdict) => {
                let _ = answer.send(status(refusal(verdict)));
                return;
            }
        };
        let _ = answer.send(handshake.response(accept));
        let upgraded = tokio::select! {
            upgraded = handshake.on_upgrade => upgraded,
            () = forever(&mut running) => return,
        };
        let Ok(upgraded) = upgraded else {
            exchange.disconnected(DisconnectReason::Lost);
            return self.grace(&exchange, running.as_mut()).await;
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_SIZE))
            .max_frame_size(Some(MAX_MESSAGE_SIZE));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        let (to_client, mut from_client) = socket.split();
        let client_waits = {
            let mut incoming = pin!(incoming(&exchange, &mut from_client));
            let gone = async {
                incoming.as_mut().await;
                tokio::time::sleep(self.grace).await;
            };
            tokio::select! {
                client_waits = outgoing(&exchange, to_client, verdict) => client_waits,
                () = forever(&mut running) => return,
                () = gone => {
                    exchange.ended(AppEnd::Cancelled);
                    return;
                }
            }
        };
        if client_waits {
            // This sends a reply to the client's close frame, or waits for the client's reply to ours.
            let rest = async { while let Some(Ok(_)) = from_client.next().await {} };
            // A client that does not reply sees the end of the connection.
            let _ = tokio::time::timeout(CLOSE_WAIT, rest).await;
        }
    }

    async fn run_app(
        &self,
        exchange: &WebSocketExchange,
        app: RunningApp,
        ended: oneshot::Sender<WebSocketVerdict>,
    ) {
        let outcome = app.await;
        let verdict = exchange.ended(&outcome);
        match verdict.fault {
            None | Some(Fault::Unsupported) => {}
            Some(fault) => tracing::error!("{}: {}", self.what, outcome.describe(fault)),
        }
        // It fails if no one sends to the client any more.
        let _ = ended.send(verdict);
    }

    /// Lets the app go on for a while without a client.
    async fn grace(&self, exchange: &WebSocketExchange, app: Pin<&mut impl Future<Output = ()>>) {
        if tokio::time::timeout(self.grace, app).await.is_err() {
            exchange.ended(AppEnd::Cancelled);
        }
    }
}

/// Runs an app for as long as something else is awaited. The end of the app shows elsewhere.
async fn forever(app: &mut (impl Future<Output = ()> + Unpin)) {
    app.await;
    std::future::pending::<()>().await;
}

/// Waits for the next output. After the last one, this returns the verdict on the app.
async fn next_output(
    exchange: &WebSocketExchange,
    verdict: &mut oneshot::Receiver<WebSocketVerdict>,
) -> Result<WebSocketWireEvent, Option<WebSocketVerdict>> {
    poll_fn(|cx| {
        if let Poll::Ready(output) = exchange.poll_output(cx) {
            return Poll::Ready(Ok(output));
        }
        let verdict = ready!(Pin::new(&mut *verdict).poll(cx));
        Poll::Ready(Err(verdict.ok()))
    })
    .await
}

/// The status for an app that has ended without an answer.
fn refusal(verdict: Option<WebSocketVerdict>) -> StatusCode {
    match verdict.and_then(|verdict| verdict.fault) {
        // CORE-020
        Some(Fault::Unsupported) => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Reads from the client. It reads one message ahead, so that a close or a ping before it is seen.
async fn incoming(exchange: &WebSocketExchange, from_client: &mut SplitStream<HostedSocket>) {
    while let Some(Ok(message)) = from_client.next().await {
        let message = match message {
            WireMessage::Text(text) => match Text::try_from(Bytes::from(text)) {
                Ok(text) => Message::Text(text),
                Err(_) => break,
            },
            WireMessage::Binary(data) => Message::Binary(data),
            WireMessage::Close(frame) => {
                match frame {
                    Some(frame) => exchange.closed(frame.code.into(), frame.reason.as_str()),
                    None => exchange.closed(1005, ""),
                }
                continue;
            }
            // tungstenite answers a ping itself.
            _ => continue,
        };
        poll_fn(|cx| exchange.poll_wants_message(cx)).await;
        exchange.push_message(message);
    }
    // This changes nothing after a close frame.
    exchange.disconnected(DisconnectReason::Lost);
}

/// Writes to the client until the app has ended. Returns whether the closing handshake can complete.
async fn outgoing(
    exchange: &WebSocketExchange,
    mut to_client: SplitSink<HostedSocket, WireMessage>,
    mut verdict: oneshot::Receiver<WebSocketVerdict>,
) -> bool {
    loop {
        let message = match next_output(exchange, &mut verdict).await {
            Ok(WebSocketWireEvent::Message(Message::Text(text))) => {
                match Utf8Bytes::try_from(text.into_bytes()) {
                    Ok(text) => WireMessage::Text(text),
                    Err(_) => continue,
                }
            }
            Ok(WebSocketWireEvent::Message(message)) => WireMessage::Binary(message.into_bytes()),
            Ok(WebSocketWireEvent::Close(close)) => close_frame(close),
            Ok(_) => continue,
            Err(verdict) => {
                let ending = verdict.map(|verdict| verdict.ending);
                if let Some(WebSocketEnding::Close(code)) = ending {
                    // It fails if the client is gone, and then nothing is left to do.
                    let _ = to_client.send(close_frame(WebSocketClose::new(code))).await;
                }
                return ending.is_some_and(|ending| ending != WebSocketEnding::Abort);
            }
        };
        // It fails if the client is gone. The reader notices that too, and the app learns it.
        let _ = to_client.send(message).await;
    }
}

fn close_frame(close: WebSocketClose) -> WireMessage {
    WireMessage::Close(Some(CloseFrame {
        code: close.code.into(),
        reason: close.reason.into(),
    }))
}
