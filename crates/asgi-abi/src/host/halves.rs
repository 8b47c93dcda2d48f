//! The functions through which a library uses the server's halves.
//!
//! A half is given away in words that the library keeps, and comes back with its `drop`. A panic
//! inside, of a middleware's closure perhaps, is answered as PANICKED: the library then ends the
//! app's call with a panic of its own.

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
use crate::panic::caught;
use crate::{headers, inline_storage, waker};

/// A half for receiving, and the trailers that it lends.
struct HostReceive {
    receive: Receiver,
    trailers: Option<Box<Trailers>>,
}

/// Trailers, and the array that lends them.
struct Trailers {
    lent: Vec<abi::Header>,
    _fields: HeaderMap,
}

// SAFETY: `lent` points into the fields, which move along and are never changed.
unsafe impl Send for Trailers {}

pub(super) fn give_receive(receive: Receiver) -> abi::Receive {
    abi::Receive {
        store: inline_storage::put(HostReceive {
            receive,
            trailers: None,
        }),
    }
}

pub(super) fn give_send(send: Sender) -> abi::Send {
    abi::Send {
        store: inline_storage::put(send),
    }
}

pub(super) unsafe extern "C" fn receive_poll(
    receive: *mut abi::Receive,
    waker: *const abi::Waker,
    event: *mut abi::ReceiveEvent,
) -> u32 {
    // SAFETY: the library got this from `give_receive`, has not dropped it, and uses it on one
    // thread at a time.
    let half: &mut HostReceive = unsafe { inline_storage::get(&raw mut (*receive).store) };
    // SAFETY: the waker is lent for this call.
    let polled = caught(|| unsafe {
        waker::borrow(waker, |waker| {
            half.receive.poll_receive(&mut Context::from_waker(waker))
        })
    });
    match polled {
        Ok(Poll::Pending) => abi::PENDING,
        Ok(Poll::Ready(received)) => {
            let received = half.lend(received);
            // SAFETY: `event` is the library's, valid for a write.
            unsafe { event.write(received) };
            abi::READY
        }
        Err(_) => abi::PANICKED,
    }
}

pub(super) unsafe extern "C" fn receive_drop(receive: *mut abi::Receive) {
    // SAFETY: the library got this from `give_receive` and gives it back once.
    let half: HostReceive = unsafe { inline_storage::take(&raw mut (*receive).store) };
    // A panic's message went out by the hook, and the half is gone either way.
    let _ = caught(|| drop(half));
}

impl Trailers {
    fn new(fields: HeaderMap) -> Self {
        Self {
            // The texts are where the entries point to, not in the map itself.
            lent: headers::lend(&fields),
            _fields: fields,
        }
    }
}

impl HostReceive {
    fn lend(&mut self, event: ReceiveEvent) -> abi::ReceiveEvent {
        let mut lent = abi::ReceiveEvent::EMPTY;
        match event {
            ReceiveEvent::HttpRequest(request) => {
                lent.kind = abi::RECEIVE_HTTP_REQUEST;
                if request.more_body {
                    lent.flags |= abi::FLAG_MORE;
                }
                lent.body = request.body.into();
                if let Some(trailers) = request.trailers {
                    lent.flags |= abi::FLAG_TRAILERS;
                    let trailers = self.trailers.insert(Box::new(Trailers::new(*trailers)));
                    lent.headers = trailers.lent.as_ptr();
                    lent.n_headers = trailers.lent.len();
                }
            }
            ReceiveEvent::HttpDisconnect(disconnect) => {
                lent.kind = abi::RECEIVE_HTTP_DISCONNECT;
                lent.disconnect = disconnect.reason.into();
            }
            ReceiveEvent::WebSocketConnect(_) => lent.kind = abi::RECEIVE_WEBSOCKET_CONNECT,
            ReceiveEvent::WebSocketReceive(receive) => {
                lent.kind = abi::RECEIVE_WEBSOCKET_RECEIVE;
                lent.body = match receive.message {
                    Message::Text(text) => {
                        lent.flags |= abi::FLAG_TEXT;
                        text.into_bytes().into()
                    }
                    Message::Binary(data) => data.into(),
                    // No message of the protocol's today.
                    other => Bytes::copy_from_slice(other.as_bytes()).into(),
                };
            }
            ReceiveEvent::WebSocketDisconnect(disconnect) => {
                lent.kind = abi::RECEIVE_WEBSOCKET_DISCONNECT;
                lent.disconnect.code = disconnect.code.into();
                lent.body = Bytes::from(disconnect.reason).into();
            }
            ReceiveEvent::LifespanStartup(_) => lent.kind = abi::RECEIVE_LIFESPAN_STARTUP,
            ReceiveEvent::LifespanShutdown(_) => lent.kind = abi::RECEIVE_LIFESPAN_SHUTDOWN,
            // Of a newer interface; its scope did not cross, so no half yields it.
            _ => {
                lent.kind = abi::RECEIVE_HTTP_DISCONNECT;
                lent.disconnect.reason = abi::DISCONNECT_LOST;
            }
        }
        lent
    }
}

