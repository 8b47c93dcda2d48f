//! What crosses the boundary: `repr(C)` types and numbers, nothing else.
//!
//! This is `include/asgi.h` in Rust; a test holds the two against each other. The rules that hold
//! for all of it:
//!
//! - Who made a thing frees it: a [`Buffer`] carries its owner's `drop`, a handle is given back.
//! - What is borrowed ([`Str`], arrays) is valid for the call that it is an argument of, unless its
//!   field says otherwise.
//! - No panic and no exception crosses; a side that caught one answers [`PANICKED`].
//! - Wakers and buffers may be used and dropped on any thread. A handle or a task is used by one
//!   thread at a time, not always the same.
//! - A handle or a task is a few words of its maker's own. Whoever owns it keeps them where it
//!   likes, may move them between two calls, and passes a pointer to them.
//! - A library stays loaded until the process ends.

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};

/// The first eight bytes of an [`App`] and of a [`Host`]; `ASGI_APP` in a little-endian file.
pub const MAGIC: u64 = 0x5050_415f_4947_5341;
/// The version's first number. While it is 0, both numbers must be the same on both sides.
pub const MAJOR: u16 = 0;
/// The version's second number.
pub const MINOR: u16 = 5;

/// The answer will come later: the waker is woken then.
pub const PENDING: u32 = 0;
/// Done.
pub const READY: u32 = 1;
/// It could not be done; an argument says why.
pub const FAILED: u32 = 2;
/// The callee panicked.
pub const PANICKED: u32 = 3;

/// [`Scope::kind`]: one HTTP request.
pub const SCOPE_HTTP: u32 = 1;
/// [`Scope::kind`]: one WebSocket.
pub const SCOPE_WEBSOCKET: u32 = 2;
/// [`Scope::kind`]: the life of the server.
pub const SCOPE_LIFESPAN: u32 = 3;

/// [`Scope::http_version`]: HTTP/1.0.
pub const HTTP_10: u32 = 10;
/// [`Scope::http_version`]: HTTP/1.1.
pub const HTTP_11: u32 = 11;
/// [`Scope::http_version`]: HTTP/2.
pub const HTTP_2: u32 = 20;

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

/// [`Address::kind`]: nothing is known.
pub const ADDRESS_NONE: u32 = 0;
/// [`Address::kind`]: the first four bytes of `ip`, and `port`.
pub const ADDRESS_IPV4: u32 = 4;
/// [`Address::kind`]: all of `ip`, and `port`.
pub const ADDRESS_IPV6: u32 = 6;
/// [`Address::kind`]: a Unix socket; `path` where it has one.
pub const ADDRESS_UNIX: u32 = 1;

/// [`ReceiveEvent::kind`]: `http.request` with `body`, and trailers in `headers`.
pub const RECEIVE_HTTP_REQUEST: u32 = 1;
/// [`ReceiveEvent::kind`]: `http.disconnect` with `disconnect`.
pub const RECEIVE_HTTP_DISCONNECT: u32 = 2;
/// [`ReceiveEvent::kind`]: `websocket.connect`.
pub const RECEIVE_WEBSOCKET_CONNECT: u32 = 16;
/// [`ReceiveEvent::kind`]: `websocket.receive` with `body`, and [`FLAG_TEXT`] if it is text.
pub const RECEIVE_WEBSOCKET_RECEIVE: u32 = 17;
/// [`ReceiveEvent::kind`]: `websocket.disconnect`; `disconnect.code` is that of the close frame,
/// `body` its reason.
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
/// [`SendEvent::kind`]: `http.response.early_hint`; `headers` are its `link` fields.
pub const SEND_HTTP_RESPONSE_EARLY_HINT: u32 = 5;
/// [`SendEvent::kind`]: `http.response.pathsend` with `text` (the path, bytes as the system has it).
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

