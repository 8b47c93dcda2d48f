//! The server's side: [`LoadedApp`] is an [`App`] that calls a library.

mod closed;
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

use crate::crash::TrackedCall;
use crate::{abi, waker};

/// The host functions that every library gets.
pub(crate) static HOST: abi::Host = abi::Host {
    magic: abi::MAGIC,
    major: abi::MAJOR,
    minor: abi::MINOR,
    size: size_of::<abi::Host>() as u32,
    receive_poll: halves::receive_poll,
    receive_drop: halves::receive_drop,
    send_poll_ready: halves::send_poll_ready,
    send_start: halves::send_start,
    send_respond: halves::send_respond,
    send_poll_closed: closed::send_poll_closed,
    send_closed_handle: closed::send_closed_handle,
    send_drop: halves::send_drop,
    closed_poll: closed::closed_poll,
    closed_drop: closed::closed_drop,
    log_enabled: log::log_enabled,
    log: log::log,
};

/// A loaded app, which a server can call. A clone is cheap and is the same app.
///
/// If the app panics, `poll` of the future panics too, with the message as a `String`. It does not
/// call the server's panic hook, because the library's hook has already run.
#[derive(Clone, Copy)]
pub struct LoadedApp {
    pub(crate) functions: &'static abi::App,
    /// The app that the library's `init` returned.
    pub(crate) app: NonNull<c_void>,
    /// [`LoadOptions::exchange_id`](crate::LoadOptions::exchange_id).
    pub(crate) exchange_id: fn() -> Option<u64>,
    /// [`LoadOptions::app_is_working`](crate::LoadOptions::app_is_working).
    pub(crate) app_is_working: fn(),
}

// SAFETY: a library promises that any thread may call its app, and several threads at once.
unsafe impl Send for LoadedApp {}
// SAFETY: as for `Send`.
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

/// The future of one call.
enum Call {
    /// The library has made a task.
    Running(HostTask),
    /// The library has not made a task.
    Refused(Option<AppError>),
}

impl Call {
    fn new(app: LoadedApp, scope: Scope, receive: Receiver, send: Sender) -> Self {
        let kind = scope.kind();
        let exchange = (app.exchange_id)();
        let tracked = TrackedCall::new(&scope, exchange);
        let mut task = MaybeUninit::uninit();
        let code = scope::with_abi_scope(&scope, exchange, |scope| {
            let (mut receive, mut send) =
                (halves::receive_to_abi(receive), halves::send_to_abi(send));
            // SAFETY: `init` has returned this pointer to an app. The scope is valid during the
            // call, the library takes the ownership of the halves, and `task` is a local variable
            // that the library may write to.
            tracked.enter(|| unsafe {
                let pointer = app.app.as_ptr();
                let (receive, send) = (&raw mut receive, &raw mut send);
                (app.functions.call)(pointer, scope, receive, send, task.as_mut_ptr())
            })
        });
        let call = match code {
            Some(abi::READY) => Self::Running(HostTask {
                functions: app.functions,
                // SAFETY: the library returned READY, so it has written the task.
                task: unsafe { task.assume_init() },
                tracked,
                kind,
                app_is_working: app.app_is_working,
                has_ended: false,
            }),
            Some(_) => Self::Refused(Some("the app's library refused the call".into())),
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
                Poll::Ready(Err(
                    error.unwrap_or_else(|| "the call was polled after its end".into())
                ))
            }
        }
    }
}

/// A task of the library, which the host owns.
struct HostTask {
    functions: &'static abi::App,
    task: abi::Task,
    tracked: TrackedCall,
    /// The kind of the scope, for the error of an app that does not support it.
    kind: &'static str,
    app_is_working: fn(),
    has_ended: bool,
}

// SAFETY: a library promises that any thread may poll and drop a task, one at a time. `poll` takes
// `&mut self`, and only the owner can drop the task, so there is one user at a time.
unsafe impl Send for HostTask {}

impl HostTask {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<(), AppError>> {
        assert!(!self.has_ended, "a call must not be polled after its end");
        let mut outcome = abi::Outcome::EMPTY;
        let code = waker::with_abi_waker(cx.waker(), |waker| {
            // SAFETY: we own the task, and it has not ended. The waker is valid during the call,
            // and `outcome` is a local variable that the library may write to.
            self.tracked.enter(|| unsafe {
                (self.functions.poll)(&raw mut self.task, waker, &raw mut outcome)
            })
        });
        match code {
            abi::PENDING => return Poll::Pending,
            abi::WORKING => {
                (self.app_is_working)();
                return Poll::Pending;
            }
            _ => self.has_ended = true,
        }
        match code {
            abi::READY => Poll::Ready(Ok(())),
            // SAFETY: the library returned FAILED, so it has written the outcome. Its texts are
            // valid until the task is dropped.
            abi::FAILED => Poll::Ready(Err(unsafe { outcome::error(&outcome, self.kind) })),
            // SAFETY: the same for PANICKED.
            _ => std::panic::resume_unwind(Box::new(unsafe { outcome::panic_message(&outcome) })),
        }
    }
}

impl Drop for HostTask {
    fn drop(&mut self) {
        // SAFETY: we own the task, and `drop` runs once.
        self.tracked
            .enter(|| unsafe { (self.functions.drop_task)(&raw mut self.task) });
    }
}
