//! `Preload` pushes or hints, and returns a link for everything that was not pushed.

use std::task::{Context, Poll};

use asgi::{
    AppError, Closed, DisconnectReason, Extension, Extensions, HttpResponseStart, Receiver, Scope,
    SendError, SendEvent, SendHalf, Sender,
};
use asgi_testing::{Client, Response};
use asgi_util::{Destination, Preload};
use http::header::LINK;
use http::uri::PathAndQuery;

const STYLE: &str = "</style.css?v=1>; rel=preload; as=style";
const FONT: &str = "</a.woff2>; rel=preload; as=font; crossorigin";

async fn page(scope: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    if http.raw_path() != "/" {
        send.respond(HttpResponseStart::ok(), "pushed").await?;
        return Ok(());
    }
    let links = Preload::new()
        .with(
            PathAndQuery::from_static("/style.css?v=1"),
            Destination::Style,
        )
        .with(PathAndQuery::from_static("/a.woff2"), Destination::Font)
        .announce(&http.extensions, &mut send)
        .await?;
    send.respond(HttpResponseStart::ok().links(links), "page")
        .await?;
    Ok(())
}

async fn get(app: impl asgi::App, offered: &[Extension]) -> Response {
    let none = Extensions::new();
    let extensions = offered.iter().fold(none, |all, one| all.with(*one));
    let response = Client::new(app)
        .allow_faults()
        .extensions(extensions)
        .get("/")
        .await;
    let response = response.unwrap();
    assert_eq!(
        (response.status().as_u16(), &*response.text()),
        (200, "page")
    );
    response
}

fn pushed(response: &Response) -> Vec<&str> {
    response.pushes().iter().map(|push| push.path()).collect()
}

fn hinted(response: &Response) -> Vec<&str> {
    let hints = response.early_hints().iter();
    let links = hints.flat_map(|hint| &hint.links);
    links.map(|link| link.to_str().unwrap()).collect()
}

fn linked(response: &Response) -> Vec<&str> {
    let links = response.headers().get_all(LINK).iter();
    links.map(|link| link.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_pushed_resource_is_not_announced_again() {
    let response = get(page, &[Extension::Push, Extension::EarlyHint]).await;
    assert_eq!(pushed(&response), ["/style.css?v=1", "/a.woff2"]);
    assert!(response.early_hints().is_empty());
    assert!(linked(&response).is_empty());
}

#[tokio::test]
async fn without_pushes_there_is_one_hint_and_the_response_has_the_same_links() {
    let response = get(page, &[Extension::EarlyHint]).await;
    assert!(pushed(&response).is_empty());
    assert_eq!(response.early_hints().len(), 1);
    assert_eq!(hinted(&response), [STYLE, FONT]);
    assert_eq!(linked(&response), [STYLE, FONT]);
}

#[tokio::test]
async fn without_pushes_and_hints_the_response_has_the_links() {
    let response = get(page, &[]).await;
    assert!(pushed(&response).is_empty() && response.early_hints().is_empty());
    assert_eq!(linked(&response), [STYLE, FONT]);
}

/// A sender that refuses some events, like a server whose client has no room.
struct Refusing {
    send: Sender,
    refuses: fn(&SendEvent) -> bool,
}

impl SendHalf for Refusing {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.send.poll_ready(cx)
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        if (self.refuses)(&event) {
            return Err(SendError::refused("no room"));
        }
        self.send.start_send(event)
    }

    fn closed_handle(&self) -> Closed {
        self.send.closed_handle()
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        self.send.poll_closed(cx)
    }
}

async fn page_with_refusals(
    refuses: fn(&SendEvent) -> bool,
    (scope, receive, send): (Scope, Receiver, Sender),
) -> Result<(), AppError> {
    page(scope, receive, Sender::new(Refusing { send, refuses })).await
}

#[tokio::test]
async fn a_refused_push_becomes_a_hint_and_a_link() {
    let app = async |scope: Scope, receive: Receiver, send: Sender| {
        let refuses = |event: &SendEvent| match event {
            SendEvent::HttpResponsePush(push) => push.path.path() == "/a.woff2",
            _ => false,
        };
        page_with_refusals(refuses, (scope, receive, send)).await
    };
    let response = get(app, &[Extension::Push, Extension::EarlyHint]).await;
    assert_eq!(pushed(&response), ["/style.css?v=1"]);
    assert_eq!(hinted(&response), [FONT]);
    assert_eq!(linked(&response), [FONT]);
}

#[tokio::test]
async fn after_a_refused_hint_the_response_still_has_the_links() {
    let app = async |scope: Scope, receive: Receiver, send: Sender| {
        let refuses = |event: &SendEvent| matches!(event, SendEvent::HttpResponseEarlyHint(_));
        page_with_refusals(refuses, (scope, receive, send)).await
    };
    let response = get(app, &[Extension::EarlyHint]).await;
    assert!(response.early_hints().is_empty());
    assert_eq!(linked(&response), [STYLE, FONT]);
}

#[tokio::test]
async fn announce_after_the_response_is_misuse() {
    let app = async |_: Scope, _: Receiver, mut send: Sender| -> Result<(), AppError> {
        send.respond(HttpResponseStart::ok(), "page").await?;
        let resource = PathAndQuery::from_static("/late");
        let preload = Preload::new().with(resource, Destination::Image);
        let extensions = Extensions::new().with(Extension::Push);
        let error = preload.announce(&extensions, &mut send).await.unwrap_err();
        assert!(error.is_misuse(), "{error}");
        Ok(())
    };
    get(app, &[Extension::Push]).await;
}