/// `flags` of an event: more of the body, or of the trailers, is to come.
pub const FLAG_MORE: u32 = 1 << 0;
/// `flags` of an event: trailers are in it (`http.request`) or promised (`http.response.start`).
pub const FLAG_TRAILERS: u32 = 1 << 1;
/// `flags` of a WebSocket's message: it is text, UTF-8; else it is binary.
pub const FLAG_TEXT: u32 = 1 << 2;
/// `flags` of `http.response.zerocopysend`: it begins at `offset`, not at the file's position.
pub const FLAG_OFFSET: u32 = 1 << 3;
/// `flags` of `http.response.zerocopysend`: it ends after `count` bytes, not with the file.
pub const FLAG_COUNT: u32 = 1 << 4;

/// [`Header::flags`]: the value is a secret, which is not to be logged or put in a table.
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

/// [`SendError::kind`]: the client is gone, as `disconnect` says.
pub const SEND_ERROR_DISCONNECTED: u32 = 1;
/// [`SendError::kind`]: the app sent `text`, `expected` was expected.
pub const SEND_ERROR_MISUSE: u32 = 2;
/// [`SendError::kind`]: this connection cannot do it; `text` says why.
pub const SEND_ERROR_REFUSED: u32 = 3;
/// [`SendError::kind`]: the app had returned.
pub const SEND_ERROR_OVER: u32 = 4;

/// [`Outcome::kind`]: an error of the app's.
pub const OUTCOME_FAILED: u32 = 1;
/// [`Outcome::kind`]: the app does not serve this kind of scope.
pub const OUTCOME_UNSUPPORTED: u32 = 2;
/// [`Outcome::kind`]: the app gave up because its client left, as `disconnect` says.
pub const OUTCOME_DISCONNECTED: u32 = 3;

/// [`Host::log_enabled`]: a line would be written now.
pub const LOG_ENABLED: u32 = 1 << 0;
/// [`Host::log_enabled`]: the answer may be another one the next time.
pub const LOG_ASK_AGAIN: u32 = 1 << 1;

/// [`LogField::flags`]: no text but a number, a truth value, or what is formatted already.
pub const LOG_FIELD_PLAIN: u64 = 1 << 0;

/// A level of [`LogLine`]: the app is broken.
pub const LOG_ERROR: u32 = 1;
/// A level of [`LogLine`]: something that should be looked at.
pub const LOG_WARN: u32 = 2;
/// A level of [`LogLine`]: what an operator likes to know.
pub const LOG_INFO: u32 = 3;
/// A level of [`LogLine`]: what a developer likes to know.
pub const LOG_DEBUG: u32 = 4;
/// A level of [`LogLine`]: everything.
pub const LOG_TRACE: u32 = 5;

/// Borrowed bytes; text is UTF-8, without a NUL at its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Str {
    /// Where they begin. NULL says that there is no text at all, where that is possible.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
}

/// One field of a header or of trailers, borrowed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Its name, in lower case.
    pub name: Str,
    /// Its value.
    pub value: Str,
    /// [`HEADER_SENSITIVE`].
    pub flags: u64,
}

/// Owned bytes. Whoever holds it calls `drop` once, or passes it on.
#[repr(C)]
#[derive(Debug)]
pub struct Buffer {
    /// Where they begin.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
    /// Frees them; NULL where nothing is to be freed.
    pub drop: Option<unsafe extern "C" fn(*mut Self)>,
    /// The maker's own; it may move with the struct.
    pub store: [usize; 4],
}

/// A waker: one word, so that each side can put its own behind it.
#[repr(C)]
#[derive(Debug)]
pub struct Waker {
    /// What can be done with it.
    pub vtable: *const WakerVtable,
}

/// What can be done with a [`Waker`]. One that is an argument is lent for the call: `clone` it to
/// keep it.
#[repr(C)]
#[derive(Debug)]
pub struct WakerVtable {
    /// A waker of the caller's own.
    pub clone: unsafe extern "C" fn(*const Waker) -> *const Waker,
    /// Wakes, and gives back a waker of the caller's own.
    pub wake: unsafe extern "C" fn(*const Waker),
    /// Wakes.
    pub wake_by_ref: unsafe extern "C" fn(*const Waker),
    /// Gives back a waker of the caller's own.
    pub drop: unsafe extern "C" fn(*const Waker),
}

