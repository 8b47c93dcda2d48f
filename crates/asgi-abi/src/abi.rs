//! The types and constants that cross the boundary: `repr(C)` and numbers only.
//!
//! This is `include/asgi.h` in Rust; a test compares the two. Rules for the whole interface:
//!
//! - The side that made a thing frees it. The other side calls the `drop` of a [`Buffer`], and
//!   gives a handle back.
//! - Borrowed data ([`Str`], arrays) is an argument of a call and valid during that call, unless
//!   its field says otherwise.
//! - No panic and no exception crosses. A function that caught one returns [`PANICKED`].
//! - Any thread may use and drop wakers and buffers. One thread at a time may use a handle or a
//!   task, and not always the same thread.
//! - A handle or a task is a few words of data of the side that made it. The owner stores them
//!   where it likes, may move them between two calls, and passes a pointer to them.
//! - A library stays loaded until the process ends.

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};

/// The first eight bytes of an [`App`] and of a [`Host`]; `ASGI_APP` in a little-endian file.
pub const MAGIC: u64 = 0x5050_415f_4947_5341;
/// The version's first number. While it is 0, both numbers must be the same on both sides.
pub const MAJOR: u16 = 0;
/// The version's second number.
pub const MINOR: u16 = 7;

/// Not ready; the callee wakes the waker later.
pub const PENDING: u32 = 0;
/// Success.
pub const READY: u32 = 1;
/// Failure; an output parameter says why.
pub const FAILED: u32 = 2;
/// The callee panicked.
pub const PANICKED: u32 = 3;
/// [`App::poll`]: as [`PENDING`], and a thread of the library runs the app at this moment.
pub const WORKING: u32 = 4;
/// [`Host::send_respond`]: the host takes no complete responses from this half.
pub const DECLINED: u32 = 5;

/// [`Scope::kind`]: one HTTP request.
pub const SCOPE_HTTP: u32 = 1;
/// [`Scope::kind`]: one WebSocket.
pub const SCOPE_WEBSOCKET: u32 = 2;
/// [`Scope::kind`]: the lifespan of the server.
pub const SCOPE_LIFESPAN: u32 = 3;

/// [`Scope::http_version`]: HTTP/1.0.
pub const HTTP_10: u32 = 10;
/// [`Scope::http_version`]: HTTP/1.1.
pub const HTTP_11: u32 = 11;
/// [`Scope::http_version`]: HTTP/2.
pub const HTTP_2: u32 = 20;

/// [`Scope::flags`]: no body follows the request.
pub const SCOPE_WITHOUT_BODY: u32 = 1 << 0;

/// [`Scope::extensions`]: `http.response.push`.
pub const EXTENSION_PUSH: u64 = 1 << 0;
/// [`Scope::extensions`]: `http.response.early_hint`.
pub const EXTENSION_EARLY_HINT: u64 = 1 << 1;
/// [`Scope::extensions`]: `http.response.trailers`.
pub const EXTENSION_TRAILERS: u64 = 1 << 2;
/// [`Scope::extensions`]: `http.response.pathsend`.
pub const EXTENSION_PATH_SEND: u64 = 1 << 3;
/// [`Scope::extensions`]: `http.response.zerocopysend`.
pub const EXTENSION_ZERO_COPY_SEND: u64 = 1 << 4;
/// [`Scope::extensions`]: `websocket.http.response`.
pub const EXTENSION_WEBSOCKET_HTTP_RESPONSE: u64 = 1 << 6;

/// [`Address::kind`]: unknown.
pub const ADDRESS_NONE: u32 = 0;
/// [`Address::kind`]: the first four bytes of `ip`, and `port`.
pub const ADDRESS_IPV4: u32 = 4;
/// [`Address::kind`]: all of `ip`, and `port`.
pub const ADDRESS_IPV6: u32 = 6;
/// [`Address::kind`]: a Unix socket; `path` is NULL if the socket has no path.
pub const ADDRESS_UNIX: u32 = 1;

