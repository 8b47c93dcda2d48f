//! The life of an open WebSocket on the wire: its pings and its closing handshake.
//!
//! It has no clock: each `now` is the time since the socket was opened.

use core::time::Duration;

/// How long a server waits for what a client owes it.
#[derive(Debug, Clone, Copy)]
pub struct WebSocketTimeouts {
    /// A client that has said nothing for this long is sent a ping; `None` sends none.
    pub ping_interval: Option<Duration>,
    /// How long it may then go on saying nothing.
    pub ping_timeout: Duration,
    /// How long its close frame may take behind ours.
    pub close_timeout: Duration,
}

/// What becomes of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketPing {
    /// It is answered. (WS-016)
    Answer,
    /// It came too late to be answered: the socket is closing.
    Ignore,
    /// It is one too many: the socket fails with 1008. (WS-033)
    Flood,
}

/// What is due at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketDue {
    /// Nothing yet.
    Nothing,
    /// A ping is to be sent.
    Ping,
    /// The client answers no ping: it is gone. (WS-032)
    NoPong,
    /// The client does not close its side: the connection is closed without it. (WS-026)
    NoClose,
}

/// Follows an open WebSocket to its end, for any version of HTTP.
///
/// ```text
///                 we close                 they close
///       Open ───────────────▶ Closing ────────────────▶ Over
///         │                      │      or their time is up
///         │ they close: we answer│                        ▲
///         ├──────────────────────┼────────────────────────┤
///         │ they break a rule    │ they break a rule      │
///         └──────────────────────┴────────────────────────┘
/// ```
///
/// Behind `Over` the connection is closed as soon as what was sent is written: RFC 6455 §7.1.1 has
/// the server do that first. Beside the phase there is what the client's silence means: after
/// [`ping_interval`](WebSocketTimeouts::ping_interval) it is asked, and when it goes on for
/// [`ping_timeout`](WebSocketTimeouts::ping_timeout) it is gone. Any byte breaks the silence, for
/// who sends is there.
///
/// What goes to and fro between the app and the client is for
/// [`WebSocketRules`](crate::WebSocketRules) to say; this one knows no app.
#[derive(Debug)]
pub struct WebSocketKeepAlive {
    phase: Phase,
    timeouts: WebSocketTimeouts,
    heard_at: Duration,
    /// When the ping was sent that the silence has not been broken since.
    asked_at: Option<Duration>,
    pings: Account,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame is out since then, theirs is awaited.
    Closing(Duration),
    Over,
}

impl WebSocketKeepAlive {
    /// A socket that is open from now on.
    pub fn new(timeouts: WebSocketTimeouts) -> Self {
        Self {
            phase: Phase::Open,
            timeouts,
            heard_at: Duration::ZERO,
            asked_at: None,
            pings: Account::new(),
        }
    }

    /// Something of the client's came; or nothing could, because it was not read.
    pub fn heard(&mut self, now: Duration) {
        self.heard_at = now;
        self.asked_at = None;
    }

    /// A message came: what the client may ping for.
    pub fn message(&mut self) {
        self.pings.earn();
    }

    /// A ping came.
    pub fn ping(&mut self, now: Duration) -> WebSocketPing {
        if !self.pings.spend(now) {
            WebSocketPing::Flood
        } else if self.phase == Phase::Open {
            WebSocketPing::Answer
        } else {
            WebSocketPing::Ignore
        }
    }

    /// We want to close. Whether our close frame goes out: it does so once.
    pub fn close(&mut self, now: Duration) -> bool {
        let open = self.phase == Phase::Open;
        if open {
            self.phase = Phase::Closing(now);
        }
        open
    }

    /// Their close frame came. Whether ours goes out in answer. (WS-028)
    pub fn closed(&mut self) -> bool {
        std::mem::replace(&mut self.phase, Phase::Over) == Phase::Open
    }

    /// They broke a rule: nothing of theirs is read any more. Whether our close frame goes out.
    pub fn fail(&mut self) -> bool {
        self.closed()
    }

    /// Whether the connection is to be closed, once what was sent is written.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// When [`overdue`](Self::overdue) is to be asked next; `None` if nothing can become due.
    pub fn deadline(&self) -> Option<Duration> {
        match (self.phase, self.asked_at) {
            (Phase::Open, Some(asked_at)) => Some(asked_at + self.timeouts.ping_timeout),
            (Phase::Open, None) => Some(self.heard_at + self.timeouts.ping_interval?),
            (Phase::Closing(since), _) => Some(since + self.timeouts.close_timeout),
            (Phase::Over, _) => None,
        }
    }

    /// What is due now.
    pub fn overdue(&mut self, now: Duration) -> WebSocketDue {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return WebSocketDue::Nothing;
        }
        match (self.phase, self.asked_at) {
            (Phase::Closing(_), _) => {
                self.phase = Phase::Over;
                WebSocketDue::NoClose
            }
            (_, Some(_)) => {
                self.phase = Phase::Over;
                WebSocketDue::NoPong
            }
            (_, None) => {
                self.asked_at = Some(now);
                WebSocketDue::Ping
            }
        }
    }
}

/// How many pings a client may send: each wants an answer and brings nobody anything.
///
/// Time puts some back, and so does each message, never above what it began with: whoever measures
/// the way with a ping is not counted out. The figures are those for PING on HTTP/2.
#[derive(Debug)]
struct Account {
    left: u32,
    since: Duration,
}

impl Account {
    const BURST: u32 = 100;
    const A_SECOND: u32 = 50;

    fn new() -> Self {
        Self {
            left: Self::BURST,
            since: Duration::ZERO,
        }
    }

    fn earn(&mut self) {
        self.left = Self::BURST.min(self.left + 1);
    }

    fn spend(&mut self, now: Duration) -> bool {
        let one = Duration::from_secs(1) / Self::A_SECOND;
        let passed = now.saturating_sub(self.since);
        let earned = passed.as_nanos() / one.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(Self::BURST);
        // What is not a whole one yet goes on counting.
        self.since += one * earned.min(Self::BURST);
        if earned >= Self::BURST {
            self.since = now;
        }
        self.left = Self::BURST.min(self.left.saturating_add(earned));
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}
