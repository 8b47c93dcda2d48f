//! The server's side: an [`App`] whose calls go into a library.

mod halves;
mod log;
mod outcome;
mod scope;

use std::ffi::c_void;
use std::fmt;
use std::mem::{MaybeUninit, size_of};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use asgi::{App, AppError, Receiver, Scope, Sender};

use crate::crash::Entry;
use crate::{abi, waker};

/// What every library gets.
pub(crate) static HOST: abi::Host = abi::Host {
    magic: abi::MAGIC,
    major: abi::MAJOR,
    minor: abi::MINOR,
    size: size_of::<abi::Host>() as u32,
    receive_poll: halves::receive_poll,
    receive_drop: halves::receive_drop,
    send_poll_ready: halves::send_poll_ready,
    send_start: halves::send_start,
    send_poll_closed: halves::send_poll_closed,
    send_drop: halves::send_drop,
    log_enabled: log::log_enabled,
    log: log::log,
};

/// A loaded app, as a server calls it. Cloning it is cheap and gives the same app.
///
/// A panic of the app's comes out of the future's `poll` as a panic, its message as a `String`,
/// without a second run of the panic hook: the library's own has printed it.
#[derive(Clone, Copy)]
pub struct LoadedApp {
    pub(crate) functions: &'static abi::App,
    /// What the library's `init` made.
    pub(crate) app: NonNull<c_void>,
    /// [`LoadOptions::exchange_id`](crate::LoadOptions::exchange_id).
    pub(crate) exchange_id: fn() -> Option<u64>,
}

// SAFETY: a library promises that its app may be called on any thread, also by several at once.
unsafe impl Send for LoadedApp {}
// SAFETY: as above.
unsafe impl Sync for LoadedApp {}

impl fmt::Debug for LoadedApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedApp").finish_non_exhaustive()
    }
}

impl App for LoadedApp {
    fn call(
        &self,
        scope: Scope,
        receive: Receiver,
        send: Sender,
    ) -> impl Future<Output = Result<(), AppError>> + Send {
        Call::new(*self, scope, receive, send)
    }
}

/// One call, in whatever state it is.
enum Call {
    /// The library's task goes on.
    Running(Task),
    /// It never came to a task.
    Refused(Option<AppError>),
}

impl Call {
    fn new(app: LoadedApp, scope: Scope, receive: Receiver, send: Sender) -> Self {
        let kind = scope.kind();
        let exchange = (app.exchange_id)();
        let entry = Entry::new(&scope, exchange);
        let mut task = MaybeUninit::uninit();
        let code = scope::lend(&scope, exchange, |scope| {
            let (mut receive, mut send) = (halves::give_receive(receive), halves::give_send(send));
            // SAFETY: `app` is what `init` made, the scope is valid for the call, the halves are
            // given away, and `task` is valid for a write.
            entry.within(|| unsafe {
                let app_made = app.app.as_ptr();
                let (receive, send) = (&raw mut receive, &raw mut send);
                (app.functions.call)(app_made, scope, receive, send, task.as_mut_ptr())
            })
        });
        let call = match code {
            Some(abi::READY) => Self::Running(Task {
                functions: app.functions,
                // SAFETY: the library has made the task, as its answer says.
                task: unsafe { task.assume_init() },
                entry,
                kind,
                ended: false,
            }),
            Some(_) => Self::Refused(Some("the app's library could not take the call".into())),
            None => Self::Refused(Some(AppError::unsupported(&scope))),
        };
        scope::recycle(scope);
        call
    }
}

impl Future for Call {
    type Output = Result<(), AppError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Running(task) => task.poll(cx),
            Self::Refused(error) => {
                let error = error.take();
                Poll::Ready(Err(error.unwrap_or_else(|| "polled after its end".into())))
            }
        }
    }
}

/// A task of the library's, owned.
struct Task {
    functions: &'static abi::App,
    task: abi::Task,
    entry: Entry,
    /// Of its scope: an error may have to name it again.
    kind: &'static str,
    ended: bool,
}

// SAFETY: a library promises that a task may be polled and dropped on any thread; `&mut self` and
// ownership see to one at a time.
unsafe impl Send for Task {}

impl Task {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), AppError>> {
        assert!(!self.ended, "a call must not be polled after its end");
        let mut outcome = abi::Outcome::EMPTY;
        let code = waker::lend(cx.waker(), |waker| {
            // SAFETY: the task is ours and has not ended, the waker is lent for the call,
            // `outcome` is valid for a write.
            self.entry.within(|| unsafe {
                (self.functions.poll)(&raw mut self.task, waker, &raw mut outcome)
            })
        });
        if code == abi::PENDING {
            return Poll::Pending;
        }
        self.ended = true;
        match code {
            abi::READY => Poll::Ready(Ok(())),
            // SAFETY: the library filled the outcome in, and its texts are valid until the task is
            // dropped.
            abi::FAILED => Poll::Ready(Err(unsafe { outcome::error(&outcome, self.kind) })),
            // SAFETY: as above.
            _ => std::panic::resume_unwind(Box::new(unsafe { outcome::panic_message(&outcome) })),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: the task is ours and dropped once.
        self.entry
            .within(|| unsafe { (self.functions.drop_task)(&raw mut self.task) });
    }
}