/// [`ReceiveEvent::kind`]: `http.request` with `body`, and trailers in `headers`.
pub const RECEIVE_HTTP_REQUEST: u32 = 1;
/// [`ReceiveEvent::kind`]: `http.disconnect` with `disconnect`.
pub const RECEIVE_HTTP_DISCONNECT: u32 = 2;
/// [`ReceiveEvent::kind`]: `websocket.connect`.
pub const RECEIVE_WEBSOCKET_CONNECT: u32 = 16;
/// [`ReceiveEvent::kind`]: `websocket.receive` with `body`, and [`FLAG_TEXT`] if it is text.
pub const RECEIVE_WEBSOCKET_RECEIVE: u32 = 17;
/// [`ReceiveEvent::kind`]: `websocket.disconnect`; `disconnect.code` and `body` are the code and
/// the reason of the close frame.
pub const RECEIVE_WEBSOCKET_DISCONNECT: u32 = 18;
/// [`ReceiveEvent::kind`]: `lifespan.startup`.
pub const RECEIVE_LIFESPAN_STARTUP: u32 = 32;
/// [`ReceiveEvent::kind`]: `lifespan.shutdown`.
pub const RECEIVE_LIFESPAN_SHUTDOWN: u32 = 33;

/// [`SendEvent::kind`]: `http.response.start` with `status` and `headers`.
pub const SEND_HTTP_RESPONSE_START: u32 = 1;
/// [`SendEvent::kind`]: `http.response.body` with `body`.
pub const SEND_HTTP_RESPONSE_BODY: u32 = 2;
/// [`SendEvent::kind`]: `http.response.trailers` with `headers`.
pub const SEND_HTTP_RESPONSE_TRAILERS: u32 = 3;
/// [`SendEvent::kind`]: `http.response.push` with `text` (path and query) and `headers`.
pub const SEND_HTTP_RESPONSE_PUSH: u32 = 4;
/// [`SendEvent::kind`]: `http.response.early_hint`; `headers` are the `link` headers.
pub const SEND_HTTP_RESPONSE_EARLY_HINT: u32 = 5;
/// [`SendEvent::kind`]: `http.response.pathsend` with `text` (the path, as the system's bytes).
pub const SEND_HTTP_RESPONSE_PATH_SEND: u32 = 6;
/// [`SendEvent::kind`]: `http.response.zerocopysend` with `file`, [`FLAG_OFFSET`] and `offset`,
/// [`FLAG_COUNT`] and `count`.
pub const SEND_HTTP_RESPONSE_ZERO_COPY_SEND: u32 = 7;
/// [`SendEvent::kind`]: `websocket.accept` with `text` (the subprotocol, or NULL) and `headers`.
pub const SEND_WEBSOCKET_ACCEPT: u32 = 16;
/// [`SendEvent::kind`]: `websocket.send` with `body`, and [`FLAG_TEXT`] if it is text.
pub const SEND_WEBSOCKET_SEND: u32 = 17;
/// [`SendEvent::kind`]: `websocket.close`; `status` is its code, `text` its reason.
pub const SEND_WEBSOCKET_CLOSE: u32 = 18;
/// [`SendEvent::kind`]: `websocket.http.response.start` with `status` and `headers`.
pub const SEND_WEBSOCKET_HTTP_RESPONSE_START: u32 = 19;
/// [`SendEvent::kind`]: `websocket.http.response.body` with `body`.
pub const SEND_WEBSOCKET_HTTP_RESPONSE_BODY: u32 = 20;
/// [`SendEvent::kind`]: `lifespan.startup.complete`.
pub const SEND_LIFESPAN_STARTUP_COMPLETE: u32 = 32;
/// [`SendEvent::kind`]: `lifespan.startup.failed` with `text`.
pub const SEND_LIFESPAN_STARTUP_FAILED: u32 = 33;
/// [`SendEvent::kind`]: `lifespan.shutdown.complete`.
pub const SEND_LIFESPAN_SHUTDOWN_COMPLETE: u32 = 34;
/// [`SendEvent::kind`]: `lifespan.shutdown.failed` with `text`.
pub const SEND_LIFESPAN_SHUTDOWN_FAILED: u32 = 35;

/// `flags` of an event: more of the body, or more trailers, will follow.
pub const FLAG_MORE: u32 = 1 << 0;
/// `flags` of an event: `headers` has trailers (`http.request`), or trailers may follow
/// (`http.response.start`).
pub const FLAG_TRAILERS: u32 = 1 << 1;
/// `flags` of a WebSocket message: it is text (UTF-8), not binary.
pub const FLAG_TEXT: u32 = 1 << 2;
/// `flags` of `http.response.zerocopysend`: it starts at `offset`, not at the file's position.
pub const FLAG_OFFSET: u32 = 1 << 3;
/// `flags` of `http.response.zerocopysend`: it ends after `count` bytes, not at the file's end.
pub const FLAG_COUNT: u32 = 1 << 4;

