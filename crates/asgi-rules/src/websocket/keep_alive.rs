//! The pings and the closing handshake of an open WebSocket.
//!
//! This module has no clock. Each `now` is the time since the WebSocket was opened.

use core::time::Duration;

/// How long a server waits for its client.
#[derive(Debug, Clone, Copy)]
pub struct WebSocketTimeouts {
    /// The server sends a ping after it has received nothing for this long; `None` means never.
    pub ping_interval: Option<Duration>,
    /// The client is gone if it sends nothing for this long after the ping.
    pub ping_timeout: Duration,
    /// How long the server waits for the client's close frame after it has sent its own.
    pub close_timeout: Duration,
}

/// What the server does with a ping of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketPing {
    /// Answer it. (WS-016)
    Answer,
    /// Ignore it, because the WebSocket is closing.
    Ignore,
    /// The client has sent too many pings: fail the WebSocket with 1008. (WS-033)
    Flood,
}

/// What the server must do at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebSocketDue {
    /// Nothing yet.
    Nothing,
    /// Send a ping.
    Ping,
    /// The client has not reacted to a ping, so it is gone. (WS-032)
    NoPong,
    /// The client has not sent its close frame: close the connection without it. (WS-026)
    NoClose,
}

/// Tracks an open WebSocket until its end, for any version of HTTP.
///
/// ```text
///              server closes             client closes
///       Open ───────────────▶ Closing ────────────────▶ Over
///         │                      │     or its time is up  ▲
///         │ client closes:       │                        │
///         │ the server answers   │                        │
///         ├──────────────────────┼────────────────────────┤
///         │ client breaks a rule │ client breaks a rule   │
///         └──────────────────────┴────────────────────────┘
/// ```
///
/// In `Over`, the server closes the connection as soon as everything is written. RFC 6455 §7.1.1
/// says that the server closes first.
///
/// The silence of the client is tracked separately. After
/// [`ping_interval`](WebSocketTimeouts::ping_interval) without a byte from the client, the server
/// sends a ping. After another [`ping_timeout`](WebSocketTimeouts::ping_timeout), the client is
/// gone. Any byte ends the silence, because it shows that the client is there.
///
/// This type knows no app. [`WebSocketRules`](crate::WebSocketRules) decides what the app and the
/// client may send.
#[derive(Debug)]
pub struct WebSocketKeepAlive {
    phase: KeepAlivePhase,
    timeouts: WebSocketTimeouts,
    heard_at: Duration,
    /// When the server sent a ping, if it has heard nothing since.
    pinged_at: Option<Duration>,
    pings: PingBudget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeepAlivePhase {
    Open,
    /// The server sent its close frame at this time and waits for the client's.
    Closing(Duration),
    Over,
}

impl WebSocketKeepAlive {
    /// Creates the tracker of a WebSocket that has just been opened.
    pub fn new(timeouts: WebSocketTimeouts) -> Self {
        Self {
            phase: KeepAlivePhase::Open,
            timeouts,
            heard_at: Duration::ZERO,
            pinged_at: None,
            pings: PingBudget::new(),
        }
    }

    /// Records that the client has sent something, or that the server has not read and so cannot
    /// know.
    pub fn heard(&mut self, now: Duration) {
        self.heard_at = now;
        self.pinged_at = None;
    }

    /// Records a message, which allows the client one more ping.
    pub fn message(&mut self) {
        self.pings.add_one();
    }

    /// Records a ping and returns what to do with it.
    pub fn ping(&mut self, now: Duration) -> WebSocketPing {
        if !self.pings.spend(now) {
            WebSocketPing::Flood
        } else if self.phase == KeepAlivePhase::Open {
            WebSocketPing::Answer
        } else {
            WebSocketPing::Ignore
        }
    }

    /// Records that the server wants to close. Returns whether it must send its close frame, which
    /// it does only once.
    pub fn close(&mut self, now: Duration) -> bool {
        let open = self.phase == KeepAlivePhase::Open;
        if open {
            self.phase = KeepAlivePhase::Closing(now);
        }
        open
    }

    /// Records the client's close frame. Returns whether the server must answer with its own.
    /// (WS-028)
    pub fn closed(&mut self) -> bool {
        std::mem::replace(&mut self.phase, KeepAlivePhase::Over) == KeepAlivePhase::Open
    }

    /// Records that the client broke a rule, so that the server reads nothing more from it. Returns
    /// whether the server must send its close frame.
    pub fn fail(&mut self) -> bool {
        self.closed()
    }

    /// Returns whether the server must close the connection after everything is written.
    pub fn is_over(&self) -> bool {
        self.phase == KeepAlivePhase::Over
    }

    /// Returns when to call [`overdue`](Self::overdue) next, or `None` if nothing can become due.
    pub fn deadline(&self) -> Option<Duration> {
        match (self.phase, self.pinged_at) {
            (KeepAlivePhase::Open, Some(pinged_at)) => Some(pinged_at + self.timeouts.ping_timeout),
            (KeepAlivePhase::Open, None) => Some(self.heard_at + self.timeouts.ping_interval?),
            (KeepAlivePhase::Closing(since), _) => Some(since + self.timeouts.close_timeout),
            (KeepAlivePhase::Over, _) => None,
        }
    }

    /// Returns what the server must do now.
    pub fn overdue(&mut self, now: Duration) -> WebSocketDue {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return WebSocketDue::Nothing;
        }
        match (self.phase, self.pinged_at) {
            (KeepAlivePhase::Closing(_), _) => {
                self.phase = KeepAlivePhase::Over;
                WebSocketDue::NoClose
            }
            (_, Some(_)) => {
                self.phase = KeepAlivePhase::Over;
                WebSocketDue::NoPong
            }
            (_, None) => {
                self.pinged_at = Some(now);
                WebSocketDue::Ping
            }
        }
    }
}

/// The number of pings that a client may send: each ping costs the server an answer and does
/// nothing useful.
///
/// Time refills the budget, and so does each message, up to its first size. So a client can measure
/// the round-trip time with pings. The numbers are those of the limit for PING on HTTP/2.
#[derive(Debug)]
struct PingBudget {
    left: u32,
    /// The time up to which the budget has been refilled.
    refilled_at: Duration,
}

impl PingBudget {
    const BURST: u32 = 100;
    const PER_SECOND: u32 = 50;

    fn new() -> Self {
        Self {
            left: Self::BURST,
            refilled_at: Duration::ZERO,
        }
    }

    fn add_one(&mut self) {
        self.left = Self::BURST.min(self.left + 1);
    }

    fn spend(&mut self, now: Duration) -> bool {
        let interval = Duration::from_secs(1) / Self::PER_SECOND;
        let elapsed = now.saturating_sub(self.refilled_at);
        let earned = elapsed.as_nanos() / interval.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(Self::BURST);
        // A part of an interval counts towards the next refill.
        self.refilled_at += interval * earned.min(Self::BURST);
        if earned >= Self::BURST {
            self.refilled_at = now;
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
