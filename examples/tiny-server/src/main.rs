//! A blocking server for any app: HTTP/1.0, one thread for each connection, no async runtime.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its log")]

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};
use std::{env, process, thread};

use asgi::http::{StatusCode, Version};
use asgi::{DisconnectReason, DynApp, HttpScope, State};
use asgi_loader::{Library, LoadOptions};
use asgi_rules::exchange::{AppOutcome, HttpExchange, LifespanExchange};
use asgi_rules::{Ending, Fault, http1};
use asgi_util::block_on;
use rustix::event::{self, EventfdFlags, PollFd, PollFlags};

/// The most connections at once. Others wait in the queue of the listener.
const CONNECTIONS: usize = 64;
/// How long a client may take for the head, and to send or to read the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the server reads what it does not need.
const LINGER: Duration = Duration::from_secs(1);
/// The answer to a longer head, or to one with more than 100 fields.
const TOO_LARGE: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

// Whether a thread of the library runs the app that this thread has polled. (HTTP-086)
thread_local!(static WORKS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });

fn main() {
    if let Err(error) = run(&env::args().collect::<Vec<_>>()) {
        eprintln!("error: {error}");
        process::exit(1);
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [_, address, library] = arguments else {
        return Err("usage: tiny-server ADDRESS LIBRARY, as in 127.0.0.1:8000 libhello.so".into());
    };
    let options = LoadOptions::new().app_is_working(|| WORKS.set(true));
    let app = DynApp::new(Library::load_with(library, &options)?.app());
    let (lifespan, running) = LifespanExchange::start(&app);
    let run = lifespan.clone().run(running);
    thread::spawn(|| log("the lifespan", block_on(run)));
    let state = block_on(lifespan.started())?;
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    thread::scope(|threads| {
        for _ in 0..CONNECTIONS {
            threads.spawn(|| accept(&listener, &app, &state));
        }
        // Enter stops the server: this ends each `accept`. The end of the input does not.
        match io::stdin().read_line(&mut String::new()) {
            Ok(1..) => rustix::net::shutdown(&listener, rustix::net::Shutdown::Read),
            _ => Ok(()),
        }
    })?;
    Ok(block_on(lifespan.stop())?) // Every connection is closed now. (LIFE-012)
}

/// Logs the fault of an app, once. A refusal is no fault. (HTTP-036, CORE-018, CORE-031)
fn log(what: &str, (fault, outcome): (Option<Fault>, AppOutcome)) {
    if let Some(fault) = fault.filter(|fault| *fault != Fault::Unsupported) {
        eprintln!("error: {what}: {}", outcome.describe(fault));
    }
}

/// Serves one connection after the other, until the listener is shut down.
fn accept(listener: &TcpListener, app: &DynApp, state: &State) {
    loop {
        match listener.accept() {
            // An error means that the client is gone, so there is no one to tell.
            Ok((stream, _)) => drop(serve(&stream, app, state)),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Serves the one request of a connection.
fn serve(stream: &TcpStream, app: &DynApp, state: &State) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (mut scope, body) = match read_head(stream) {
        Ok(head) => head,
        Err(status) => return refuse(stream, status),
    };
    scope.client = Some(stream.peer_addr()?.into());
    scope.server = Some(stream.local_addr()?.into());
    scope.state = state.clone();
    let what = format!("{} {}", scope.method, scope.target);
    let (exchange, mut running) = HttpExchange::start(app, scope);
    let exchange = exchange.with_room(64 * 1024);
    exchange.push_content(body);
    let alarm = Arc::new(Alarm(event::eventfd(0, EventfdFlags::NONBLOCK)?));
    let waker = Waker::from(alarm.clone());
    let cx = &mut Context::from_waker(&waker);
    let (verdict, outcome) = loop {
        let polled = Pin::new(&mut running).poll(cx);
        let polled = polled.map(|outcome| (exchange.ended(&outcome), outcome));
        if polled.is_pending() && !WORKS.take() {
            exchange.app_is_waiting();
        }
        send(stream, &exchange, cx);
        match polled {
            Poll::Ready(end) => break end,
            Poll::Pending => wait(stream, &exchange, &alarm, cx)?,
        }
    };
    log(&what, (verdict.fault, outcome));
    match (verdict.ending, verdict.answer) {
        (Ending::Complete, _) => linger(stream, exchange.unread()),
        (_, Some(status)) => refuse(stream, status),
        // A close would look like the end of the body, so this resets the connection. (HTTP-039)
        _ => Ok(rustix::net::sockopt::set_socket_linger(
            stream,
            Some(Duration::ZERO),
        )?),
    }
}

/// Reads the head of a request. Returns its scope and the bytes after it, or the status of a refusal.
fn read_head(mut stream: &TcpStream) -> Result<(HttpScope, Vec<u8>), StatusCode> {
    let (mut bytes, mut part, deadline) = (Vec::new(), [0; 4096], Instant::now() + PATIENCE);
    loop {
        match stream.read(&mut part) {
            Ok(1..) if Instant::now() > deadline => return Err(StatusCode::REQUEST_TIMEOUT),
            Ok(0) => return Err(StatusCode::BAD_REQUEST),
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            Err(_) => return Err(StatusCode::REQUEST_TIMEOUT), // HTTP-074
        }
        let mut fields = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut fields);
        let end = match head.parse(&bytes) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => continue,
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(TOO_LARGE),
            Err(_) => return Err(StatusCode::BAD_REQUEST),
        };
        let version = [Version::HTTP_10, Version::HTTP_11][usize::from(head.version != Some(0))];
        let (method, target) = (head.method.unwrap_or(""), head.path.unwrap_or(""));
        let fields = head.headers.iter().map(|field| (field.name, field.value));
        let scope = http1::request_scope(method, target, version, fields)?;
        return Ok((scope, bytes.split_off(end)));
    }
}

/// Writes what the app has sent. At the end of the response, the client sees the end of the stream.
fn send(mut stream: &TcpStream, exchange: &HttpExchange, cx: &mut Context<'_>) {
    while let Poll::Ready(output) = exchange.poll_output(cx) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        if let Err(error) = stream.write_all(&http1::encode_http10(&output, &date)) {
            exchange.connection_failed(&error);
        }
    }
    if exchange.is_complete() {
        let _ = stream.shutdown(Shutdown::Write); // An error means that the client is gone.
    }
}