/// [`Header::flags`]: the value is a secret. Do not log it, do not index it (HPACK).
pub const HEADER_SENSITIVE: u64 = 1 << 0;

/// [`Disconnect::reason`]: the response is complete.
pub const DISCONNECT_COMPLETE: u32 = 0;
/// [`Disconnect::reason`]: the client closed its side.
pub const DISCONNECT_CLOSED: u32 = 1;
/// [`Disconnect::reason`]: the connection is broken.
pub const DISCONNECT_LOST: u32 = 2;
/// [`Disconnect::reason`]: the client cancelled this exchange, with `code`.
pub const DISCONNECT_RESET: u32 = 3;
/// [`Disconnect::reason`]: the client was too slow.
pub const DISCONNECT_TIMED_OUT: u32 = 4;
/// [`Disconnect::reason`]: the client broke the protocol.
pub const DISCONNECT_PROTOCOL_ERROR: u32 = 5;
/// [`Disconnect::reason`]: the server stops.
pub const DISCONNECT_SHUTDOWN: u32 = 6;

/// [`SendError::kind`]: the client is gone; `disconnect` says why.
pub const SEND_ERROR_DISCONNECTED: u32 = 1;
/// [`SendError::kind`]: the app sent `text`; the server expected `expected`.
pub const SEND_ERROR_MISUSE: u32 = 2;
/// [`SendError::kind`]: this connection cannot do it; `text` says why.
pub const SEND_ERROR_REFUSED: u32 = 3;
/// [`SendError::kind`]: the app has already returned.
pub const SEND_ERROR_OVER: u32 = 4;

/// [`Outcome::kind`]: the app returned an error.
pub const OUTCOME_FAILED: u32 = 1;
/// [`Outcome::kind`]: the app does not serve this kind of scope.
pub const OUTCOME_UNSUPPORTED: u32 = 2;
/// [`Outcome::kind`]: the app stopped because its client left; `disconnect` says why.
pub const OUTCOME_DISCONNECTED: u32 = 3;
/// [`Outcome::kind`]: the app breaks off its exchange on purpose. This is no fault.
pub const OUTCOME_ABORTED: u32 = 4;

/// [`Host::log_enabled`]: the host would write a line now.
pub const LOG_ENABLED: u32 = 1 << 0;
/// [`Host::log_enabled`]: the answer may change; ask again for the next line.
pub const LOG_ASK_AGAIN: u32 = 1 << 1;

/// [`LogField::flags`]: not a text, but a number, a boolean, or a value that is already formatted.
/// The log does not quote it.
pub const LOG_FIELD_PLAIN: u64 = 1 << 0;

/// A level of [`LogLine`]: the app does not work.
pub const LOG_ERROR: u32 = 1;
/// A level of [`LogLine`]: the operator should look at it.
pub const LOG_WARN: u32 = 2;
/// A level of [`LogLine`]: information for operators.
pub const LOG_INFO: u32 = 3;
/// A level of [`LogLine`]: information for developers.
pub const LOG_DEBUG: u32 = 4;
/// A level of [`LogLine`]: every detail.
pub const LOG_TRACE: u32 = 5;

/// Borrowed bytes. Text is UTF-8, without a NUL at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Str {
    /// The first byte. If a text is optional, NULL means that there is none.
    pub ptr: *const u8,
    /// The number of bytes.
    pub len: usize,
}

/// One header or one trailer, borrowed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// The name, in lower case.
    pub name: Str,
    /// The value.
    pub value: Str,
    /// [`HEADER_SENSITIVE`].
    pub flags: u64,
}

/// Owned bytes. The owner calls `drop` once, or passes the buffer on.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// The first byte; it must not move.
    pub ptr: *const u8,
    /// The number of bytes.
    pub len: usize,
    /// Frees the bytes; NULL if there is nothing to free.
    pub drop: Option<unsafe extern "C" fn(*mut Self)>,
    /// Private data of the side that made the buffer; it may move with the struct.
    pub store: [usize; 4],
}

