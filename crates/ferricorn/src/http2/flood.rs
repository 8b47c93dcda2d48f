//! How much of what costs the server and brings the client nothing one connection may send.
//!
//! Each sort of it has an account. It begins full and each frame takes one unit out; time and useful
//! work put some back, never above what it began with. So nobody is counted out who works with the
//! server, however long and fast, and nobody can save up for an attack.

use std::time::Instant;

/// What is counted, each in an account of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    Ping,
    Settings,
    Priority,
    Reset,
    Provoked,
    Empty,
    Continuation,
    WindowUpdate,
    Other,
}

impl Flood {
    const COUNT: usize = 9;

    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Ping => "too many PING frames",
            Self::Settings => "too many SETTINGS",
            Self::Priority => "too many PRIORITY frames",
            Self::Reset => "too many requests were cancelled",
            Self::Provoked => "too many streams had to be reset",
            Self::Empty => "too many empty DATA frames",
            Self::Continuation => "too many CONTINUATION frames",
            Self::WindowUpdate => "too many WINDOW_UPDATE frames",
            Self::Other => "too many frames of other types",
        }
    }

    /// The defaults. Sōzu counts in windows of a second, nghttp2 and we in buckets; the figures of
    /// others are there to compare, most of them know no way to earn.
    const fn budget(self) -> Budget {
        match self {
            // CVE-2019-9512: each wants an answer. Some clients measure the path with one a round
            // trip while a response comes (grpc-go), so DATA earns it.
            // Sōzu 100 a second; nghttp2 1000 unsent answers.
            Self::Ping => Budget::of(100, 50).stream(1).data(1),
            // CVE-2019-9515, counted by setting (at least one a frame): each frame wants an answer,
            // and a new window is worked into each stream. Clients send one frame at the start.
            // Sōzu 50 frames a second; nghttp2 1000 unsent answers and 32 settings a frame.
            Self::Settings => Budget::of(100, 10),
            // CVE-2019-9513; and PRIORITY_UPDATE (RFC 9218). A browser sends some for each request,
            // and for all of them when its tab goes to the background. Envoy 100 a stream.
            Self::Priority => Budget::of(200, 50).stream(5),
            // CVE-2023-44487, also when it is paced: a request that is cancelled was begun for
            // nothing. Who lets a response end has earned one. Room for all of a page's requests,
            // twice. nghttp2 1000 and 33 a second; Netty 200 in 30 s; Sōzu 100 a second.
            Self::Reset => Budget::of(200, 50).finished(1),
            // CVE-2025-8671: the client makes the server reset, which rapid reset's count does not
            // see. h2 has a limit for the connection's life besides (1024).
            Self::Provoked => Budget::of(200, 50),
            // CVE-2019-9518. h2 ends a connection after 100 in its life.
            // Envoy 1 in a row; Sōzu 100 a second.
            Self::Empty => Budget::of(100, 50),
            // CVE-2024-27316. How long one field block may be is h2's to limit; this is for many
            // that are cut small. Sōzu 20 a block.
            // Other is GOAWAY and what h2 ignores. Some browsers send a made-up type with each
            // request, to keep servers tolerant.
            Self::Continuation | Self::Other => Budget::of(100, 50).stream(2),
            // CVE-2019-9511 (data dribble) and plain floods: a window that is opened by a byte at a
            // time has the server send as many frames. A DATA frame that is worth the name earns
            // four, so that a client may answer each for the stream and for the connection.
            // Envoy 10 a DATA frame.
            Self::WindowUpdate => Budget::of(10_000, 500).stream(4).data(4),
        }
    }
}

/// What an account begins with and what puts units back.
#[derive(Debug, Clone, Copy)]
struct Budget {
    burst: u32,
    a_second: u32,
    a_stream: u32,
    a_data_frame: u32,
    a_finished_stream: u32,
}

