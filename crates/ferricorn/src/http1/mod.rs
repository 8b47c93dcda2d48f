//! One connection of HTTP/1: hyper parses and writes, the [`driver`] does the rest.
//!
//! The driver is the connection's task. In each turn it polls hyper, which polls the app when it
//! wants a response or more of one; then, if hyper did not, it polls the app itself; then it sends
//! what was gathered and looks after the deadlines. So an app needs no task and no channel, and
//! goes on when its client does not read. What hyper calls reaches the connection by a [`current`].

mod body;
mod current;
mod driver;
mod request;
pub(crate) mod request_framing;
mod response;
mod transport;
mod websocket;

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use asgi::HttpScope;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tracing::debug;

use self::current::HyperIo;
use self::driver::Driver;
use self::request::Refused;
use self::request_framing::Position;
use self::response::{HeadOptions, ResponseBody};
pub(crate) use self::transport::Transport;
use crate::connection_info::ConnectionInfo;
use crate::exchange::{BrokenOff, Exchange, ExchangeOptions, NewExchange, RequestInfo};
use crate::net::Socket;
use crate::server::{Phase, Server};
use crate::websocket::{
    HandshakeRefusal, check_http1, is_upgrade_request, start as start_websocket,
};

/// hyper's read buffer may grow to this: what a fast upload holds in memory for each connection.
const READ_BUFFER: usize = 128 * 1024;

/// hyper sends a 100 and the `content-length` itself. When a body is dropped, hyper reads on or closes.
const EXCHANGE_OPTIONS: ExchangeOptions = ExchangeOptions {
    sends_interim: false,
    implies_length: true,
    keeps_leftover: false,
};

/// hyper has room for this many fields on its stack; other numbers cost an allocation.
const USUAL_MAX_HEADERS: usize = 100;

/// Serves one connection to its end.
pub(crate) async fn serve(server: Arc<Server>, socket: Socket, ends: ConnectionInfo) {
    let config = server.config();
    let transport = Transport::new(socket, config.max_head_size);
    let mut builder = http1::Builder::new();
    builder
        // With it off, a client that closes its side behind the request gets no response.
        .half_close(true)
        // The driver has one timer for all deadlines.
        .header_read_timeout(None)
        .max_header_size(config.max_head_size)
        .max_buf_size(READ_BUFFER.max(config.max_head_size))
        .auto_date_header(config.date_header);
    if config.max_headers != USUAL_MAX_HEADERS {
        builder.max_headers(config.max_headers);
    }
    let mut driver = Driver::new(Connection {
        server,
        transport,
        ends,
        requests: 0,
        ids: 0..0,
        host: None,
        current: None,
        opens: false,
        last_activity: Instant::now(),
    });
    let mut hyper = builder.serve_connection(TokioIo::new(HyperIo), Requests);
    let end = std::future::poll_fn(|cx| driver.poll(Pin::new(&mut hyper), cx)).await;
    let read = hyper.into_parts().read_buf;
    if !driver.opens_socket(&end) {
        driver.finish(end).await;
    } else if let Some((server, transport, exchange)) = driver.into_socket() {
        // Apart, so that a connection of HTTP is no larger for it.
        Box::pin(websocket::serve(server, transport, exchange, read)).await;
    }
}

type Hyper = http1::Connection<TokioIo<HyperIo>, Requests>;

/// What the driver and hyper's calls share.
struct Connection {
    server: Arc<Server>,
    transport: Transport,
    ends: ConnectionInfo,
    /// How many requests hyper has handed over.
    requests: u64,
    /// Numbers for the next exchanges.
    ids: Range<u64>,
    /// A host that was found sound: nearly always the next request has the same.
    host: Option<Box<[u8]>>,
    /// The newest exchange, until it is done.
    current: Option<Arc<Exchange>>,
    /// Its handshake is answered with 101.
    opens: bool,
    /// When something last ran; before the first request, when the connection came.
    last_activity: Instant,
}

impl Connection {
    fn adornment(&self, label: &RequestInfo, close: bool) -> HeadOptions {
        let config = self.server.config();
        // hyper reads the next one when this is answered.
        let is_last = config
            .keep_alive_max_requests
            .is_some_and(|most| self.requests >= most);
        HeadOptions {
            server_header: config.server_header,
            close: close || is_last || self.server.phase() >= Phase::Draining,
            version: label.version,
        }
    }

    /// The app's answer to a request, or ours.
    fn answer(&mut self, request: Request<Incoming>) -> Answer {
        let began = Instant::now();
        self.last_activity = began;
        let number = self.requests;
        self.requests += 1;
        let (parts, body) = request.into_parts();
        let id = self.server.next_id_of(&mut self.ids);
        let label = RequestInfo::new(
            id,
            &parts.method,
            &parts.uri,
            parts.version,
            self.ends.client.as_ref(),
        );
        let checked = self.transport.check(number).map_err(Refused::from);
        let scope = checked.and_then(|seen| {
            let scope = request::scope(
                parts,
                seen,
                &mut self.host,
                &self.ends,
                &self.server.config().root_path,
                self.server.state(),
            )?;
            Ok((scope, seen.upgrade))
        });
        let scope = match scope {
            Ok((scope, true)) if self.is_handshake(&scope) => {
                return self.answer_handshake(label, *scope, body, began);
            }
            Ok((scope, _)) => scope,
            Err(Refused { status, why }) => return self.refuse(&label, status, why, began),
        };
        let Some(permit) = self.server.admit() else {
            return self.turn_away(&label, began);
        };
        let new = NewExchange {
            server: &self.server,
            permit,
            info: label,
            body: body::request_body(body),
            options: EXCHANGE_OPTIONS,
            began,
        };
        let exchange = Exchange::start(new, scope);
        self.begin(exchange)
    }