/// The first word of a waker; each side can put its own data after it.
#[repr(C)]
#[derive(Debug)]
pub struct Waker {
    /// The waker's functions.
    pub vtable: *const WakerVtable,
}

/// The functions of a [`Waker`]. A waker that is an argument is borrowed for the call: `clone` it
/// to keep it.
#[repr(C)]
#[derive(Debug)]
pub struct WakerVtable {
    /// Makes a waker that the caller owns.
    pub clone: unsafe extern "C" fn(*const Waker) -> *const Waker,
    /// Wakes, and frees an owned waker.
    pub wake: unsafe extern "C" fn(*const Waker),
    /// Wakes.
    pub wake_by_ref: unsafe extern "C" fn(*const Waker),
    /// Frees an owned waker.
    pub drop: unsafe extern "C" fn(*const Waker),
}

/// The address of one end of a connection.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Address {
    /// One of `ADDRESS_…`.
    pub kind: u32,
    /// The port.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
    /// The IP address, in network byte order.
    pub ip: [u8; 16],
    /// The flow information of IPv6.
    pub flow: u32,
    /// The scope of IPv6: the number of an interface.
    pub scope_id: u32,
    /// The path of a Unix socket; NULL if it has none.
    pub path: Str,
}

/// The TLS parameters of a connection. Unknown texts are NULL.
#[repr(C)]
#[derive(Debug)]
pub struct Tls {
    /// The protocol's version as on the wire; 0 if unknown.
    pub version: u32,
    /// The cipher suite's number; 0 (a suite without encryption) if unknown.
    pub cipher_suite: u32,
    /// The server's certificate, PEM.
    pub server_cert: Str,
    /// The client's certificates, PEM; its own is the first.
    pub client_cert_chain: *const Str,
    /// The number of certificates.
    pub n_client_cert_chain: usize,
    /// The subject of the client's certificate.
    pub client_cert_name: Str,
    /// Why the server did not accept the client's certificate.
    pub client_cert_error: Str,
    /// The host name that the client asked for.
    pub server_name: Str,
}

/// The scope of one call, valid only during [`App::call`].
///
/// For a lifespan, only `size` and `kind` are set.
#[repr(C)]
#[derive(Debug)]
pub struct Scope {
    /// The size of this struct.
    pub size: u32,
    /// One of `SCOPE_…`.
    pub kind: u32,
    /// One of `HTTP_…`.
    pub http_version: u32,
    /// `SCOPE_WITHOUT_BODY`.
    pub flags: u32,
    /// The method; NULL for a WebSocket.
    pub method: Str,
    /// The scheme.
    pub scheme: Str,
    /// Path and query, percent-encoded as on the wire, without `root_path`.
    pub target: Str,
    /// The decoded path, with `root_path` in front.
    pub path: Str,
    /// The decoded path under which the app is mounted.
    pub root_path: Str,
    /// The headers.
    pub headers: *const Header,
    /// The number of headers.
    pub n_headers: usize,
    /// The subprotocols that the client of a WebSocket offers, the preferred one first.
    pub subprotocols: *const Str,
    /// The number of subprotocols.
    pub n_subprotocols: usize,
    /// The client's end of the connection.
    pub client: Address,
    /// The server's end.
    pub server: Address,
    /// The exchange's number in the server's log; 0 if it has none. See [`LogLine::exchange`].
    pub exchange: u64,
    /// `EXTENSION_…`: what this connection supports now.
    pub extensions: u64,
    /// NULL without TLS.
    pub tls: *const Tls,
}

/// Why an exchange ended.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Disconnect {
    /// One of `DISCONNECT_…`.
    pub reason: u32,
    /// Zero.
    pub reserved: u32,
    /// The code of a reset, of up to 62 bits, or the code of a WebSocket's close frame.
    pub code: u64,
}

/// An event that an app receives.
#[repr(C)]
#[derive(Debug)]
pub struct ReceiveEvent {
    /// One of `RECEIVE_…`.
    pub kind: u32,
    /// `FLAG_…`.
    pub flags: u32,
    /// For `http.disconnect` and `websocket.disconnect`.
    pub disconnect: Disconnect,
    /// The app owns it from now on.
    pub body: Buffer,
    /// The trailers; valid until the next call with this handle.
    pub headers: *const Header,
    /// The number of trailers.
    pub n_headers: usize,
}

