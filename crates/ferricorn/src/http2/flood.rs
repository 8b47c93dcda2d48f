//! Token buckets for frames that cost the server work and do nothing useful for the client.
//!
//! Each kind of frame has a bucket. It starts full, and each frame takes one token. Time and useful
//! work put tokens back, up to the size of the bucket. So a client that works with the server never
//! runs out, at any speed and for any time, and no client can save tokens for an attack.
//!
//! It does not see frames: [`FrameCheck`](super::frame_check::FrameCheck) says what came and what
//! was sent.

use std::time::Instant;

/// A kind of cost, with a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    Ping,
    Settings,
    Priority,
    /// The client cancels streams.
    Reset,
    /// The client makes the server reset streams.
    ProvokedReset,
    EmptyData,
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
            Self::ProvokedReset => "too many streams had to be reset",
            Self::EmptyData => "too many empty DATA frames",
            Self::Continuation => "too many CONTINUATION frames",
            Self::WindowUpdate => "too many WINDOW_UPDATE frames",
            Self::Other => "too many frames of other types",
        }
    }

    /// The defaults. This server and nghttp2 use token buckets, Sōzu counts in windows of one second.
    /// The figures of other servers are for comparison; most of them have no way to earn tokens.
    const fn budget(self) -> FloodBudget {
        match self {
            // CVE-2019-9512: each PING needs an answer. Some clients measure the path with one PING a
            // round trip while they receive a response (grpc-go), so DATA earns it.
            // Sōzu 100 a second; nghttp2 1000 unsent answers.
            Self::Ping => FloodBudget::new(100, 50).per_stream(1).per_data_frame(1),
            // CVE-2019-9515, one token a setting and at least one a frame: each frame needs an answer,
            // and a new window changes each stream. Clients send one frame at the start.
            // Sōzu 50 frames a second; nghttp2 1000 unsent answers and 32 settings a frame.
            Self::Settings => FloodBudget::new(100, 10),
            // CVE-2019-9513, for PRIORITY and PRIORITY_UPDATE (RFC 9218). A browser sends some for
            // each request, and one for every request when its tab goes to the background.
            // Envoy 100 a stream.
            Self::Priority => FloodBudget::new(200, 50).per_stream(5),
            // CVE-2023-44487, also if the client spreads it over time: the server started a cancelled
            // request for nothing. A client that lets a response end earns a reset. The burst has room
            // for all requests of a page, twice. nghttp2 1000 and 33 a second; Netty 200 in 30 s;
            // Sōzu 100 a second.
            Self::Reset => FloodBudget::new(200, 50).per_finished_stream(1),
            // CVE-2025-8671: the client makes the server reset streams, which `Reset` does not count.
            // h2 also has a limit for the whole connection (1024).
            Self::ProvokedReset => FloodBudget::new(200, 50),
            // CVE-2019-9518. h2 ends a connection after 100 in its whole life.
            // Envoy 1 in a row; Sōzu 100 a second.
            Self::EmptyData => FloodBudget::new(100, 50),
            // CVE-2024-27316. h2 limits the length of one field block; this limits many blocks in
            // small pieces. Sōzu 20 a block.
            // `Other` is GOAWAY and all types that h2 ignores. Some browsers send an invented type with
            // each request, so that servers stay tolerant.
            Self::Continuation | Self::Other => FloodBudget::new(100, 50).per_stream(2),
            // CVE-2019-9511 (data dribble) and plain floods: if a client opens its window one byte at a
            // time, the server sends as many frames. A DATA frame of a useful size earns four tokens,
            // so that a client may answer each with an update for the stream and one for the connection.
            // Envoy 10 a DATA frame.
            Self::WindowUpdate => FloodBudget::new(10_000, 500)
                .per_stream(4)
                .per_data_frame(4),
        }
    }
}

/// The size of a bucket, and the tokens that come back.
#[derive(Debug, Clone, Copy)]
struct FloodBudget {
    burst: u32,
    per_second: u32,
    per_stream: u32,
    per_data_frame: u32,
    per_finished_stream: u32,
}