/// # Safety
///
/// `send` must come from [`give_send`], not be dropped, and be used by this thread alone during
/// `'a`.
unsafe fn sender<'a>(send: *mut abi::Send) -> &'a mut Sender {
    // SAFETY: the caller's promise.
    unsafe { inline_storage::get(&raw mut (*send).store) }
}

pub(super) unsafe extern "C" fn send_poll_ready(
    send: *mut abi::Send,
    waker: *const abi::Waker,
    error: *mut abi::SendError,
) -> u32 {
    // SAFETY: the library keeps the handle's rules; the waker is lent for this call.
    // `error` is the library's, valid for a write.
    let answered = caught(|| unsafe {
        waker::borrow(waker, |waker| {
            match sender(send).poll_ready(&mut Context::from_waker(waker)) {
                Poll::Pending => abi::PENDING,
                Poll::Ready(ready) => answer(ready, error),
            }
        })
    });
    answered.unwrap_or(abi::PANICKED)
}

pub(super) unsafe extern "C" fn send_start(
    send: *mut abi::Send,
    event: *mut abi::SendEvent,
    error: *mut abi::SendError,
) -> u32 {
    // SAFETY: the library keeps the handle's rules. It gives the body away, and the rest of the
    // event is valid for this call, as is `error` for a write.
    let answered = caught(|| unsafe {
        let body = (&raw const (*event).body).read();
        let sent = match rebuild(&*event, body) {
            Ok(event) => sender(send).start_send(event),
            Err(malformed) => Err(malformed),
        };
        answer(sent, error)
    });
    answered.unwrap_or(abi::PANICKED)
}

pub(super) unsafe extern "C" fn send_poll_closed(
    send: *mut abi::Send,
    waker: *const abi::Waker,
    disconnect: *mut abi::Disconnect,
) -> u32 {
    // SAFETY: the library keeps the handle's rules; the waker is lent for this call.
    let polled = caught(|| unsafe {
        waker::borrow(waker, |waker| {
            sender(send).poll_closed(&mut Context::from_waker(waker))
        })
    });
    match polled {
        Ok(Poll::Pending) => abi::PENDING,
        Ok(Poll::Ready(reason)) => {
            // SAFETY: `disconnect` is the library's, valid for a write.
            unsafe { disconnect.write(reason.into()) };
            abi::READY
        }
        Err(_) => abi::PANICKED,
    }
}

pub(super) unsafe extern "C" fn send_drop(send: *mut abi::Send) {
    // SAFETY: the library got this from `give_send` and gives it back once.
    let half: Sender = unsafe { inline_storage::take(&raw mut (*send).store) };
    // A panic's message went out by the hook, and the half is gone either way.
    let _ = caught(|| drop(half));
}

/// # Safety
///
/// `error` must be valid for a write.
#[inline]
unsafe fn answer(result: Result<(), SendError>, error: *mut abi::SendError) -> u32 {
    match result {
        Ok(()) => abi::READY,
        Err(failed) => {
            // SAFETY: the caller's promise.
            unsafe { error.write(lend_error(&failed)) };
            abi::FAILED
        }
    }
}

