//! A small app without a framework: each path shows one thing that an app can do.
//!
//! | path | shows |
//! | --- | --- |
//! | `/` | a complete response in two events |
//! | `/echo` | the body of the request, sent back part by part |
//! | `/stream?n=3` | a response in parts, with pauses |
//! | `/sleep?ms=200` | work that stops when the client leaves |
//! | `/info` | what an app knows about a request, and the app's state |
//! | `/io` | the app's own tasks, timers, sockets and blocking work |
//! | `/panic`, `/error`, `/abort` | three ways to fail |

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asgi::{
    Address, AppError, HttpResponseBody, HttpResponseStart, HttpScope, LifespanShutdownComplete,
    LifespanStartupComplete, ReceiveEvent, Receiver, Scope, Sender, State,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing::Instrument;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The app: the server calls it once for each request, and once for its own lifespan.
pub(crate) async fn app(scope: Scope, receive: Receiver, send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::Http(request) => serve(*request, receive, send).await,
        Scope::Lifespan(_) => lifespan(receive, send).await,
        // There are other kinds of scope, and there will be more. The server continues without them.
        other => Err(AppError::unsupported(&other)),
    }
}

/// Made once, at startup. Each request finds it in the state of its scope.
struct Service {
    started: Instant,
    requests: AtomicU64,
}

impl Service {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            requests: AtomicU64::new(0),
        }
    }
}

/// Startup and shutdown. For example, an app can open and close a pool of connections here.
async fn lifespan(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) => {
                tracing::debug!("the app is about to serve");
                let mut state = State::new();
                state.insert(Service::new());
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

/// The router: just a `match`.
async fn serve(request: HttpScope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    if let Some(service) = request.state.get::<Service>() {
        service.requests.fetch_add(1, Ordering::Relaxed);
    }
    match &*request.local_path() {
        "/" => respond(&mut send, StatusCode::OK, TEXT, "Hello, world!\n").await,
        "/echo" => echo(&request, receive, send).await,
        "/stream" => stream(&request, send).await,
        "/sleep" => sleep(&request, send).await,
        "/info" => respond(&mut send, StatusCode::OK, JSON, info(&request).to_string()).await,
        "/io" => respond(&mut send, StatusCode::OK, JSON, io().await?.to_string()).await,
        "/panic" => panic!("the client asked for a panic"),
        // Nothing is sent yet, so the server sends a 500 and logs this text.
        "/error" => Err("the client asked for an error".into()),
        "/abort" => abort(send).await,
        _ => respond(&mut send, StatusCode::NOT_FOUND, TEXT, "Not found\n").await,
    }
}

/// A complete response: a start, then a body with no more to come. The server adds `content-length`.
async fn respond(
    send: &mut Sender,
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Result<(), AppError> {
    let start = HttpResponseStart::new(status).content_type(content_type);
    send.send(start).await?;
    send.send(HttpResponseBody::last(body)).await?;
    Ok(())
}

/// Sends each part of the body as it comes. If the client reads slowly, `send` waits, and the app
/// receives nothing meanwhile. That is all that back-pressure needs.
async fn echo(
    request: &HttpScope,
    mut receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let content_type = request.headers.get(header::CONTENT_TYPE).cloned();
    let content_type = content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let start = HttpResponseStart::ok().header(header::CONTENT_TYPE, content_type);
    send.send(start).await?;
    loop {
        match receive.receive().await {
            ReceiveEvent::HttpRequest(part) => {
                let part = HttpResponseBody::new(part.body, part.more_body);
                let is_last = !part.more_body;
                send.send(part).await?;
                if is_last {
                    return Ok(());
                }
            }
            // The client left before its body was complete, so there is no one to answer.
            _ => return Ok(()),
        }
    }
}

/// Sends each line as one event: it reaches the client at once.
async fn stream(request: &HttpScope, mut send: Sender) -> Result<(), AppError> {
    let lines: u64 = query(request, "n").unwrap_or(3);
    send.send(HttpResponseStart::ok().content_type(TEXT))
        .await?;
    for line in 1..=lines {
        send.send(HttpResponseBody::more(format!("line {line}\n")))
            .await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    send.send(HttpResponseBody::last(Bytes::new())).await?;
    Ok(())
}

/// Waits, but stops if the client is gone: then `closed` is ready.
async fn sleep(request: &HttpScope, mut send: Sender) -> Result<(), AppError> {
    let ms: u64 = query(request, "ms").unwrap_or(200);
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        _ = send.closed() => return Ok(()),
    }
    respond(&mut send, StatusCode::OK, TEXT, format!("slept {ms} ms\n")).await
}

/// Fails after half of the response. The server cannot take that back, so it aborts the response: the
/// client can see that a part is missing.
async fn abort(mut send: Sender) -> Result<(), AppError> {
    send.send(HttpResponseStart::ok().content_type(TEXT))
        .await?;
    send.send(HttpResponseBody::more("the first half\n"))
        .await?;
    // Gives the server time to send the first half.
    tokio::time::sleep(Duration::from_millis(10)).await;
    Err(AppError::aborted_by("the client asked for half a response"))
}

/// Everything that the app knows about a request.
fn info(request: &HttpScope) -> Value {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let extensions: Vec<_> = request.extensions.iter().map(|one| one.name()).collect();
    json!({
        "version": format!("{:?}", request.version),
        "method": request.method.as_str(),
        "scheme": request.scheme,
        "path": request.path(),
        "raw_path": request.raw_path(),
        "query_string": request.query_string(),
        "root_path": request.root_path,
        "headers": headers,
        "client": request.client.as_ref().map(address),
        "server": request.server.as_ref().map(address),
        "extensions": extensions,
        "state": state(&request.state),
    })
}

fn address(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.to_string(),
        Address::Unix(Some(path)) => format!("unix:{}", path.display()),
        _ => "unix:".to_owned(),
    }
}

/// The state of the startup; null if the server has no lifespan.
fn state(state: &State) -> Value {
    let Some(service) = state.get::<Service>() else {
        return Value::Null;
    };
    json!({
        "uptime_ms": service.started.elapsed().as_millis() as u64,
        "requests": service.requests.load(Ordering::Relaxed),
    })
}

/// An app can use all of tokio, also in a shared library.
async fn io() -> Result<Value, AppError> {
    let task = async {
        tracing::debug!(thread = "its own", "a task counts");
        6 * 7
    };
    // The span goes with the task, so the log lines of the task belong to this request.
    let task = tokio::spawn(task.instrument(tracing::info_span!("io"))).await?;
    let before = Instant::now();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let slept = before.elapsed() >= Duration::from_millis(5);
    let blocking = tokio::task::spawn_blocking(|| {
        std::thread::sleep(Duration::from_millis(1));
        "worked on a thread of its own"
    })
    .await?;
    Ok(json!({
        "spawn": task,
        "sleep": slept,
        "tcp": over_tcp("ping").await?,
        "spawn_blocking": blocking,
    }))
}

/// Sends a text to its own listener and returns the answer.
async fn over_tcp(text: &str) -> Result<String, AppError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await
    });
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    echo.await??;
    Ok(answer)
}

/// A number from the query string; `None` if it is missing or invalid.
fn query<T: FromStr>(request: &HttpScope, name: &str) -> Option<T> {
    let pairs = request.query_string().split('&');
    let mut values = pairs.filter_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    values.next()?.parse().ok()
}
