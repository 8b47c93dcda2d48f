//! Telling a client what a page will need, by the best means that its connection has.

use bytes::Bytes;
use http::HeaderValue;
use http::uri::PathAndQuery;

use crate::{Extension, Extensions, HttpResponseEarlyHint, HttpResponsePush, SendError, Sender};

/// What a resource is for: the `as` of a preload link. (HTML, "link type preload")
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Destination {
    /// What a script fetches; from the page's own origin.
    Fetch,
    /// A font. Browsers ask for it without credentials, and its link says so.
    Font,
    /// An image.
    Image,
    /// A script.
    Script,
    /// A style sheet.
    Style,
    /// The texts of a video.
    Track,
}

impl Destination {
    /// The parameters of the link.
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

/// What a page will need, to be told to the client before it asks: pushed where the client takes
/// pushes, else as an early hint, and in any case that is not a push as `link` fields of the
/// response.
///
/// Paths are as the client knows them, so with the root path that the app is mounted at.
///
/// ```
/// use asgi::http::uri::PathAndQuery;
/// use asgi::{AppError, Destination, HttpResponseStart, HttpScope, Preload, Sender};
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
/// Who wants hints and no pushes hands over [`Extensions::without`] [`Extension::Push`]: most
/// browsers take no pushes, and some of what is pushed is in the client's cache already.
///
/// Spec: http §6.
#[derive(Debug, Clone, Default)]
pub struct Preload {
    resources: Vec<(PathAndQuery, Destination)>,
}

impl Preload {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resource. What comes first is told first.
    #[must_use]
    pub fn with(mut self, path: PathAndQuery, destination: Destination) -> Self {
        self.resources.push((path, destination));
        self
    }

    /// Tells the client, and gives back the links that belong on the start of the response:
    /// [`HttpResponseStart::links`](crate::HttpResponseStart::links).
    ///
    /// To be called before the start is sent. A push or a hint that the server refuses, for whatever
    /// reason, is no error: its resource is told by the next best means. The links are those of all
    /// that was not pushed, hinted or not: a 103 says that "the server is likely to send a final
    /// response with the header fields included in the informational response" (RFC 8297 §2), and
    /// not every client reads it.
    ///
    /// # Errors
    ///
    /// The client is gone, or the response is complete already.
    pub async fn announce(
        &self,
        extensions: &Extensions,
        send: &mut Sender,
    ) -> Result<Vec<HeaderValue>, SendError> {
        let mut links = Vec::new();
        for (number, (path, destination)) in self.resources.iter().enumerate() {
            if self.resources[..number]
                .iter()
                .any(|(other, _)| other == path)
            {
                continue;
            }
            let pushed = extensions.has(Extension::Push)
                && taken(send.send(HttpResponsePush::new(path.clone())).await)?;
            if !pushed {
                links.extend(link(path, *destination));
            }
        }
        if !links.is_empty() && extensions.has(Extension::EarlyHint) {
            taken(send.send(HttpResponseEarlyHint::new(links.clone())).await)?;
        }
        Ok(links)
    }
}

/// Whether an event was taken; a refusal is no error.
fn taken(sent: Result<(), SendError>) -> Result<bool, SendError> {
    match sent {
        Ok(()) => Ok(true),
        Err(error) if error.is_refused() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The link of a resource. No `>` can be in a path; what no field may hold either is left out.
fn link(path: &PathAndQuery, destination: Destination) -> Option<HeaderValue> {
    let text = format!("<{path}>; rel=preload; {}", destination.parameters());
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}
