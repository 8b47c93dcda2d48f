//! One HTTP/1 connection: hyper parses and writes, the [`driver`] does the rest.
//!
//! The driver is the connection's task. In each turn it polls hyper, which polls the app when it
//! wants a response or more of one. If hyper did not poll the app, the driver does. Then it sends the
//! collected writes and checks the deadlines. So an app needs no task and no channel, and goes on
//! while its client does not read. hyper's callbacks reach the connection through [`current`].

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
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;

use self::current::HyperIo;
use self::driver::Driver;
use self::request::ScopeContext;
use self::request_framing::{LineLimits, Position};
use self::response::{HeadOptions, ResponseBody};
pub(crate) use self::transport::Transport;
use crate::access_log::{AccessRecord, RequestInfo};
use crate::connection_info::ConnectionInfo;
use crate::deadlines::{ConnectionDeadlines, RequestDeadlines};
use crate::exchange::{BrokenOff, Exchange, ExchangeOptions, NewExchange};
use crate::lifecycle::Phase;
use crate::net::Socket;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::websocket::{check_http1, is_upgrade_request, start as start_websocket};

/// hyper's read buffer may grow to this size: a fast upload holds as much memory.
pub(crate) const READ_BUFFER: usize = 128 * 1024;

/// The most bytes of a response's body that hyper takes before it writes. hyper itself would take as many
/// as its read buffer may have, and hold them for a client that does not read.
pub(crate) const MOST_TAKEN: usize = 32 * 1024;

/// hyper sends a 100 and the `content-length` itself. When a body is dropped, hyper reads on or closes.
const EXCHANGE_OPTIONS: ExchangeOptions = ExchangeOptions {
    sends_interim: false,
    implies_length: true,
    keeps_leftover: false,
};

/// hyper has room for this many headers on its stack. Another number costs an allocation.
const USUAL_MAX_HEADERS: usize = 100;

/// Serves one connection to its end.
pub(crate) async fn serve(server: Arc<Server>, socket: Socket, info: ConnectionInfo) {
    let config = server.config();
    let transport = Transport::new(
        socket,
        LineLimits::new(config.max_request_line, config.max_head_size),
    );
    let mut builder = http1::Builder::new();
    builder
        // Without it, a client that closes its side after the request gets no response.
        .half_close(true)
        // The driver has one timer for all deadlines.
        .header_read_timeout(None)
        .max_header_size(config.max_head_size)
        .max_buf_size(READ_BUFFER.max(config.max_head_size))
        .auto_date_header(config.date_header);
    if config.max_headers != USUAL_MAX_HEADERS {
        builder.max_headers(config.max_headers);
    }
    let deadlines = ConnectionDeadlines::new(config, Instant::now());
    let mut driver = Driver::new(Connection {
        server,
        transport,
        info,
        requests: 0,
        ids: 0..0,
        host: None,
        current: None,
        opens: false,
        deadlines,
        request_deadlines: RequestDeadlines::default(),
    });
    let mut hyper = builder.serve_connection(TokioIo::new(HyperIo), Requests);
    let end = std::future::poll_fn(|cx| driver.poll(Pin::new(&mut hyper), cx)).await;
    let read = hyper.into_parts().read_buf;
    if !driver.opens_websocket(&end) {
        driver.finish(end).await;
    } else if let Some((server, mut transport, exchange)) = driver.into_websocket() {
        let read = [read, transport.take_withheld()].concat();
        // Boxed, so that HTTP connections don't pay for the size of this future.
        Box::pin(websocket::serve(server, transport, exchange, read.into())).await;
    }
}

type Hyper = http1::Connection<TokioIo<HyperIo>, Requests>;

/// What the driver and hyper's callbacks share.
struct Connection {
    server: Arc<Server>,
    transport: Transport,
    info: ConnectionInfo,
    /// How many requests hyper has handed over.
    requests: u64,
    /// Reserved numbers for the next exchanges.
    ids: Range<u64>,
    /// A host that was valid before: nearly always the next request has the same one.
    host: Option<Box<[u8]>>,
    /// The newest exchange, until it is done.
    current: Option<Arc<Exchange>>,
    /// The answer to its handshake is 101.
    opens: bool,
    deadlines: ConnectionDeadlines,
    /// The deadlines of the newest exchange.
    request_deadlines: RequestDeadlines,
}

impl Connection {
    fn head_options(&self, info: &RequestInfo, close: bool) -> HeadOptions {
        let config = self.server.config();
        // hyper reads the next request after this answer.
        let is_last = config
            .keep_alive_max_requests
            .is_some_and(|most| self.requests >= most);
        HeadOptions {
            server_header: config.server_header,
            close: close || is_last || self.server.phase() >= Phase::Draining,
            version: info.version,
        }
    }

