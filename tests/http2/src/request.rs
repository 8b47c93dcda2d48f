//! Requests. They are valid unless a script changes them.

use crate::frame::{Frame, kind};
use crate::hpack::{self, Header};

/// The headers of a request, sent exactly as they are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Vec<Header>);

impl Request {
    /// A request with the four required pseudo-headers.
    pub fn new(method: &str, path: &str) -> Self {
        Self(Vec::new())
            .header(":method", method)
            .header(":scheme", "http")
            .header(":authority", "a")
            .header(":path", path)
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// No headers. Most uses are trailers.
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// Adds a header at the end.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Removes the headers of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name.as_bytes());
        self
    }

    /// Replaces the value of a header and keeps its place.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for (other, old) in &mut self.0 {
            if other == name.as_bytes() {
                *old = value.as_ref().to_vec();
            }
        }
        self
    }

    /// The encoded header block.
    pub fn block(&self) -> Vec<u8> {
        hpack::encode(&self.0)
    }
}

/// A request or trailers in one HEADERS frame with END_HEADERS and without END_STREAM.
pub fn headers(stream: u32, request: &Request) -> Frame {
    Frame::new(kind::HEADERS, stream, request.block()).end_headers()
}