impl Budget {
    const fn of(burst: u32, a_second: u32) -> Self {
        Self {
            burst,
            a_second,
            a_stream: 0,
            a_data_frame: 0,
            a_finished_stream: 0,
        }
    }

    const fn stream(self, a_stream: u32) -> Self {
        Self { a_stream, ..self }
    }

    const fn data(self, a_data_frame: u32) -> Self {
        Self {
            a_data_frame,
            ..self
        }
    }

    const fn finished(self, a_finished_stream: u32) -> Self {
        Self {
            a_finished_stream,
            ..self
        }
    }

    /// In thousandths of a unit, like an account: a rate a second is one a millisecond then.
    fn income(&self, since: &Tally, until: &Tally) -> u64 {
        let times = |until: u32, since: u32, each: u32| {
            u64::from(until.wrapping_sub(since)) * u64::from(each)
        };
        let time = (until.millis - since.millis).saturating_mul(u64::from(self.a_second));
        let earned = times(until.streams, since.streams, self.a_stream)
            .saturating_add(times(until.data, since.data, self.a_data_frame))
            .saturating_add(times(
                until.finished,
                since.finished,
                self.a_finished_stream,
            ));
        time.saturating_add(earned.saturating_mul(1000))
    }
}

/// What the connection has seen since it began. The counts may wrap.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    /// Never goes back, whatever the caller's clock does.
    millis: u64,
    /// Streams that the client opened.
    streams: u32,
    /// DATA frames of the server with [`Floods::WORTH`] bytes or more.
    data: u32,
    /// Streams that the server ended, or offered itself.
    finished: u32,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    /// Thousandths.
    units: u64,
    /// Up to where the income is in `units`.
    settled: Tally,
}

/// The accounts of one connection.
///
/// To earn is an addition, whatever it is good for: an account is brought up to date when
/// something is taken out of it.
#[derive(Debug)]
pub(crate) struct Floods {
    started: Instant,
    /// SETTINGS_MAX_CONCURRENT_STREAMS, ours.
    max_concurrent_streams: u32,
    tally: Tally,
    accounts: [Account; Flood::COUNT],
}

impl Floods {
    /// A DATA frame with fewer bytes of payload earns nothing: a client that opens its window by a byte would
    /// pay with the frames that it provokes.
    const WORTH: u32 = 256;

    pub(crate) fn new(max_concurrent_streams: u32, now: Instant) -> Self {
        Self {
            started: now,
            max_concurrent_streams,
            tally: Tally::default(),
            accounts: [Account {
                units: u64::MAX,
                settled: Tally::default(),
            }; Flood::COUNT],
        }
    }

    /// The client opened a stream.
    pub(crate) fn opened(&mut self) {
        self.tally.streams = self.tally.streams.wrapping_add(1);
    }

    /// The server ended a stream, or promised one that the client may not want.
    pub(crate) fn finished(&mut self) {
        self.tally.finished = self.tally.finished.wrapping_add(1);
    }

    /// The server sent a DATA frame.
    pub(crate) fn data(&mut self, length: u32) {
        if length >= Self::WORTH {
            self.tally.data = self.tally.data.wrapping_add(1);
        }
    }

    /// Takes `count` units out of the account of `flood`; an error if it has not so many.
    pub(crate) fn spend(&mut self, flood: Flood, count: u32, now: Instant) -> Result<(), Flood> {
        let age = now.saturating_duration_since(self.started);
        self.tally.millis = self.tally.millis.max(age.as_millis() as u64);
        let budget = flood.budget();
        let burst = match flood {
            Flood::Reset | Flood::Provoked => budget
                .burst
                .max(self.max_concurrent_streams.saturating_mul(2)),
            _ => budget.burst,
        };
        let account = &mut self.accounts[flood as usize];
        let units = account
            .units
            .saturating_add(budget.income(&account.settled, &self.tally))
            .min(u64::from(burst) * 1000);
        account.settled = self.tally;
        account.units = units.checked_sub(u64::from(count) * 1000).ok_or(flood)?;
        Ok(())
    }
}
