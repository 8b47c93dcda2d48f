//! One HTTP request.

use std::pin::pin;

use asgi::{
    AppError, DisconnectReason, Extension, HttpResponseEarlyHint, HttpResponseStart, HttpScope,
    Receiver, Sender,
};
use asgi_util::{into_request, send_response};
use http::{HeaderValue, Request, StatusCode, Version, header};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::Proxy;
use super::headers::{Origin, for_upstream, remove_hop_by_hop};
use super::pool::RequestBody;

/// What happens while the proxy waits for the head of the response.
enum News {
    /// A part of the request's body goes to the upstream.
    Progress,
    /// The upstream has sent a 103 with these links.
    EarlyHint(Vec<HeaderValue>),
}

/// Forwards a request and its response. Both bodies are streamed at once: a response can begin before
/// the request is complete.
pub(super) async fn forward(
    proxy: &Proxy,
    scope: HttpScope,
    receive: Receiver,
    mut send: Sender,
) -> Result<(), AppError> {
    let extensions = scope.extensions.clone();
    // If it is full, a hint is lost, and that is no harm.
    let (sender, mut news) = mpsc::channel(16);
    let request = upstream_request(proxy, scope, receive, sender);
    let mut answer = pin!(proxy.pool.send(request));
    let answer = loop {
        tokio::select! {
            // The hints come before the head.
            biased;
            Some(news) = news.recv() => if let News::EarlyHint(links) = news {
                send.send(HttpResponseEarlyHint::new(links)).await?;
            },
            answer = &mut answer => break Some(answer),
            reason = gone(&mut send) => return Err(reason.into()),
            () = tokio::time::sleep(proxy.patience) => break None,
        }
    };
    let (status, error) = match answer {
        Some(Ok((mut response, lease))) if !response.status().is_informational() => {
            remove_hop_by_hop(response.headers_mut());
            match send_response(&mut send, &extensions, response).await {
                Ok(()) => lease.release().await,
                // It is too late for a status: the client must see that the response is incomplete.
                Err(error) if error.is_body() => return Err(AppError::aborted_by(error)),
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
        // The client has left before its body was complete.
        Some(Err(error)) if error.is_disconnected() => return Err(error),
        Some(Err(error)) => (StatusCode::BAD_GATEWAY, error),
        Some(Ok(_)) => (StatusCode::BAD_GATEWAY, "it changed the protocol".into()),
        None => (
            StatusCode::GATEWAY_TIMEOUT,
            "it sent no response in time".into(),
        ),
    };
    tracing::warn!(error = %error.chain(), %status, "the upstream failed");
    let start = HttpResponseStart::new(status).content_type("text/plain");
    send.respond(start, "the upstream failed\n").await?;
    Ok(())
}

fn upstream_request(
    proxy: &Proxy,
    scope: HttpScope,
    receive: Receiver,
    news: mpsc::Sender<News>,
) -> Request<RequestBody> {
    let (client, scheme, version) = (scope.client.clone(), scope.scheme.clone(), scope.version);
    let has = |extension| scope.extensions.has(extension);
    let (trailers, early_hints) = (has(Extension::Trailers), has(Extension::EarlyHint));
    let (mut parts, body) = into_request(scope, receive).into_parts();
    let origin = Origin {
        version,
        scheme: &scheme,
        client: client.as_ref(),
    };
    for_upstream(proxy, &mut parts.headers, &origin);
    if trailers {
        let te = HeaderValue::from_static("te");
        parts.headers.insert(header::CONNECTION, te);
        let trailers = HeaderValue::from_static("trailers");
        parts.headers.insert(header::TE, trailers);
    }
    parts.version = Version::HTTP_11;
    let progress = news.clone();
    let body = body.map_frame(move |frame| {
        let _ = progress.try_send(News::Progress);
        frame
    });
    let mut request = Request::from_parts(parts, body.map_err(Into::into).boxed_unsync());
    if early_hints {
        hyper::ext::on_informational(&mut request, move |response| {
            let links = response.headers().get_all(header::LINK).iter().cloned();
            if response.status() == StatusCode::EARLY_HINTS {
                let _ = news.try_send(News::EarlyHint(links.collect()));
            }
        });
    }
    request
}

/// Waits until the client can read nothing more. After [`DisconnectReason::Closed`] it still can.
async fn gone(send: &mut Sender) -> DisconnectReason {
    match send.closed().await {
        reason if reason.is_gone() => reason,
        _ => std::future::pending().await,
    }
}
