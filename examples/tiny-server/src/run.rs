//! Runs an app on a thread: polls it, waits for its waker or for a socket, and catches its panics.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use asgi::AppFuture;
use asgi_rules::{AppEnd, Fault};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// A waker that ends a thread's wait for a socket.
pub(crate) struct Alarm {
    rung: AtomicBool,
    ring: UnixStream,
    hear: UnixStream,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // This cannot fail: `self` holds the other end, and at most one byte waits in it.
            let _ = (&self.ring).write(&[0]);
        }
    }
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Arc<Self>> {
        let (ring, hear) = UnixStream::pair()?;
        let rung = AtomicBool::new(false);
        Ok(Arc::new(Self { rung, ring, hear }))
    }

    /// Waits until the waker is called or the socket is ready, and returns what the socket is ready
    /// for. Returns `None` after `limit`.
    pub(crate) fn wait(
        &self,
        socket: Option<(&impl AsFd, PollFlags)>,
        limit: Option<Duration>,
    ) -> io::Result<Option<PollFlags>> {
        let mut fds = vec![PollFd::new(&self.hear, PollFlags::IN)];
        fds.extend(socket.map(|(socket, events)| PollFd::new(socket, events)));
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        });
        match poll(&mut fds, limit.as_ref()) {
            Ok(0) => return Ok(None),
            Err(Errno::INTR) => return Ok(Some(PollFlags::empty())),
            result => result?,
        };
        if !fds[0].revents().is_empty() {
            (&self.hear).read_exact(&mut [0])?;
            self.rung.store(false, Ordering::Release);
        }
        Ok(Some(fds.get(1).map_or(PollFlags::empty(), PollFd::revents)))
    }
}

/// Polls until the result is there.
pub(crate) fn block_on<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> io::Result<T> {
    let alarm = Alarm::new()?;
    let waker = Waker::from(Arc::clone(&alarm));
    loop {
        if let Poll::Ready(result) = poll(&mut Context::from_waker(&waker)) {
            return Ok(result);
        }
        alarm.wait(None::<(&UnixStream, _)>, None)?;
    }
}

/// Polls an app. Returns how it ended, and its error as text.
pub(crate) fn poll_app(
    app: &mut AppFuture<'static>,
    cx: &mut Context<'_>,
) -> Poll<(AppEnd, String)> {
    // After a panic, the caller drops the future and does not poll it again. (CORE-019)
    match catch_unwind(AssertUnwindSafe(|| app.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(result)) => {
            let end = AppEnd::from(&result);
            let error = result.err();
            Poll::Ready((end, error.map_or(String::new(), |e| e.chain().to_string())))
        }
        Err(_) => Poll::Ready((AppEnd::Panicked, String::new())),
    }
}

/// Logs the fault of an app, once. (HTTP-036, CORE-018)
pub(crate) fn report(what: &str, fault: Option<Fault>, error: &str) {
    match fault {
        None => {}
        Some(Fault::Failed) => eprintln!("error: {what}: the app failed: {error}"),
        Some(Fault::Panicked) => eprintln!("error: {what}: the app panicked"),
        Some(Fault::NoResponse) => eprintln!("error: {what}: the app returned without a response"),
        Some(Fault::Incomplete) => eprintln!("error: {what}: the app's response is incomplete"),
        Some(fault) => eprintln!("error: {what}: the app broke a rule: {fault:?}"),
    }
}

/// Returns a flag that is set when someone presses Enter. Then it also wakes `alarm`.
pub(crate) fn when_enter_is_pressed(alarm: &Arc<Alarm>) -> Arc<AtomicBool> {
    let (alarm, pressed) = (Arc::clone(alarm), Arc::new(AtomicBool::new(false)));
    let sets = Arc::clone(&pressed);
    thread::spawn(move || {
        // At the end of the input, as with `</dev/null`, the server runs on.
        if io::stdin()
            .read_line(&mut String::new())
            .is_ok_and(|length| length > 0)
        {
            sets.store(true, Ordering::Release);
            alarm.wake();
        }
    });
    pressed
}