/// An event that an app sends.
#[repr(C)]
#[derive(Debug)]
pub struct SendEvent {
    /// One of `SEND_…`.
    pub kind: u32,
    /// `FLAG_…`.
    pub flags: u32,
    /// The status of a response, or the code of a close.
    pub status: u32,
    /// A file descriptor, borrowed for the call. If the host takes the event, it duplicates the
    /// descriptor; both then share one position in the file. 0 in other events.
    pub file: i32,
    /// The first byte of the file to send.
    pub offset: u64,
    /// How many bytes of the file to send.
    pub count: u64,
    /// [`Host::send_start`]: the host owns it from now on, whatever it returns.
    pub body: Buffer,
    /// A path, a subprotocol, a reason or a message.
    pub text: Str,
    /// The headers.
    pub headers: *const Header,
    /// The number of headers.
    pub n_headers: usize,
}

/// Why the host did not take an event. The app owns both buffers from now on.
#[repr(C)]
#[derive(Debug)]
pub struct SendError {
    /// One of `SEND_ERROR_…`.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Why the client is gone, if it is.
    pub disconnect: Disconnect,
    /// What the app sent, or why the host refused it.
    pub text: Buffer,
    /// What the server expected.
    pub expected: Buffer,
}

/// Why a task failed or panicked. The texts are valid until the task is dropped.
#[repr(C)]
#[derive(Debug)]
pub struct Outcome {
    /// One of `OUTCOME_…`; has no meaning with [`PANICKED`].
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// Why the client is gone, if it is.
    pub disconnect: Disconnect,
    /// The error and its causes, the outermost first; without the cause that `kind` stands for.
    pub messages: *const Str,
    /// The number of messages.
    pub n_messages: usize,
}

/// One field of a log line.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LogField {
    /// The name.
    pub name: Str,
    /// The value.
    pub value: Str,
    /// [`LOG_FIELD_PLAIN`].
    pub flags: u64,
}

/// One line in the server's log.
#[repr(C)]
#[derive(Debug)]
pub struct LogLine {
    /// One of `LOG_ERROR` to `LOG_TRACE`.
    pub level: u32,
    /// Zero.
    pub reserved: u32,
    /// The [exchange](Scope::exchange) that the line is about; 0 if none.
    pub exchange: u64,
    /// The part of the app that logs, such as `shop::db`.
    pub target: Str,
    /// The message.
    pub message: Str,
    /// The fields.
    pub fields: *const LogField,
    /// The number of fields.
    pub n_fields: usize,
}

/// The host's half that an app receives through. The library owns it from [`App::call`] on.
#[repr(C)]
#[derive(Debug)]
pub struct Receive {
    /// Private data of the host.
    pub store: [MaybeUninit<usize>; 6],
}

/// The host's half that an app sends through. The library owns it from [`App::call`] on.
#[repr(C)]
#[derive(Debug)]
pub struct Send {
    /// Private data of the host.
    pub store: [MaybeUninit<usize>; 4],
}

/// A handle that waits for the end of an exchange. The library owns it once the host has made it.
#[repr(C)]
#[derive(Debug)]
pub struct Closed {
    /// Private data of the host.
    pub store: [MaybeUninit<usize>; 4],
}

/// One call of an app. The library makes it; the host owns it from then on.
#[repr(C)]
#[derive(Debug)]
pub struct Task {
    /// Private data of the library.
    pub store: [MaybeUninit<usize>; 8],
}

