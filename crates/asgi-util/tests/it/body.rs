//! A request body as a `Body`, a `Stream` and a reader.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use asgi::{
    AppError, DisconnectReason, HttpResponseStart, HttpScope, ReceiveEvent, ReceiveHalf, Receiver,
    Scope, Sender,
};
use asgi_testing::{Client, Exchange};
use asgi_util::{EventStream, ReceiverBody};
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use http_body::Body;
use http_body_util::BodyExt;
#[cfg(feature = "tokio")]
use tokio::io::AsyncReadExt;

/// Starts a request whose app makes its response text from the request body.
fn start<F>(
    change: impl FnOnce(&mut HttpScope),
    read: impl Fn(ReceiverBody) -> F + Send + Sync + 'static,
) -> Exchange
where
    F: Future<Output = Result<String, AppError>> + Send + 'static,
{
    let app = move |scope: Scope, receive: Receiver, mut send: Sender| {
        let Scope::Http(http) = scope else {
            panic!("not a request");
        };
        let text = read(ReceiverBody::new(&http, receive));
        async move {
            let text = text.await?;
            send.respond(HttpResponseStart::ok(), text).await?;
            Ok(())
        }
    };
    Client::new(app).post("/").scope(change).open_body().start()
}

fn chunked(scope: &mut HttpScope) {
    let value = HeaderValue::from_static("chunked");
    scope.headers.insert("transfer-encoding", value);
}

fn length(scope: &mut HttpScope) {
    scope.headers.insert("content-length", 6.into());
}

fn send_all(exchange: &mut Exchange) {
    exchange.send_body("abc");
    exchange.send_body("");
    exchange.send_body("def");
    exchange.end_body_with_trailers(HeaderMap::from_iter([(
        HeaderName::from_static("x-sum"),
        HeaderValue::from_static("6"),
    )]));
}

async fn text(exchange: Exchange) -> String {
    exchange.finish().await.unwrap().text().into_owned()
}

#[tokio::test]
async fn a_body_yields_data_and_then_trailers() {
    let mut exchange = start(chunked, |mut body| async move {
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(format!("{:?}", frame?));
        }
        assert!(body.is_end_stream());
        Ok(seen.join("\n"))
    });
    send_all(&mut exchange);
    assert_eq!(
        text(exchange).await,
        "Frame { kind: Data(b\"abc\") }\nFrame { kind: Data(b\"def\") }\n\
         Frame { kind: Trailers({\"x-sum\": \"6\"}) }"
    );
}

#[tokio::test]
async fn the_size_hint_is_exact_and_counts_down() {
    let mut exchange = start(length, |mut body| async move {
        let mut hints = Vec::new();
        loop {
            hints.push(format!("{:?}", body.size_hint().exact()));
            if body.frame().await.transpose()?.is_none() {
                return Ok(hints.join(" "));
            }
        }
    });
    send_all(&mut exchange);
    assert_eq!(text(exchange).await, "Some(6) Some(3) Some(0) Some(0)");
}

#[tokio::test]
async fn the_size_of_a_chunked_body_is_unknown() {
    let exchange = start(chunked, |body| async move {
        Ok(format!("{:?}", body.size_hint()))
    });
    assert_eq!(text(exchange).await, "SizeHint { lower: 0, upper: None }");
}

/// A receiver that never yields an event.
struct Silent;

impl ReceiveHalf for Silent {
    fn poll_receive(&mut self, _: &mut Context<'_>) -> Poll<ReceiveEvent> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_request_without_a_body_is_at_its_end_and_receives_nothing() {
    let scope = HttpScope::new(Method::GET, "/".parse().unwrap());
    let mut body = ReceiverBody::new(&scope, Receiver::new(Silent));
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_request_over_http_2_may_have_a_body_without_a_length() {
    let http2 = |scope: &mut HttpScope| scope.version = Version::HTTP_2;
    let mut exchange = start(http2, |body| async move {
        assert!(!body.is_end_stream());
        let body = body.collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    });
    send_all(&mut exchange);
    assert_eq!(text(exchange).await, "abcdef");
}

#[tokio::test]
async fn a_stream_yields_the_data_and_keeps_the_trailers() {
    let mut exchange = start(chunked, |body| async move {
        let mut seen = String::new();
        let mut stream = body.into_stream();
        while let Some(part) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
            seen.push_str(&format!("{:?} ", part?));
        }
        let trailers = stream.into_body().take_trailers().unwrap_or_default();
        Ok(format!("{seen}{trailers:?}"))
    });
    send_all(&mut exchange);
    assert_eq!(text(exchange).await, "b\"abc\" b\"def\" {\"x-sum\": \"6\"}");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_reader_reads_the_data() {
    let mut exchange = start(chunked, |body| async move {
        let mut reader = body.into_reader();
        let mut first = [0; 2];
        reader.read_exact(&mut first).await?;
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await?;
        let trailers = reader.into_body().take_trailers().is_some();
        Ok(format!("{first:?} {rest} {trailers}"))
    });
    send_all(&mut exchange);
    assert_eq!(text(exchange).await, "[97, 98] cdef true");
}

#[cfg(feature = "tokio")]
async fn read_to_string(body: ReceiverBody) -> Result<String, AppError> {
    let mut all = String::new();
    body.into_reader().read_to_string(&mut all).await?;
    Ok(all)
}

#[cfg(not(feature = "tokio"))]
async fn read_to_string(_: ReceiverBody) -> Result<String, AppError> {
    Err("a reader needs the feature tokio".into())
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_no_fault_of_the_app() {
    for as_reader in [false, cfg!(feature = "tokio")] {
        let mut exchange = start(chunked, move |body| async move {
            if as_reader {
                read_to_string(body).await
            } else {
                Ok(format!("{:?}", body.collect().await?))
            }
        });
        exchange.send_body("abc");
        exchange.disconnect(DisconnectReason::Lost);
        let broken = exchange.finish().await.unwrap_err();
        let error = broken.app_error().unwrap();
        assert!(error.is_disconnected(), "{error:?}");
        assert_eq!(broken.fault(), None);
        assert!(
            error
                .chain()
                .to_string()
                .contains("the request body is incomplete")
        );
    }
}

#[tokio::test]
async fn an_event_stream_ends_after_the_disconnect() {
    let app = async |_: Scope, receive: Receiver, mut send: Sender| {
        send.respond(HttpResponseStart::ok(), "").await?;
        let mut events = EventStream::new(receive);
        let mut count = 0;
        while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
            assert!(matches!(event, ReceiveEvent::HttpDisconnect(_)));
            count += 1;
        }
        assert_eq!(count, 1);
        Ok::<(), AppError>(())
    };
    Client::new(app).get("/").await.unwrap();
}