#[cold]
fn lend_error(error: &SendError) -> abi::SendError {
    let mut lent = abi::SendError::EMPTY;
    if let Some(reason) = error.disconnect_reason() {
        lent.kind = abi::SEND_ERROR_DISCONNECTED;
        lent.disconnect = reason.into();
    } else if let Some((got, expected)) = error.as_misuse() {
        lent.kind = abi::SEND_ERROR_MISUSE;
        lent.text = Bytes::copy_from_slice(got.as_bytes()).into();
        lent.expected = Bytes::copy_from_slice(expected.as_bytes()).into();
    } else if let Some(why) = error.as_refused() {
        lent.kind = abi::SEND_ERROR_REFUSED;
        lent.text = Bytes::copy_from_slice(why.as_bytes()).into();
    } else {
        lent.kind = abi::SEND_ERROR_OVER;
    }
    lent
}

/// A file of the app's, as one of ours.
///
/// # Safety
///
/// `file` must be an open descriptor, or none at all.
unsafe fn file(file: i32) -> Result<File, SendError> {
    if file < 0 {
        return Err(malformed("a file that is none"));
    }
    // SAFETY: the caller's promise; it is not -1.
    let lent = unsafe { BorrowedFd::borrow_raw(file) };
    match lent.try_clone_to_owned() {
        Ok(owned) => Ok(owned.into()),
        Err(error) => Err(SendError::refused(format!(
            "the file's descriptor cannot be duplicated: {error}"
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
    let text = Text::try_from(body).map_err(|_| malformed("a text message that is no UTF-8"))?;
    Ok(Message::Text(text))
}

/// Makes an event of the interface; what cannot be one is misuse, of an app that is no Rust.
///
/// # Safety
///
/// All parts of the event must be valid.
unsafe fn rebuild(event: &abi::SendEvent, body: Buffer) -> Result<SendEvent, SendError> {
    let more = event.flags & abi::FLAG_MORE != 0;
    // SAFETY: the caller's promise.
    let headers = || unsafe { headers::rebuild(event.headers, event.n_headers) }.map_err(malformed);
    // SAFETY: the caller's promise.
    let text = || unsafe { event.text.to_text() }.into_owned();
    let status = || {
        let status = u16::try_from(event.status).ok();
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        status.ok_or_else(|| malformed("a status that is none, not 100 to 999"))
    };
    Ok(match event.kind {
        abi::SEND_HTTP_RESPONSE_START => {
            let mut start = HttpResponseStart::new(status()?);
            start.headers = headers()?;
            start.trailers = event.flags & abi::FLAG_TRAILERS != 0;
            start.into()
        }
        abi::SEND_HTTP_RESPONSE_BODY => HttpResponseBody::new(Bytes::from(body), more).into(),
        abi::SEND_HTTP_RESPONSE_TRAILERS => {
            let mut trailers = HttpResponseTrailers::new(headers()?);
            trailers.more_trailers = more;
            trailers.into()
        }
        abi::SEND_HTTP_RESPONSE_PUSH => {
            let path = PathAndQuery::try_from(text())
                .map_err(|_| malformed("a push of what is no path"))?;
            let mut push = HttpResponsePush::new(path);
            push.headers = headers()?;
            push.into()
        }
        abi::SEND_HTTP_RESPONSE_EARLY_HINT => {
            let links = headers()?;
            HttpResponseEarlyHint::new(links.into_iter().map(|(_, link)| link)).into()
        }
        abi::SEND_HTTP_RESPONSE_PATH_SEND => {
            // SAFETY: the caller's promise.
            let path = OsStr::from_bytes(unsafe { event.text.as_bytes() });
            HttpResponsePathSend::new(path).into()
        }
        abi::SEND_HTTP_RESPONSE_ZERO_COPY_SEND => {
            // SAFETY: the app lends the descriptor for this call.
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
            return Err(SendError::misuse(got, "one that this server knows"));
        }
    })
}
