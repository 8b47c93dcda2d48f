//! Announces the resources of a page by the best means that the connection supports.

use asgi::{Extension, Extensions, HttpResponseEarlyHint, HttpResponsePush, SendError, Sender};
use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;

/// The kind of a resource: the `as` attribute of a preload link. (HTML, "link type preload")
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Destination {
    /// Data that a script fetches from the page's own origin.
    Fetch,
    /// A font. Browsers fetch fonts without credentials, so the link has `crossorigin`.
    Font,
    /// An image.
    Image,
    /// A script.
    Script,
    /// A style sheet.
    Style,
    /// The text track of a video, such as subtitles.
    Track,
}

impl Destination {
    /// Returns the link parameters.
    const fn parameters(self) -> &'static str {
        match self {
            Self::Fetch => "as=fetch; crossorigin",
            Self::Font => "as=font; crossorigin",
            Self::Image => "as=image",
            Self::Script => "as=script",
            Self::Style => "as=style",
            Self::Track => "as=track",
        }
    }
}

/// The resources that a page will need, for the client to load before it asks.
///
/// If the client accepts pushes, the server pushes the resources. Otherwise the server sends an
/// early hint. Every resource that was not pushed also gets a `link` header in the response.
///
/// Paths are as the client sees them, so they include the root path at which the app is mounted.
///
/// ```
/// use asgi::http::uri::PathAndQuery;
/// use asgi::{AppError, HttpResponseStart, HttpScope, Sender};
/// use asgi_util::{Destination, Preload};
///
/// async fn page(http: &HttpScope, mut send: Sender) -> Result<(), AppError> {
///     let links = Preload::new()
///         .with(PathAndQuery::from_static("/style.css"), Destination::Style)
///         .with(PathAndQuery::from_static("/app.js"), Destination::Script)
///         .announce(&http.extensions, &mut send)
///         .await?;
///     let start = HttpResponseStart::ok().content_type("text/html").links(links);
///     send.respond(start, "<!doctype html>...").await?;
///     Ok(())
/// }
/// ```
///
/// To send hints and no pushes, pass extensions without [`Extension::Push`] (see
/// [`Extensions::without`]). Most browsers accept no pushes, and a push may send what the client
/// already has in its cache.
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
pub struct Preload {
    resources: Vec<(PathAndQuery, Destination)>,
}

impl Preload {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resource. The server announces resources in the order in which they are added.
    #[must_use]
    pub fn with(mut self, path: PathAndQuery, destination: Destination) -> Self {
        self.resources.push((path, destination));
        self
    }

    /// Announces the resources to the client, and returns the links for the start of the response.
    /// Pass them to [`HttpResponseStart::links`](asgi::HttpResponseStart::links).
    ///
    /// Call this before you send the start. If the server refuses a push or a hint, for whatever
    /// reason, this is not an error: the next best means announces the resource. The links contain
    /// every resource that was not pushed, even if it was hinted: a 103 says that "the server is
    /// likely to send a final response with the header fields included in the informational
    /// response" (RFC 8297 §2), and not every client reads it.
    ///
    /// # Errors
    ///
    /// Returns an error if the client is gone or if the response is already complete.
    pub async fn announce(
        &self,
        extensions: &Extensions,
        send: &mut Sender,
    ) -> Result<Vec<HeaderValue>, SendError> {
        let mut links = Vec::new();
        for (index, (path, destination)) in self.resources.iter().enumerate() {
            if self.resources[..index]
                .iter()
                .any(|(other, _)| other == path)
            {
                continue;
            }
            let pushed = extensions.has(Extension::Push)
                && was_taken(send.send(HttpResponsePush::new(path.clone())).await)?;
            if !pushed {
                links.extend(link(path, *destination));
            }
        }
        if !links.is_empty() && extensions.has(Extension::EarlyHint) {
            was_taken(send.send(HttpResponseEarlyHint::new(links.clone())).await)?;
        }
        Ok(links)
    }
}

/// Returns whether the server took the event. A refusal is not an error.
fn was_taken(result: Result<(), SendError>) -> Result<bool, SendError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_refused() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the link of a resource, or `None` if its path is not valid in a header. A path never
/// contains `>`.
fn link(path: &PathAndQuery, destination: Destination) -> Option<HeaderValue> {
    let text = format!("<{path}>; rel=preload; {}", destination.parameters());
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}
