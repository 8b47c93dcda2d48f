//! A blocking server for any app: HTTP/1.0, one thread for each connection, no async runtime.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its log")]

mod app;
mod client;
mod http10;
mod run;

use std::error::Error;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use asgi::http::StatusCode;
use asgi::{DynApp, LifespanScope, State};
use asgi_loader::Library;
use asgi_rules::exchange::{HttpExchange, LifespanExchange};
use asgi_rules::{Ending, HttpRules, LifespanOutcome};
use rustix::event::PollFlags;

use crate::client::Client;
use crate::run::{Alarm, block_on, poll_app, report};

/// How long a client may take to send or to read the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next();
    let address = address.as_deref().unwrap_or("127.0.0.1:8000");
    let app = match arguments.next() {
        Some(library) => DynApp::new(Library::load(library)?.app()),
        None => DynApp::new(app::app),
    };
    let (lifespan, state) = start_up(&app)?;
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    let alarm = Alarm::new()?;
    let stop = run::when_enter_is_pressed(&alarm);
    let connections = Arc::new(());
    while !stop.load(Ordering::Acquire) {
        let ready = alarm.wait(Some((&listener, PollFlags::IN)), None)?;
        if ready.is_some_and(|ready| ready.contains(PollFlags::IN)) {
            let (stream, _) = listener.accept()?;
            let (app, state, connection) = (app.clone(), state.clone(), connections.clone());
            thread::spawn(move || {
                // An error means that the client is gone, so there is no one to tell.
                let _ = serve(&stream, &app, state);
                drop(connection);
            });
        }
    }
    while Arc::strong_count(&connections) > 1 {
        thread::sleep(Duration::from_millis(10)); // LIFE-012
    }
    if lifespan.shutdown()
        && let LifespanOutcome::ShutdownFailed(why) = block_on(|cx| lifespan.poll_outcome(cx))?
    {
        return Err(format!("the app did not clean up: {why}").into());
    }
    Ok(())
}

/// Starts the app. Its lifespan has a thread of its own.
fn start_up(app: &DynApp) -> Result<(LifespanExchange, State), Box<dyn Error>> {
    let lifespan = LifespanExchange::new();
    let (receive, send) = lifespan.halves();
    let mut future = app.start(LifespanScope::new().into(), receive, send);
    let exchange = lifespan.clone();
    thread::spawn(move || {
        if let Ok((end, error)) = block_on(|cx| poll_app(&mut future, cx)) {
            report("the lifespan", exchange.ended(end), &error);
        }
    });
    match block_on(|cx| lifespan.poll_outcome(cx))? {
        LifespanOutcome::Serve(state) => Ok((lifespan, state)),
        LifespanOutcome::Unsupported => Ok((lifespan, State::new())),
        LifespanOutcome::Refused(why) => Err(format!("the app did not start: {why}").into()),
        _ => Err("the app did not start".into()),
    }
}

/// Serves the one request of a connection.
fn serve(stream: &TcpStream, app: &DynApp, state: State) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = match http10::read_request(stream, state)? {
        Ok(request) => request,
        Err(status) => {
            http10::refuse(stream, status)?;
            return http10::drain(stream, u64::MAX);
        }
    };
    let what = format!("{} {}", request.scope.method, request.scope.target);
    let rules = HttpRules::new(&request.scope.method, request.scope.extensions.clone());
    let exchange = HttpExchange::new(rules).with_room(64 * 1024);
    let (receive, send) = exchange.halves();
    let mut client = Client {
        stream,
        exchange,
        unread: request.body_length,
        watched: true,
    };
    client.push(request.body);
    let mut future = app.start(request.scope.into(), receive, send);
    let alarm = Alarm::new()?;
    let waker = Waker::from(Arc::clone(&alarm));
    let cx = &mut Context::from_waker(&waker);
    let (end, error) = loop {
        if let Poll::Ready(end) = poll_app(&mut future, cx) {
            break end;
        }
        client.exchange.app_is_waiting();
        client.write(cx);
        client.wait(&alarm, cx)?;
    };
    let verdict = client.exchange.ended(end);
    report(&what, verdict.fault, &error);
    client.write(cx);
    match verdict.ending {
        Ending::Complete => {}
        Ending::ServerError => http10::refuse(stream, StatusCode::INTERNAL_SERVER_ERROR)?,
        // A close would look like the end of the body, so this resets the connection. (HTTP-039)
        _ => return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)),
    }
    http10::drain(stream, client.unread)
}
