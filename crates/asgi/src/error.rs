//! The errors of apps, and the errors that apps get from a server.

use std::borrow::Cow;
use std::error::Error;
use std::{fmt, io};

use crate::{DisconnectReason, Scope};

/// The error that an app returns.
///
/// Every error type converts into an `AppError`, so an app can use `?` on all of them. To make that
/// possible, `AppError` itself does not implement [`Error`], just as `anyhow::Error` does not.
///
/// A server logs the error once, with its causes. If nothing of the response has been sent, the
/// server answers 500. If a part has been sent, the server aborts the response. If the app ended
/// because its client left, the error is not a fault ([`is_disconnected`](Self::is_disconnected)).
///
/// The questions of this type look through all causes of the error. They also look into an
/// [`io::Error`], and they work if a wrapper such as `anyhow::Error` hides the type of the error.
/// So a handler may return the error type of its own choice:
///
/// ```
/// # use asgi::{App, AppError, HttpResponseStart, Receiver, Scope, Sender};
/// # type AnyhowResult = std::io::Result<()>; // stands for `anyhow::Result<()>`
/// async fn handler(mut send: Sender) -> AnyhowResult {
///     send.respond(HttpResponseStart::ok(), "Hello\n").await.map_err(std::io::Error::other)
/// }
///
/// async fn app(_: Scope, _: Receiver, send: Sender) -> Result<(), AppError> {
///     Ok(handler(send).await?)
/// }
/// # fn is_app(_: impl App) {}
/// # is_app(app);
/// ```
///
/// Spec: core §5.
pub struct AppError(Box<dyn Error + Send + Sync>);

impl AppError {
    /// Creates the error of an app that does not serve this kind of scope.
    pub fn unsupported(scope: &Scope) -> Self {
        Self::unsupported_kind(scope.kind())
    }

    /// Like [`unsupported`](Self::unsupported), for callers that have only the name of the kind.
    pub fn unsupported_kind(kind: impl Into<Cow<'static, str>>) -> Self {
        let kind = ScopeKind(kind.into());
        Self::marked("this app does not serve this kind of scope", kind)
    }

    /// Creates the error of an app that breaks off its exchange on purpose, for example because the
    /// upstream of a proxy has failed.
    ///
    /// The client sees a broken exchange: the server resets the connection or the stream, and sends
    /// no close frame on a WebSocket (code 1006). This is not a fault of the app, so the server
    /// logs it at the level `debug`.
    pub fn aborted() -> Self {
        Self::marked("aborted", AbortCause(None))
    }

    /// Like [`aborted`](Self::aborted), with a cause for the server's log.
    pub fn aborted_by(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::marked("aborted", AbortCause(Some(cause.into())))
    }

    fn marked(text: &'static str, marker: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(Marked { text, marker }))
    }

    /// Returns whether the error, or one of its causes, comes from
    /// [`unsupported`](Self::unsupported).
    pub fn is_unsupported(&self) -> bool {
        causes(&*self.0).any(|error| error.is::<ScopeKind>())
    }

    /// Returns whether the error, or one of its causes, comes from [`aborted`](Self::aborted).
    pub fn is_aborted(&self) -> bool {
        causes(&*self.0).any(|error| error.is::<AbortCause>())
    }

    /// Returns whether the error, or one of its causes, says that the client is gone. This is a
    /// normal end and not a fault.
    pub fn is_disconnected(&self) -> bool {
        self.disconnect_reason().is_some()
    }

    /// Returns how the client left, if the error or one of its causes says that it is gone.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        // A `SendError` of this kind has a `DisconnectReason` as its source.
        causes(&*self.0).find_map(|error| error.downcast_ref().copied())
    }

    /// Returns the inner error.
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Converts this into the inner error.
    pub fn into_error(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }

    /// Returns the error and its causes for display on one line, such as
    /// `could not read: no such file`.
    pub fn chain(&self) -> impl fmt::Display + Send + Sync + '_ {
        ErrorChain(&*self.0)
    }
}

/// Returns an error and its causes.
///
/// `io::Error::source` skips the error that the `io::Error` was made from, so this asks for it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for AppError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

struct ErrorChain<'a>(&'a (dyn Error + Send + Sync + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut causes = std::iter::successors(self.0.source(), |&error| error.source());
        causes.try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// An error that a server must recognise.
///
/// Some wrappers of errors hide the type of the error, but not its source. So the source has a type
/// that nothing else has.
#[derive(Debug)]
struct Marked<M> {
    text: &'static str,
    marker: M,
}

impl<M> fmt::Display for Marked<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl<M: Error + 'static> Error for Marked<M> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.marker)
    }
}

/// The kind of a scope that an app does not serve.
#[derive(Debug)]
struct ScopeKind(Cow<'static, str>);

impl Error for ScopeKind {}

/// Why an app breaks its exchange off.
#[derive(Debug)]
struct AbortCause(Option<Box<dyn Error + Send + Sync>>);

impl fmt::Display for AbortCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app breaks off its exchange")
    }
}

