//! The halves that an app in a library gets: they call the host's.

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::task::{Context, Poll};

use asgi::{
    DisconnectReason, HttpDisconnect, HttpRequest, LifespanShutdown, LifespanStartup, Message,
    ReceiveEvent, ReceiveHalf, SendError, SendEvent, SendHalf, Text, WebSocketConnect,
    WebSocketDisconnect, WebSocketReceive,
};
use bytes::Bytes;
use http::header;

use super::runtime::Application;
use super::task::half_waits;
use crate::abi::{self, Buffer, Str};
use crate::{headers, waker};

/// How many polls in a row may be ready before one yields.
///
/// A future that the host polls knows no cooperative budget of the library's tokio: an app that
/// echoes to a client as fast as itself would keep the thread for ever. Tokio's own budget is 128.
const POLLS_BEFORE_YIELD: u32 = 128;

/// Counts ready polls, over the whole life of a half: that is simpler than to learn where a poll
/// of the app begins, and costs one more turn in 128 at most.
#[derive(Default)]
struct Budget(u32);

impl Budget {
    /// Whether this poll has to yield; the waker is woken then.
    fn is_spent(&mut self, cx: &Context<'_>) -> bool {
        let spent = self.0 >= POLLS_BEFORE_YIELD;
        if spent {
            self.0 = 0;
            half_waits();
            cx.waker().wake_by_ref();
        }
        spent
    }

    fn spend(&mut self) {
        self.0 += 1;
    }
}

/// The host's half panicked: so does the app's call, as it would without a boundary. The hook of
/// the host has printed it, hence no second one here.
fn panic_of_the_host() -> ! {
    std::panic::resume_unwind(Box::new("the server's half panicked"))
}

/// What a WebSocket's disconnect says where there was no close frame (RFC 6455 §7.4.1).
const NO_CLOSE_FRAME: u16 = 1006;

/// Calls the host's half for receiving.
pub(super) struct LibraryReceive {
    host: &'static abi::Host,
    handle: abi::Receive,
    budget: Budget,
}

// SAFETY: the host promises that a handle may be used on any thread, by one at a time; `&mut self`
// in every method sees to the latter.
unsafe impl Send for LibraryReceive {}

impl LibraryReceive {
    /// # Safety
    ///
    /// `handle` must be a half of `host` that is given away to the library.
    pub(super) unsafe fn new(host: &'static abi::Host, handle: abi::Receive) -> Self {
        Self {
            host,
            handle,
            budget: Budget::default(),
        }
    }
}

impl Drop for LibraryReceive {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and given back once.
        unsafe { (self.host.receive_drop)(&raw mut self.handle) }
    }
}

impl ReceiveHalf for LibraryReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        if self.budget.is_spent(cx) {
            return Poll::Pending;
        }
        let mut event = abi::ReceiveEvent::EMPTY;
        // SAFETY: the handle is ours, the waker is lent for the call, `event` is valid for a write.
        let code = waker::lend(cx.waker(), |waker| unsafe {
            (self.host.receive_poll)(&raw mut self.handle, waker, &raw mut event)
        });
        match code {
            abi::PENDING => {
                half_waits();
                Poll::Pending
            }
            abi::READY => {
                self.budget.spend();
                // SAFETY: the host filled it in; its headers are valid until the next call.
                Poll::Ready(unsafe { receive_event(event) })
            }
            _ => panic_of_the_host(),
        }
    }
}

/// # Safety
///
/// The event's headers must be valid.
unsafe fn receive_event(mut event: abi::ReceiveEvent) -> ReceiveEvent {
    let body = std::mem::replace(&mut event.body, Buffer::EMPTY);
    match event.kind {
        abi::RECEIVE_HTTP_REQUEST => {
            let more = event.flags & abi::FLAG_MORE != 0;
            let mut request = HttpRequest::new(Bytes::from(body), more);
            if event.flags & abi::FLAG_TRAILERS != 0 {
                // SAFETY: the caller's promise. Trailers that are malformed are none.
                let trailers = unsafe { headers::rebuild(event.headers, event.n_headers) };
                request.trailers = trailers.ok().map(Box::new);
            }
            request.into()
        }
        abi::RECEIVE_WEBSOCKET_CONNECT => WebSocketConnect::new().into(),
        abi::RECEIVE_WEBSOCKET_RECEIVE => {
            let body = Bytes::from(body);
            if event.flags & abi::FLAG_TEXT == 0 {
                return WebSocketReceive::new(Message::Binary(body)).into();
            }
            match Text::try_from(body) {
                Ok(text) => WebSocketReceive::new(Message::Text(text)).into(),
                // A server tells text from what is none; this one did not (RFC 6455 §7.4.1).
                Err(_) => WebSocketDisconnect::new(1007, "").into(),
            }
        }
        abi::RECEIVE_WEBSOCKET_DISCONNECT => {
            let code = u16::try_from(event.disconnect.code).unwrap_or(NO_CLOSE_FRAME);
            let reason = String::from_utf8_lossy(body.as_slice());
            WebSocketDisconnect::new(code, reason).into()
        }
        abi::RECEIVE_LIFESPAN_STARTUP => LifespanStartup::new().into(),
        abi::RECEIVE_LIFESPAN_SHUTDOWN => LifespanShutdown::new().into(),
        abi::RECEIVE_HTTP_DISCONNECT => HttpDisconnect::new(event.disconnect.into()).into(),
        // No host of this version sends another; an end is the safe way to read one.
        _ => HttpDisconnect::new(DisconnectReason::Lost).into(),
    }
}