/// One end of a connection.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Address {
    /// One of `ADDRESS_…`.
    pub kind: u32,
    /// The port.
    pub port: u16,
    /// Zero.
    pub reserved: u16,
    /// The address, in network order.
    pub ip: [u8; 16],
    /// The flow of IPv6.
    pub flow: u32,
    /// The scope of IPv6: an interface's number.
    pub scope_id: u32,
    /// The path of a Unix socket; NULL if it has none.
    pub path: Str,
}

/// What TLS knows of a connection. Texts that are not known are NULL.
#[repr(C)]
#[derive(Debug)]
pub struct Tls {
    /// The protocol's version as on the wire; 0 if it is not known.
    pub version: u32,
    /// The cipher suite's number; 0 (a suite that encrypts nothing) if it is not known.
    pub cipher_suite: u32,
    /// The server's certificate, PEM.
    pub server_cert: Str,
    /// The client's certificates, PEM, its own first.
    pub client_cert_chain: *const Str,
    /// How many.
    pub n_client_cert_chain: usize,
    /// The subject of the client's certificate.
    pub client_cert_name: Str,
    /// Why the client's certificate was not accepted.
    pub client_cert_error: Str,
    /// The host name that the client asked for.
    pub server_name: Str,
}

/// What an app is called for. All of it is valid for that call alone.
///
/// A lifespan has `size` and `kind` and nothing else.
#[repr(C)]
#[derive(Debug)]
pub struct Scope {
    /// The size of this struct.
    pub size: u32,
    /// One of `SCOPE_…`.
    pub kind: u32,
    /// One of `HTTP_…`.
    pub http_version: u32,
    /// Zero.
    pub reserved: u32,
    /// The method; NULL for a WebSocket.
    pub method: Str,
    /// The scheme.
    pub scheme: Str,
    /// Path and query as on the wire.
    pub target: Str,
    /// The decoded path, `root_path` included.
    pub path: Str,
    /// Where the app is mounted.
    pub root_path: Str,
    /// The fields.
    pub headers: *const Header,
    /// How many.
    pub n_headers: usize,
    /// The subprotocols that the client of a WebSocket offers, the best first.
    pub subprotocols: *const Str,
    /// How many.
    pub n_subprotocols: usize,
    /// The other end.
    pub client: Address,
    /// Our end.
    pub server: Address,
    /// What the server calls this exchange in its log; 0 if it has no number. See
    /// [`LogLine::exchange`].
    pub exchange: u64,
    /// `EXTENSION_…`: what the connection can do now.
    pub extensions: u64,
    /// NULL without TLS.
    pub tls: *const Tls,
}

/// How an exchange came to its end.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Disconnect {
    /// One of `DISCONNECT_…`.
    pub reason: u32,
    /// The code of a reset, or of a WebSocket's close frame.
    pub code: u32,
}

/// What an app receives.
#[repr(C)]
#[derive(Debug)]
pub struct ReceiveEvent {
    /// One of `RECEIVE_…`.
    pub kind: u32,
    /// `FLAG_…`.
    pub flags: u32,
    /// Of both disconnects.
    pub disconnect: Disconnect,
    /// The app's from now on.
    pub body: Buffer,
    /// The trailers, until the next call with this handle.
    pub headers: *const Header,
    /// How many.
    pub n_headers: usize,
}

/// What an app sends.
#[repr(C)]
#[derive(Debug)]
pub struct SendEvent {
    /// One of `SEND_…`.
    pub kind: u32,
    /// `FLAG_…`.
    pub flags: u32,
    /// The status of a response, or the code of a close.
    pub status: u32,
    /// A file's descriptor, lent for the call: the host that takes the event duplicates it. Both
    /// then have one position in the file. 0 in other events.
    pub file: i32,
    /// Where in the file it begins.
    pub offset: u64,
    /// How much of it.
    pub count: u64,
    /// The host's from now on, whatever it answers.
    pub body: Buffer,
    /// A path, a subprotocol, a reason or a message.
    pub text: Str,
    /// The fields.
    pub headers: *const Header,
    /// How many.
    pub n_headers: usize,
}