impl FloodBudget {
    const fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst,
            per_second,
            per_stream: 0,
            per_data_frame: 0,
            per_finished_stream: 0,
        }
    }

    const fn per_stream(self, per_stream: u32) -> Self {
        Self { per_stream, ..self }
    }

    const fn per_data_frame(self, per_data_frame: u32) -> Self {
        Self {
            per_data_frame,
            ..self
        }
    }

    const fn per_finished_stream(self, per_finished_stream: u32) -> Self {
        Self {
            per_finished_stream,
            ..self
        }
    }

    /// In thousandths of a token, as in a bucket. So a rate per second is the same number per
    /// millisecond.
    fn income(&self, since: &ConnectionCounts, until: &ConnectionCounts) -> u64 {
        let times = |until: u32, since: u32, each: u32| {
            u64::from(until.wrapping_sub(since)) * u64::from(each)
        };
        let time = (until.millis - since.millis).saturating_mul(u64::from(self.per_second));
        let earned = times(until.streams, since.streams, self.per_stream)
            .saturating_add(times(
                until.data_frames,
                since.data_frames,
                self.per_data_frame,
            ))
            .saturating_add(times(
                until.finished_streams,
                since.finished_streams,
                self.per_finished_stream,
            ));
        time.saturating_add(earned.saturating_mul(1000))
    }
}

/// Counts since the connection began. They may wrap.
#[derive(Debug, Clone, Copy, Default)]
struct ConnectionCounts {
    /// Never goes back, even if the caller's clock does.
    millis: u64,
    /// Streams that the client opened.
    streams: u32,
    /// DATA frames that the server sent, with at least [`FloodLimiter::USEFUL_DATA`] bytes.
    data_frames: u32,
    /// Streams that the server ended or promised.
    finished_streams: u32,
}

#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    /// Thousandths of a token.
    tokens: u64,
    /// `tokens` contains the income up to here.
    settled: ConnectionCounts,
}

/// The buckets of one connection.
///
/// Earning tokens costs one addition, however many buckets it fills: a bucket is brought up to date
/// when a frame takes tokens from it.
#[derive(Debug)]
pub(crate) struct FloodLimiter {
    started: Instant,
    /// The server's SETTINGS_MAX_CONCURRENT_STREAMS.
    max_concurrent_streams: u32,
    counts: ConnectionCounts,
    buckets: [TokenBucket; Flood::COUNT],
}

impl FloodLimiter {
    /// A DATA frame with a smaller payload earns nothing. Otherwise a client that opens its window
    /// one byte at a time would pay with the frames that it provokes.
    const USEFUL_DATA: u32 = 256;

    pub(crate) fn new(max_concurrent_streams: u32, now: Instant) -> Self {
        Self {
            started: now,
            max_concurrent_streams,
            counts: ConnectionCounts::default(),
            buckets: [TokenBucket {
                tokens: u64::MAX,
                settled: ConnectionCounts::default(),
            }; Flood::COUNT],
        }
    }

    /// The client opened a stream.
    pub(crate) fn stream_opened(&mut self) {
        self.counts.streams = self.counts.streams.wrapping_add(1);
    }

    /// The server ended a stream, or promised one that the client may not want.
    pub(crate) fn stream_finished(&mut self) {
        self.counts.finished_streams = self.counts.finished_streams.wrapping_add(1);
    }

    /// The server sent a DATA frame with this payload length.
    pub(crate) fn data_sent(&mut self, length: u32) {
        if length >= Self::USEFUL_DATA {
            self.counts.data_frames = self.counts.data_frames.wrapping_add(1);
        }
    }

    /// Takes `count` tokens from the bucket of `flood`.
    ///
    /// # Errors
    ///
    /// The bucket has fewer tokens.
    pub(crate) fn spend(&mut self, flood: Flood, count: u32, now: Instant) -> Result<(), Flood> {
        let age = now.saturating_duration_since(self.started);
        self.counts.millis = self.counts.millis.max(age.as_millis() as u64);
        let budget = flood.budget();
        let burst = match flood {
            Flood::Reset | Flood::ProvokedReset => budget
                .burst
                .max(self.max_concurrent_streams.saturating_mul(2)),
            _ => budget.burst,
        };
        let bucket = &mut self.buckets[flood as usize];
        let tokens = bucket
            .tokens
            .saturating_add(budget.income(&bucket.settled, &self.counts))
            .min(u64::from(burst) * 1000);
        bucket.settled = self.counts;
        bucket.tokens = tokens.checked_sub(u64::from(count) * 1000).ok_or(flood)?;
        Ok(())
    }
}
