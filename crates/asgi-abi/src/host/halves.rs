//! The host functions for the two halves: a library receives and sends through them.
//!
//! A half crosses as a few words that the library owns, and its `drop` function frees it. If a half
//! panics, for example in a middleware, the function returns PANICKED. The library then continues
//! the panic in the app's call.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::task::{Context, Poll};

use asgi::{
    HttpResponseBody, HttpResponseEarlyHint, HttpResponsePathSend, HttpResponsePush,
    HttpResponseStart, HttpResponseTrailers, HttpResponseZeroCopySend, LifespanShutdownComplete,
    LifespanShutdownFailed, LifespanStartupComplete, LifespanStartupFailed, Message, ReceiveEvent,
    Receiver, SendError, SendEvent, Sender, Text, WebSocketAccept, WebSocketClose,
    WebSocketHttpResponseBody, WebSocketHttpResponseStart, WebSocketSend,
};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, StatusCode};

use crate::abi::{self, Buffer};
use crate::panic::catch;
use crate::{headers, inline_storage, waker};

/// A half for receiving, and the trailers that the library borrows.
struct HostReceive {
    receive: Receiver,
    trailers: Option<Box<Trailers>>,
}

/// Trailers, and the array of the ABI that borrows them.
struct Trailers {
    array: Vec<abi::Header>,
    _headers: HeaderMap,
}

// SAFETY: `array` points to the texts of `_headers`. This struct owns them and never changes them,
// so the pointers stay valid on any thread.
unsafe impl Send for Trailers {}

pub(super) fn receive_to_abi(receive: Receiver) -> abi::Receive {
    abi::Receive {
        store: inline_storage::put(HostReceive {
            receive,
            trailers: None,
        }),
    }
}

/// A half for sending.
pub(super) struct HostSend {
    pub(super) send: Sender,
    /// Whether there is room for one event: the last `send_poll_ready` has returned READY.
    has_room: bool,
}

pub(super) fn send_to_abi(send: Sender) -> abi::Send {
    abi::Send {
        store: inline_storage::put(HostSend {
            send,
            has_room: false,
        }),
    }
}

pub(super) unsafe extern "C" fn receive_poll(
    receive: *mut abi::Receive,
    waker: *const abi::Waker,
    event: *mut abi::ReceiveEvent,
) -> u32 {
    // SAFETY: the library passes a handle that `receive_to_abi` has made and that is not dropped. It
    // uses the handle on one thread at a time, so this reference is the only one.
    let half: &mut HostReceive = unsafe { inline_storage::get(&raw mut (*receive).store) };
    // SAFETY: the library's waker is valid during this call.
    let polled = catch(|| unsafe {
        waker::with_rust_waker(waker, |waker| {
            half.receive.poll_receive(&mut Context::from_waker(waker))
        })
    });
    match polled {
        Ok(Poll::Pending) => abi::PENDING,
        Ok(Poll::Ready(received)) => {
            let received = half.event_to_abi(received);
            // SAFETY: the library passes a valid output parameter.
            unsafe { event.write(received) };
            abi::READY
        }
        Err(_) => abi::PANICKED,
    }
}

pub(super) unsafe extern "C" fn receive_drop(receive: *mut abi::Receive) {
    // SAFETY: the library passes a handle that `receive_to_abi` has made, and drops it only once.
    let half: HostReceive = unsafe { inline_storage::take(&raw mut (*receive).store) };
    // The panic hook has reported a panic. The half is gone in both cases.
    let _ = catch(|| drop(half));
}

impl Trailers {
    fn new(headers: HeaderMap) -> Self {
        Self {
            // The texts of a `HeaderMap` are on the heap or static: the map may move.
            array: headers::to_abi(&headers),
            _headers: headers,
        }
    }
}