/// Why an event was not taken.
#[repr(C)]
#[derive(Debug)]
pub struct SendError {
    /// One of `SEND_ERROR_…`.
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// How the client left, if it did.
    pub disconnect: Disconnect,
    /// What came, or why not.
    pub text: Buffer,
    /// What was expected.
    pub expected: Buffer,
}

/// How a task ended that did not end well. Its texts are valid until the task is dropped.
#[repr(C)]
#[derive(Debug)]
pub struct Outcome {
    /// One of `OUTCOME_…`; of no meaning with [`PANICKED`].
    pub kind: u32,
    /// Zero.
    pub reserved: u32,
    /// How the client left, if it did.
    pub disconnect: Disconnect,
    /// The error and its causes, the outermost first. What `kind` says is not among them.
    pub messages: *const Str,
    /// How many.
    pub n_messages: usize,
}

/// One field of a line in the log.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct LogField {
    /// Its name.
    pub name: Str,
    /// Its value.
    pub value: Str,
    /// [`LOG_FIELD_PLAIN`].
    pub flags: u64,
}

/// One line in the log.
#[repr(C)]
#[derive(Debug)]
pub struct LogLine {
    /// One of `LOG_ERROR` to `LOG_TRACE`.
    pub level: u32,
    /// Zero.
    pub reserved: u32,
    /// The [exchange](Scope::exchange) that it is about; 0 if none.
    pub exchange: u64,
    /// The part of the app that speaks, such as `shop::db`.
    pub target: Str,
    /// What it says.
    pub message: Str,
    /// More of it.
    pub fields: *const LogField,
    /// How many.
    pub n_fields: usize,
}

/// The host's half that an app receives through: owned by the library once it was called.
#[repr(C)]
#[derive(Debug)]
pub struct Receive {
    /// The host's own.
    pub store: [MaybeUninit<usize>; 4],
}

/// The host's half that an app sends through: owned by the library once it was called.
#[repr(C)]
#[derive(Debug)]
pub struct Send {
    /// The host's own.
    pub store: [MaybeUninit<usize>; 4],
}

/// One call of an app: owned by the host once the library has made it.
#[repr(C)]
#[derive(Debug)]
pub struct Task {
    /// The library's own.
    pub store: [MaybeUninit<usize>; 8],
}

/// What the host offers. Valid until the process ends.
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
    /// Waits for the next event. PENDING, READY with the event, or PANICKED.
    pub receive_poll:
        unsafe extern "C" fn(*mut Receive, *const Waker, event: *mut ReceiveEvent) -> u32,
    /// Gives the half back.
    pub receive_drop: unsafe extern "C" fn(*mut Receive),
    /// Waits for room for one event. PENDING, READY, FAILED with the error, or PANICKED.
    pub send_poll_ready:
        unsafe extern "C" fn(*mut Send, *const Waker, error: *mut SendError) -> u32,
    /// Takes an event. READY, FAILED with the error, or PANICKED.
    pub send_start:
        unsafe extern "C" fn(*mut Send, event: *mut SendEvent, error: *mut SendError) -> u32,
    /// Waits until nobody will see another event. PENDING, READY with the reason, or PANICKED.
    pub send_poll_closed:
        unsafe extern "C" fn(*mut Send, *const Waker, disconnect: *mut Disconnect) -> u32,
    /// Gives the half back.
    pub send_drop: unsafe extern "C" fn(*mut Send),
    /// Whether anybody reads this level of this target, or, if that is NULL, of any target:
    /// [`LOG_ENABLED`] and [`LOG_ASK_AGAIN`]. Without the latter the answer may be remembered.
    pub log_enabled: unsafe extern "C" fn(level: u32, target: Str) -> u32,
    /// Writes one line into the server's log, if anybody reads it.
    pub log: unsafe extern "C" fn(line: *const LogLine),
}

/// What an app is made with. Valid for the call of `init`.
#[repr(C)]
#[derive(Debug)]
pub struct Start {
    /// The size of this struct.
    pub size: u32,
    /// How many threads the app may well use, 0 if it shall choose.
    pub threads: u32,
    /// What the operator has to say to the app; NULL if nothing.
    pub config: Str,
}

