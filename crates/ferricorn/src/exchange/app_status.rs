//! Whether the app of an exchange should be polled, is polled, or has ended.

/// Whether the app should be polled, is polled, or has ended.
#[derive(Debug)]
pub(super) struct AppStatus {
    /// Whether another poll could get the app further: something has happened since the last one.
    pub(super) runnable: bool,
    /// The app is being polled, or was not polled yet: the driver looks afterwards, without being woken.
    pub(super) polling: bool,
    /// The app has ended, or was dropped.
    pub(super) ended: bool,
    /// The app counts among those that run.
    pub(super) counted: bool,
    /// The log says that a poll took too long.
    pub(super) slow_poll_logged: bool,
}

impl AppStatus {
    pub(super) fn new() -> Self {
        Self {
            runnable: true,
            polling: true,
            ended: false,
            counted: true,
            slow_poll_logged: false,
        }
    }
}