impl HostReceive {
    fn event_to_abi(&mut self, event: ReceiveEvent) -> abi::ReceiveEvent {
        let mut converted = abi::ReceiveEvent::EMPTY;
        match event {
            ReceiveEvent::HttpRequest(request) => {
                converted.kind = abi::RECEIVE_HTTP_REQUEST;
                if request.more_body {
                    converted.flags |= abi::FLAG_MORE;
                }
                converted.body = request.body.into();
                if let Some(trailers) = request.trailers {
                    converted.flags |= abi::FLAG_TRAILERS;
                    let trailers = self.trailers.insert(Box::new(Trailers::new(*trailers)));
                    converted.headers = trailers.array.as_ptr();
                    converted.n_headers = trailers.array.len();
                }
            }
            ReceiveEvent::HttpDisconnect(disconnect) => {
                converted.kind = abi::RECEIVE_HTTP_DISCONNECT;
                converted.disconnect = disconnect.reason.into();
            }
            ReceiveEvent::WebSocketConnect(_) => converted.kind = abi::RECEIVE_WEBSOCKET_CONNECT,
            ReceiveEvent::WebSocketReceive(receive) => {
                converted.kind = abi::RECEIVE_WEBSOCKET_RECEIVE;
                converted.body = match receive.message {
                    Message::Text(text) => {
                        converted.flags |= abi::FLAG_TEXT;
                        text.into_bytes().into()
                    }
                    Message::Binary(data) => data.into(),
                    // WebSocket has no other message type today.
                    other => Bytes::copy_from_slice(other.as_bytes()).into(),
                };
            }
            ReceiveEvent::WebSocketDisconnect(disconnect) => {
                converted.kind = abi::RECEIVE_WEBSOCKET_DISCONNECT;
                converted.disconnect.code = disconnect.code.into();
                converted.body = Bytes::from(disconnect.reason).into();
            }
            ReceiveEvent::LifespanStartup(_) => converted.kind = abi::RECEIVE_LIFESPAN_STARTUP,
            ReceiveEvent::LifespanShutdown(_) => converted.kind = abi::RECEIVE_LIFESPAN_SHUTDOWN,
            // An event of a newer version of `asgi`. Its scope cannot cross, so no half returns it.
            _ => {
                converted.kind = abi::RECEIVE_HTTP_DISCONNECT;
                converted.disconnect.reason = abi::DISCONNECT_LOST;
            }
        }
        converted
    }
}

/// # Safety
///
/// [`send_to_abi`] must have made `send`, it must not be dropped, and only this thread may use it
/// during `'a`.
pub(super) unsafe fn half<'a>(send: *mut abi::Send) -> &'a mut HostSend {
    // SAFETY: the caller promises that a `HostSend` is there and that nothing else uses it.
    unsafe { inline_storage::get(&raw mut (*send).store) }
}

pub(super) unsafe extern "C" fn send_poll_ready(
    send: *mut abi::Send,
    waker: *const abi::Waker,
    error: *mut abi::SendError,
) -> u32 {
    // SAFETY: the library keeps the rules for handles; its waker is valid during this call, and
    // `error` is a valid output parameter.
    let code = catch(|| unsafe {
        waker::with_rust_waker(waker, |waker| {
            let half = half(send);
            let polled = half.send.poll_ready(&mut Context::from_waker(waker));
            half.has_room = matches!(polled, Poll::Ready(Ok(())));
            match polled {
                Poll::Pending => abi::PENDING,
                Poll::Ready(ready) => write_result(ready, error),
            }
        })
    });
    code.unwrap_or(abi::PANICKED)
}

pub(super) unsafe extern "C" fn send_start(
    send: *mut abi::Send,
    event: *mut abi::SendEvent,
    error: *mut abi::SendError,
) -> u32 {
    // SAFETY: the library keeps the rules for handles. It passes the ownership of the body, so the
    // body is read only here. The rest of the event is valid during this call, and `error` is a
    // valid output parameter.
    let code = catch(|| unsafe {
        let body = (&raw const (*event).body).read();
        let half = half(send);
        let sent = match event_from_abi(&*event, body) {
            // Each READY is good for one event. (ABI-025)
            Ok(event) if !std::mem::take(&mut half.has_room) => Err(SendError::misuse(
                event.name(),
                "send_poll_ready first, once for each event",
            )),
            Ok(event) => half.send.start_send(event),
            Err(malformed) => Err(malformed),
        };
        write_result(sent, error)
    });
    code.unwrap_or(abi::PANICKED)
}

