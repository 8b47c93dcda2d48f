//! Each middleware at a path of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use asgi::{
    App, AppError, DynApp, HttpResponseBody, HttpResponseEarlyHint, HttpResponseStart,
    ReceiveEvent, Receiver, Scope, Sender,
};
use http::HeaderValue;

use super::chopped::Chopped;
use super::slow::Slow;
use super::timed::{Timed, Times};
use super::upper::Upper;
use super::without_empty_parts::WithoutEmptyParts;
use crate::mounts::Mounts;

/// The app: `/upper/parts` is the path `/parts` of the inner app inside `Upper`, and so on.
///
/// `/times` lists what `/measured` has measured.
pub fn app() -> impl App {
    let times = Arc::new(Mutex::new(Vec::new()));
    let list = {
        let times = Arc::clone(&times);
        move |_: Scope, _: Receiver, mut send: Sender| {
            let list = describe(&times.lock().unwrap_or_else(PoisonError::into_inner));
            async move { Ok(send.respond(HttpResponseStart::ok(), list).await?) }
        }
    };
    let report = move |one: Times| {
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(one);
    };
    let pause = Duration::from_millis(1);
    let all = Timed {
        inner: Slow {
            inner: Chopped { inner, size: 4 },
            pause,
        },
        report: drop,
    };
    Mounts(vec![
        ("/plain", DynApp::new(inner)),
        ("/upper", DynApp::new(Upper(inner))),
        ("/slow", DynApp::new(Slow { inner, pause })),
        ("/chopped", DynApp::new(Chopped { inner, size: 2 })),
        (
            "/timed",
            DynApp::new(Timed {
                inner,
                report: drop,
            }),
        ),
        ("/measured", DynApp::new(Timed { inner, report })),
        ("/times", DynApp::new(list)),
        (
            "/without-empty-parts",
            DynApp::new(WithoutEmptyParts(inner)),
        ),
        ("/all", DynApp::new(Upper(all))),
    ])
}

/// One line for each request: status, length, and whether the times are in order.
fn describe(times: &[Times]) -> String {
    let mut list = String::new();
    for one in times {
        let in_order = one.head.is_some() && one.head <= one.last && one.last <= one.end;
        let end = match one.end {
            Some(_) if in_order => "complete",
            Some(_) => "incomplete",
            None => "dropped",
        };
        let status = one.status.unwrap_or_default();
        list += &format!("{status} {} {end}\n", one.bytes);
    }
    list
}

/// The app inside every middleware.
async fn inner(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    let Scope::Http(http) = scope else {
        return Err(AppError::unsupported(&scope));
    };
    let start = HttpResponseStart::ok().content_type("text/plain");
    match &*http.local_path() {
        "/parts" => {
            let hint = HeaderValue::from_static("</style.css>; rel=preload; as=style");
            // A server without early hints refuses this one.
            let _ = send.send(HttpResponseEarlyHint::new([hint])).await;
            send.send(start).await?;
            send.send(HttpResponseBody::more("abcdef")).await?;
            send.send(HttpResponseBody::last("ghi")).await?;
        }
        "/short" => send.respond(start, "short").await?,
        "/misuse" => {
            let early = send.send(HttpResponseBody::last("too early")).await;
            let is_misuse = early.is_err_and(|error| error.is_misuse());
            send.respond(start, format!("misuse: {is_misuse}")).await?;
        }
        "/fail" => {
            send.send(start).await?;
            return Err("broke before the body".into());
        }
        "/wait" => {
            send.send(start).await?;
            send.send(HttpResponseBody::more("wait")).await?;
            send.closed().await;
        }
        "/count" => {
            let events = count_parts(receive).await;
            send.respond(start, events.to_string()).await?;
        }
        path => {
            send.respond(start, format!("{} {path}", http.root_path))
                .await?
        }
    }
    Ok(())
}

/// Counts the parts of a request's body.
async fn count_parts(mut receive: Receiver) -> u32 {
    let mut count = 0;
    while let ReceiveEvent::HttpRequest(part) = receive.receive().await {
        count += 1;
        if !part.more_body {
            break;
        }
    }
    count
}
