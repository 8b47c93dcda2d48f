//! What can go wrong on an app's side of the interface, and whose fault it is.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::{DisconnectReason, Scope};

/// Why an app ended without having done its work.
///
/// Any error becomes one with `?`. It is deliberately no [`Error`] itself, as `anyhow::Error` is
/// not: that is what lets `?` take every error there is.
///
/// A server logs it once with its causes. It answers 500 while nothing of the response is on the
/// wire and breaks the response off after that. An app that ends because its client left is no
/// fault at all ([`is_disconnected`](Self::is_disconnected)).
///
/// Spec: core §5.
pub struct AppError(Box<dyn Error + Send + Sync>);

impl AppError {
    /// The app does not serve this kind of scope.
    pub fn unsupported(scope: &Scope) -> Self {
        Self::unsupported_kind(scope.kind())
    }

    /// [`unsupported`](Self::unsupported) where there is no scope at hand, only its kind.
    pub fn unsupported_kind(kind: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Unsupported(kind.into())))
    }

    /// Whether this came from [`unsupported`](Self::unsupported).
    pub fn is_unsupported(&self) -> bool {
        self.any_cause(|error| error.is::<Unsupported>())
    }

    /// Whether the cause is that the client left: an ordinary end, not a fault.
    pub fn is_disconnected(&self) -> bool {
        self.any_cause(|error| {
            error
                .downcast_ref::<SendError>()
                .is_some_and(SendError::is_disconnected)
        })
    }

    /// The error inside.
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// Takes the error out.
    pub fn into_error(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }

    /// The error and its causes on one line, as `could not read: no such file`.
    pub fn chain(&self) -> impl fmt::Display + '_ {
        Chain(&*self.0)
    }

    fn any_cause(&self, test: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*self.0);
        while let Some(error) = cause {
            if test(error) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for AppError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Unsupported(Cow<'static, str>);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this app does not serve a scope of kind {}", self.0)
    }
}

impl Error for Unsupported {}

/// Why an event was not taken.
///
/// Ask with the `is_*` methods; the text is for people and may change.
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
    /// The client is gone: nobody will see this event.
    pub fn disconnected(reason: DisconnectReason) -> Self {
        Self(SendErrorKind::Disconnected(reason))
    }

    /// The event breaks the rules of the exchange: what came, and what was expected.
    pub fn misuse(
        got: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(SendErrorKind::Misuse {
            got: got.into(),
            expected: expected.into(),
        })
    }

    /// The event is lawful, but this connection cannot do it, or not now; the exchange goes on.
    pub fn refused(why: impl Into<Cow<'static, str>>) -> Self {
        Self(SendErrorKind::Refused(why.into()))
    }

    /// The app had returned before this event came: its exchange is over.
    pub fn over() -> Self {
        Self(SendErrorKind::Over)
    }

    /// Whether the client is gone. An app may simply return; `?` is fine too.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.0, SendErrorKind::Disconnected(_))
    }

    /// Whether the app broke the rules: a bug of the app's.
    pub fn is_misuse(&self) -> bool {
        matches!(self.0, SendErrorKind::Misuse { .. })
    }

    /// Whether this connection could not do it. The app may go on without.
    pub fn is_refused(&self) -> bool {
        matches!(self.0, SendErrorKind::Refused(_))
    }

    /// Whether the half outlived its app.
    pub fn is_over(&self) -> bool {
        matches!(self.0, SendErrorKind::Over)
    }

    /// What came and what was expected, if it was misuse.
    pub fn as_misuse(&self) -> Option<(&str, &str)> {
        match &self.0 {
            SendErrorKind::Misuse { got, expected } => Some((got, expected)),
            _ => None,
        }
    }

    /// Why it was refused, if it was.
    pub fn as_refused(&self) -> Option<&str> {
        match &self.0 {
            SendErrorKind::Refused(why) => Some(why),
            _ => None,
        }
    }

    /// How the client left, if it did.
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
            SendErrorKind::Disconnected(reason) => write!(f, "the client is gone: {reason}"),
            SendErrorKind::Misuse { got, expected } => {
                write!(f, "the app sent {got}, expected {expected}")
            }
            SendErrorKind::Refused(why) => write!(f, "refused: {why}"),
            SendErrorKind::Over => f.write_str("the app has returned, its exchange is over"),
        }
    }
}

impl Error for SendError {}

/// Why [`Receiver::body`](crate::Receiver::body) has no body to give.
///
/// Spec: http §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError(BodyErrorKind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum BodyErrorKind {
    TooLarge { limit: usize },
    Disconnected(SendError),
}

impl BodyError {
    pub(crate) fn too_large(limit: usize) -> Self {
        Self(BodyErrorKind::TooLarge { limit })
    }

    pub(crate) fn disconnected(reason: DisconnectReason) -> Self {
        Self(BodyErrorKind::Disconnected(SendError::disconnected(reason)))
    }

    /// Whether the body is larger than the limit: the usual answer is 413.
    pub fn is_too_large(&self) -> bool {
        matches!(self.0, BodyErrorKind::TooLarge { .. })
    }

    /// Whether the client left before it had sent the whole body.
    pub fn is_disconnected(&self) -> bool {
        matches!(self.0, BodyErrorKind::Disconnected(_))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            BodyErrorKind::TooLarge { limit } => {
                write!(f, "the request body is larger than {limit} bytes")
            }
            BodyErrorKind::Disconnected(_) => f.write_str("the request body is incomplete"),
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            BodyErrorKind::TooLarge { .. } => None,
            BodyErrorKind::Disconnected(error) => Some(error),
        }
    }
}