pub(super) unsafe extern "C" fn send_respond(
    send: *mut abi::Send,
    waker: *const abi::Waker,
    event: *mut abi::SendEvent,
    error: *mut abi::SendError,
) -> u32 {
    // SAFETY: the library keeps the rules for handles; its waker is valid during this call. The event
    // is valid during this call, and its body stays there unless it is taken. `error` is a valid
    // output parameter.
    let code = catch(|| unsafe {
        let half = half(send);
        let Ok(start) = start_from_abi(&*event) else {
            return abi::DECLINED; // `send_start` reports it
        };
        let body = Bytes::from(std::mem::replace(&mut (*event).body, Buffer::EMPTY));
        let mut response = Some((start, body));
        let polled = waker::with_rust_waker(waker, |waker| {
            half.send
                .poll_respond(&mut Context::from_waker(waker), &mut response)
        });
        if let Some((_, body)) = response {
            (*event).body = body.into();
            return match polled {
                Poll::Pending => abi::PENDING,
                Poll::Ready(_) => abi::DECLINED,
            };
        }
        match polled {
            Poll::Ready(taken) => write_result(taken, error),
            Poll::Pending => abi::PANICKED,
        }
    });
    code.unwrap_or(abi::PANICKED)
}

pub(super) unsafe extern "C" fn send_drop(send: *mut abi::Send) {
    // SAFETY: the library passes a handle that `send_to_abi` has made, and drops it only once.
    let half: HostSend = unsafe { inline_storage::take(&raw mut (*send).store) };
    // The panic hook has reported a panic. The half is gone in both cases.
    let _ = catch(|| drop(half));
}

/// Returns the code of a result, and writes its error.
///
/// # Safety
///
/// `error` must be valid for a write.
#[inline]
unsafe fn write_result(result: Result<(), SendError>, error: *mut abi::SendError) -> u32 {
    match result {
        Ok(()) => abi::READY,
        Err(failed) => {
            // SAFETY: the caller promises that `error` is valid for a write.
            unsafe { error.write(error_to_abi(&failed)) };
            abi::FAILED
        }
    }
}

#[cold]
fn error_to_abi(error: &SendError) -> abi::SendError {
    let mut converted = abi::SendError::EMPTY;
    if let Some(reason) = error.disconnect_reason() {
        converted.kind = abi::SEND_ERROR_DISCONNECTED;
        converted.disconnect = reason.into();
    } else if let Some((got, expected)) = error.as_misuse() {
        converted.kind = abi::SEND_ERROR_MISUSE;
        converted.text = Bytes::copy_from_slice(got.as_bytes()).into();
        converted.expected = Bytes::copy_from_slice(expected.as_bytes()).into();
    } else if let Some(why) = error.as_refused() {
        converted.kind = abi::SEND_ERROR_REFUSED;
        converted.text = Bytes::copy_from_slice(why.as_bytes()).into();
    } else {
        converted.kind = abi::SEND_ERROR_OVER;
    }
    converted
}

/// Duplicates a file descriptor of the app.
///
/// # Safety
///
/// `file` must be an open descriptor, or negative.
unsafe fn file(file: i32) -> Result<File, SendError> {
    if file < 0 {
        return Err(malformed("an invalid file descriptor"));
    }
    // SAFETY: the caller promises that it is open; the check above excludes -1.
    let borrowed = unsafe { BorrowedFd::borrow_raw(file) };
    match borrowed.try_clone_to_owned() {
        Ok(owned) => Ok(owned.into()),
        Err(error) => Err(SendError::refused(format!(
            "the server cannot duplicate the file descriptor: {error}"
        ))),
    }
}

fn malformed(got: &'static str) -> SendError {
    SendError::misuse(got, "a well-formed event")
}

fn message(flags: u32, body: Bytes) -> Result<Message, SendError> {
    if flags & abi::FLAG_TEXT == 0 {
        return Ok(Message::Binary(body));
    }
    let text = Text::try_from(body).map_err(|_| malformed("a text message that is not UTF-8"))?;
    Ok(Message::Text(text))
}

/// # Safety
///
/// All parts of the event must be valid.
unsafe fn headers_from_abi(event: &abi::SendEvent) -> Result<HeaderMap, SendError> {
    // SAFETY: the caller promises that the headers are valid.
    unsafe { headers::from_abi(event.headers, event.n_headers) }.map_err(malformed)
}

fn status_from_abi(event: &abi::SendEvent) -> Result<StatusCode, SendError> {
    let status = u16::try_from(event.status).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    status.ok_or_else(|| malformed("a status outside of 100 to 999"))
}

