//! Decides what takes too long: a connection, a request, a response, a close.
//!
//! The drivers of HTTP/1 and HTTP/2 say what they see after each turn, and ask what is due. This
//! module holds no timer and reads no clock: the time is always an argument.

mod pace;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub(crate) use self::pace::Pace;
use crate::config::Config;

/// How often a driver looks after a busy connection, unless a time-out is shorter. A client that
/// leaves while a part of its request lies unread wakes no one: this is how late the driver sees it.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// The shortest tick, however short the time-outs are.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// How many rounds a driver does in one turn, before other connections get theirs.
pub(crate) const TURNS: usize = 32;

/// How long an idle connection stays open after the server has said that it ends, by a drain or by
/// GOAWAY: the client may have sent its next request before it could know.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// How long the server discards what still comes after it has closed its side of a connection or a
/// stream. Closing at once would reset it, and the reset can overtake the response. nginx waits 5 s.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// Whether `limit` has passed since `since`.
pub(crate) fn is_past(since: Instant, limit: Duration, now: Instant) -> bool {
    now.duration_since(since) >= limit
}

/// The deadlines of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionDeadlines {
    tick: Duration,
    /// When a request last ran. Before the first request: when the connection was accepted.
    last_activity: Instant,
    has_served: bool,
    /// A request ran at the end of the last turn.
    runs: bool,
    /// When the incomplete head began.
    head_since: Option<Instant>,
    /// When the server said that the connection ends.
    farewell_since: Option<Instant>,
    /// When the server began to close the connection, whatever runs.
    closing_since: Option<Instant>,
    reading: Pace,
}

/// Bytes that wait to be written to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WriteWait {
    /// When the client stopped taking them; `None` while it takes them.
    pub(crate) since: Option<Instant>,
    /// How many bytes the client, or the kernel for it, has taken so far.
    pub(crate) taken: u64,
}

/// What is due on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionDue {
    /// The client does not read.
    Write,
    /// The client does not read the last frames of a connection that closes.
    Close,
    /// The head of a request is incomplete.
    Head,
    /// Nothing has run for long enough.
    Idle,
}

impl ConnectionDeadlines {
    pub(crate) fn new(config: &Config, opened: Instant) -> Self {
        let tick = TICK
            .min(config.header_timeout)
            .min(config.body_timeout)
            .min(config.write_timeout)
            .min(config.request_timeout.unwrap_or(TICK));
        Self {
            tick: tick.max(SHORTEST_TICK),
            last_activity: opened,
            has_served: false,
            runs: false,
            head_since: None,
            farewell_since: None,
            closing_since: None,
            reading: Pace::default(),
        }
    }

    /// Looks after a busy connection at least this often.
    pub(crate) fn tick_within(&mut self, interval: Duration) {
        self.tick = self.tick.min(interval).max(SHORTEST_TICK);
    }

    /// A request came.
    pub(crate) fn served(&mut self, now: Instant) {
        self.last_activity = now;
        self.has_served = true;
    }

    /// The server has said that the connection ends after what runs now.
    pub(crate) fn said_farewell(&mut self, now: Instant) {
        self.farewell_since.get_or_insert(now);
    }

    pub(crate) fn has_said_farewell(&self) -> bool {
        self.farewell_since.is_some()
    }

    /// Whether the client has had this long to react to the farewell.
    pub(crate) fn is_farewell_past(&self, patience: Duration, now: Instant) -> bool {
        self.farewell_since
            .is_some_and(|since| is_past(since, patience, now))
    }

    /// The server closes the connection, whatever runs.
    pub(crate) fn closes(&mut self, now: Instant) {
        self.closing_since = Some(now);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing_since.is_some()
    }

    /// A turn is over: `runs` says whether a request runs or waits to be read by the client, `in_head`
    /// whether a part of a head has come. Reads the clock only if one of them matters.
    pub(crate) fn turn(&mut self, runs: bool, in_head: bool, clock: impl Fn() -> Instant) {
        if std::mem::replace(&mut self.runs, runs) || runs {
            self.last_activity = clock();
        }
        if !in_head {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(clock());
        }
    }

