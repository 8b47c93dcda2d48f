//! Early hints of a handler, over a socket.

use asgi_tower::EarlyHints;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http::{HeaderValue, Request};
use test_support::run;

use crate::answer::{BOTH, Protocol, send};
use crate::hosts::Hosts;

async fn page(hints: Option<Extension<EarlyHints>>) -> &'static str {
    let Some(Extension(hints)) = hints else {
        return "no hints";
    };
    let link = HeaderValue::from_static("</a.css>; rel=preload; as=style");
    hints.send([link]).await.unwrap();
    "hinted"
}

#[test]
fn a_handler_has_hints_only_on_a_server_that_sends_them() {
    run(async {
        let hosts = Hosts::start(Router::new().route("/", get(page))).await;
        for (host, address) in hosts.each() {
            for over in BOTH {
                let request = Request::get("/").body(Bytes::new()).unwrap();
                // hyper's client passes over the 103.
                let answer = send(address, over, request).await;
                let expected = match (host, over) {
                    ("ferricorn", Protocol::Http2) => "hinted",
                    _ => "no hints",
                };
                assert_eq!(answer.text(), expected, "{host} {over:?}");
            }
        }
    });
}
