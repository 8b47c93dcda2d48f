//! An app with the server linked in. It has the command line of `ferricorn`, without the argument APP.
//!
//! The tests of the command line run it too. For them it has paths that fail, and the variable STATIC_APP,
//! which makes the startup or the shutdown fail, or the startup block its thread.

#![forbid(unsafe_code)]
// The app prints a line, so that a test knows when a thread is blocked. It also ends the process.
#![allow(clippy::print_stderr, clippy::exit)]

use std::process::ExitCode;

use asgi::{
    AppError, HttpResponseBody, HttpResponseStart, LifespanShutdownComplete,
    LifespanShutdownFailed, LifespanStartupComplete, LifespanStartupFailed, ReceiveEvent, Receiver,
    Scope, Sender,
};

fn main() -> ExitCode {
    ferricorn::cli::Program::new("static_app")
        .version("1.2.3")
        .run(app)
}

async fn app(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let http = match scope {
        Scope::Http(http) => http,
        Scope::Lifespan(_) => return lifespan(receive, send).await,
        other => return Err(AppError::unsupported(&other)),
    };
    send.send(HttpResponseStart::ok().content_type("text/plain; charset=utf-8"))
        .await?;
    match &*http.path() {
        "/hold" => {
            send.send(HttpResponseBody::more("held\n")).await?;
            send.flush().await?;
            std::future::pending().await
        }
        "/panic" => panic!("the client asked for it"),
        "/exit" => std::process::exit(0),
        path if path.starts_with("/error") => Err("the client asked for an error".into()),
        "/block" => {
            eprintln!("blocked");
            loop {
                std::thread::park();
            }
        }
        _ => {
            send.send(HttpResponseBody::last("Hello, world!\n")).await?;
            Ok(())
        }
    }
}

async fn lifespan(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let fails = std::env::var("STATIC_APP").unwrap_or_default();
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) if fails == "block" => {
                eprintln!("blocked");
                loop {
                    std::thread::park();
                }
            }
            ReceiveEvent::LifespanStartup(_) if fails == "startup" => {
                let failed = LifespanStartupFailed::new("no database\nat db:5432");
                return Ok(send.send(failed).await?);
            }
            ReceiveEvent::LifespanStartup(_) => send.send(LifespanStartupComplete::new()).await?,
            ReceiveEvent::LifespanShutdown(_) if fails == "shutdown" => {
                let failed = LifespanShutdownFailed::new("the cache is not written");
                return Ok(send.send(failed).await?);
            }
            ReceiveEvent::LifespanShutdown(_) => {
                return Ok(send.send(LifespanShutdownComplete::new()).await?);
            }
            _ => {}
        }
    }
}
