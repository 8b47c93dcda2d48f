//! The exchanges of `asgi-rules`, which a server's author gets ready-made.

use asgi::{
    AppError, DisconnectReason, HttpRequest, HttpScope, Message, Receiver, Sender, WebSocketScope,
};
use asgi_rules::exchange::{HttpExchange, WebSocketExchange};
use asgi_rules::{Ending, HttpRules, WebSocketRules, WebSocketWireEvent, WireEvent};
use asgi_spec::halves::{
    HalvesSuite, HttpClientSide, SentToClient, SentToSocket, WebSocketClientSide,
};
use bytes::Bytes;

/// The exchange that `asgi-rules` has for authors of servers.
pub(crate) struct OfRules {
    exchange: HttpExchange,
    without_trailers: bool,
}

impl OfRules {
    pub(crate) fn make(scope: HttpScope) -> (Receiver, Sender, Self) {
        Self::make_with(scope, 1)
    }

    pub(crate) fn make_with(scope: HttpScope, room: usize) -> (Receiver, Sender, Self) {
        let exchange = HttpExchange::new(HttpRules::new(&scope.method, scope.extensions));
        let exchange = exchange.with_room(room);
        let (receive, send) = exchange.halves();
        let client = Self {
            exchange,
            without_trailers: false,
        };
        (receive, send, client)
    }
}

impl HttpClientSide for OfRules {
    fn body(&mut self, part: HttpRequest) {
        self.exchange.push_body(part);
    }

    fn leave(&mut self, reason: DisconnectReason) {
        self.exchange.disconnected(reason);
    }

    fn take(&mut self) -> Vec<SentToClient> {
        if let Some(event) = self.exchange.take_output() {
            return seen(event);
        }
        match std::mem::take(&mut self.without_trailers) {
            true => vec![SentToClient::Complete],
            false => Vec::new(),
        }
    }

    fn app_waits(&mut self) {
        self.exchange.app_is_waiting();
    }

    fn app_ended(&mut self, result: &Result<(), AppError>) {
        let verdict = self.exchange.ended(result);
        self.without_trailers = verdict.ending == Ending::WithoutTrailers;
    }
}

/// What a client sees of an output.
pub(crate) fn seen(event: WireEvent) -> Vec<SentToClient> {
    use SentToClient::{Complete, Data, EarlyHint, Head, Push, Trailers};

    let data = |bytes: Bytes| (!bytes.is_empty()).then_some(Data(bytes));
    let seen = match event {
        WireEvent::EarlyHint(hint) => [Some(EarlyHint(hint.links)), None, None],
        WireEvent::Push(push) => [Some(Push(push.path.to_string())), None, None],
        WireEvent::Response(head, body) => [Some(Head(head.status)), data(body), Some(Complete)],
        WireEvent::Head(head, body) => [Some(Head(head.status)), data(body), None],
        WireEvent::Data(body) => [data(body), None, None],
        WireEvent::Last(body) => [data(body), Some(Complete), None],
        WireEvent::Trailers(trailers) => [Some(Trailers(trailers)), Some(Complete), None],
        _ => [None, None, None],
    };
    seen.into_iter().flatten().collect()
}

/// The WebSocket that `asgi-rules` has for authors of servers.
pub(crate) struct SocketOfRules(WebSocketExchange);

impl SocketOfRules {
    pub(crate) fn make(scope: WebSocketScope) -> (Receiver, Sender, Self) {
        let rules = WebSocketRules::new(scope.subprotocols, scope.extensions);
        let exchange = WebSocketExchange::new(rules);
        let (receive, send) = exchange.halves();
        (receive, send, Self(exchange))
    }
}

impl WebSocketClientSide for SocketOfRules {
    fn message(&mut self, message: Message) {
        self.0.push_message(message);
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.0.closed(code, reason);
    }

    fn leave(&mut self, reason: DisconnectReason) {
        self.0.disconnected(reason);
    }

    fn take(&mut self) -> Vec<SentToSocket> {
        match self.0.take_output() {
            Some(WebSocketWireEvent::Accept(accept)) => {
                vec![SentToSocket::Accept(accept.subprotocol)]
            }
            Some(WebSocketWireEvent::Message(message)) => vec![SentToSocket::Message(message)],
            Some(WebSocketWireEvent::Close(close)) => {
                vec![SentToSocket::Close(close.code, close.reason)]
            }
            Some(WebSocketWireEvent::Denial(event)) => {
                seen(event).into_iter().map(SentToSocket::Denial).collect()
            }
            _ => Vec::new(),
        }
    }

    fn app_waits(&mut self) {
        self.0.app_is_waiting();
    }

    fn app_ended(&mut self, result: &Result<(), AppError>) {
        self.0.ended(result);
    }
}

/// The server that owns the connection checks pushes: only it knows which ones went out.
const PUSHES: &str = "the exchange leaves pushes to the server";

#[test]
fn the_http_exchange_of_asgi_rules_keeps_the_rules() {
    HalvesSuite::http(OfRules::make)
        .expect_fail("PUSH-013", PUSHES)
        .expect_fail("PUSH-014", PUSHES)
        .assert();
}

#[test]
fn more_room_changes_nothing_but_the_bound() {
    HalvesSuite::http(|scope| OfRules::make_with(scope, 1 << 20))
        .expect_fail("PUSH-013", PUSHES)
        .expect_fail("PUSH-014", PUSHES)
        .assert();
}

#[test]
fn the_web_socket_exchange_of_asgi_rules_keeps_the_rules() {
    HalvesSuite::websocket(SocketOfRules::make).assert();
}