/// The functions of the host. Valid until the process ends.
#[repr(C)]
#[derive(Debug)]
pub struct Host {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`MAJOR`].
    pub major: u16,
    /// [`MINOR`].
    pub minor: u16,
    /// The size of this struct.
    pub size: u32,
    /// Waits for the next event. PENDING, READY with the event, or PANICKED. After the last event
    /// of a protocol, it returns that event again at once.
    pub receive_poll:
        unsafe extern "C" fn(*mut Receive, *const Waker, event: *mut ReceiveEvent) -> u32,
    /// Gives the half back.
    pub receive_drop: unsafe extern "C" fn(*mut Receive),
    /// Waits for room for one event. PENDING, READY, FAILED with the error, or PANICKED.
    pub send_poll_ready:
        unsafe extern "C" fn(*mut Send, *const Waker, error: *mut SendError) -> u32,
    /// Takes an event; the library calls it only after `send_poll_ready` returned READY. READY,
    /// FAILED with the error, or PANICKED.
    pub send_start:
        unsafe extern "C" fn(*mut Send, event: *mut SendEvent, error: *mut SendError) -> u32,
    /// Waits for room and takes a complete response: the event is an `http.response.start`, and its
    /// `body` is the last part. The result is that of the two events. PENDING, READY, FAILED with the
    /// error, PANICKED, or DECLINED: then send two events. If the host takes the body, it leaves an
    /// empty one in the event.
    pub send_respond: unsafe extern "C" fn(
        *mut Send,
        *const Waker,
        event: *mut SendEvent,
        error: *mut SendError,
    ) -> u32,
    /// Waits until no event can reach the client any more. PENDING, READY with the reason, or
    /// PANICKED.
    pub send_poll_closed:
        unsafe extern "C" fn(*mut Send, *const Waker, disconnect: *mut Disconnect) -> u32,
    /// Makes a handle that waits as `send_poll_closed` does, independently of the half and of other
    /// handles. READY with the handle, or PANICKED.
    pub send_closed_handle: unsafe extern "C" fn(*const Send, closed: *mut Closed) -> u32,
    /// Gives the half back.
    pub send_drop: unsafe extern "C" fn(*mut Send),
    /// Waits as `send_poll_closed` does. The library must not poll a handle again after READY.
    pub closed_poll:
        unsafe extern "C" fn(*mut Closed, *const Waker, disconnect: *mut Disconnect) -> u32,
    /// Gives the handle back. It may outlive the half and the task.
    pub closed_drop: unsafe extern "C" fn(*mut Closed),
    /// Whether the log takes lines of this level and target, or of this level and any target if
    /// `target` is NULL: [`LOG_ENABLED`] and [`LOG_ASK_AGAIN`]. Without [`LOG_ASK_AGAIN`] the
    /// library may keep the answer.
    pub log_enabled: unsafe extern "C" fn(level: u32, target: Str) -> u32,
    /// Writes one line into the server's log, if the log takes such lines.
    pub log: unsafe extern "C" fn(line: *const LogLine),
}

/// The settings that an app starts with. Valid during [`App::init`].
#[repr(C)]
#[derive(Debug)]
pub struct Start {
    /// The size of this struct.
    pub size: u32,
    /// How many threads the app should use; 0 if the app decides.
    pub threads: u32,
    /// The operator's configuration for the app; NULL if there is none.
    pub config: Str,
}

/// An exported app, under the name `ASGI_APP`, or `ASGI_APP_name` for more apps of one library.
/// Valid until the process ends.
#[repr(C)]
#[derive(Debug)]
pub struct App {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`MAJOR`].
    pub major: u16,
    /// [`MINOR`].
    pub minor: u16,
    /// The size of this struct.
    pub size: u32,
    /// The app's name.
    pub name: Str,
    /// The app's version.
    pub version: Str,
    /// The compiler, for people.
    pub toolchain: Str,
    /// Zero: none is defined yet.
    pub flags: u64,
    /// Makes the app. The host calls it before any other function. READY with the app, or FAILED
    /// with a message.
    pub init: unsafe extern "C" fn(
        *const Host,
        *const Start,
        app: *mut *mut c_void,
        error: *mut Buffer,
    ) -> u32,
    /// Makes a task that serves one scope. The host calls it on any thread, also while other calls
    /// run. READY with the task, or FAILED. The library takes both halves, whatever it returns: it
    /// moves them out of the structs that the pointers refer to, which are valid only during this
    /// call.
    pub call: unsafe extern "C" fn(
        app: *mut c_void,
        *const Scope,
        receive: *mut Receive,
        send: *mut Send,
        task: *mut Task,
    ) -> u32,
    /// Continues a task. PENDING, WORKING, READY, FAILED or PANICKED, the last two with the outcome.
    /// After any other code than PENDING and WORKING the task has ended; the host must not poll it
    /// again. After WORKING, the host holds back the head of a response, as it does while it polls the
    /// app. If there may be such a head, the library wakes the waker when its thread stops running
    /// the app.
    pub poll: unsafe extern "C" fn(*mut Task, *const Waker, outcome: *mut Outcome) -> u32,
    /// Frees the data of a task. Cancels a task that has not ended.
    pub drop_task: unsafe extern "C" fn(*mut Task),
    /// Stops the app's own threads and waits for them, at most this many milliseconds. The host
    /// calls no function but `drop_task` after it.
    pub shutdown: unsafe extern "C" fn(app: *mut c_void, grace_ms: u32),
}

