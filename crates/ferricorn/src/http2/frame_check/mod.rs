//! Watches the bytes of an HTTP/2 connection on their way to h2, and from it.
//!
//! h2 answers a dozen errors with another code than RFC 9113 names, some not at all, tells nobody
//! whether the client allows pushes, and counts no PING, SETTINGS or PRIORITY frames. The guard
//! follows the frames of the raw bytes, says where the connection must end and why, and what each
//! costs ([`Floods`]).
//!
//! It only refuses. It changes no byte and holds none back before the fault; h2 alone decides what a
//! frame means. It reads no field block: what is wrong inside of one is for h2 and for what makes
//! requests of its messages.
//!
//! Each fault ends the connection, also where RFC 9113 asks for an error of the stream alone (§5.4.2
//! lets an endpoint choose). Left to h2, who does it right: flow control, how many streams there are,
//! trailers without END_STREAM, the length of a field block, an ack of SETTINGS never sent.
//!
//! Called by the connection's transport with everything that is read and written. Pure: no I/O, no
//! clock, no allocation; a frame costs the same whatever its length.

use std::time::Instant;

use super::client_state::{ClientState, is_the_clients};
use super::fault::{ErrorCode, Fault};
use super::flood::{Flood, Floods};
use super::frame::{
    ACK, END_HEADERS, END_STREAM, Framing, Head, Kind, PADDED, PREFACE, PREFIX, PRIORITY, Part,
    stream_id,
};

/// A fault, and how many of the bytes before it are whole frames that h2 may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) before: usize,
    pub(crate) fault: Fault,
}

/// What the server announced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// SETTINGS_MAX_FRAME_SIZE, in bytes of payload.
    pub(crate) max_frame_size: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS. Twice as many may be cancelled at once, 200 at least.
    pub(crate) max_concurrent_streams: u32,
}

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct FrameCheck {
    max_frame_size: u32,
    floods: Floods,
    client: ClientState,
    /// How much of the preface has come.
    preface: usize,
    from_client: Framing,
    from_server: Framing,
    fault: Option<Fault>,
}