/// Calls the host's half for sending.
pub(super) struct LibrarySend {
    application: &'static Application,
    handle: abi::Send,
    budget: Budget,
}

// SAFETY: as for `LibraryReceive`.
unsafe impl Send for LibrarySend {}

impl LibrarySend {
    /// # Safety
    ///
    /// `handle` must be a half of the application's host that is given away to the library.
    pub(super) unsafe fn new(application: &'static Application, handle: abi::Send) -> Self {
        Self {
            application,
            handle,
            budget: Budget::default(),
        }
    }

    /// Passes one event on.
    fn start(&mut self, mut event: abi::SendEvent) -> Result<(), SendError> {
        let mut error = MaybeUninit::uninit();
        // SAFETY: the handle is ours, what the event lends lives until the end of the caller, and
        // `error` is valid for a write.
        let code = unsafe {
            let host = self.application.host;
            (host.send_start)(&raw mut self.handle, &raw mut event, error.as_mut_ptr())
        };
        // The host has taken the body, whatever it answers; nothing else is to be dropped.
        std::mem::forget(event);
        match code {
            abi::READY => Ok(()),
            // SAFETY: the host has written the error, as its answer says.
            abi::FAILED => Err(send_error(unsafe { error.assume_init() })),
            _ => panic_of_the_host(),
        }
    }
}

impl LibrarySend {
    fn send_message(&mut self, message: Message) -> Result<(), SendError> {
        let (flags, body) = match message {
            Message::Text(text) => (abi::FLAG_TEXT, text.into_bytes()),
            Message::Binary(data) => (0, data),
            other => return Err(SendError::refused(format!("{other:?} cannot cross"))),
        };
        self.start(abi::SendEvent {
            flags,
            body: body.into(),
            ..abi::SendEvent::new(abi::SEND_WEBSOCKET_SEND)
        })
    }
}

impl Drop for LibrarySend {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and given back once.
        unsafe { (self.application.host.send_drop)(&raw mut self.handle) }
    }
}