    fn begin(&mut self, exchange: Arc<Exchange>) -> Answer {
        if let Some(before) = self.current.replace(exchange) {
            // Its response is out, or hyper would not have read on.
            before.superseded();
        }
        Answer::App
    }

    /// RFC 9110 §7.8: "A server MUST ignore an Upgrade header field that is received in an HTTP/1.0
    /// request."
    fn is_handshake(&self, scope: &HttpScope) -> bool {
        self.server.config().ws
            && scope.version == Version::HTTP_11
            && is_upgrade_request(&scope.headers)
    }

    /// The app's answer to a WebSocket's handshake, or ours.
    fn answer_handshake(
        &mut self,
        label: RequestInfo,
        request: HttpScope,
        body: Incoming,
        began: Instant,
    ) -> Answer {
        if !body.is_end_stream() {
            // What follows would be its body first, and frames then.
            let status = StatusCode::BAD_REQUEST;
            return self.refuse(&label, status, "a handshake with a body", began);
        }
        let handshake = match check_http1(&request, self.server.config()) {
            Ok(handshake) => handshake,
            Err(refusal) => return self.refuse_handshake(&label, refusal, began),
        };
        // One that drains would close it at once: another server may take it.
        let drains = self.server.phase() >= Phase::Draining;
        let Some(permit) = self.server.admit().filter(|_| !drains) else {
            return self.turn_away(&label, began);
        };
        let (scope, opening) = handshake.into_scope(request);
        let new = NewExchange {
            server: &self.server,
            permit,
            info: label,
            body: None,
            options: EXCHANGE_OPTIONS,
            began,
        };
        let exchange = start_websocket(new, scope, opening);
        self.begin(exchange)
    }

    /// Nothing is wrong with the connection: it goes on.
    fn refuse_handshake(
        &self,
        label: &RequestInfo,
        refusal: HandshakeRefusal,
        began: Instant,
    ) -> Answer {
        let HandshakeRefusal { status, why } = refusal;
        debug!(
            exchange = label.id,
            "handshake refused with {status}: {why}"
        );
        let adornment = self.adornment(label, false);
        let mut response = response::refusal(status, "refused\n", adornment);
        for (name, value) in &refusal.headers() {
            // Of `connection` there may be one that closes.
            response.headers_mut().append(name, value.clone());
        }
        self.log_refusal(label, status, began);
        Answer::Ours(Some(response))
    }

    /// What the app answers to the request that came last.
    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, BrokenOff>> {
        // An exchange is not done before its response was taken.
        let exchange = self.current.as_ref().ok_or(BrokenOff)?;
        let beginning = ready!(exchange.poll_start(cx))?;
        if beginning.opens {
            self.opens = true;
            let adornment = self.adornment(exchange.info(), false);
            return Poll::Ready(Ok(response::opening(beginning.head, adornment)));
        }
        if beginning.whole.is_some() {
            exchange.log_access();
        }
        // Of an upload that still comes hyper reads no more: it closes, and says so.
        let close = beginning.whole.is_some()
            && beginning.body_unread
            && self.transport.position() == Position::Body;
        let adornment = self.adornment(exchange.info(), close);
        Poll::Ready(Ok(response::response(exchange, beginning, adornment)))
    }

    fn refuse(
        &self,
        label: &RequestInfo,
        status: StatusCode,
        why: &'static str,
        began: Instant,
    ) -> Answer {
        debug!(exchange = label.id, "request refused with {status}: {why}");
        let response = response::refusal(status, "refused\n", self.adornment(label, true));
        self.log_refusal(label, status, began);
        Answer::Ours(Some(response))
    }

    fn turn_away(&self, label: &RequestInfo, began: Instant) -> Answer {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        debug!(
            exchange = label.id,
            "request turned away: too many exchanges run"
        );
        let mut response = response::refusal(status, "too busy\n", self.adornment(label, false));
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        self.log_refusal(label, status, began);
        Answer::Ours(Some(response))
    }

    fn log_refusal(&self, label: &RequestInfo, status: StatusCode, began: Instant) {
        if self.server.config().access_log {
            label.log_access(Some(status), 0, began.elapsed());
        }
    }
}

/// What hyper calls with each request.
struct Requests;

impl Service<Request<Incoming>> for Requests {
    type Response = Response<ResponseBody>;
    type Error = BrokenOff;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        current::with_current(|connection| connection.answer(request))
    }
}

/// The response that hyper waits for.
enum Answer {
    Ours(Option<Response<ResponseBody>>),
    App,
}

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, BrokenOff>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ours(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Self::App => current::with_current(|connection| connection.poll_response(cx)),
        }
    }
}
