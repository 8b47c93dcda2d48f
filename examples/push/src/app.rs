//! A page with a style sheet, a script and 64 tiles of a picture.
//!
//! | path | what it does |
//! | --- | --- |
//! | `/` | the page; the client finds its resources in the HTML |
//! | `/push` | the page; the server pushes all resources |
//! | `/hints` | the page, with early hints for all resources |
//! | `/style.css`, `/script.js`, `/tile/0` to `/tile/63` | the resources |
//!
//! With `?think=200`, the app waits for that many milliseconds before it sends a page, as if it asked
//! a database.

use std::fmt::Write;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use asgi::{
    AppError, Extension, Extensions, HttpResponseStart, HttpScope, LifespanShutdownComplete,
    LifespanStartupComplete, ReceiveEvent, Receiver, Scope, Sender,
};
use asgi_util::{Destination, Preload};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::picture::TILES;

const TEXT: &str = "text/plain; charset=utf-8";

/// The app: the server calls it once for each request, also for each pushed one.
pub(crate) async fn app(scope: Scope, receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    match scope {
        Scope::Http(http) => serve(&http, &mut send).await,
        Scope::Lifespan(_) => lifespan(receive, send).await,
        other => Err(AppError::unsupported(&other)),
    }
}

async fn lifespan(mut receive: Receiver, mut send: Sender) -> Result<(), AppError> {
    loop {
        match receive.receive().await {
            ReceiveEvent::LifespanStartup(_) => {
                LazyLock::force(&TILES);
                send.send(LifespanStartupComplete::new()).await?;
            }
            ReceiveEvent::LifespanShutdown(_) => {
                send.send(LifespanShutdownComplete::new()).await?;
                return Ok(());
            }
            _ => {}
        }
    }
}

async fn serve(http: &HttpScope, send: &mut Sender) -> Result<(), AppError> {
    let none = Extensions::new();
    match &*http.local_path() {
        "/" => page(http, &none, send).await,
        "/push" => page(http, &http.extensions, send).await,
        "/hints" => {
            let hints = http.extensions.clone().without(Extension::Push);
            page(http, &hints, send).await
        }
        "/style.css" => resource(send, "text/css", include_str!("style.css")).await,
        "/script.js" => resource(send, "text/javascript", include_str!("script.js")).await,
        path => match path.strip_prefix("/tile/").and_then(tile) {
            Some(tile) => resource(send, "image/bmp", tile).await,
            None => {
                let start = HttpResponseStart::new(StatusCode::NOT_FOUND).content_type(TEXT);
                send.respond(start, "Not found\n").await?;
                Ok(())
            }
        },
    }
}

fn tile(number: &str) -> Option<Bytes> {
    TILES.get(number.parse::<usize>().ok()?).cloned()
}

