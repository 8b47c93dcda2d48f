//! An app that uses everything of the framework.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asgi::{App, AppError, State};
use asgi_util::{WebSocket, lifespan};
use http::{Method, StatusCode};
use serde_json::json;

use super::framework::{Error, Next, Parameters, Request, Response, Router, layer};

/// What the start-up makes, and all requests share.
#[derive(Default)]
struct Shared {
    requests: AtomicU64,
}

/// The app.
pub fn app() -> impl App {
    let startup = || async {
        let mut state = State::new();
        state.insert(Shared::default());
        Ok(state)
    };
    let router = Router::new(vec![layer(count), layer(guard)])
        .route(Method::GET, "/", async |_| Ok(Response::text("mini\n")))
        .route(Method::GET, "/hello/:name", hello)
        .route(Method::POST, "/items", add_item)
        .route(Method::GET, "/stream/:lines", stream)
        .route(Method::GET, "/events", events)
        .route(Method::GET, "/fail", fail)
        .socket("/echo/:room", echo);
    lifespan(startup, |_| async { Ok(()) }).with(router)
}

/// The outer layer: counts requests and measures each.
async fn count(request: Request<Shared>, next: Next<Shared>) -> Result<Response, Error> {
    let begin = Instant::now();
    let number = request.state.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let response = next.run(request).await?;
    let microseconds = u64::try_from(begin.elapsed().as_micros())?;
    Ok(response
        .header("x-request", number)
        .header("x-microseconds", microseconds))
}

/// The inner layer: answers in place of the handler.
async fn guard(request: Request<Shared>, next: Next<Shared>) -> Result<Response, Error> {
    if request.scope.headers.contains_key("x-forbidden") {
        return Err(Error::Status(StatusCode::FORBIDDEN, "no\n".to_owned()));
    }
    next.run(request).await
}

async fn hello(request: Request<Shared>) -> Result<Response, Error> {
    let name = &request.parameters["name"];
    Ok(Response::text(format!("Hello {name}\n")))
}

async fn add_item(mut request: Request<Shared>) -> Result<Response, Error> {
    let item = request.json().await?;
    let price = item["price"].as_u64();
    let price = price.ok_or_else(|| Error::bad_request("the item has no price"))?;
    let item = json!({ "name": item["name"], "price": price + 1 });
    Ok(Response::json(&item).status(StatusCode::CREATED))
}

async fn stream(request: Request<Shared>) -> Result<Response, Error> {
    let lines = request.parameters["lines"].parse::<u32>();
    let lines = lines.map_err(Error::bad_request)?;
    Ok(Response::stream("text/plain", async move |mut writer| {
        for line in 1..=lines {
            writer.write(format!("line {line}\n")).await?;
        }
        writer.finish().await
    }))
}

/// Events until the client leaves.
async fn events(_: Request<Shared>) -> Result<Response, Error> {
    Ok(Response::stream("text/event-stream", async |mut writer| {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        for number in 0.. {
            tokio::select! {
                () = writer.closed() => break,
                _ = ticks.tick() => writer.event(&number.to_string()).await?,
            }
        }
        Ok(())
    }))
}

async fn fail(_: Request<Shared>) -> Result<Response, Error> {
    Err("the handler broke".into())
}

async fn echo(mut socket: WebSocket, parameters: Parameters) -> Result<(), AppError> {
    socket.send(format!("room {}", parameters["room"])).await?;
    while let Some(message) = socket.receive().await {
        socket.send(message).await?;
    }
    Ok(())
}