/// # Safety
///
/// All parts of the event must be valid.
unsafe fn start_from_abi(event: &abi::SendEvent) -> Result<HttpResponseStart, SendError> {
    let mut start = HttpResponseStart::new(status_from_abi(event)?);
    // SAFETY: the caller promises that the headers are valid.
    start.headers = unsafe { headers_from_abi(event) }?;
    start.trailers = event.flags & abi::FLAG_TRAILERS != 0;
    Ok(start)
}

/// Builds an event. Invalid data is an error of kind misuse: only apps that are not in Rust can send
/// it.
///
/// # Safety
///
/// All parts of the event must be valid.
unsafe fn event_from_abi(event: &abi::SendEvent, body: Buffer) -> Result<SendEvent, SendError> {
    let more = event.flags & abi::FLAG_MORE != 0;
    // SAFETY: the caller promises that the headers are valid.
    let headers = || unsafe { headers_from_abi(event) };
    // SAFETY: the caller promises that the text is valid.
    let text = || unsafe { event.text.to_text() }.into_owned();
    let status = || status_from_abi(event);
    Ok(match event.kind {
        // SAFETY: the caller promises that all parts of the event are valid.
        abi::SEND_HTTP_RESPONSE_START => unsafe { start_from_abi(event) }?.into(),
        abi::SEND_HTTP_RESPONSE_BODY => HttpResponseBody::new(Bytes::from(body), more).into(),
        abi::SEND_HTTP_RESPONSE_TRAILERS => {
            let mut trailers = HttpResponseTrailers::new(headers()?);
            trailers.more_trailers = more;
            trailers.into()
        }
        abi::SEND_HTTP_RESPONSE_PUSH => {
            let path = PathAndQuery::try_from(text())
                .map_err(|_| malformed("a push with an invalid path"))?;
            let mut push = HttpResponsePush::new(path);
            push.headers = headers()?;
            push.into()
        }
        abi::SEND_HTTP_RESPONSE_EARLY_HINT => {
            let links = headers()?;
            HttpResponseEarlyHint::new(links.into_iter().map(|(_, link)| link)).into()
        }
        abi::SEND_HTTP_RESPONSE_PATH_SEND => {
            // SAFETY: the caller promises that the text is valid.
            let path = OsStr::from_bytes(unsafe { event.text.as_bytes() });
            HttpResponsePathSend::new(path).into()
        }
        abi::SEND_HTTP_RESPONSE_ZERO_COPY_SEND => {
            // SAFETY: the app promises that the descriptor is open during this call.
            let mut send = HttpResponseZeroCopySend::new(unsafe { file(event.file) }?);
            send.offset = (event.flags & abi::FLAG_OFFSET != 0).then_some(event.offset);
            send.count = (event.flags & abi::FLAG_COUNT != 0).then_some(event.count);
            send.more_body = more;
            send.into()
        }
        abi::SEND_WEBSOCKET_ACCEPT => {
            let mut accept = WebSocketAccept::new();
            accept.subprotocol = (!event.text.ptr.is_null()).then(text);
            accept.headers = headers()?;
            accept.into()
        }
        abi::SEND_WEBSOCKET_SEND => {
            WebSocketSend::new(message(event.flags, Bytes::from(body))?).into()
        }
        abi::SEND_WEBSOCKET_CLOSE => {
            let code =
                u16::try_from(event.status).map_err(|_| malformed("a close code above 65535"))?;
            WebSocketClose::new(code).reason(text()).into()
        }
        abi::SEND_WEBSOCKET_HTTP_RESPONSE_START => {
            let mut start = WebSocketHttpResponseStart::new(status()?);
            start.headers = headers()?;
            start.into()
        }
        abi::SEND_WEBSOCKET_HTTP_RESPONSE_BODY => {
            WebSocketHttpResponseBody::new(Bytes::from(body), more).into()
        }
        // The state stays in the library.
        abi::SEND_LIFESPAN_STARTUP_COMPLETE => LifespanStartupComplete::new().into(),
        abi::SEND_LIFESPAN_STARTUP_FAILED => LifespanStartupFailed::new(text()).into(),
        abi::SEND_LIFESPAN_SHUTDOWN_COMPLETE => LifespanShutdownComplete::new().into(),
        abi::SEND_LIFESPAN_SHUTDOWN_FAILED => LifespanShutdownFailed::new(text()).into(),
        kind => {
            let got = format!("an event of kind {kind}");
            return Err(SendError::misuse(got, "a kind that this server knows"));
        }
    })
}
