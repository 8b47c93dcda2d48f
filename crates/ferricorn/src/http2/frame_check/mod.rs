//! Checks the frames of an HTTP/2 connection, in the bytes on their way to h2 and from it.
//!
//! h2 answers a dozen errors with another code than RFC 9113 names, and it ignores others. It does
//! not say whether the client allows pushes, and it does not count PING, SETTINGS or PRIORITY
//! frames. [`FrameCheck`] follows the frames in the raw bytes. It says where the connection must
//! end and why, and it counts what each frame costs ([`FloodLimiter`]).
//!
//! It is not an HTTP/2 implementation. It changes no byte and delays none before a fault: h2 alone
//! decides what a frame means. It does not decode field blocks: h2 and
//! [`request`](super::request) find their errors.
//!
//! Each fault ends the connection, even if RFC 9113 asks only for an error of the stream (§5.4.2
//! lets an endpoint choose). h2 handles these correctly, so they are not checked here: flow control,
//! the number of streams, trailers without END_STREAM, the length of a field block, an ack for
//! SETTINGS that were never sent.
//!
//! The connection's [`Transport`](super::transport::Transport) calls it with all bytes that it reads
//! and writes. Pure: no I/O and no clock; it allocates only while several uploads interleave. A frame
//! costs the same whatever its length.

use std::collections::HashMap;
use std::time::Instant;

use super::body_reads::{BodyRead, BodyReads};
use super::client_state::{ClientState, is_client_stream};
use super::fault::{ConnectionFault, ErrorCode};
use super::flood::{Flood, FloodLimiter};
use super::frame::{
    ACK, END_HEADERS, END_STREAM, FrameHeader, FrameParser, FramePart, FrameType, MAX_PREFIX,
    PADDED, PREFACE, PRIORITY, stream_id,
};

/// A fault in the bytes from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameRefusal {
    /// The number of bytes before the fault: whole frames, which h2 may have.
    pub(crate) before: usize,
    pub(crate) fault: ConnectionFault,
}

/// The limits that the server announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameLimits {
    /// SETTINGS_MAX_FRAME_SIZE, in bytes of payload.
    pub(crate) max_frame_size: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS. The client may cancel twice as many at once, and at least
    /// 200.
    pub(crate) max_concurrent_streams: u32,
}

/// Checks the frames of one connection.
#[derive(Debug)]
pub(crate) struct FrameCheck {
    max_frame_size: u32,
    floods: FloodLimiter,
    client: ClientState,
    /// How many bytes of the preface have come.
    preface: usize,
    from_client: FrameParser,
    from_server: FrameParser,
    /// The stream of the client's newest frame, if that is DATA.
    data_stream: Option<u32>,
    body_reads: BodyReads,
    /// How many frames the client began in this turn of the driver.
    frames_in_turn: u32,
    fault: Option<ConnectionFault>,
}

impl FrameCheck {
    pub(crate) fn new(limits: FrameLimits, now: Instant) -> Self {
        Self {
            max_frame_size: limits.max_frame_size,
            floods: FloodLimiter::new(limits.max_concurrent_streams, now),
            client: ClientState::new(),
            preface: 0,
            from_client: FrameParser::default(),
            from_server: FrameParser::default(),
            data_stream: None,
            body_reads: BodyReads::default(),
            frames_in_turn: 0,
            fault: None,
        }
    }

    /// Whether the client accepts pushes: its last SETTINGS_ENABLE_PUSH allows them, and it has sent
    /// no GOAWAY.
    pub(crate) fn allows_push(&self) -> bool {
        self.client.enable_push && !self.client.goaway
    }

    /// Whether the client has started a field block and not ended it. Until it does, no other frame
    /// may come. (§6.2)
    pub(crate) fn is_in_field_block(&self) -> bool {
        self.client.field_block != 0
    }

    /// A new turn of the driver begins.
    pub(crate) fn begin_turn(&mut self) {
        self.frames_in_turn = 0;
    }

    /// How many frames the client began in this turn.
    pub(crate) fn frames_in_turn(&self) -> u32 {
        self.frames_in_turn
    }

    /// Takes the streams whose unfinished bodies got bytes since the last call.
    pub(crate) fn take_body_reads(&mut self) -> HashMap<u32, BodyRead> {
        let left = u64::from(self.from_client.left());
        let incomplete = self.data_stream.filter(|_| left > 0);
        self.body_reads
            .take(incomplete.map(|stream| (stream, left)))
    }