impl FrameCheck {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            max_frame_size: limits.max_frame_size,
            floods: Floods::new(limits.max_concurrent_streams, now),
            client: ClientState::new(),
            preface: 0,
            from_client: Framing::default(),
            from_server: Framing::default(),
            fault: None,
        }
    }

    /// Whether the client takes pushes: its last SETTINGS_ENABLE_PUSH, and no GOAWAY since.
    pub(crate) fn allows_push(&self) -> bool {
        self.client.enable_push && !self.client.goaway
    }

    /// Whether the client has begun a field block and not ended it: until then nothing else may
    /// come. (§6.2)
    pub(crate) fn is_in_field_block(&self) -> bool {
        self.client.field_block != 0
    }

    /// Looks at the next bytes from the client; all of them are for h2.
    ///
    /// # Errors
    /// The connection must end. Of `bytes`, h2 may have those before the fault; of what follows
    /// nothing, and each later call says the same again.
    pub(crate) fn read(&mut self, bytes: &[u8], now: Instant) -> Result<(), Refused> {
        let mut before = 0;
        match self.follow(bytes, now, &mut before) {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.fault = Some(fault);
                Err(Refused { before, fault })
            }
        }
    }

    /// Looks at the next bytes that h2 wrote, when they are on their way to the client.
    ///
    /// # Errors
    /// The connection must end. The bytes are to be sent nevertheless.
    pub(crate) fn wrote(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Fault> {
        while let Some(part) = self.from_server.next(&mut bytes) {
            match part {
                Part::Head(head) => self.sent(head),
                Part::Prefix(_, [a, b, c, d, ..]) => {
                    let code = u32::from_be_bytes([a, b, c, d]);
                    if ErrorCode::was_provoked(code)
                        && let Err(flood) = self.floods.spend(Flood::Provoked, 1, now)
                    {
                        self.fault.get_or_insert_with(|| flood.into());
                    }
                }
            }
        }
        self.fault.map_or(Ok(()), Err)
    }

    fn sent(&mut self, head: Head) {
        match head.kind {
            Kind::Data => {
                self.floods.data(head.length);
                if head.has(END_STREAM) {
                    self.floods.finished();
                }
            }
            Kind::Headers if head.has(END_STREAM) => self.floods.finished(),
            // A client may cancel whatever it is pushed.
            Kind::PushPromise => self.floods.finished(),
            Kind::RstStream if head.length == 4 => self.from_server.want(head, 4),
            _ => {}
        }
    }

    fn follow(&mut self, bytes: &[u8], now: Instant, before: &mut usize) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut rest = bytes;
        if self.preface < PREFACE.len() {
            self.read_preface(&mut rest)?;
        }
        while let Some(part) = self.from_client.next(&mut rest) {
            let (head, want) = match part {
                Part::Head(head) => {
                    *before = (bytes.len() - rest.len()).saturating_sub(Head::LENGTH);
                    (head, self.admit(head, now)?)
                }
                Part::Prefix(head, prefix) => (head, self.look_into(head, prefix, now)?),
            };
            self.from_client.want(head, want);
        }
        Ok(())
    }

    /// §3.4: an invalid preface is "a connection error of type PROTOCOL_ERROR".
    fn read_preface(&mut self, rest: &mut &[u8]) -> Result<(), Fault> {
        let wanted = &PREFACE[self.preface..];
        let (preface, frames) = rest.split_at(rest.len().min(wanted.len()));
        if !wanted.starts_with(preface) {
            return Err(Fault::protocol("the connection preface is invalid"));
        }
        self.preface += preface.len();
        *rest = frames;
        Ok(())
    }

    /// Judges a frame by its head; how many bytes of its payload are to be looked into.
    fn admit(&mut self, head: Head, now: Instant) -> Result<usize, Fault> {
        if head.length > self.max_frame_size {
            return Err(Fault::frame_size(
                "a frame is longer than SETTINGS_MAX_FRAME_SIZE",
            ));
        }
        // §6.10, and §5.5 for types that nobody knows.
        if self.client.field_block != 0
            && (head.kind != Kind::Continuation || head.stream != self.client.field_block)
        {
            return Err(Fault::protocol(
                "a field block is interrupted by another frame",
            ));
        }
        // §3.4: it "MUST be the first frame".
        if !self.client.settings && (head.kind != Kind::Settings || head.has(ACK)) {
            return Err(Fault::protocol("the first frame is not SETTINGS"));
        }
        match head.kind {
            Kind::Headers => self.headers(head),
            Kind::Data => self.data(head, now),
            Kind::WindowUpdate => self.window_update(head, now),
            Kind::RstStream => self.rst_stream(head, now),
            Kind::Continuation => self.continuation(head, now),
            Kind::Settings => self.settings(head, now),
            Kind::Ping => {
                of_the_connection(head)?;
                has_length(head, 8)?;
                self.spend(Flood::Ping, now)
            }
            Kind::Priority => {
                of_a_stream(head)?;
                has_length(head, 5)?;
                self.spend(Flood::Priority, now)
            }
            Kind::Goaway => {
                of_the_connection(head)?;
                has_at_least(head, 8)?;
                self.client.goaway = true;
                self.spend(Flood::Other, now)
            }
            // §8.4: "A client cannot push."
            Kind::PushPromise => Err(Fault::protocol("a client sent PUSH_PROMISE")),
            Kind::PriorityUpdate => self.spend(Flood::Priority, now),
            Kind::Unknown => self.spend(Flood::Other, now),
        }
    }

    fn data(&mut self, head: Head, now: Instant) -> Result<usize, Fault> {
        of_a_stream(head)?;
        self.client.may_send_on(head.stream)?;
        let padded = usize::from(head.has(PADDED));
        has_at_least(head, padded)?;
        if head.has(END_STREAM) {
            self.client.ended.insert(head.stream);
        } else if head.length == 0 {
            self.spend(Flood::Empty, now)?;
        }
        Ok(padded)
    }

    fn headers(&mut self, head: Head) -> Result<usize, Fault> {
        of_a_stream(head)?;
        if self.client.is_idle(head.stream) {
            self.client.open(head.stream);
            self.floods.opened();
        } else {
            self.client.may_send_on(head.stream)?;
        }
        let prefix = usize::from(head.has(PADDED)) + 5 * usize::from(head.has(PRIORITY));
        has_at_least(head, prefix)?;
        if head.has(END_STREAM) {
            self.client.ended.insert(head.stream);
        }
        if !head.has(END_HEADERS) {
            self.client.field_block = head.stream;
        }
        Ok(prefix)
    }

    fn continuation(&mut self, head: Head, now: Instant) -> Result<usize, Fault> {
        // In an open one, nothing but its next piece has come so far.
        if self.client.field_block == 0 {
            return Err(Fault::protocol("CONTINUATION without a field block"));
        }
        if head.has(END_HEADERS) {
            self.client.field_block = 0;
        }
        self.spend(Flood::Continuation, now)
    }

    fn rst_stream(&mut self, head: Head, now: Instant) -> Result<usize, Fault> {
        of_a_stream(head)?;
        has_length(head, 4)?;
        if self.client.is_idle(head.stream) {
            return Err(Fault::protocol("RST_STREAM on an idle stream"));
        }
        if is_the_clients(head.stream) {
            self.client.ended.insert(head.stream);
        }
        self.spend(Flood::Reset, now)
    }

    fn window_update(&mut self, head: Head, now: Instant) -> Result<usize, Fault> {
        has_length(head, 4)?;
        if self.client.is_idle(head.stream) {
            return Err(Fault::protocol("WINDOW_UPDATE on an idle stream"));
        }
        self.spend(Flood::WindowUpdate, now)?;
        Ok(4)
    }

    fn settings(&mut self, head: Head, now: Instant) -> Result<usize, Fault> {
        of_the_connection(head)?;
        // §6.5: with ACK "a length field value other than 0" is a FRAME_SIZE_ERROR too.
        if !head.length.is_multiple_of(6) || head.has(ACK) && head.length != 0 {
            return Err(Fault::frame_size("the length of SETTINGS is wrong"));
        }
        self.client.settings = true;
        self.floods
            .spend(Flood::Settings, (head.length / 6).max(1), now)?;
        Ok(if head.length == 0 { 0 } else { 6 })
    }

    fn spend(&mut self, flood: Flood, now: Instant) -> Result<usize, Fault> {
        self.floods.spend(flood, 1, now)?;
        Ok(0)
    }

    /// Judges what [`admit`](Self::admit) wanted to see; how many more bytes are to be looked into.
    fn look_into(
        &mut self,
        head: Head,
        prefix: [u8; PREFIX],
        now: Instant,
    ) -> Result<usize, Fault> {
        match (head.kind, prefix) {
            (Kind::Settings, [id_high, id_low, value @ ..]) => {
                let id = u16::from_be_bytes([id_high, id_low]);
                self.client.set(id, u32::from_be_bytes(value))?;
                Ok(if self.from_client.left() == 0 { 0 } else { 6 })
            }
            // §6.9: for a stream it is an error of the stream; h2 makes it one of the connection too.
            (Kind::WindowUpdate, [a, b, c, d, ..]) if stream_id([a, b, c, d]) == 0 => {
                Err(Fault::protocol("WINDOW_UPDATE by 0"))
            }
            (Kind::Data, [padding, ..]) => {
                let content = self.content(padding)?;
                if content == 0 && !head.has(END_STREAM) {
                    self.spend(Flood::Empty, now)?;
                }
                Ok(0)
            }
            (Kind::Headers, _) => self.look_into_headers(head, prefix),
            _ => Ok(0),
        }
    }

    fn look_into_headers(&mut self, head: Head, prefix: [u8; PREFIX]) -> Result<usize, Fault> {
        let [padding, dependency @ ..] = prefix;
        let [a, b, c, d, _] = if head.has(PADDED) {
            self.content(padding)?;
            dependency
        } else {
            let [dependency @ .., _] = prefix;
            dependency
        };
        // RFC 7540 §5.3.1 has it an error of the stream, RFC 9113 is silent. h2 resets the stream
        // without decoding the field block, after which its table of fields is no longer the
        // client's: the next request would be another than the client sent.
        if head.has(PRIORITY) && stream_id([a, b, c, d]) == head.stream {
            return Err(Fault::protocol("a stream depends on itself"));
        }
        Ok(0)
    }

    /// What is left of the payload without its padding. (§6.1, §6.2)
    fn content(&self, padding: u8) -> Result<u32, Fault> {
        self.from_client
            .left()
            .checked_sub(u32::from(padding))
            .ok_or(Fault::protocol("the padding is longer than the payload"))
    }
}

fn of_a_stream(head: Head) -> Result<(), Fault> {
    if head.stream == 0 {
        return Err(Fault::protocol("a frame of a stream has none"));
    }
    Ok(())
}

fn of_the_connection(head: Head) -> Result<(), Fault> {
    if head.stream != 0 {
        return Err(Fault::protocol("a frame of the connection has a stream"));
    }
    Ok(())
}

fn has_length(head: Head, length: u32) -> Result<(), Fault> {
    if head.length != length {
        return Err(Fault::frame_size("a frame of fixed length has another"));
    }
    Ok(())
}

/// §4.2: FRAME_SIZE_ERROR also if a frame "is too small to contain mandatory frame data".
fn has_at_least(head: Head, length: usize) -> Result<(), Fault> {
    if (head.length as usize) < length {
        return Err(Fault::frame_size("a frame is too short for its type"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