impl Error for AbortCause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|cause| cause as _)
    }
}

/// The reason why the server did not take an event.
///
/// Use the `is_*` methods to find out which one it is. The text is for people and may change.
///
/// Spec: core §4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError(SendErrorKind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum SendErrorKind {
    Disconnected(DisconnectReason),
    Misuse {
        got: Cow<'static, str>,
        expected: Cow<'static, str>,
    },
    Refused(Cow<'static, str>),
    Over,
}

impl SendError {
    /// Creates the error for an event that cannot reach the client, because the client is gone.
    pub fn disconnected(reason: DisconnectReason) -> Self {
        Self(SendErrorKind::Disconnected(reason))
    }

    /// Creates the error for an event that breaks the rules of the exchange.
    ///
    /// `got` is what the app sent, and `expected` is what the rules allow instead.
    pub fn misuse(
        got: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (got, expected) = (got.into(), expected.into());
        Self(SendErrorKind::Misuse { got, expected })
    }

    /// Creates the error for an event that the rules allow, but that this connection cannot do, or
    /// cannot do now. The exchange continues.
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(SendErrorKind::Refused(reason.into()))
    }

    /// Creates the error for an event that comes after the app has returned.
    pub fn over() -> Self {
        Self(SendErrorKind::Over)
    }

    /// Returns whether the client is gone. An app can return this error with `?`.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.0, SendErrorKind::Disconnected(_))
    }

    /// Returns whether the app broke the rules. This is a bug in the app.
    pub fn is_misuse(&self) -> bool {
        matches!(self.0, SendErrorKind::Misuse { .. })
    }

    /// Returns whether this connection cannot do what the event asks for. The app can continue
    /// without it.
    pub fn is_refused(&self) -> bool {
        matches!(self.0, SendErrorKind::Refused(_))
    }

    /// Returns whether the app has already returned.
    pub fn is_over(&self) -> bool {
        matches!(self.0, SendErrorKind::Over)
    }

    /// Returns what the app sent and what was expected, if this is misuse.
    pub fn as_misuse(&self) -> Option<(&str, &str)> {
        match &self.0 {
            SendErrorKind::Misuse { got, expected } => Some((got, expected)),
            _ => None,
        }
    }

    /// Returns the reason of a refusal, if this is one.
    pub fn as_refused(&self) -> Option<&str> {
        match &self.0 {
            SendErrorKind::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Returns how the client left, if this error says that it is gone.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match self.0 {
            SendErrorKind::Disconnected(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SendErrorKind::Disconnected(_) => f.write_str("the client is gone"),
            SendErrorKind::Misuse { got, expected } => {
                write!(f, "the app sent {got}, expected {expected}")
            }
            SendErrorKind::Refused(reason) => write!(f, "refused: {reason}"),
            SendErrorKind::Over => f.write_str("the app has returned, its exchange is over"),
        }
    }
}

impl Error for SendError {
    /// Returns the [`DisconnectReason`] if the client is gone.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            SendErrorKind::Disconnected(reason) => Some(reason),
            _ => None,
        }
    }
}

forward_fmt!(AppError: Debug Display);
forward_fmt!(ScopeKind: Display);

/// The error of [`Receiver::body`](crate::Receiver::body).
///
/// Spec: http §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError(pub(crate) BodyErrorKind);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyErrorKind {
    TooLarge { limit: usize },
    Disconnected(SendError),
    AlreadyRead,
    NotHttp,
}

impl BodyError {
    /// Returns whether the body is larger than the limit. The usual response is 413.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, BodyErrorKind::TooLarge { .. })
    }

    /// Returns whether the client left before it had sent the whole body.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.0, BodyErrorKind::Disconnected(_))
    }

    /// Returns whether this receiver has already returned the last part of the body. See
    /// [`Receiver::with_body`](crate::Receiver::with_body).
    pub fn is_already_read(&self) -> bool {
        matches!(self.0, BodyErrorKind::AlreadyRead)
    }

    /// Returns whether the scope is no HTTP request, so that there is no body.
    pub fn is_not_http(&self) -> bool {
        matches!(self.0, BodyErrorKind::NotHttp)
    }

    /// Returns the limit, if the body is larger than that.
    pub fn limit(&self) -> Option<usize> {
        match self.0 {
            BodyErrorKind::TooLarge { limit } => Some(limit),
            _ => None,
        }
    }

    /// Returns how the client left, if it left before it had sent the whole body.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match &self.0 {
            BodyErrorKind::Disconnected(error) => error.disconnect_reason(),
            _ => None,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BodyErrorKind::TooLarge { limit } => {
                write!(f, "the request body is larger than {limit} bytes")
            }
            BodyErrorKind::Disconnected(_) => f.write_str("the request body is incomplete"),
            BodyErrorKind::AlreadyRead => f.write_str("the request body has already been read"),
            BodyErrorKind::NotHttp => f.write_str("only an HTTP request has a body"),
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            BodyErrorKind::Disconnected(error) => Some(error),
            _ => None,
        }
    }
}