    /// When the driver has to ask again what is [due](Self::due).
    pub(crate) fn next_look(&self, config: &Config, clock: impl FnOnce() -> Instant) -> Instant {
        let busy = self.runs
            || self.head_since.is_some()
            || self.farewell_since.is_some()
            || self.closing_since.is_some();
        match busy {
            true => clock() + self.tick,
            false => self.idle_deadline(config),
        }
    }

    fn idle_deadline(&self, config: &Config) -> Instant {
        let last = self.last_activity;
        match self.farewell_since {
            Some(since) => since.max(last) + FAREWELL,
            None if self.has_served => last + config.keep_alive_timeout,
            None => last + config.header_timeout,
        }
    }

    /// What is due, the most urgent first.
    pub(crate) fn due(
        &mut self,
        config: &Config,
        writes: WriteWait,
        now: Instant,
    ) -> Option<ConnectionDue> {
        if is_write_due(&mut self.reading, config, writes, now) {
            return Some(ConnectionDue::Write);
        }
        if let Some(since) = self.closing_since {
            return is_past(since, LINGER, now).then_some(ConnectionDue::Close);
        }
        if let Some(since) = self.head_since {
            return is_past(since, config.header_timeout, now).then_some(ConnectionDue::Head);
        }
        let is_idle = !self.runs && now >= self.idle_deadline(config);
        is_idle.then_some(ConnectionDue::Idle)
    }
}

/// Whether a client takes nothing for too long, or less than the lowest rate.
pub(crate) fn is_write_due(
    reading: &mut Pace,
    config: &Config,
    WriteWait { since, taken }: WriteWait,
    now: Instant,
) -> bool {
    let late = reading.look(config.min_read_rate, since, taken, now);
    since.is_some_and(|since| {
        late >= config.write_timeout || is_past(since, config.write_timeout, now)
    })
}

/// The deadlines of one request: for its body, and for its app once the client is gone.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestDeadlines {
    /// When the client left, or was given up because its body did not come.
    left_at: Option<Instant>,
    body_timed_out: bool,
    sending: Pace,
}

/// An app that waits for more of a request's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyWait {
    /// When the app began to wait.
    pub(crate) since: Instant,
    /// When the last byte of the body came, complete part or not.
    pub(crate) last_byte: Option<Instant>,
}

impl BodyWait {
    /// Since when no byte has come.
    fn silent_since(self) -> Instant {
        self.last_byte
            .map_or(self.since, |last_byte| last_byte.max(self.since))
    }
}

/// What is due on a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestDue {
    /// The client has stopped in the middle of the body. Due once.
    pub(crate) body: bool,
    /// The client is gone, and the grace of the app is over.
    pub(crate) grace: bool,
}

impl RequestDeadlines {
    /// The client left. Later calls change nothing.
    pub(crate) fn client_left(&mut self, now: Instant) {
        self.left_at.get_or_insert(now);
    }

    /// What is due. `wait` is `None` unless the app waits for the client. `came` counts the bytes of
    /// bodies that have come, on this stream or connection.
    pub(crate) fn due(
        &mut self,
        config: &Config,
        wait: Option<BodyWait>,
        came: u64,
        now: Instant,
    ) -> RequestDue {
        let mut due = RequestDue::default();
        let waits_since = wait.map(|wait| wait.since);
        let late = self
            .sending
            .look(config.min_body_rate, waits_since, came, now);
        if let Some(wait) = wait
            && !self.body_timed_out
        {
            due.body = late >= config.body_timeout
                || is_past(wait.silent_since(), config.body_timeout, now);
        }
        if due.body {
            self.body_timed_out = true;
            self.client_left(now);
        }
        if let (Some(left_at), Some(grace)) = (self.left_at, config.disconnect_grace) {
            due.grace = is_past(left_at, grace, now);
        }
        due
    }

    /// When the app's grace ends if its client is gone, now or since before. `None`: never.
    pub(crate) fn grace_ends(&self, config: &Config, now: Instant) -> Option<Instant> {
        let left_at = self.left_at.unwrap_or(now);
        config.disconnect_grace.map(|grace| left_at + grace)
    }
}