impl SendHalf for LibrarySend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.budget.is_spent(cx) {
            return Poll::Pending;
        }
        let mut error = MaybeUninit::uninit();
        // SAFETY: the handle is ours, the waker is lent for the call, `error` is valid for a write.
        let code = waker::lend(cx.waker(), |waker| unsafe {
            (self.application.host.send_poll_ready)(&raw mut self.handle, waker, error.as_mut_ptr())
        });
        match code {
            abi::PENDING => {
                half_waits();
                return Poll::Pending;
            }
            abi::READY => self.budget.spend(),
            // SAFETY: the host has written the error, as its answer says.
            abi::FAILED => return Poll::Ready(Err(send_error(unsafe { error.assume_init() }))),
            _ => panic_of_the_host(),
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        match event {
            SendEvent::HttpResponseStart(start) => {
                let sent = headers::with_lent(&start.headers, |headers| {
                    self.start(abi::SendEvent {
                        status: start.status.as_u16().into(),
                        flags: flag(start.trailers, abi::FLAG_TRAILERS),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_START)
                    })
                });
                headers::recycle(start.headers);
                sent
            }
            SendEvent::HttpResponseBody(body) => self.start(abi::SendEvent {
                flags: flag(body.more_body, abi::FLAG_MORE),
                body: body.body.into(),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_BODY)
            }),
            SendEvent::HttpResponseTrailers(trailers) => {
                headers::with_lent(&trailers.headers, |headers| {
                    self.start(abi::SendEvent {
                        flags: flag(trailers.more_trailers, abi::FLAG_MORE),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_TRAILERS)
                    })
                })
            }
            SendEvent::HttpResponsePush(push) => headers::with_lent(&push.headers, |headers| {
                self.start(abi::SendEvent {
                    text: Str::new(push.path.as_str()),
                    headers: headers.as_ptr(),
                    n_headers: headers.len(),
                    ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_PUSH)
                })
            }),
            SendEvent::HttpResponseEarlyHint(hint) => {
                let links = hint.links.iter();
                let links: Vec<_> = links
                    .map(|link| headers::lend_field(&header::LINK, link))
                    .collect();
                self.start(abi::SendEvent {
                    headers: links.as_ptr(),
                    n_headers: links.len(),
                    ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_EARLY_HINT)
                })
            }
            SendEvent::HttpResponsePathSend(send) => self.start(abi::SendEvent {
                text: Str::from_bytes(send.path.as_os_str().as_bytes()),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_PATH_SEND)
            }),
            SendEvent::HttpResponseZeroCopySend(send) => self.start(abi::SendEvent {
                flags: flag(send.offset.is_some(), abi::FLAG_OFFSET)
                    | flag(send.count.is_some(), abi::FLAG_COUNT)
                    | flag(send.more_body, abi::FLAG_MORE),
                // Open until the call is over: `send` holds it.
                file: send.file.as_raw_fd(),
                offset: send.offset.unwrap_or(0),
                count: send.count.unwrap_or(0),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_ZERO_COPY_SEND)
            }),
            SendEvent::WebSocketAccept(accept) => headers::with_lent(&accept.headers, |headers| {
                self.start(abi::SendEvent {
                    text: accept.subprotocol.as_deref().map_or(Str::NULL, Str::new),
                    headers: headers.as_ptr(),
                    n_headers: headers.len(),
                    ..abi::SendEvent::new(abi::SEND_WEBSOCKET_ACCEPT)
                })
            }),
            SendEvent::WebSocketSend(send) => self.send_message(send.message),
            SendEvent::WebSocketClose(close) => self.start(abi::SendEvent {
                status: close.code.into(),
                text: Str::new(&close.reason),
                ..abi::SendEvent::new(abi::SEND_WEBSOCKET_CLOSE)
            }),
            SendEvent::WebSocketHttpResponseStart(start) => {
                headers::with_lent(&start.headers, |headers| {
                    self.start(abi::SendEvent {
                        status: start.status.as_u16().into(),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_WEBSOCKET_HTTP_RESPONSE_START)
                    })
                })
            }
            SendEvent::WebSocketHttpResponseBody(body) => self.start(abi::SendEvent {
                flags: flag(body.more_body, abi::FLAG_MORE),
                body: body.body.into(),
                ..abi::SendEvent::new(abi::SEND_WEBSOCKET_HTTP_RESPONSE_BODY)
            }),
            SendEvent::LifespanStartupComplete(complete) => {
                // Before the host learns of it: it may call with the next scope at once.
                let before = self.application.set_state(complete.state);
                self.start(abi::SendEvent::new(abi::SEND_LIFESPAN_STARTUP_COMPLETE))
                    .inspect_err(|_| {
                        self.application.set_state(before);
                    })
            }
            SendEvent::LifespanStartupFailed(failed) => self.start(abi::SendEvent {
                text: Str::new(&failed.message),
                ..abi::SendEvent::new(abi::SEND_LIFESPAN_STARTUP_FAILED)
            }),
            SendEvent::LifespanShutdownComplete(_) => {
                self.start(abi::SendEvent::new(abi::SEND_LIFESPAN_SHUTDOWN_COMPLETE))
            }
            SendEvent::LifespanShutdownFailed(failed) => self.start(abi::SendEvent {
                text: Str::new(&failed.message),
                ..abi::SendEvent::new(abi::SEND_LIFESPAN_SHUTDOWN_FAILED)
            }),
            // `debug` holds Rust values, which stay where they were made; no scope offers it here.
            other => Err(SendError::refused(format!(
                "{} cannot leave a compiled app",
                other.name()
            ))),
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut disconnect = abi::Disconnect::NONE;
        // SAFETY: the handle is ours, the waker is lent for the call, `disconnect` is valid for a
        // write.
        let code = waker::lend(cx.waker(), |waker| unsafe {
            (self.application.host.send_poll_closed)(
                &raw mut self.handle,
                waker,
                &raw mut disconnect,
            )
        });
        match code {
            abi::PENDING => {
                half_waits();
                Poll::Pending
            }
            abi::READY => Poll::Ready(disconnect.into()),
            _ => panic_of_the_host(),
        }
    }
}

const fn flag(set: bool, flag: u32) -> u32 {
    if set { flag } else { 0 }
}

fn send_error(error: abi::SendError) -> SendError {
    let text = |buffer: &Buffer| String::from_utf8_lossy(buffer.as_slice()).into_owned();
    match error.kind {
        abi::SEND_ERROR_DISCONNECTED => SendError::disconnected(error.disconnect.into()),
        abi::SEND_ERROR_MISUSE => SendError::misuse(text(&error.text), text(&error.expected)),
        abi::SEND_ERROR_REFUSED => SendError::refused(text(&error.text)),
        _ => SendError::over(),
    }
}
