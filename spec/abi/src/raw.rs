//! Exchanges that the lint plays itself, on the raw ABI.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use crate::buffer::counted;
use crate::host::CHECKED;
use crate::layout::*;
use crate::{report, scripts};

/// How a raw exchange ends.
pub(crate) enum End {
    Ok,
    /// The kind of the outcome, and the messages.
    Failed(u32, Vec<String>),
    Panicked,
}

type RawScript = Pin<Box<dyn Future<Output = End>>>;

/// The task of a raw exchange.
pub(crate) struct RawTask {
    script: Option<RawScript>,
    raw: Arc<Raw>,
    messages: Vec<String>,
    texts: Vec<Str>,
}

impl RawTask {
    /// Makes the task if the target asks for one.
    pub(crate) fn new(target: &str, scope: &Scope, receive: Receive, send: Send) -> Option<Self> {
        let path = target.split('?').next().unwrap_or_default();
        let name = match path {
            "/report/abi" => "report",
            _ => path.strip_prefix("/abi/")?,
        };
        #[allow(
            clippy::arc_with_non_send_sync,
            reason = "one thread at a time uses it"
        )]
        let raw = Arc::new(Raw {
            receive: RefCell::new(Some(receive)),
            send: RefCell::new(Some(send)),
            waker: Cell::new(std::ptr::null()),
            exchange: scope.exchange,
            extensions: scope.extensions,
            // SAFETY: the scope is valid during the call that makes the task.
            dump: unsafe { dump(scope) },
        });
        let script = scripts::script(name, Arc::clone(&raw));
        Some(Self {
            script: Some(script),
            raw,
            messages: Vec::new(),
            texts: Vec::new(),
        })
    }

    /// # Safety
    ///
    /// The arguments must be those of the ABI's `poll`.
    pub(crate) unsafe fn poll(&mut self, waker: *const Waker, outcome: *mut Outcome) -> u32 {
        self.raw.waker.set(waker);
        let Some(script) = &mut self.script else {
            return READY;
        };
        // The functions of the host get its own waker, so nothing wakes this one.
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(end) = script.as_mut().poll(&mut cx) else {
            return PENDING;
        };
        self.end();
        let (kind, messages, code) = match end {
            End::Ok => return READY,
            End::Failed(kind, messages) => (kind, messages, FAILED),
            End::Panicked => (0, vec!["a panic of abi-015".into()], PANICKED),
        };
        self.messages = messages;
        self.texts = self.messages.iter().map(|text| Str::new(text)).collect();
        // SAFETY: the host passes a valid output parameter; the texts live until the task is dropped.
        unsafe {
            outcome.write(Outcome {
                kind,
                reserved: 0,
                disconnect: Disconnect {
                    reason: 0,
                    reserved: 0,
                    code: 0,
                },
                messages: self.texts.as_ptr(),
                n_messages: self.texts.len(),
            });
        }
        code
    }

    /// Cancels the script, and gives both halves back.
    pub(crate) fn end(&mut self) {
        self.script = None;
        self.raw.give_back();
    }
}

/// Both halves of a raw exchange. One thread at a time uses it.
pub(crate) struct Raw {
    receive: RefCell<Option<Receive>>,
    send: RefCell<Option<Send>>,
    /// That of the poll that runs.
    waker: Cell<*const Waker>,
    pub(crate) exchange: u64,
    pub(crate) extensions: u64,
    /// The scope as text.
    pub(crate) dump: String,
}

/// One event to send, with its own copies of all that it lends.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) status: u32,
    pub(crate) file: i32,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) text: Option<Vec<u8>>,
    pub(crate) body: Vec<u8>,
}

/// What the host has answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HostAnswer {
    Taken,
    Misuse,
    OtherError(u32),
    Code(u32),
}

/// An event in the layout of the ABI, and what it borrows.
struct Lent {
    headers: Vec<Header>,
    sent: Sent,
    drops: Arc<AtomicU32>,
    event: SendEvent,
}

impl Lent {
    fn new(sent: Sent) -> Self {
        let text = |bytes: &[u8]| Str {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        };
        let headers: Vec<Header> = sent
            .headers
            .iter()
            .map(|(name, value)| Header {
                name: text(name),
                value: text(value),
                flags: 0,
            })
            .collect();
        let (body, drops) = counted(sent.body.clone());
        let event = SendEvent {
            kind: sent.kind,
            flags: sent.flags,
            status: sent.status,
            file: sent.file,
            offset: 0,
            count: 0,
            body,
            text: sent.text.as_ref().map_or(Str::NULL, |bytes| text(bytes)),
            headers: headers.as_ptr(),
            n_headers: headers.len(),
        };
        Self {
            headers,
            sent,
            drops,
            event,
        }
    }

    /// Overwrites all that was lent for the call. A host that still reads it sends other bytes.
    fn overwrite(mut self) {
        for (name, value) in &mut self.sent.headers {
            name.fill(b'z');
            value.fill(b'z');
        }
        if let Some(text) = &mut self.sent.text {
            text.fill(b'z');
        }
        self.headers.clear();
        // It stays in memory, so that a late read sees the other bytes.
        std::mem::forget(self.sent);
    }
}

