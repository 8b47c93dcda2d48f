//! The body of a request, and the headers that announce it.

use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Version};

use super::encode::urlencoded;
use crate::{Multipart, Request};

impl Request {
    /// Sets the body and its `content-length`, or `transfer-encoding` if there are trailers.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets a form of pairs as the body: `application/x-www-form-urlencoded`.
    ///
    /// ```
    /// # async fn app(_: asgi::Scope, _: asgi::Receiver, _: asgi::Sender) -> Result<(), asgi::AppError> { Ok(()) }
    /// # let client = asgi_testing::Client::new(app);
    /// // The body is `name=Zo%C3%AB&age=7`.
    /// let request = client.post("/people").form([("name", "Zoë"), ("age", "7")]);
    /// # let _ = request;
    /// ```
    pub fn form<K: fmt::Display, V: fmt::Display>(
        self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        self.typed_body(media_type, urlencoded(pairs))
    }

    /// Sets a form with texts and files as the body: `multipart/form-data`.
    pub fn multipart(self, form: Multipart) -> Self {
        let (media_type, body) = form.encode();
        let media_type = HeaderValue::try_from(media_type);
        self.typed_body(media_type.expect("a boundary is ASCII"), body)
    }

    /// Sets a value as the body, in JSON. This requires the feature `json`.
    ///
    /// ```
    /// # async fn app(_: asgi::Scope, _: asgi::Receiver, _: asgi::Sender) -> Result<(), asgi::AppError> { Ok(()) }
    /// # let client = asgi_testing::Client::new(app);
    /// let request = client.post("/people").json(&serde_json::json!({ "name": "Ann" }));
    /// # let _ = request;
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the value cannot be written as JSON.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.typed_body(HeaderValue::from_static("application/json"), body),
            Err(error) => panic!("the value cannot be written as JSON: {error}"),
        }
    }

    /// A `content-type` that the test has set stays.
    fn typed_body(mut self, media_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        let headers = &mut self.scope.headers;
        headers.entry(CONTENT_TYPE).or_insert(media_type);
        self.body(body)
    }

    /// Sets the trailers that follow the body.
    pub fn trailers(mut self, trailers: HeaderMap) -> Self {
        self.trailers = Some(Box::new(trailers));
        self
    }

    /// Leaves the body open, so that [`Exchange::send_body`](crate::Exchange::send_body) can send
    /// more of it. On HTTP/1.1, the request then has `transfer-encoding: chunked`, unless it has a
    /// `content-length`.
    ///
    /// Use this with [`start`](Self::start).
    pub fn open_body(mut self) -> Self {
        self.body_is_open = true;
        self
    }

    /// Adds the headers that a client sends with a body.
    pub(super) fn add_framing(&mut self) {
        // The length is not known when the request is sent.
        let streams = self.body_is_open || self.trailers.is_some();
        let headers = &mut self.scope.headers;
        if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
            return;
        }
        if !streams {
            if let Some(body) = &self.body {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            }
        } else if self.scope.version == Version::HTTP_11 {
            // HTTP/1.0 and HTTP/2 have no transfer codings.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}