/// What a library exports, under the name `ASGI_APP`, and further apps under `ASGI_APP_name`. Valid
/// until the process ends.
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
    /// What compiled it, for people.
    pub toolchain: Str,
    /// Zero: none is defined yet.
    pub flags: u64,
    /// Makes the app; called before anything else. READY with the app, or FAILED with a message.
    pub init: unsafe extern "C" fn(
        *const Host,
        *const Start,
        app: *mut *mut c_void,
        error: *mut Buffer,
    ) -> u32,
    /// Makes a task that serves one scope; on any thread, also while other calls run. READY with
    /// the task, or FAILED. Takes both halves, whatever it answers: it moves them out of what the
    /// pointers lend for this call.
    pub call: unsafe extern "C" fn(
        app: *mut c_void,
        *const Scope,
        receive: *mut Receive,
        send: *mut Send,
        task: *mut Task,
    ) -> u32,
    /// Goes on with a task. PENDING, READY, FAILED or PANICKED, the last two with the outcome.
    /// Whatever is not PENDING is the end: it is not polled again.
    pub poll: unsafe extern "C" fn(*mut Task, *const Waker, outcome: *mut Outcome) -> u32,
    /// Frees what a task holds; one that has not ended is cancelled.
    pub drop_task: unsafe extern "C" fn(*mut Task),
    /// Stops the app's own threads and waits for them, so many milliseconds at most. The last
    /// call but for `drop_task`.
    pub shutdown: unsafe extern "C" fn(app: *mut c_void, grace_ms: u32),
}

// SAFETY: a buffer is owned bytes, and every maker of one promises (see the rules above, and
// `asgi.h`) that its `drop` may be called on any thread.
unsafe impl std::marker::Send for Buffer {}
// SAFETY: shared access only reads the bytes, which nobody changes while the buffer lives.
unsafe impl Sync for Buffer {}
// SAFETY: an `App` is read-only data; its texts live as long as the process.
unsafe impl Sync for App {}

impl Str {
    /// No text at all.
    pub const NULL: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// Lends a text. The caller sees to it that it is not used for longer than the text lives.
    pub const fn new(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }

    /// Lends bytes, as [`new`](Self::new).
    pub const fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes; none if it is NULL.
    ///
    /// # Safety
    ///
    /// They must be valid, and unchanged, for as long as the caller says with `'a`.
    pub unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller's promise.
        unsafe { slice(self.ptr, self.len) }
    }

    /// The text, with U+FFFD for what is no UTF-8.
    ///
    /// # Safety
    ///
    /// As [`as_bytes`](Self::as_bytes).
    pub unsafe fn to_text<'a>(self) -> std::borrow::Cow<'a, str> {
        // SAFETY: the caller's promise.
        String::from_utf8_lossy(unsafe { self.as_bytes() })
    }
}

/// An array that crossed; empty if it is NULL, which Rust's own slices must never be.
///
/// # Safety
///
/// Unless NULL or empty, `ptr` must point to `len` valid values that nobody changes during `'a`.
pub(crate) unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if ptr.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; NULL is excluded above.
    unsafe { std::slice::from_raw_parts(ptr, len) }
}

impl Disconnect {
    /// Zeros.
    pub const NONE: Self = Self { reason: 0, code: 0 };
}

impl Address {
    /// No address is known.
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
    /// A scope of this kind with nothing in it.
    pub const fn new(kind: u32) -> Self {
        Self {
            size: size_of::<Self>() as u32,
            kind,
            http_version: 0,
            reserved: 0,
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
    /// What a caller passes to have it filled in.
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
    /// An event of this kind with nothing in it.
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
    /// What a caller passes to have it filled in.
    pub const EMPTY: Self = Self {
        kind: 0,
        reserved: 0,
        disconnect: Disconnect::NONE,
        text: Buffer::EMPTY,
        expected: Buffer::EMPTY,
    };
}

impl Outcome {
    /// What a caller passes to have it filled in.
    pub const EMPTY: Self = Self {
        kind: 0,
        reserved: 0,
        disconnect: Disconnect::NONE,
        messages: std::ptr::null(),
        n_messages: 0,
    };
}
