//! Responses over a protocol with many streams on one connection, whatever the protocol.
//!
//! A [`ResponseDriver`] polls one exchange and gives its parts to a [`ResponseStream`], as far as the
//! client lets it. `http2` implements that trait with h2's handles; HTTP/3 is meant to be its second
//! user, so nothing here knows frames, windows or the numbers of error codes.

mod driver;
mod stream;
mod watch;

pub(crate) use self::driver::ResponseDriver;
pub(crate) use self::stream::{ResetCause, ResponseStream, WebSocketStream};
pub(crate) use self::watch::StreamWatch;
