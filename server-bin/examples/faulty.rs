//! The library of an app that blocks its threads, hangs and ends the process, for the tests of stops.
//!
//! Its configuration names a step that hangs: `start`, `startup`, `shutdown` or `block-shutdown`. The app
//! `own` is the same, and runs on the library's own runtime.

// The app prints a line, so that a test knows when a thread is blocked. It also ends the process.
#![allow(clippy::print_stderr, clippy::exit)]

use asgi::{
    App, AppError, HttpResponseBody, HttpResponseStart, LifespanShutdownComplete,
    LifespanStartupComplete, ReceiveEvent, Receiver, Scope, Sender, WebSocketAccept,
};
use asgi_abi::Config;

asgi_abi::export!(start = start);
asgi_abi::export!(own: start = start, own_runtime);

fn start(config: Config) -> Result<impl App, AppError> {
    let hangs = config.text().unwrap_or_default().to_owned();
    if hangs == "start" {
        block();
    }
    Ok(move |scope: Scope, receive: Receiver, send: Sender| {
        serve(scope, receive, send, hangs.clone())
    })
}

async fn serve(
    scope: Scope,
    mut receive: Receiver,
    mut send: Sender,
    hangs: String,
) -> Result<(), AppError> {
    let http = match scope {
        Scope::Http(http) => http,
        Scope::Lifespan(_) => return lifespan(receive, send, &hangs).await,
        Scope::WebSocket(_) => return websocket(receive, send).await,
        other => return Err(AppError::unsupported(&other)),
    };
    match &*http.path() {
        "/block" => block(),
        "/exit" => std::process::exit(0),
        "/exit7" => std::process::exit(7),
        "/exit-thread" => {
            let _ = std::thread::spawn(|| std::process::exit(0)).join();
        }
        "/hold" => std::future::pending().await,
        "/upload" => {
            let _ = receive.body(1 << 30).await?;
        }
        "/large" => {
            send.send(HttpResponseStart::ok()).await?;
            loop {
                send.send(HttpResponseBody::more(vec![b'x'; 8 * 1024]))
                    .await?;
            }
        }
        path if path.starts_with("/panic") => panic!("the client asked for it"),
        _ => {}
    }
    send.send(HttpResponseStart::ok()).await?;
    send.send(HttpResponseBody::last("Hello, world!\n")).await?;
    Ok(())
}

/// Accepts, and reads until the end.
async fn websocket(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    send.send(WebSocketAccept::new()).await?;
    while !matches!(
        receive.receive().await,
        ReceiveEvent::WebSocketDisconnect(_)
    ) {}
    Ok(())
}

async fn lifespan(mut receive: Receiver, mut send: Sender, hangs: &str) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) if hangs == "startup" => block(),
            ReceiveEvent::LifespanStartup(_) => send.send(LifespanStartupComplete::new()).await?,
            ReceiveEvent::LifespanShutdown(_) if hangs == "shutdown" => {
                std::future::pending().await
            }
            ReceiveEvent::LifespanShutdown(_) if hangs == "block-shutdown" => block(),
            ReceiveEvent::LifespanShutdown(_) => {
                return Ok(send.send(LifespanShutdownComplete::new()).await?);
            }
            _ => {}
        }
    }
}

/// Blocks the thread for ever, and calls it `blocked`.
fn block() -> ! {
    // Without a reader of the log, the line blocks the thread too. The name still shows it.
    let _ = std::fs::write("/proc/thread-self/comm", "blocked");
    eprintln!("blocked");
    loop {
        std::thread::park();
    }
}