    /// Starts the app for a request, or answers it without the app.
    fn answer(&mut self, request: Request<Incoming>) -> Answer {
        let began = Instant::now();
        self.deadlines.served(began);
        let number = self.requests;
        self.requests += 1;
        let (parts, body) = request.into_parts();
        let id = self.server.next_id_of(&mut self.ids);
        let info = RequestInfo::new(
            id,
            &parts.method,
            &parts.uri,
            parts.version,
            self.info.client.as_ref(),
        );
        let checked = self.transport.check(number).map_err(Refusal::from);
        let scope = checked.and_then(|seen| {
            let context = ScopeContext {
                known_host: &mut self.host,
                info: &self.info,
                state: self.server.state(),
                config: self.server.config(),
            };
            Ok((request::scope(parts, seen, context)?, seen.upgrade))
        });
        let scope = match scope {
            Ok((scope, true)) if self.is_handshake(&scope) => {
                return self.answer_handshake(info, *scope, body, began);
            }
            Ok((scope, _)) => scope,
            Err(refusal) => return self.refuse(&info, refusal, began),
        };
        let Some(permit) = self.server.admit() else {
            return self.refuse(&info, Refusal::UNAVAILABLE, began);
        };
        let new = NewExchange {
            server: &self.server,
            permit,
            info,
            body: body::request_body(body),
            options: EXCHANGE_OPTIONS,
            began,
        };
        let exchange = Exchange::start(new, scope);
        self.begin(exchange)
    }

    fn begin(&mut self, exchange: Arc<Exchange>) -> Answer {
        self.request_deadlines = RequestDeadlines::default();
        if let Some(before) = self.current.replace(exchange) {
            // Its response is out, or hyper would not have read on.
            before.superseded();
        }
        Answer::App
    }

    /// RFC 9110 §7.8: "A server that receives an Upgrade header field in an HTTP/1.0 request MUST
    /// ignore that Upgrade field."
    fn is_handshake(&self, scope: &HttpScope) -> bool {
        self.server.config().ws
            && scope.version == Version::HTTP_11
            && is_upgrade_request(&scope.method, &scope.headers)
    }

    /// Starts the app for a WebSocket's handshake, or answers it without the app.
    fn answer_handshake(
        &mut self,
        info: RequestInfo,
        request: HttpScope,
        body: Incoming,
        began: Instant,
    ) -> Answer {
        if !body.is_end_stream() {
            // The bytes after the head would first be the body of the request, then frames.
            let refusal = Refusal::bad_request("a handshake with a body");
            return self.refuse(&info, refusal, began);
        }
        let handshake = match check_http1(&request, self.server.config()) {
            Ok(handshake) => handshake,
            Err(refusal) => return self.refuse(&info, refusal, began),
        };
        // A server that drains would close a new WebSocket at once: another server may take it.
        let drains = self.server.phase() >= Phase::Draining;
        let Some(permit) = self.server.admit().filter(|_| !drains) else {
            return self.refuse(&info, Refusal::UNAVAILABLE, began);
        };
        let (scope, opening) = handshake.into_scope(request);
        let new = NewExchange {
            server: &self.server,
            permit,
            info,
            body: None,
            options: EXCHANGE_OPTIONS,
            began,
        };
        let exchange = start_websocket(new, scope, opening);
        self.begin(exchange)
    }

    /// Waits for the app's response to the newest request.
    fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, BrokenOff>> {
        // An exchange stays current until its response is taken.
        let exchange = self.current.as_ref().ok_or(BrokenOff)?;
        let start = ready!(exchange.poll_start(cx))?;
        if start.opens {
            self.opens = true;
            let options = self.head_options(exchange.info(), false);
            return Poll::Ready(Ok(response::opening(start.head, options)));
        }
        if start.whole.is_some() {
            exchange.log_access();
        }
        // hyper reads no more of an upload that still comes: it closes the connection, and the head
        // must say so.
        let close = start.whole.is_some()
            && start.body_unread
            && self.transport.position() == Position::Body;
        let options = self.head_options(exchange.info(), close);
        Poll::Ready(Ok(response::response(exchange, start, options)))
    }

    fn refuse(&self, info: &RequestInfo, refusal: Refusal, began: Instant) -> Answer {
        refusal.log(info.id);
        let options = self.head_options(info, refusal.closes());
        let response = response::refusal(&refusal, &info.method, options);
        let record = AccessRecord {
            status: Some(refusal.status),
            sent: refusal.body(&info.method).len() as u64,
            took: began.elapsed(),
        };
        info.log_access(self.server.config(), record);
        Answer::Server(Some(response))
    }
}

/// The service that hyper calls with each request.
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
    /// An answer of the server's own.
    Server(Option<Response<ResponseBody>>),
    App,
}

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, BrokenOff>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Server(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Self::App => current::with_current(|connection| connection.poll_response(cx)),
        }
    }
}