impl Raw {
    /// Waits for an event.
    pub(crate) async fn receive(&self) -> ReceiveEvent {
        poll_fn(|_| {
            let mut receive = self.receive.borrow_mut();
            let receive = receive
                .as_mut()
                .expect("scripts give no half back and use it");
            let mut event = std::mem::MaybeUninit::uninit();
            // SAFETY: the handle is ours, the waker is that of this poll.
            let code =
                unsafe { (CHECKED.receive_poll)(receive, self.waker.get(), event.as_mut_ptr()) };
            match code {
                // SAFETY: the host has written the event with this code.
                READY => Poll::Ready(unsafe { event.assume_init() }),
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// Waits for room for an event.
    pub(crate) async fn ready(&self) {
        poll_fn(|_| {
            let mut error = std::mem::MaybeUninit::uninit();
            // SAFETY: as in `receive`.
            let code = unsafe {
                (CHECKED.send_poll_ready)(self.sender(), self.waker.get(), error.as_mut_ptr())
            };
            match code {
                PENDING => Poll::Pending,
                FAILED => {
                    // SAFETY: the host has written the error with this code, and it is ours.
                    unsafe { give_back_error(error.assume_init()) };
                    Poll::Ready(())
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Sends an event, whether there is room or not.
    pub(crate) fn start(&self, sent: Sent) -> HostAnswer {
        let mut lent = Lent::new(sent);
        let drops = Arc::clone(&lent.drops);
        let mut error = std::mem::MaybeUninit::uninit();
        // SAFETY: the handle is ours. The body is the host's from now on.
        let code =
            unsafe { (CHECKED.send_start)(self.sender(), &raw mut lent.event, error.as_mut_ptr()) };
        lent.overwrite();
        report::soon(
            "ABI-009",
            "the host does not drop the body of an event",
            move || drops.load(Ordering::SeqCst) > 0,
        );
        // SAFETY: with FAILED, the host has written the error.
        unsafe { answer(code, error) }
    }

    /// Waits for room and sends an event.
    pub(crate) async fn send_event(&self, sent: Sent) -> HostAnswer {
        self.ready().await;
        self.start(sent)
    }

    /// Sends a start and a last part in one step. The bytes are those of the body that is left in the event.
    pub(crate) async fn respond(&self, start: Sent) -> (HostAnswer, Vec<u8>) {
        let mut lent = Lent::new(start);
        let code = poll_fn(|_| {
            let mut error = std::mem::MaybeUninit::uninit();
            // SAFETY: as in `start`. If the host takes the body, it leaves an empty one.
            let code = unsafe {
                (CHECKED.send_respond)(
                    self.sender(),
                    self.waker.get(),
                    &raw mut lent.event,
                    error.as_mut_ptr(),
                )
            };
            match code {
                PENDING => Poll::Pending,
                // SAFETY: with FAILED, the host has written the error.
                code => Poll::Ready(unsafe { answer(code, error) }),
            }
        })
        .await;
        // SAFETY: what is in the event now is ours.
        let left = unsafe {
            let left = lent.event.body.to_vec();
            lent.event.body.give_back();
            left
        };
        lent.overwrite();
        (code, left)
    }

    /// Makes a handle that waits for the close.
    pub(crate) fn closed_handle(&self) -> Option<Closed> {
        let mut closed = std::mem::MaybeUninit::uninit();
        // SAFETY: the handle is ours, and the host writes the output with READY.
        unsafe {
            let code = (CHECKED.send_closed_handle)(self.sender(), closed.as_mut_ptr());
            (code == READY).then(|| closed.assume_init())
        }
    }

    fn sender(&self) -> *mut Send {
        let mut send = self.send.borrow_mut();
        send.as_mut().expect("scripts give no half back and use it")
    }

    /// Gives both halves back, if that is not done.
    fn give_back(&self) {
        // SAFETY: the handles are ours, and this is their only drop.
        unsafe {
            if let Some(mut receive) = self.receive.take() {
                (CHECKED.receive_drop)(&raw mut receive);
            }
            if let Some(mut send) = self.send.take() {
                (CHECKED.send_drop)(&raw mut send);
            }
        }
    }
}

/// # Safety
///
/// With FAILED, the error must be written.
unsafe fn answer(code: u32, error: std::mem::MaybeUninit<SendError>) -> HostAnswer {
    match code {
        READY => HostAnswer::Taken,
        FAILED => {
            // SAFETY: the caller promises it, and the error is ours.
            let kind = unsafe {
                let error = error.assume_init();
                give_back_error(error);
                error.kind
            };
            match kind {
                SEND_ERROR_MISUSE => HostAnswer::Misuse,
                other => HostAnswer::OtherError(other),
            }
        }
        code => HostAnswer::Code(code),
    }
}

/// # Safety
///
/// The error must be ours, and not used again.
unsafe fn give_back_error(error: SendError) {
    // SAFETY: the caller promises it.
    unsafe {
        error.text.give_back();
        error.expected.give_back();
    }
}

/// The scope as text, one member a line.
///
/// # Safety
///
/// The scope must be valid.
unsafe fn dump(scope: &Scope) -> String {
    // SAFETY: the caller promises it.
    unsafe {
        let mut text = format!(
            "kind {}\nversion {}\nmethod {}\nscheme {}\ntarget {}\npath {}\nroot_path {}\n",
            scope.kind,
            scope.http_version,
            scope.method.to_text(),
            scope.scheme.to_text(),
            scope.target.to_text(),
            scope.path.to_text(),
            scope.root_path.to_text(),
        );
        for number in 0..scope.n_headers {
            let header = *scope.headers.add(number);
            let (name, value) = (header.name.to_text(), header.value.to_text());
            text += &format!("header {name}: {value}\n");
        }
        text
    }
}