    /// Checks the next bytes from the client. If there is no error, all of them are for h2.
    ///
    /// # Errors
    ///
    /// The connection must end. h2 may have the bytes before the fault and no others. Each later
    /// call returns the same fault.
    pub(crate) fn check_received(
        &mut self,
        bytes: &[u8],
        now: Instant,
    ) -> Result<(), FrameRefusal> {
        let mut before = 0;
        match self.check_client_frames(bytes, now, &mut before) {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.fault = Some(fault);
                Err(FrameRefusal { before, fault })
            }
        }
    }

    /// Looks at the next bytes that h2 wrote, on their way to the client.
    ///
    /// # Errors
    ///
    /// The connection must end. The server sends these bytes all the same.
    pub(crate) fn check_sent(
        &mut self,
        mut bytes: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionFault> {
        while let Some(part) = self.from_server.next_part(&mut bytes) {
            match part {
                FramePart::Header(header) => self.count_sent(header),
                FramePart::Prefix(_, [a, b, c, d, ..]) => {
                    let code = u32::from_be_bytes([a, b, c, d]);
                    if ErrorCode::is_provoked(code)
                        && let Err(flood) = self.floods.spend(Flood::ProvokedReset, 1, now)
                    {
                        self.fault.get_or_insert_with(|| flood.into());
                    }
                }
            }
        }
        self.fault.map_or(Ok(()), Err)
    }

    fn count_sent(&mut self, header: FrameHeader) {
        match header.frame_type {
            FrameType::Data => {
                self.floods.data_sent(header.length);
                if header.has(END_STREAM) {
                    self.floods.stream_finished();
                }
            }
            FrameType::Headers if header.has(END_STREAM) => self.floods.stream_finished(),
            // A client may cancel every pushed stream.
            FrameType::PushPromise => self.floods.stream_finished(),
            FrameType::RstStream if header.length == 4 => self.from_server.want(header, 4),
            _ => {}
        }
    }

    fn check_client_frames(
        &mut self,
        bytes: &[u8],
        now: Instant,
        before: &mut usize,
    ) -> Result<(), ConnectionFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut rest = bytes;
        if self.preface < PREFACE.len() {
            self.read_preface(&mut rest)?;
        }
        let mut newest = None;
        while let Some(part) = self.from_client.next_part(&mut rest) {
            let (header, want) = match part {
                FramePart::Header(header) => {
                    *before = (bytes.len() - rest.len()).saturating_sub(FrameHeader::LENGTH);
                    (header, self.check_header(header, now)?)
                }
                FramePart::Prefix(header, prefix) => {
                    (header, self.check_prefix(header, prefix, now)?)
                }
            };
            self.from_client.want(header, want);
            newest = Some(header);
        }
        // The frame's end is not here, so these bytes count now. A complete frame was counted by
        // its header, unless it ended the body.
        if self.from_client.left() > 0 {
            let mut bytes = 0;
            if let Some(header) = newest {
                let is_data = header.frame_type == FrameType::Data;
                self.data_stream = is_data.then_some(header.stream);
                if header.has(END_STREAM) {
                    bytes = u64::from(header.length);
                }
            }
            if let Some(stream) = self.data_stream {
                self.body_reads.note(stream, bytes, now);
            }
        }
        Ok(())
    }

    /// §3.4: an invalid preface is "a connection error of type PROTOCOL_ERROR".
    fn read_preface(&mut self, rest: &mut &[u8]) -> Result<(), ConnectionFault> {
        let expected = &PREFACE[self.preface..];
        let (preface, frames) = rest.split_at(rest.len().min(expected.len()));
        if !expected.starts_with(preface) {
            return Err(ConnectionFault::protocol(
                "the connection preface is invalid",
            ));
        }
        self.preface += preface.len();
        *rest = frames;
        Ok(())
    }

    /// Checks a frame by its header. Returns how many bytes of the payload
    /// [`check_prefix`](Self::check_prefix) needs.
    fn check_header(
        &mut self,
        header: FrameHeader,
        now: Instant,
    ) -> Result<usize, ConnectionFault> {
        self.frames_in_turn += 1;
        if header.length > self.max_frame_size {
            return Err(ConnectionFault::frame_size(
                "a frame is longer than SETTINGS_MAX_FRAME_SIZE",
            ));
        }
        // §6.10, and §5.5 for unknown types.
        if self.client.field_block != 0
            && (header.frame_type != FrameType::Continuation
                || header.stream != self.client.field_block)
        {
            return Err(ConnectionFault::protocol(
                "a field block is interrupted by another frame",
            ));
        }
        // §3.4: it "MUST be the first frame".
        if !self.client.settings && (header.frame_type != FrameType::Settings || header.has(ACK)) {
            return Err(ConnectionFault::protocol("the first frame is not SETTINGS"));
        }
        match header.frame_type {
            FrameType::Headers => self.headers(header),
            FrameType::Data => self.data(header, now),
            FrameType::WindowUpdate => self.window_update(header, now),
            FrameType::RstStream => self.rst_stream(header, now),
            FrameType::Continuation => self.continuation(header, now),
            FrameType::Settings => self.settings(header, now),
            FrameType::Ping => {
                on_the_connection(header)?;
                has_length(header, 8)?;
                self.spend(Flood::Ping, now)
            }
            FrameType::Priority => {
                on_a_stream(header)?;
                has_length(header, 5)?;
                self.spend(Flood::Priority, now)
            }
            FrameType::Goaway => {
                on_the_connection(header)?;
                has_at_least(header, 8)?;
                self.client.goaway = true;
                self.spend(Flood::Other, now)
            }
            // §8.4: "A client cannot push."
            FrameType::PushPromise => {
                Err(ConnectionFault::protocol("the client sent PUSH_PROMISE"))
            }
            FrameType::PriorityUpdate => self.spend(Flood::Priority, now),
            FrameType::Unknown => self.spend(Flood::Other, now),
        }
    }

    fn data(&mut self, header: FrameHeader, now: Instant) -> Result<usize, ConnectionFault> {
        on_a_stream(header)?;
        self.client.check_may_send_on(header.stream)?;
        let padded = usize::from(header.has(PADDED));
        has_at_least(header, padded)?;
        if header.has(END_STREAM) {
            self.client.end(header.stream);
        } else if header.length == 0 {
            self.spend(Flood::EmptyData, now)?;
        } else {
            let length = u64::from(header.length);
            self.body_reads.note(header.stream, length, now);
        }
        Ok(padded)
    }

    fn headers(&mut self, header: FrameHeader) -> Result<usize, ConnectionFault> {
        on_a_stream(header)?;
        if self.client.is_idle(header.stream) {
            self.client.open(header.stream);
            self.floods.stream_opened();
        } else {
            self.client.check_may_send_on(header.stream)?;
        }
        let prefix = usize::from(header.has(PADDED)) + 5 * usize::from(header.has(PRIORITY));
        has_at_least(header, prefix)?;
        if header.has(END_STREAM) {
            self.client.end(header.stream);
        }
        if !header.has(END_HEADERS) {
            self.client.field_block = header.stream;
        }
        Ok(prefix)
    }

    fn continuation(
        &mut self,
        header: FrameHeader,
        now: Instant,
    ) -> Result<usize, ConnectionFault> {
        // If a field block is open, `check_header` has made sure that this frame belongs to it.
        if self.client.field_block == 0 {
            return Err(ConnectionFault::protocol(
                "CONTINUATION without a field block",
            ));
        }
        if header.has(END_HEADERS) {
            self.client.field_block = 0;
        }
        self.spend(Flood::Continuation, now)
    }

    fn rst_stream(&mut self, header: FrameHeader, now: Instant) -> Result<usize, ConnectionFault> {
        on_a_stream(header)?;
        has_length(header, 4)?;
        if self.client.is_idle(header.stream) {
            return Err(ConnectionFault::protocol("RST_STREAM on an idle stream"));
        }
        if is_client_stream(header.stream) {
            self.client.end(header.stream);
        }
        self.spend(Flood::Reset, now)
    }

    fn window_update(
        &mut self,
        header: FrameHeader,
        now: Instant,
    ) -> Result<usize, ConnectionFault> {
        has_length(header, 4)?;
        if self.client.is_idle(header.stream) {
            return Err(ConnectionFault::protocol("WINDOW_UPDATE on an idle stream"));
        }
        self.spend(Flood::WindowUpdate, now)?;
        Ok(4)
    }

    fn settings(&mut self, header: FrameHeader, now: Instant) -> Result<usize, ConnectionFault> {
        on_the_connection(header)?;
        // §6.5: with ACK "a length field value other than 0" is a FRAME_SIZE_ERROR too.
        if !header.length.is_multiple_of(6) || header.has(ACK) && header.length != 0 {
            return Err(ConnectionFault::frame_size(
                "the length of SETTINGS is wrong",
            ));
        }
        self.client.settings = true;
        self.floods
            .spend(Flood::Settings, (header.length / 6).max(1), now)?;
        Ok(if header.length == 0 { 0 } else { 6 })
    }

    fn spend(&mut self, flood: Flood, now: Instant) -> Result<usize, ConnectionFault> {
        self.floods.spend(flood, 1, now)?;
        Ok(0)
    }

    /// Checks the payload bytes that [`check_header`](Self::check_header) asked for. Returns how many
    /// more bytes it needs.
    fn check_prefix(
        &mut self,
        header: FrameHeader,
        prefix: [u8; MAX_PREFIX],
        now: Instant,
    ) -> Result<usize, ConnectionFault> {
        match (header.frame_type, prefix) {
            (FrameType::Settings, [id_high, id_low, value @ ..]) => {
                let id = u16::from_be_bytes([id_high, id_low]);
                self.client.apply_setting(id, u32::from_be_bytes(value))?;
                Ok(if self.from_client.left() == 0 { 0 } else { 6 })
            }
            // §6.9: on a stream this is an error of the stream; h2 also ends the connection.
            (FrameType::WindowUpdate, [a, b, c, d, ..]) if stream_id([a, b, c, d]) == 0 => {
                Err(ConnectionFault::protocol("WINDOW_UPDATE by 0"))
            }
            (FrameType::Data, [padding, ..]) => {
                let content = self.content_length(padding)?;
                if content == 0 && !header.has(END_STREAM) {
                    self.spend(Flood::EmptyData, now)?;
                }
                Ok(0)
            }
            (FrameType::Headers, _) => self.check_headers_prefix(header, prefix),
            _ => Ok(0),
        }
    }

    fn check_headers_prefix(
        &mut self,
        header: FrameHeader,
        prefix: [u8; MAX_PREFIX],
    ) -> Result<usize, ConnectionFault> {
        let [padding, dependency @ ..] = prefix;
        let [a, b, c, d, _] = if header.has(PADDED) {
            self.content_length(padding)?;
            dependency
        } else {
            let [dependency @ .., _] = prefix;
            dependency
        };
        // RFC 7540 §5.3.1 makes it an error of the stream, RFC 9113 does not mention it. h2 resets
        // the stream and does not decode the field block. After that h2's HPACK table differs from
        // the client's, and h2 would read another request than the client sends next.
        if header.has(PRIORITY) && stream_id([a, b, c, d]) == header.stream {
            return Err(ConnectionFault::protocol("a stream depends on itself"));
        }
        Ok(0)
    }

    /// The length of the rest of the payload without its padding. (§6.1, §6.2)
    fn content_length(&self, padding: u8) -> Result<u32, ConnectionFault> {
        self.from_client
            .left()
            .checked_sub(u32::from(padding))
            .ok_or(ConnectionFault::protocol(
                "the padding is longer than the payload",
            ))
    }
}

fn on_a_stream(header: FrameHeader) -> Result<(), ConnectionFault> {
    if header.stream == 0 {
        return Err(ConnectionFault::protocol("a stream's frame on stream 0"));
    }
    Ok(())
}

fn on_the_connection(header: FrameHeader) -> Result<(), ConnectionFault> {
    if header.stream != 0 {
        return Err(ConnectionFault::protocol(
            "a frame of the connection on a stream",
        ));
    }
    Ok(())
}

fn has_length(header: FrameHeader, length: u32) -> Result<(), ConnectionFault> {
    if header.length != length {
        return Err(ConnectionFault::frame_size(
            "a frame has the wrong length for its type",
        ));
    }
    Ok(())
}

/// §4.2: FRAME_SIZE_ERROR also if a frame "is too small to contain mandatory frame data".
fn has_at_least(header: FrameHeader, length: usize) -> Result<(), ConnectionFault> {
    if (header.length as usize) < length {
        return Err(ConnectionFault::frame_size(
            "a frame is too short for its type",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
