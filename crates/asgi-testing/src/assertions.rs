//! Assertions about a response, which print the history if they fail.

use std::fmt;

use crate::Response;

impl Response {
    /// Asserts that the response has this status, and returns the response.
    ///
    /// ```
    /// # use asgi::*;
    /// # async fn app(_: Scope, _: Receiver, mut send: Sender) -> Result<(), AppError> {
    /// #     Ok(send.respond(HttpResponseStart::ok().content_type("text/plain"), "Hello").await?)
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), AppError> {
    /// let response = asgi_testing::Client::new(app).get("/").await?;
    /// response
    ///     .assert_status(200)
    ///     .assert_header("content-type", "text/plain")
    ///     .assert_text("Hello");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if it has another one. The text has the error of the app, if there is one, and the
    /// history of the exchange.
    #[track_caller]
    pub fn assert_status(&self, expected: u16) -> &Self {
        let status = self.status().as_u16();
        if status != expected {
            self.fail(format_args!("expected the status {expected}, got {status}"));
        }
        self
    }

    /// Asserts that the first header of this name has this value, and returns the response.
    ///
    /// # Panics
    ///
    /// Panics if there is none or it has another value, with the same text as
    /// [`assert_status`](Self::assert_status).
    #[track_caller]
    pub fn assert_header(&self, name: &str, expected: &str) -> &Self {
        match self.header(name) {
            Some(value) if value == expected => self,
            Some(value) => self.fail(format_args!(
                "expected {expected:?} in the header {name}, got {value:?}"
            )),
            None => self.fail(format_args!(
                "expected {expected:?} in the header {name}, but there is no such header"
            )),
        }
    }

    /// Asserts that the body is this text, and returns the response.
    ///
    /// # Panics
    ///
    /// Panics if it is another one, with the same text as [`assert_status`](Self::assert_status).
    #[track_caller]
    pub fn assert_text(&self, expected: &str) -> &Self {
        let text = self.text();
        if text != expected {
            self.fail(format_args!("expected the body {expected:?}, got {text:?}"));
        }
        self
    }

    /// Reads the body as JSON. This requires the feature `json`.
    ///
    /// # Panics
    ///
    /// Panics if the body is not JSON of this type, with the same text as
    /// [`assert_status`](Self::assert_status).
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(self.body()) {
            Ok(value) => value,
            Err(error) => self.fail(format_args!(
                "the body is not the expected JSON: {error}: {:?}",
                self.text()
            )),
        }
    }

    /// Asserts that the body is this value in JSON, and returns the response. This requires the
    /// feature `json`.
    ///
    /// # Panics
    ///
    /// Panics if it is another one, with the same text as [`assert_status`](Self::assert_status).
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn assert_json<T: serde::Serialize + ?Sized>(&self, expected: &T) -> &Self {
        let expected = match serde_json::to_value(expected) {
            Ok(expected) => expected,
            Err(error) => panic!("the expected value cannot be written as JSON: {error}"),
        };
        let value: serde_json::Value = self.json();
        if value != expected {
            self.fail(format_args!("expected the body {expected}, got {value}"));
        }
        self
    }

    #[track_caller]
    fn fail(&self, headline: fmt::Arguments<'_>) -> ! {
        let cause = match (self.app_error(), self.fault()) {
            (Some(error), Some(fault)) => format!("\n  {fault}: {}", error.chain()),
            (None, Some(fault)) => format!("\n  {fault}"),
            (_, None) => String::new(),
        };
        panic!("{headline}{cause}\n{}\n", self.history());
    }
}
