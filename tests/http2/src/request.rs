//! Requests, lawful unless told otherwise.

use crate::frame::{Frame, kind};
use crate::hpack::{self, Field};

/// The fields of a request, to be sent as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Vec<Field>);

impl Request {
    /// A request with the four pseudo-headers that it needs.
    pub fn new(method: &str, path: &str) -> Self {
        Self(Vec::new())
            .field(":method", method)
            .field(":scheme", "http")
            .field(":authority", "a")
            .field(":path", path)
    }

    /// A GET.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// No fields at all: trailers, mostly.
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// The request with one more field behind the others.
    #[must_use]
    pub fn field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The request without the fields of this name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(other, _)| other != name.as_bytes());
        self
    }

    /// The request with this value for a field that it has, at the same place.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for (other, old) in &mut self.0 {
            if other == name.as_bytes() {
                *old = value.as_ref().to_vec();
            }
        }
        self
    }

    /// The block of its fields.
    pub fn block(&self) -> Vec<u8> {
        hpack::encode(&self.0)
    }
}

/// A request, or trailers, in one HEADERS frame with END_HEADERS; more of a body may follow.
pub fn headers(stream: u32, request: &Request) -> Frame {
    Frame::new(kind::HEADERS, stream, request.block()).end_headers()
}
