//! The types and constants of `asgi.h`, written once more.
//!
//! `asgi-abi` has them too. This crate checks hosts and libraries, so it shares no code with them; a
//! test compares the layout with that of the header.

use std::ffi::c_void;

pub(crate) const MAGIC: u64 = 0x5050_415f_4947_5341;
pub(crate) const MAJOR: u16 = 0;
pub(crate) const MINOR: u16 = 7;
pub(crate) const PENDING: u32 = 0;
pub(crate) const READY: u32 = 1;
pub(crate) const FAILED: u32 = 2;
pub(crate) const PANICKED: u32 = 3;
pub(crate) const WORKING: u32 = 4;
pub(crate) const DECLINED: u32 = 5;
pub(crate) const SCOPE_HTTP: u32 = 1;
pub(crate) const SCOPE_WEBSOCKET: u32 = 2;
pub(crate) const SCOPE_LIFESPAN: u32 = 3;
pub(crate) const HTTP_10: u32 = 10;
pub(crate) const HTTP_11: u32 = 11;
pub(crate) const HTTP_2: u32 = 20;
pub(crate) const EXTENSION_PUSH: u64 = 1 << 0;
pub(crate) const EXTENSION_EARLY_HINT: u64 = 1 << 1;
pub(crate) const EXTENSION_TRAILERS: u64 = 1 << 2;
pub(crate) const EXTENSION_PATH_SEND: u64 = 1 << 3;
pub(crate) const EXTENSION_ZERO_COPY_SEND: u64 = 1 << 4;
pub(crate) const EXTENSION_WEBSOCKET_HTTP_RESPONSE: u64 = 1 << 6;
pub(crate) const RECEIVE_HTTP_REQUEST: u32 = 1;
pub(crate) const SEND_HTTP_RESPONSE_START: u32 = 1;
pub(crate) const SEND_HTTP_RESPONSE_BODY: u32 = 2;
pub(crate) const SEND_HTTP_RESPONSE_ZERO_COPY_SEND: u32 = 7;
pub(crate) const RECEIVE_HTTP_DISCONNECT: u32 = 2;
pub(crate) const RECEIVE_WEBSOCKET_CONNECT: u32 = 16;
pub(crate) const RECEIVE_WEBSOCKET_RECEIVE: u32 = 17;
pub(crate) const RECEIVE_WEBSOCKET_DISCONNECT: u32 = 18;
pub(crate) const DISCONNECT_LOST: u32 = 2;
pub(crate) const SEND_ERROR_DISCONNECTED: u32 = 1;
pub(crate) const SEND_WEBSOCKET_ACCEPT: u32 = 16;
pub(crate) const FLAG_TEXT: u32 = 1 << 2;
pub(crate) const FLAG_MORE: u32 = 1 << 0;
pub(crate) const DISCONNECT_COMPLETE: u32 = 0;
pub(crate) const SEND_ERROR_MISUSE: u32 = 2;
pub(crate) const OUTCOME_FAILED: u32 = 1;
pub(crate) const OUTCOME_UNSUPPORTED: u32 = 2;
pub(crate) const OUTCOME_ABORTED: u32 = 4;
pub(crate) const LOG_ENABLED: u32 = 1 << 0;
pub(crate) const LOG_WARN: u32 = 2;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Str {
    pub(crate) ptr: *const u8,
    pub(crate) len: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) name: Str,
    pub(crate) value: Str,
    pub(crate) flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    pub(crate) ptr: *const u8,
    pub(crate) len: usize,
    pub(crate) drop: Option<unsafe extern "C" fn(*mut Self)>,
    pub(crate) store: [usize; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Waker {
    pub(crate) vtable: *const WakerVtable,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct WakerVtable {
    pub(crate) clone: unsafe extern "C" fn(*const Waker) -> *const Waker,
    pub(crate) wake: unsafe extern "C" fn(*const Waker),
    pub(crate) wake_by_ref: unsafe extern "C" fn(*const Waker),
    pub(crate) drop: unsafe extern "C" fn(*const Waker),
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Address {
    pub(crate) kind: u32,
    pub(crate) port: u16,
    pub(crate) reserved: u16,
    pub(crate) ip: [u8; 16],
    pub(crate) flow: u32,
    pub(crate) scope_id: u32,
    pub(crate) path: Str,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Tls {
    pub(crate) version: u32,
    pub(crate) cipher_suite: u32,
    pub(crate) server_cert: Str,
    pub(crate) client_cert_chain: *const Str,
    pub(crate) n_client_cert_chain: usize,
    pub(crate) client_cert_name: Str,
    pub(crate) client_cert_error: Str,
    pub(crate) server_name: Str,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Scope {
    pub(crate) size: u32,
    pub(crate) kind: u32,
    pub(crate) http_version: u32,
    pub(crate) flags: u32,
    pub(crate) method: Str,
    pub(crate) scheme: Str,
    pub(crate) target: Str,
    pub(crate) path: Str,
    pub(crate) root_path: Str,
    pub(crate) headers: *const Header,
    pub(crate) n_headers: usize,
    pub(crate) subprotocols: *const Str,
    pub(crate) n_subprotocols: usize,
    pub(crate) client: Address,
    pub(crate) server: Address,
    pub(crate) exchange: u64,
    pub(crate) extensions: u64,
    pub(crate) tls: *const Tls,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Disconnect {
    pub(crate) reason: u32,
    pub(crate) reserved: u32,
    pub(crate) code: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ReceiveEvent {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) disconnect: Disconnect,
    pub(crate) body: Buffer,
    pub(crate) headers: *const Header,
    pub(crate) n_headers: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SendEvent {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) status: u32,
    pub(crate) file: i32,
    pub(crate) offset: u64,
    pub(crate) count: u64,
    pub(crate) body: Buffer,
    pub(crate) text: Str,
    pub(crate) headers: *const Header,
    pub(crate) n_headers: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SendError {
    pub(crate) kind: u32,
    pub(crate) reserved: u32,
    pub(crate) disconnect: Disconnect,
    pub(crate) text: Buffer,
    pub(crate) expected: Buffer,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) kind: u32,
    pub(crate) reserved: u32,
    pub(crate) disconnect: Disconnect,
    pub(crate) messages: *const Str,
    pub(crate) n_messages: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LogField {
    pub(crate) name: Str,
    pub(crate) value: Str,
    pub(crate) flags: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct LogLine {
    pub(crate) level: u32,
    pub(crate) reserved: u32,
    pub(crate) exchange: u64,
    pub(crate) target: Str,
    pub(crate) message: Str,
    pub(crate) fields: *const LogField,
    pub(crate) n_fields: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Receive {
    pub(crate) store: [usize; 6],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Send {
    pub(crate) store: [usize; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Closed {
    pub(crate) store: [usize; 4],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Task {
    pub(crate) store: [usize; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Host {
    pub(crate) magic: u64,
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) size: u32,
    pub(crate) receive_poll:
        unsafe extern "C" fn(*mut Receive, *const Waker, event: *mut ReceiveEvent) -> u32,
    pub(crate) receive_drop: unsafe extern "C" fn(*mut Receive),
    pub(crate) send_poll_ready:
        unsafe extern "C" fn(*mut Send, *const Waker, error: *mut SendError) -> u32,
    pub(crate) send_start:
        unsafe extern "C" fn(*mut Send, event: *mut SendEvent, error: *mut SendError) -> u32,
    pub(crate) send_respond: unsafe extern "C" fn(
        *mut Send,
        *const Waker,
        event: *mut SendEvent,
        error: *mut SendError,
    ) -> u32,
    pub(crate) send_poll_closed:
        unsafe extern "C" fn(*mut Send, *const Waker, disconnect: *mut Disconnect) -> u32,
    pub(crate) send_closed_handle: unsafe extern "C" fn(*const Send, closed: *mut Closed) -> u32,
    pub(crate) send_drop: unsafe extern "C" fn(*mut Send),
    pub(crate) closed_poll:
        unsafe extern "C" fn(*mut Closed, *const Waker, disconnect: *mut Disconnect) -> u32,
    pub(crate) closed_drop: unsafe extern "C" fn(*mut Closed),
    pub(crate) log_enabled: unsafe extern "C" fn(level: u32, target: Str) -> u32,
    pub(crate) log: unsafe extern "C" fn(line: *const LogLine),
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Start {
    pub(crate) size: u32,
    pub(crate) threads: u32,
    pub(crate) config: Str,
}

#[repr(C)]
#[derive(Clone, Copy)]
/// An exported app.
#[allow(missing_debug_implementations, reason = "it is a static of functions")]
pub struct App {
    pub(crate) magic: u64,
    pub(crate) major: u16,
    pub(crate) minor: u16,
    pub(crate) size: u32,
    pub(crate) name: Str,
    pub(crate) version: Str,
    pub(crate) toolchain: Str,
    pub(crate) flags: u64,
    pub(crate) init: unsafe extern "C" fn(
        *const Host,
        *const Start,
        app: *mut *mut c_void,
        error: *mut Buffer,
    ) -> u32,
    pub(crate) call: unsafe extern "C" fn(
        app: *mut c_void,
        *const Scope,
        receive: *mut Receive,
        send: *mut Send,
        task: *mut Task,
    ) -> u32,
    pub(crate) poll: unsafe extern "C" fn(*mut Task, *const Waker, outcome: *mut Outcome) -> u32,
    pub(crate) drop_task: unsafe extern "C" fn(*mut Task),
    pub(crate) shutdown: unsafe extern "C" fn(app: *mut c_void, grace_ms: u32),
}

// SAFETY: an `App` is read-only data that lives until the process ends.
unsafe impl Sync for App {}
// SAFETY: as above.
unsafe impl Sync for Host {}
// SAFETY: as above.
unsafe impl Sync for WakerVtable {}

impl Str {
    pub(crate) const NULL: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
    };

    pub(crate) const fn new(text: &str) -> Self {
        Self {
            ptr: text.as_ptr(),
            len: text.len(),
        }
    }

    /// The bytes as text.
    ///
    /// # Safety
    ///
    /// The bytes must be valid during the call.
    pub(crate) unsafe fn to_text(self) -> String {
        if self.ptr.is_null() || self.len == 0 {
            return String::new();
        }
        // SAFETY: the caller promises it.
        let bytes = unsafe { std::slice::from_raw_parts(self.ptr, self.len) };
        String::from_utf8_lossy(bytes).into_owned()
    }
}

impl Buffer {
    pub(crate) const EMPTY: Self = Self {
        ptr: std::ptr::null(),
        len: 0,
        drop: None,
        store: [0; 4],
    };

    /// The bytes, as a copy.
    ///
    /// # Safety
    ///
    /// The buffer must not be dropped.
    pub(crate) unsafe fn to_vec(self) -> Vec<u8> {
        if self.ptr.is_null() || self.len == 0 {
            return Vec::new();
        }
        // SAFETY: the caller promises it.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }.to_vec()
    }

    /// Calls the `drop` of a buffer that this side owns.
    ///
    /// # Safety
    ///
    /// This side must own the buffer, and not use it again.
    pub(crate) unsafe fn give_back(mut self) {
        if let Some(drop) = self.drop {
            // SAFETY: the caller promises it.
            unsafe { drop(&raw mut self) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::{align_of, offset_of, size_of};

    use asgi_abi::abi;

    use super::*;

    /// Compares types with those of `asgi-abi`, which its own tests compare with the header in C.
    macro_rules! agree {
        ($($name:ident { $($field:ident)* })*) => { $(
            assert_eq!(size_of::<$name>(), size_of::<abi::$name>(), stringify!($name));
            assert_eq!(align_of::<$name>(), align_of::<abi::$name>(), stringify!($name));
            $(
                let offsets = (offset_of!($name, $field), offset_of!(abi::$name, $field));
                assert_eq!(offsets.0, offsets.1, concat!(stringify!($name), ".", stringify!($field)));
            )*
            // This compiles only if the list has every field.
            let _: fn(&$name) = |$name { $($field: _),* }| {};
        )* };
    }

    #[test]
    fn the_layout_is_that_of_the_header() {
        agree! {
            Str { ptr len }
            Header { name value flags }
            Buffer { ptr len drop store }
            Waker { vtable }
            WakerVtable { clone wake wake_by_ref drop }
            Address { kind port reserved ip flow scope_id path }
            Tls {
                version cipher_suite server_cert client_cert_chain n_client_cert_chain
                client_cert_name client_cert_error server_name
            }
            Scope {
                size kind http_version flags method scheme target path root_path headers n_headers
                subprotocols n_subprotocols client server exchange extensions tls
            }
            Disconnect { reason reserved code }
            ReceiveEvent { kind flags disconnect body headers n_headers }
            SendEvent { kind flags status file offset count body text headers n_headers }
            SendError { kind reserved disconnect text expected }
            Outcome { kind reserved disconnect messages n_messages }
            LogField { name value flags }
            LogLine { level reserved exchange target message fields n_fields }
            Receive { store }
            Send { store }
            Closed { store }
            Task { store }
            Host {
                magic major minor size receive_poll receive_drop send_poll_ready send_start send_respond
                send_poll_closed send_closed_handle send_drop closed_poll closed_drop log_enabled log
            }
            Start { size threads config }
            App { magic major minor size name version toolchain flags init call poll drop_task shutdown }
        }
        assert_eq!((MAGIC, MAJOR, MINOR), (abi::MAGIC, abi::MAJOR, abi::MINOR));
    }
}