// SAFETY: a buffer owns its bytes. The side that made it promises (see the rules above) that any
// thread may call its `drop`.
unsafe impl std::marker::Send for Buffer {}
// SAFETY: shared access only reads the bytes. The side that made the buffer promises not to change
// them while the buffer lives.
unsafe impl Sync for Buffer {}
// SAFETY: an `App` is read-only data. The library that exports it promises that its texts live
// until the process ends.
unsafe impl Sync for App {}

impl Str {
    /// No text.
    pub const NULL: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// Borrows a text. The caller must not use the result after the text is gone.
    pub const fn new(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    /// Borrows bytes, with the rule of [`new`](Self::new).
    pub const fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes; empty if the pointer is NULL.
    ///
    /// # Safety
    ///
    /// The bytes must be valid, and must not change, during `'a`.
    pub unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller promises that the bytes are valid during `'a`.
        unsafe { slice(self.ptr, self.len) }
    }

    /// The text, with U+FFFD in place of bytes that are not UTF-8.
    ///
    /// # Safety
    ///
    /// The same as for [`as_bytes`](Self::as_bytes).
    pub unsafe fn to_text<'a>(self) -> std::borrow::Cow<'a, str> {
        // SAFETY: the caller promises that the bytes are valid during `'a`.
        String::from_utf8_lossy(unsafe { self.as_bytes() })
    }
}

/// An array of the other side; empty if the pointer is NULL. (A Rust slice must not be NULL.)
///
/// # Safety
///
/// Unless `ptr` is NULL or `len` is 0, `ptr` must point to `len` valid values that do not change
/// during `'a`.
pub(crate) unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if ptr.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller promises that the values are valid; the check above excludes NULL.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

impl Disconnect {
    /// All zero.
    pub const NONE: Self = Self {
        reason: 0,
        reserved: 0,
        code: 0,
    };
}

impl Address {
    /// An unknown address.
    pub const NONE: Self = Self {
        kind: ADDRESS_NONE,
        port: 0,
        reserved: 0,
        ip: [0; 16],
        flow: 0,
        scope_id: 0,
        path: Str::NULL,
    };
}

impl Scope {
    /// A scope of this kind, with all other fields empty.
    pub const fn new(kind: u32) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            kind,
            http_version: 0,
            flags: 0,
            method: Str::NULL,
            scheme: Str::NULL,
            target: Str::NULL,
            path: Str::NULL,
            root_path: Str::NULL,
            headers: std::ptr::null(),
            n_headers: 0,
            subprotocols: std::ptr::null(),
            n_subprotocols: 0,
            client: Address::NONE,
            server: Address::NONE,
            exchange: 0,
            extensions: 0,
            tls: std::ptr::null(),
        }
    }
}

impl ReceiveEvent {
    /// An initial value for an output parameter.
    pub const EMPTY: Self = Self {
        kind: 0,
        flags: 0,
        disconnect: Disconnect::NONE,
        body: Buffer::EMPTY,
        headers: std::ptr::null(),
        n_headers: 0,
    };
}

impl SendEvent {
    /// An event of this kind, with all other fields empty.
    pub const fn new(kind: u32) -> Self {
        Self {
            kind,
            flags: 0,
            status: 0,
            file: 0,
            offset: 0,
            count: 0,
            body: Buffer::EMPTY,
            text: Str::NULL,
            headers: std::ptr::null(),
            n_headers: 0,
        }
    }
}

impl SendError {
    /// An initial value for an output parameter.
    pub const EMPTY: Self = Self {
        kind: 0,
        reserved: 0,
        disconnect: Disconnect::NONE,
        text: Buffer::EMPTY,
        expected: Buffer::EMPTY,
    };
}

impl Outcome {
    /// An initial value for an output parameter.
    pub const EMPTY: Self = Self {
        kind: 0,
        reserved: 0,
        disconnect: Disconnect::NONE,
        messages: std::ptr::null(),
        n_messages: 0,
    };
}
