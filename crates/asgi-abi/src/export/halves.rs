//! The library's side of the two halves: `Receiver` and `Sender` of the app call the host's halves.

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use asgi::{
    Closed, DisconnectReason, HttpDisconnect, HttpRequest, LifespanShutdown, LifespanStartup,
    Message, ReceiveEvent, ReceiveHalf, SendError, SendEvent, SendHalf, Text, WebSocketConnect,
    WebSocketDisconnect, WebSocketReceive,
};
use bytes::Bytes;
use http::header;

use super::own_runtime::set_sent_start;
use super::runtime::Application;
use super::task::set_half_pending;
use crate::abi::{self, Buffer, Str};
use crate::{headers, waker};

/// How many polls of a half may be ready until one yields.
///
/// The cooperative budget of the library's tokio has no effect in a future that the host polls. An
/// app that echoes to a fast client would occupy the thread forever. Tokio's own budget is also 128.
const POLLS_BEFORE_YIELD: u32 = 128;

/// Counts the ready polls of a half. It counts across polls of the app, because a half does not know
/// where they begin. This costs at most one extra poll in 128.
#[derive(Default)]
pub(super) struct YieldBudget(u32);

impl YieldBudget {
    /// Whether this poll must yield. If so, this also wakes the waker.
    pub(super) fn must_yield(&mut self, cx: &Context<'_>) -> bool {
        let must_yield = self.0 >= POLLS_BEFORE_YIELD;
        if must_yield {
            self.0 = 0;
            set_half_pending();
            cx.waker().wake_by_ref();
        }
        must_yield
    }

    pub(super) fn count_ready(&mut self) {
        self.0 += 1;
    }
}

/// Continues a panic of the host's half in the app's call, as without a boundary. The host's panic
/// hook has already run, so `resume_unwind` does not call the library's.
pub(super) fn host_panicked() -> ! {
    std::panic::resume_unwind(Box::new("the server's half panicked"))
}

/// The code of a WebSocket's disconnect without a close frame (RFC 6455 §7.4.1).
const NO_CLOSE_FRAME: u16 = 1006;

/// The app's half for receiving; it calls the host's.
pub(super) struct LibraryReceive {
    host: &'static abi::Host,
    handle: abi::Receive,
    budget: YieldBudget,
}

// SAFETY: the host promises that any thread may use a handle, one at a time. Every method takes
// `&mut self`, so there is one user at a time.
unsafe impl Send for LibraryReceive {}

impl LibraryReceive {
    /// # Safety
    ///
    /// `handle` must be a half of `host`, and the library must own it.
    pub(super) unsafe fn new(host: &'static abi::Host, handle: abi::Receive) -> Self {
        Self {
            host,
            handle,
            budget: YieldBudget::default(),
        }
    }
}

impl Drop for LibraryReceive {
    fn drop(&mut self) {
        // SAFETY: we own the handle, and `drop` runs once.
        unsafe { (self.host.receive_drop)(&raw mut self.handle) }
    }
}

impl ReceiveHalf for LibraryReceive {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<ReceiveEvent> {
        if self.budget.must_yield(cx) {
            return Poll::Pending;
        }
        let mut event = abi::ReceiveEvent::EMPTY;
        // SAFETY: we own the handle, the waker is valid during the call, and `event` is a local
        // variable that the host may write to.
        let code = waker::with_abi_waker(cx.waker(), |waker| unsafe {
            (self.host.receive_poll)(&raw mut self.handle, waker, &raw mut event)
        });
        match code {
            abi::PENDING => {
                set_half_pending();
                Poll::Pending
            }
            abi::READY => {
                self.budget.count_ready();
                // SAFETY: the host returned READY, so it has written the event. The headers are
                // valid until the next call with this handle.
                Poll::Ready(unsafe { event_from_abi(event) })
            }
            _ => host_panicked(),
        }
    }
}