/// A response that the client may cache. Without that, a browser does not use hinted or pushed
/// resources.
async fn resource(
    send: &mut Sender,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Result<(), AppError> {
    let keep = HeaderValue::from_static("max-age=60");
    let start = HttpResponseStart::ok()
        .content_type(media_type)
        .header(header::CACHE_CONTROL, keep);
    send.respond(start, body).await?;
    Ok(())
}

/// The page. Its resources are announced with the extensions in `allowed`.
async fn page(http: &HttpScope, allowed: &Extensions, send: &mut Sender) -> Result<(), AppError> {
    let resources = resources(&http.root_path);
    let mut start = HttpResponseStart::ok().content_type("text/html; charset=utf-8");
    if http.local_path() != "/" {
        let mut preload = Preload::new();
        for (path, destination) in &resources {
            preload = preload.with(path.parse()?, *destination);
        }
        // Before the work, not after it: the client can load the resources meanwhile.
        start = start.links(preload.announce(allowed, send).await?);
    }
    if let Some(think) = think(http) {
        tokio::time::sleep(think).await;
    }
    send.respond(start, html(&resources)).await?;
    Ok(())
}

fn think(http: &HttpScope) -> Option<Duration> {
    let milliseconds = http.query_string().strip_prefix("think=")?.parse().ok()?;
    Some(Duration::from_millis(milliseconds).min(Duration::from_secs(10)))
}

/// The resources of the page. Each load of the page has new paths, so that no cache has them.
fn resources(root: &str) -> Vec<(String, Destination)> {
    static LOADS: AtomicU64 = AtomicU64::new(1);
    let load = LOADS.fetch_add(1, Ordering::Relaxed);
    let tiles = (0..TILES.len()).map(|n| (format!("tile/{n}"), Destination::Image));
    [
        ("style.css".to_owned(), Destination::Style),
        ("script.js".to_owned(), Destination::Script),
    ]
    .into_iter()
    .chain(tiles)
    .map(|(name, destination)| (format!("{root}/{name}?load={load}"), destination))
    .collect()
}

fn html(resources: &[(String, Destination)]) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Tiles</title>\n",
    );
    let mut tiles = String::new();
    for (path, destination) in resources {
        // Writing to a string cannot fail.
        let _ = match destination {
            Destination::Style => writeln!(html, "<link rel=\"stylesheet\" href=\"{path}\">"),
            Destination::Script => writeln!(html, "<script src=\"{path}\" defer></script>"),
            _ => writeln!(tiles, "<img src=\"{path}\" alt=\"\">"),
        };
    }
    html + "<h1>Sixty-four tiles</h1>\n<p><a href=\"./\">plain</a>, <a href=\"push\">pushed</a>, \
            <a href=\"hints\">hinted</a></p>\n<p id=\"how\"></p>\n<div id=\"grid\">\n"
        + &tiles
        + "</div>\n<pre id=\"each\"></pre>\n"
}

#[cfg(test)]
mod tests {
    use asgi::{AppError, Extension, Extensions};
    use asgi_spec::Lint;
    use asgi_testing::{Client, Response};
    use http::header::LINK;

    use super::app;

    fn client() -> Client {
        let all = [Extension::Push, Extension::EarlyHint];
        let none = Extensions::new();
        Client::new(Lint::new(app)).extensions(all.into_iter().fold(none, Extensions::with))
    }

    fn paths(response: &Response) -> Vec<String> {
        let text = response.text();
        let quoted = text.split(['"']).filter(|part| part.contains("?load="));
        quoted.map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn the_plain_page_announces_nothing_and_its_resources_exist() -> Result<(), AppError> {
        let page = client().get("/").await?;
        assert!(page.pushes().is_empty() && page.early_hints().is_empty());
        assert!(page.headers().get(LINK).is_none());
        let paths = paths(&page);
        assert_eq!(paths.len(), 66);
        for path in paths {
            client().get(&path).await?.assert_status(200);
        }
        Ok(())
    }

    #[tokio::test]
    async fn all_resources_are_pushed() -> Result<(), AppError> {
        let page = client().get("/push").await?;
        let pushed: Vec<_> = page.pushes().iter().map(|push| push.path()).collect();
        assert_eq!(pushed, paths(&page));
        assert!(page.headers().get(LINK).is_none());
        for push in page.pushes() {
            push.response().unwrap().assert_status(200);
        }
        Ok(())
    }

    #[tokio::test]
    async fn all_resources_are_hinted() -> Result<(), AppError> {
        let page = client().get("/hints?think=1").await?;
        assert!(page.pushes().is_empty());
        let [hint] = page.early_hints() else {
            return Err("expected one hint".into());
        };
        assert_eq!(hint.links.len(), 66);
        assert_eq!(page.headers().get_all(LINK).iter().count(), 66);
        Ok(())
    }

    #[tokio::test]
    async fn there_are_only_64_tiles() -> Result<(), AppError> {
        for path in ["/tile/64", "/tile/", "/tile/-1", "/nothing"] {
            client().get(path).await?.assert_status(404);
        }
        Ok(())
    }
}