/// Waits until the app is woken, the client sends what the app wants, or the client leaves.
fn wait(
    mut stream: &TcpStream,
    exchange: &HttpExchange,
    alarm: &Alarm,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    let wants_body = exchange.poll_wants_body(cx).is_ready();
    if exchange.take_continue() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut events = PollFlags::empty();
    events.set(PollFlags::IN, wants_body);
    events.set(PollFlags::RDHUP, !exchange.has_left());
    let mut fds = vec![PollFd::new(&alarm.0, PollFlags::IN)];
    fds.extend((!events.is_empty()).then(|| PollFd::new(stream, events)));
    let patience = PATIENCE.try_into().map_err(io::Error::other)?;
    let limit = wants_body.then_some(&patience);
    let ready = rustix::io::retry_on_intr(|| event::poll(&mut fds, limit))?;
    let _ = rustix::io::read(&alarm.0, &mut [0; 8]); // It fails if the alarm has not rung.
    let socket = fds.get(1).map_or(PollFlags::empty(), PollFd::revents);
    if ready == 0 {
        exchange.disconnected(DisconnectReason::TimedOut); // HTTP-075
    } else if wants_body && !socket.is_empty() {
        exchange.read_content(stream);
    } else if socket.intersects(PollFlags::ERR) {
        exchange.disconnected(DisconnectReason::Lost);
    } else if socket.intersects(PollFlags::RDHUP) {
        exchange.half_closed(); // HTTP-041
    }
    Ok(())
}

/// Ends a thread's wait for its socket.
struct Alarm(OwnedFd);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        // This cannot fail: no one calls it 2^64 times before the thread reads.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

/// Sends an answer of the server's own.
fn refuse(mut stream: &TcpStream, status: StatusCode) -> io::Result<()> {
    write!(stream, "HTTP/1.0 {status}\r\ncontent-length: 0\r\n\r\n")?;
    stream.shutdown(Shutdown::Write)?;
    linger(stream, u64::MAX)
}

/// Reads the rest of a request, within limits: if the server closed now, the kernel would reset the
/// connection, and the client could lose the response.
fn linger(mut stream: &TcpStream, unread: u64) -> io::Result<()> {
    let end = Instant::now() + LINGER;
    stream.set_read_timeout(Some(LINGER))?;
    while unread > 0 && Instant::now() < end && stream.read(&mut [0; 4096])? > 0 {}
    Ok(())
}