/// # Safety
///
/// The headers of the event must be valid.
unsafe fn event_from_abi(mut event: abi::ReceiveEvent) -> ReceiveEvent {
    let body = std::mem::replace(&mut event.body, Buffer::EMPTY);
    match event.kind {
        abi::RECEIVE_HTTP_REQUEST => {
            let more = event.flags & abi::FLAG_MORE != 0;
            let mut request = HttpRequest::new(Bytes::from(body), more);
            if event.flags & abi::FLAG_TRAILERS != 0 {
                // Malformed trailers are ignored.
                // SAFETY: the caller promises that the headers are valid.
                let trailers = unsafe { headers::from_abi(event.headers, event.n_headers) };
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
                // A server must check that a text is UTF-8; this one did not. 1007 is the code for
                // it (RFC 6455 §7.4.1).
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
        // A host of this version sends no other event. The safe reading is that the exchange ended.
        _ => HttpDisconnect::new(DisconnectReason::Lost).into(),
    }
}

/// The app's half for sending; it calls the host's.
pub(super) struct LibrarySend {
    pub(super) application: &'static Application,
    pub(super) handle: abi::Send,
    pub(super) budget: YieldBudget,
}

// SAFETY: as for `LibraryReceive`.
unsafe impl Send for LibrarySend {}

impl LibrarySend {
    /// # Safety
    ///
    /// `handle` must be a half of the application's host, and the library must own it.
    pub(super) unsafe fn new(application: &'static Application, handle: abi::Send) -> Self {
        Self {
            application,
            handle,
            budget: YieldBudget::default(),
        }
    }

    /// Passes one event to the host.
    fn send_to_host(&mut self, mut event: abi::SendEvent) -> Result<(), SendError> {
        let mut error = MaybeUninit::uninit();
        // SAFETY: we own the handle. The caller owns the data that the event borrows, and keeps it
        // until this function returns. `error` is a local variable that the host may write to.
        let code = unsafe {
            let host = self.application.host;
            (host.send_start)(&raw mut self.handle, &raw mut event, error.as_mut_ptr())
        };
        // The host owns the body now, whatever it returned. Nothing else needs a drop.
        std::mem::forget(event);
        match code {
            abi::READY => Ok(()),
            // SAFETY: the host returned FAILED, so it has written the error.
            abi::FAILED => Err(error_from_abi(unsafe { error.assume_init() })),
            _ => host_panicked(),
        }
    }

    fn send_message(&mut self, message: Message) -> Result<(), SendError> {
        let (flags, body) = match message {
            Message::Text(text) => (abi::FLAG_TEXT, text.into_bytes()),
            Message::Binary(data) => (0, data),
            other => {
                return Err(SendError::refused(format!(
                    "{other:?} cannot leave a compiled app"
                )));
            }
        };
        self.send_to_host(abi::SendEvent {
            flags,
            body: body.into(),
            ..abi::SendEvent::new(abi::SEND_WEBSOCKET_SEND)
        })
    }
}

impl Drop for LibrarySend {
    fn drop(&mut self) {
        // SAFETY: we own the handle, and `drop` runs once.
        unsafe { (self.application.host.send_drop)(&raw mut self.handle) }
    }
}

/// A handle that waits for the end of an exchange; it calls the host's.
struct LibraryClosed {
    host: &'static abi::Host,
    handle: abi::Closed,
}

// SAFETY: as for `LibraryReceive`.
unsafe impl Send for LibraryClosed {}

impl Future for LibraryClosed {
    type Output = DisconnectReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut disconnect = abi::Disconnect::NONE;
        // SAFETY: we own the handle, the waker is valid during the call, and `disconnect` is a local
        // variable that the host may write to.
        let code = waker::with_abi_waker(cx.waker(), |waker| unsafe {
            (self.host.closed_poll)(&raw mut self.handle, waker, &raw mut disconnect)
        });
        closed_from_abi(code, disconnect)
    }
}

impl Drop for LibraryClosed {
    fn drop(&mut self) {
        // SAFETY: we own the handle, and `drop` runs once.
        unsafe { (self.host.closed_drop)(&raw mut self.handle) }
    }
}

/// The result of a poll for the end of an exchange.
fn closed_from_abi(code: u32, disconnect: abi::Disconnect) -> Poll<DisconnectReason> {
    match code {
        abi::PENDING => {
            set_half_pending();
            Poll::Pending
        }
        abi::READY => Poll::Ready(disconnect.into()),
        _ => host_panicked(),
    }
}

impl SendHalf for LibrarySend {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.budget.must_yield(cx) {
            return Poll::Pending;
        }
        let mut error = MaybeUninit::uninit();
        // SAFETY: we own the handle, the waker is valid during the call, and `error` is a local
        // variable that the host may write to.
        let code = waker::with_abi_waker(cx.waker(), |waker| unsafe {
            (self.application.host.send_poll_ready)(&raw mut self.handle, waker, error.as_mut_ptr())
        });
        match code {
            abi::PENDING => {
                set_half_pending();
                return Poll::Pending;
            }
            abi::READY => self.budget.count_ready(),
            // SAFETY: the host returned FAILED, so it has written the error.
            abi::FAILED => return Poll::Ready(Err(error_from_abi(unsafe { error.assume_init() }))),
            _ => host_panicked(),
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(&mut self, event: SendEvent) -> Result<(), SendError> {
        match event {
            SendEvent::HttpResponseStart(start) => {
                let result = headers::with_abi_headers(&start.headers, |headers| {
                    self.send_to_host(abi::SendEvent {
                        status: start.status.as_u16().into(),
                        flags: flag(start.trailers, abi::FLAG_TRAILERS),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_START)
                    })
                });
                headers::recycle(start.headers);
                set_sent_start(true);
                result
            }
            SendEvent::HttpResponseBody(body) => self.send_to_host(abi::SendEvent {
                flags: flag(body.more_body, abi::FLAG_MORE),
                body: body.body.into(),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_BODY)
            }),
            SendEvent::HttpResponseTrailers(trailers) => {
                headers::with_abi_headers(&trailers.headers, |headers| {
                    self.send_to_host(abi::SendEvent {
                        flags: flag(trailers.more_trailers, abi::FLAG_MORE),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_TRAILERS)
                    })
                })
            }
            SendEvent::HttpResponsePush(push) => {
                headers::with_abi_headers(&push.headers, |headers| {
                    self.send_to_host(abi::SendEvent {
                        text: Str::new(push.path.as_str()),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_PUSH)
                    })
                })
            }
            SendEvent::HttpResponseEarlyHint(hint) => {
                let links = hint.links.iter();
                let links: Vec<_> = links
                    .map(|link| headers::header_to_abi(&header::LINK, link))
                    .collect();
                self.send_to_host(abi::SendEvent {
                    headers: links.as_ptr(),
                    n_headers: links.len(),
                    ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_EARLY_HINT)
                })
            }
            SendEvent::HttpResponsePathSend(send) => self.send_to_host(abi::SendEvent {
                text: Str::from_bytes(send.path.as_os_str().as_bytes()),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_PATH_SEND)
            }),
            SendEvent::HttpResponseZeroCopySend(send) => self.send_to_host(abi::SendEvent {
                flags: flag(send.offset.is_some(), abi::FLAG_OFFSET)
                    | flag(send.count.is_some(), abi::FLAG_COUNT)
                    | flag(send.more_body, abi::FLAG_MORE),
                // `send` keeps the file open until the call returns.
                file: send.file.as_raw_fd(),
                offset: send.offset.unwrap_or(0),
                count: send.count.unwrap_or(0),
                ..abi::SendEvent::new(abi::SEND_HTTP_RESPONSE_ZERO_COPY_SEND)
            }),
            SendEvent::WebSocketAccept(accept) => {
                headers::with_abi_headers(&accept.headers, |headers| {
                    self.send_to_host(abi::SendEvent {
                        text: accept.subprotocol.as_deref().map_or(Str::NULL, Str::new),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_WEBSOCKET_ACCEPT)
                    })
                })
            }
            SendEvent::WebSocketSend(send) => self.send_message(send.message),
            SendEvent::WebSocketClose(close) => self.send_to_host(abi::SendEvent {
                status: close.code.into(),
                text: Str::new(&close.reason),
                ..abi::SendEvent::new(abi::SEND_WEBSOCKET_CLOSE)
            }),
            SendEvent::WebSocketHttpResponseStart(start) => {
                headers::with_abi_headers(&start.headers, |headers| {
                    self.send_to_host(abi::SendEvent {
                        status: start.status.as_u16().into(),
                        headers: headers.as_ptr(),
                        n_headers: headers.len(),
                        ..abi::SendEvent::new(abi::SEND_WEBSOCKET_HTTP_RESPONSE_START)
                    })
                })
            }
            SendEvent::WebSocketHttpResponseBody(body) => self.send_to_host(abi::SendEvent {
                flags: flag(body.more_body, abi::FLAG_MORE),
                body: body.body.into(),
                ..abi::SendEvent::new(abi::SEND_WEBSOCKET_HTTP_RESPONSE_BODY)
            }),
            SendEvent::LifespanStartupComplete(complete) => {
                // Before the host gets the event: after it, the host may call with the next scope
                // at once.
                let old_state = self.application.set_state(complete.state);
                self.send_to_host(abi::SendEvent::new(abi::SEND_LIFESPAN_STARTUP_COMPLETE))
                    .inspect_err(|_| {
                        self.application.set_state(old_state);
                    })
            }
            SendEvent::LifespanStartupFailed(failed) => self.send_to_host(abi::SendEvent {
                text: Str::new(&failed.message),
                ..abi::SendEvent::new(abi::SEND_LIFESPAN_STARTUP_FAILED)
            }),
            SendEvent::LifespanShutdownComplete(_) => {
                self.send_to_host(abi::SendEvent::new(abi::SEND_LIFESPAN_SHUTDOWN_COMPLETE))
            }
            SendEvent::LifespanShutdownFailed(failed) => self.send_to_host(abi::SendEvent {
                text: Str::new(&failed.message),
                ..abi::SendEvent::new(abi::SEND_LIFESPAN_SHUTDOWN_FAILED)
            }),
            // `debug` has Rust values, which cannot cross. No scope of a library offers it.
            other => Err(SendError::refused(format!(
                "{} cannot leave a compiled app",
                other.name()
            ))),
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<DisconnectReason> {
        let mut disconnect = abi::Disconnect::NONE;
        // SAFETY: we own the handle, the waker is valid during the call, and `disconnect` is a
        // local variable that the host may write to.
        let code = waker::with_abi_waker(cx.waker(), |waker| unsafe {
            (self.application.host.send_poll_closed)(
                &raw mut self.handle,
                waker,
                &raw mut disconnect,
            )
        });
        closed_from_abi(code, disconnect)
    }

    fn closed_handle(&self) -> Closed {
        let host = self.application.host;
        let mut handle = MaybeUninit::uninit();
        // SAFETY: we own the half and do not change it during the call. `handle` is a local variable
        // that the host may write to.
        let code =
            unsafe { (host.send_closed_handle)(&raw const self.handle, handle.as_mut_ptr()) };
        if code != abi::READY {
            host_panicked();
        }
        Closed::new(LibraryClosed {
            host,
            // SAFETY: the host returned READY, so it has written the handle.
            handle: unsafe { handle.assume_init() },
        })
    }
}

pub(super) const fn flag(set: bool, flag: u32) -> u32 {
    if set { flag } else { 0 }
}

pub(super) fn error_from_abi(error: abi::SendError) -> SendError {
    let text = |buffer: &Buffer| String::from_utf8_lossy(buffer.as_slice()).into_owned();
    match error.kind {
        abi::SEND_ERROR_DISCONNECTED => SendError::disconnected(error.disconnect.into()),
        abi::SEND_ERROR_MISUSE => SendError::misuse(text(&error.text), text(&error.expected)),
        abi::SEND_ERROR_REFUSED => SendError::refused(text(&error.text)),
        _ => SendError::over(),
    }
}
