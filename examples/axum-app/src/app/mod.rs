//! A todo list. This module and its children know only axum.

mod list;
mod live;

use std::time::Duration;

use axum::extract::{Multipart, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::Value;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use self::list::Todos;

/// The page and its script. A real program takes the folder from its configuration.
const STATIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/static");

/// Makes the router.
pub fn router() -> Router {
    let api = Router::new()
        .route("/", get(all).post(add))
        .route("/{id}", put(replace).delete(remove))
        .route("/import", post(import))
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            Duration::from_secs(10),
        ));
    Router::new()
        .nest("/todos", api)
        .route("/events", get(live::events))
        .route("/ws", any(live::websocket))
        .fallback_service(ServeDir::new(STATIC))
        .layer(TraceLayer::new_for_http())
        .with_state(Todos::default())
}

async fn all(State(todos): State<Todos>) -> Json<Value> {
    Json(todos.to_json())
}

async fn add(State(todos): State<Todos>, Json(todo): Json<Value>) -> Response {
    let Some(text) = todo["text"].as_str() else {
        return (StatusCode::UNPROCESSABLE_ENTITY, "a todo needs a text\n").into_response();
    };
    let todo = todos.add(text);
    let location = [("location", format!("/todos/{}", todo["id"]))];
    (StatusCode::CREATED, location, Json(todo)).into_response()
}

async fn replace(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    Json(todo): Json<Value>,
) -> StatusCode {
    let (text, done) = (todo["text"].as_str(), todo["done"].as_bool());
    match todos.change(id, text, done) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }
}

async fn remove(State(todos): State<Todos>, Path(id): Path<u64>) -> StatusCode {
    match todos.remove(id) {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }
}

/// Adds one todo for each line of each uploaded file.
async fn import(State(todos): State<Todos>, mut parts: Multipart) -> Result<String, Response> {
    let mut count = 0;
    while let Some(part) = parts
        .next_field()
        .await
        .map_err(IntoResponse::into_response)?
    {
        let text = part.text().await.map_err(IntoResponse::into_response)?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            todos.add(line.trim());
            count += 1;
        }
    }
    Ok(format!("{count} added\n"))
}
