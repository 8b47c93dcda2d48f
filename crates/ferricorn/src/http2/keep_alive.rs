//! Asks a silent client whether it is still there.

use std::task::Context;
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

use crate::config::Config;
use crate::deadlines::is_past;

/// Sends a PING to a client that says nothing, and waits for the answer.
pub(super) struct KeepAlive {
    ping_pong: Option<PingPong>,
    last_heard: Instant,
    pinged_at: Option<Instant>,
}

impl KeepAlive {
    pub(super) fn new(ping_pong: Option<PingPong>) -> Self {
        Self {
            ping_pong,
            last_heard: Instant::now(),
            pinged_at: None,
        }
    }

    /// How often the driver must look, if pings are on.
    pub(super) fn tick(config: &Config) -> Option<Duration> {
        let interval = config.h2_keep_alive_interval?;
        Some(interval.min(config.h2_keep_alive_timeout))
    }

    /// Takes the answer, if it came. h2 sends the next ping only after that.
    pub(super) fn poll_pong(&mut self, cx: &mut Context<'_>) {
        if self.pinged_at.is_some()
            && let Some(ping_pong) = &mut self.ping_pong
            && ping_pong.poll_pong(cx).is_ready()
        {
            self.pinged_at = None;
        }
    }

    /// Whether the client has not answered in time. Sends a ping if it is time to.
    ///
    /// `heard`: something came since the last call. Anything counts as an answer.
    pub(super) fn is_overdue(&mut self, heard: bool, config: &Config, now: Instant) -> bool {
        if heard {
            self.last_heard = now;
        }
        let timeout = config.h2_keep_alive_timeout;
        if let Some(pinged_at) = self.pinged_at {
            return is_past(pinged_at, timeout, now) && is_past(self.last_heard, timeout, now);
        }
        if let (Some(interval), Some(ping_pong)) =
            (config.h2_keep_alive_interval, &mut self.ping_pong)
            && is_past(self.last_heard, interval, now)
            && ping_pong.send_ping(Ping::opaque()).is_ok()
        {
            self.pinged_at = Some(now);
        }
        false
    }
}
