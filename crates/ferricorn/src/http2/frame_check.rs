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
mod tests {
    use std::time::{Duration, Instant};

    use super::super::client_state::Ended;
    use super::super::frame::{
        ACK, END_HEADERS, END_STREAM, PADDED, PREFACE, PRIORITY as WITH_PRIORITY,
    };
    use super::{ErrorCode, Fault, FrameCheck, Limits, Refused};

    const DATA: u8 = 0x0;
    const HEADERS: u8 = 0x1;
    const PRIORITY: u8 = 0x2;
    const RST_STREAM: u8 = 0x3;
    const SETTINGS: u8 = 0x4;
    const PUSH_PROMISE: u8 = 0x5;
    const PING: u8 = 0x6;
    const GOAWAY: u8 = 0x7;
    const WINDOW_UPDATE: u8 = 0x8;
    const CONTINUATION: u8 = 0x9;
    const PRIORITY_UPDATE: u8 = 0x10;
    const UNKNOWN: u8 = 0xbe;

    const WHOLE: u8 = END_HEADERS | END_STREAM;
    const LIMITS: Limits = Limits {
        max_frame_size: 16_384,
        max_concurrent_streams: 100,
    };

    type Frame = Vec<u8>;

    fn head(length: usize, kind: u8, flags: u8, stream: u32) -> Frame {
        let length = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
        let mut bytes = head(payload.len(), kind, flags, stream);
        bytes.extend(payload);
        bytes
    }

    fn settings(settings: &[(u16, u32)]) -> Frame {
        let each = settings.iter();
        let payload =
            each.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
    }

    /// A GET, as far as the guard is concerned.
    fn request(stream: u32) -> Frame {
        frame(HEADERS, WHOLE, stream, b"fields")
    }

    /// A request whose body is to come.
    fn upload(stream: u32) -> Frame {
        frame(HEADERS, END_HEADERS, stream, b"fields")
    }

    fn data(stream: u32) -> Frame {
        frame(DATA, 0, stream, b"data")
    }

    fn cancel(stream: u32) -> Frame {
        frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
    }

    fn window_update(stream: u32, by: u32) -> Frame {
        frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
    }

    fn ping() -> Frame {
        frame(PING, 0, 0, b"pingpong")
    }

    fn guard(now: Instant) -> FrameCheck {
        let mut guard = FrameCheck::new(LIMITS, now);
        guard.read(PREFACE, now).unwrap();
        guard.read(&settings(&[]), now).unwrap();
        guard
    }

    /// Feeds the pieces one by one: what h2 may have of them, and the fault.
    fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (usize, Option<Fault>) {
        let now = Instant::now();
        let mut guard = FrameCheck::new(LIMITS, now);
        let mut given = 0;
        for piece in pieces {
            match guard.read(piece, now) {
                Ok(()) => given += piece.len(),
                Err(Refused { before, fault }) => {
                    assert!(before <= piece.len());
                    let again = guard.read(piece, now);
                    assert_eq!(again, Err(Refused { before: 0, fault }));
                    return (given + before, Some(fault));
                }
            }
        }
        (given, None)
    }

    /// The fault of the last of these frames, however they are cut. They follow the preface and SETTINGS.
    #[track_caller]
    fn verdict(frames: &[Frame]) -> Option<Fault> {
        let opening = [PREFACE.to_vec(), settings(&[])];
        let session = [&opening[..], frames].concat();
        verdict_of(&session)
    }

    #[track_caller]
    fn verdict_of(session: &[Vec<u8>]) -> Option<Fault> {
        let bytes = session.concat();
        let last = bytes.len() - session.last().unwrap().len();
        let (given, fault) = feed([&bytes[..]]);
        let expected = if fault.is_some() { last } else { bytes.len() };
        assert_eq!(given, expected, "what came before the fault is h2's");
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            let (given, same) = feed([first, second]);
            assert_eq!(same, fault, "split at {split}");
            // A part of the last frame may have gone to h2, but never all of it.
            assert!(given >= expected && (same.is_none() || given < bytes.len()));
        }
        assert_eq!(feed(bytes.chunks(1)).1, fault, "byte by byte");
        fault
    }

    #[test]
    fn what_rfc_9113_forbids_is_refused_with_the_code_it_names() {
        use ErrorCode::{FlowControl, FrameSize, Protocol, StreamClosed};
        let open = |stream| frame(HEADERS, END_STREAM, stream, b"f");
        let more = |stream| frame(CONTINUATION, 0, stream, b"f");
        let dependency = [0, 0, 0, 1, 16];
        #[rustfmt::skip]
        let forbidden = [
            ("4.2", FrameSize, vec![upload(1), frame(DATA, 0, 1, &[0; 16_385])]),
            ("4.2", FrameSize, vec![frame(HEADERS, WHOLE, 1, &[0; 16_385])]),
            ("4.2", FrameSize, vec![frame(UNKNOWN, 0, 0, &[0; 16_385])]),
            ("4.2", FrameSize, vec![upload(1), frame(DATA, PADDED, 1, b"")]),
            ("4.2", FrameSize, vec![frame(HEADERS, WHOLE | PADDED, 1, b"")]),
            ("4.2", FrameSize, vec![frame(HEADERS, WHOLE | WITH_PRIORITY, 1, b"1234")]),
            ("4.2", FrameSize, vec![frame(HEADERS, WHOLE | WITH_PRIORITY | PADDED, 1, b"12345")]),
            ("5.1 idle", Protocol, vec![data(1)]),
            ("5.1 idle", Protocol, vec![request(1), data(3)]),
            ("5.1 idle", Protocol, vec![cancel(1)]),
            ("5.1 idle", Protocol, vec![window_update(1, 1)]),
            ("5.1 half-closed", StreamClosed, vec![request(1), data(1)]),
            ("5.1 half-closed", StreamClosed, vec![request(1), request(1)]),
            ("5.1 half-closed", StreamClosed, vec![open(1), frame(CONTINUATION, END_HEADERS, 1, b"f"), data(1)]),
            ("5.1 half-closed", StreamClosed, vec![upload(1), frame(DATA, END_STREAM, 1, b"x"), data(1)]),
            ("5.1 half-closed", StreamClosed, vec![upload(1), request(1), data(1)]),
            ("5.1 closed", StreamClosed, vec![upload(1), cancel(1), data(1)]),
            ("5.1 closed", StreamClosed, vec![upload(1), cancel(1), request(1)]),
            ("5.1 closed", StreamClosed, vec![request(1), request(3), data(1)]),
            ("5.1.1", Protocol, vec![request(2)]),
            ("5.1.1", Protocol, vec![data(2)]),
            ("5.5", Protocol, vec![open(1), frame(UNKNOWN, 0, 1, b"")]),
            ("6.1", Protocol, vec![data(0)]),
            ("6.1", Protocol, vec![upload(1), frame(DATA, PADDED, 1, b"\x05data")]),
            ("6.1", Protocol, vec![upload(1), frame(DATA, PADDED, 1, b"\x01")]),
            ("6.2", Protocol, vec![request(0)]),
            ("6.2", Protocol, vec![frame(HEADERS, WHOLE | PADDED, 1, b"\x07fields")]),
            ("6.2", Protocol, vec![frame(HEADERS, WHOLE | PADDED | WITH_PRIORITY, 1, b"\x02\0\0\0\0\0f")]),
            ("6.2", Protocol, vec![open(1), data(1)]),
            ("6.2", Protocol, vec![open(1), request(3)]),
            ("6.2", Protocol, vec![open(1), ping()]),
            ("7540 5.3.1", Protocol, vec![frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &dependency)]),
            ("7540 5.3.1", Protocol, vec![frame(HEADERS, WHOLE | WITH_PRIORITY, 1, b"\x80\0\0\x01\0")]),
            ("7540 5.3.1", Protocol, vec![frame(HEADERS, WHOLE | WITH_PRIORITY | PADDED, 1, b"\0\0\0\0\x01\0")]),
            ("6.3", Protocol, vec![frame(PRIORITY, 0, 0, &dependency)]),
            ("6.3", FrameSize, vec![frame(PRIORITY, 0, 1, &dependency[..4])]),
            ("6.3", FrameSize, vec![frame(PRIORITY, 0, 1, b"123456")]),
            ("6.4", Protocol, vec![cancel(0)]),
            ("6.4", FrameSize, vec![request(1), frame(RST_STREAM, 0, 1, b"\0\0\0")]),
            ("6.4", FrameSize, vec![request(1), frame(RST_STREAM, 0, 1, b"12345")]),
            ("6.5", FrameSize, vec![frame(SETTINGS, ACK, 0, b"\0")]),
            ("6.5", FrameSize, vec![frame(SETTINGS, ACK, 0, &[0; 6])]),
            ("6.5", FrameSize, vec![frame(SETTINGS, 0, 0, b"\0\x03\0")]),
            ("6.5", Protocol, vec![frame(SETTINGS, 0, 1, &[0; 6])]),
            ("6.5.2", Protocol, vec![settings(&[(2, 2)])]),
            ("6.5.2", Protocol, vec![settings(&[(3, 1), (2, 1), (2, 2)])]),
            ("6.5.2", FlowControl, vec![settings(&[(4, 1 << 31)])]),
            ("6.5.2", Protocol, vec![settings(&[(5, 16_383)])]),
            ("6.5.2", Protocol, vec![settings(&[(5, 1 << 24)])]),
            ("8441 3", Protocol, vec![settings(&[(8, 2)])]),
            ("6.6, 8.4", Protocol, vec![upload(1), frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02f")]),
            ("6.7", Protocol, vec![frame(PING, 0, 1, b"pingpong")]),
            ("6.7", FrameSize, vec![frame(PING, 0, 0, b"ping")]),
            ("6.7", FrameSize, vec![frame(PING, ACK, 0, b"pingpongping")]),
            ("6.8", Protocol, vec![frame(GOAWAY, 0, 1, &[0; 8])]),
            ("6.8", FrameSize, vec![frame(GOAWAY, 0, 0, &[0; 7])]),
            ("6.9", FrameSize, vec![frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01")]),
            ("6.9", FrameSize, vec![frame(WINDOW_UPDATE, 0, 0, b"12345")]),
            ("6.9", Protocol, vec![window_update(0, 0)]),
            ("6.9", Protocol, vec![upload(1), window_update(1, 1 << 31)]),
            ("6.10", Protocol, vec![more(1)]),
            ("6.10", Protocol, vec![more(0)]),
            ("6.10", Protocol, vec![request(1), more(1)]),
            ("6.10", Protocol, vec![open(1), more(3)]),
            ("6.10", Protocol, vec![open(1), more(0)]),
            ("6.10", Protocol, vec![open(1), more(1), data(1)]),
            ("6.10", Protocol, vec![open(1), frame(CONTINUATION, END_HEADERS, 1, b"f"), more(1)]),
        ];
        for (section, code, frames) in forbidden {
            let fault = verdict(&frames);
            assert_eq!(
                fault.map(|fault| fault.code),
                Some(code),
                "{section}: {frames:?}"
            );
        }
    }

    #[test]
    fn what_rfc_9113_allows_passes() {
        #[rustfmt::skip]
        let allowed = [
            vec![request(1), request(3), request(7), window_update(7, 1), window_update(1, 1)],
            vec![upload(1), data(1), frame(DATA, END_STREAM, 1, b"")],
            // Trailers, and what may come on a stream that has ended.
            vec![upload(1), data(1), request(1), window_update(1, 9), cancel(1), cancel(1)],
            vec![upload(1), request(3), data(1), frame(DATA, PADDED | END_STREAM, 1, b"\0")],
            vec![upload(1), frame(DATA, PADDED, 1, b"\x04data"), frame(DATA, PADDED, 1, b"\x03data")],
            vec![frame(HEADERS, WHOLE | PADDED | WITH_PRIORITY, 3, b"\x01\0\0\0\x01\0f")],
            vec![frame(HEADERS, 0, 1, b""), frame(CONTINUATION, 0, 1, b"f"), frame(CONTINUATION, END_HEADERS, 1, b""), data(1)],
            vec![frame(PRIORITY, 0, 9, &[0, 0, 0, 9, 0]), request(1)],
            vec![settings(&[(1, 0), (2, 0), (3, 0), (4, 0x7fff_ffff), (5, 16_384), (6, 0), (8, 1), (0x0a0a, 7)])],
            vec![settings(&[(5, 0x00ff_ffff)]), frame(SETTINGS, ACK, 0, b"")],
            vec![ping(), frame(PING, ACK, 0, b"pingpong"), frame(PING, 0xfe, 0, b"pingpong")],
            vec![frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\xffgoodbye"), ping()],
            vec![frame(UNKNOWN, 0xff, 0x8000_0005, b"what"), frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1")],
            // §4.1: the reserved bit is ignored.
            vec![frame(PING, 0, 0x8000_0000, b"pingpong"), request(0x8000_0001), window_update(1, 0xffff_ffff)],
            // Resets and windows of streams that the server pushed.
            vec![upload(3), cancel(2), window_update(4, 9), data(3)],
            vec![upload(1), frame(DATA, 0, 1, &[0; 16_384])],
        ];
        for frames in allowed {
            assert_eq!(verdict(&frames), None, "{frames:?}");
        }
    }

    #[test]
    fn a_connection_begins_with_the_preface_and_settings() {
        let start = |frame: Frame| verdict_of(&[PREFACE.to_vec(), frame]);
        assert_eq!(start(settings(&[(3, 100)])), None);
        for first in [
            ping(),
            request(1),
            window_update(0, 1),
            frame(SETTINGS, ACK, 0, b""),
            frame(UNKNOWN, 0, 0, b""),
        ] {
            assert_eq!(start(first).unwrap().code, ErrorCode::Protocol);
        }
        for preface in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\r\r\n"] {
            let fault = verdict_of(&[preface.as_bytes().to_vec()]);
            assert_eq!(fault.unwrap().code, ErrorCode::Protocol);
        }
        assert_eq!(feed([&PREFACE[..20]]), (20, None));
    }

    #[test]
    fn push_is_allowed_until_the_client_says_otherwise() {
        let now = Instant::now();
        let mut guard = guard(now);
        assert!(guard.allows_push());
        for (frame, allowed) in [
            (settings(&[(2, 0), (4, 9)]), false),
            (settings(&[(4, 9)]), false),
            (settings(&[(2, 0), (2, 1)]), true),
            (frame(GOAWAY, 0, 0, &[0; 8]), false),
            (settings(&[(2, 1)]), false),
        ] {
            guard.read(&frame, now).unwrap();
            assert_eq!(guard.allows_push(), allowed);
        }
    }

    #[test]
    fn a_stream_that_ended_is_known_for_512_streams() {
        let last = 2 * Ended::SPAN - 1;
        for (newest, known) in [(last, true), (last + 2, false)] {
            let now = Instant::now();
            let mut guard = guard(now);
            let streams = (1..=newest).step_by(2);
            guard
                .read(&streams.flat_map(request).collect::<Vec<_>>(), now)
                .unwrap();
            assert_eq!(guard.read(&data(1), now).is_err(), known, "{newest}");
        }
    }

    #[test]
    fn a_stream_does_not_inherit_the_end_of_one_long_ago() {
        for between in [0, 1, 511, 512, 513, 5000] {
            let now = Instant::now();
            let mut guard = guard(now);
            let all = (1..=2 * Ended::SPAN)
                .step_by(2)
                .flat_map(request)
                .collect::<Vec<_>>();
            guard.read(&all, now).unwrap();
            let next = 2 * Ended::SPAN + 1 + 2 * between;
            for frame in [upload(next), data(next), request(next)] {
                guard.read(&frame, now).unwrap();
            }
            guard.read(&data(next), now).unwrap_err();
        }
    }

    /// xorshift: the same sequence in every run.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % bound
        }

        fn byte(&mut self) -> u8 {
            self.below(256) as u8
        }

        /// A frame that is about right.
        fn frame(&mut self) -> Frame {
            let kind = self.below(12) as u8;
            let length = match self.below(8) {
                0 => self.below(20),
                _ => [4, 9, 5, 4, 12, 9, 8, 8, 4, 9, 3, 3][usize::from(kind)],
            };
            let stream = match (kind, self.below(8)) {
                (_, 0) => self.below(9) as u32,
                (4 | 6 | 7, _) => 0,
                _ => 2 * self.below(6) as u32 + 1,
            };
            let flags = if self.below(3) == 0 {
                self.byte()
            } else {
                END_HEADERS
            };
            let payload = (0..length)
                .map(|_| (self.below(3)) as u8)
                .collect::<Vec<_>>();
            frame(kind, flags, stream, &payload)
        }
    }

    #[test]
    fn whatever_comes_is_judged_the_same_however_it_is_cut() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut faults = 0;
        for round in 0..20_000 {
            let mut bytes = [&PREFACE[..], &settings(&[])].concat();
            for _ in 0..random.below(12) {
                bytes.extend(random.frame());
            }
            if round % 4 == 0 {
                let place = random.below(bytes.len() as u64) as usize;
                bytes[place] = random.byte();
            }
            if round % 16 == 0 {
                bytes.extend((0..40).map(|_| random.byte()));
            }
            let (given, fault) = feed([&bytes[..]]);
            faults += usize::from(fault.is_some());
            let mut rest = &bytes[..];
            let pieces = std::iter::from_fn(|| {
                let length = 1 + random.below(30) as usize;
                let (piece, after) = rest.split_at(rest.len().min(length));
                rest = after;
                (!piece.is_empty()).then_some(piece)
            });
            let (cut, same) = feed(pieces);
            assert_eq!(same, fault);
            assert!(given <= cut && cut <= bytes.len());
        }
        // Neither all of them nor none.
        assert!((2_000..18_000).contains(&faults), "{faults}");
    }

    /// A connection whose client has sent the preface and SETTINGS.
    struct Session {
        guard: FrameCheck,
        now: Instant,
        stream: u32,
    }

    impl Session {
        fn new() -> Self {
            let now = Instant::now();
            let guard = guard(now);
            Self {
                guard,
                now,
                stream: 1,
            }
        }

        fn after(&mut self, time: Duration) {
            self.now += time;
        }

        fn client(&mut self, frame: &[u8]) -> Result<(), Fault> {
            self.guard
                .read(frame, self.now)
                .map_err(|refused| refused.fault)
        }

        fn server(&mut self, frame: &[u8]) -> Result<(), Fault> {
            self.guard.wrote(frame, self.now)
        }

        fn request(&mut self) -> Result<u32, Fault> {
            self.stream += 2;
            self.client(&request(self.stream))?;
            Ok(self.stream)
        }

        fn respond(&mut self, stream: u32) -> Result<(), Fault> {
            self.server(&frame(HEADERS, END_HEADERS, stream, b"200"))?;
            self.server(&frame(DATA, END_STREAM, stream, &[0; 1000]))
        }
    }

    #[test]
    fn a_browser_that_cancels_pages_is_served() {
        let mut session = Session::new();
        let setup = [
            settings(&[(1, 65_536), (2, 0), (4, 6_291_456), (6, 262_144)]),
            window_update(0, 15_663_105),
        ];
        session.client(&setup.concat()).unwrap();
        session.client(&frame(SETTINGS, ACK, 0, b"")).unwrap();
        for page in 0..200 {
            let streams: Vec<u32> = (0..100).map(|_| session.request().unwrap()).collect();
            for stream in &streams {
                let update = [&stream.to_be_bytes()[..], b"u=3, i"].concat();
                session
                    .client(&frame(PRIORITY_UPDATE, 0, 0, &update))
                    .unwrap();
                session
                    .client(&frame(UNKNOWN, 0, *stream, b"grease"))
                    .unwrap();
            }
            session.client(&ping()).unwrap();
            let cancelled = if page % 3 == 0 { 100 } else { 5 };
            for (index, stream) in streams.iter().enumerate() {
                if index < cancelled {
                    session.client(&cancel(*stream)).unwrap();
                } else {
                    session.respond(*stream).unwrap();
                    session.client(&window_update(*stream, 1000)).unwrap();
                    session.client(&window_update(0, 1000)).unwrap();
                }
            }
            session.after(Duration::from_millis(700));
        }
    }

    #[test]
    fn who_works_with_the_server_is_never_counted_out() {
        // One ping a round trip and two updates a frame, as fast as it goes: no time passes at all.
        let mut session = Session::new();
        let stream = session.request().unwrap();
        for _ in 0..20_000 {
            session.server(&frame(DATA, 0, stream, &[0; 256])).unwrap();
            for frame in [ping(), window_update(0, 256), window_update(stream, 256)] {
                session.client(&frame).unwrap();
            }
        }
        // A chatty one, before anything is answered.
        for _ in 0..20_000 {
            let stream = session.request().unwrap();
            let mut chat = [ping(), frame(UNKNOWN, 0, 0, b"")].concat();
            chat.extend(window_update(stream, 9).repeat(4));
            chat.extend(frame(PRIORITY, 0, stream, &[0; 5]).repeat(5));
            session.client(&chat).unwrap();
        }
        // A proxy that cancels every other request.
        for _ in 0..20_000 {
            let answered = session.request().unwrap();
            session.respond(answered).unwrap();
            let cancelled = session.request().unwrap();
            session.client(&cancel(cancelled)).unwrap();
        }
        // One that does it with each other answer without a body.
        for _ in 0..20_000 {
            let answered = session.request().unwrap();
            session
                .server(&frame(HEADERS, WHOLE, answered, b"304"))
                .unwrap();
            let cancelled = session.request().unwrap();
            session.client(&cancel(cancelled)).unwrap();
        }
        // Uploads that end with a frame of nothing.
        for (flags, payload) in [(0, &b""[..]), (PADDED, &b"\0"[..])].repeat(20_000) {
            session.stream += 2;
            session.client(&upload(session.stream)).unwrap();
            let end = frame(DATA, END_STREAM | flags, session.stream, payload);
            session.client(&end).unwrap();
        }
        // A client that wants no pushes, but forgot to say so.
        for promised in (2..20_000).step_by(2) {
            session
                .server(&frame(PUSH_PROMISE, END_HEADERS, stream, &[0; 5]))
                .unwrap();
            session.client(&cancel(promised)).unwrap();
        }
    }

    /// How many of these the client may send at once, how many a second later, and the name of the flood.
    #[track_caller]
    fn flood(
        name: &str,
        burst: u32,
        a_second: u32,
        mut send: impl FnMut(&mut Session) -> Result<(), Fault>,
    ) {
        let mut session = Session::new();
        // Nothing of what the session began with is in the way, and no hour of silence helps.
        session.after(Duration::from_secs(3600));
        for n in 0..burst {
            assert_eq!(send(&mut session), Ok(()), "{n}");
        }
        let mut paced = |session: &mut Session, sent| {
            for _ in 0..60 {
                session.after(Duration::from_secs(1));
                for _ in 0..sent {
                    send(session)?;
                }
            }
            Ok(())
        };
        assert_eq!(paced(&mut session, a_second), Ok(()));
        let fault: Fault = paced(&mut session, a_second + 1).unwrap_err();
        assert_eq!((fault.code, fault.why), (ErrorCode::EnhanceYourCalm, name));
    }

    #[test]
    fn floods_of_single_frames_are_caught_at_once_and_paced() {
        let mut settings_of_ten = vec![(0xa, 0); 10];
        settings_of_ten[3] = (4, 9);
        #[rustfmt::skip]
        let floods = [
            ("too many PING frames", 100, 50, ping()),
            ("too many PING frames", 100, 50, frame(PING, ACK, 0, &[0; 8])),
            ("too many SETTINGS", 100, 10, settings(&[])),
            ("too many SETTINGS", 100, 10, settings(&[(4, 9)])),
            ("too many SETTINGS", 10, 1, settings(&settings_of_ten)),
            ("too many PRIORITY frames", 200, 50, frame(PRIORITY, 0, 9, &[0; 5])),
            ("too many PRIORITY frames", 200, 50, frame(PRIORITY_UPDATE, 0, 0, &[0; 5])),
            ("too many WINDOW_UPDATE frames", 10_000, 500, window_update(0, 1)),
            ("too many frames of other types", 100, 50, frame(UNKNOWN, 0, 0, b"")),
            ("too many frames of other types", 100, 50, frame(GOAWAY, 0, 0, &[0; 8])),
        ];
        for (name, burst, a_second, frame) in floods {
            flood(name, burst, a_second, |session| session.client(&frame));
        }
    }

    #[test]
    fn a_setting_frame_as_long_as_may_be_is_a_flood_by_itself() {
        let fault = verdict(&[settings(&[(0xa, 0); 101])]).unwrap();
        assert_eq!(fault.why, "too many SETTINGS");
    }

    #[test]
    fn empty_data_is_caught_padded_or_not() {
        for (flags, payload) in [
            (0, &b""[..]),
            (PADDED, &b"\0"[..]),
            (PADDED, &b"\x02\0\0"[..]),
        ] {
            let mut opened = false;
            flood("too many empty DATA frames", 100, 50, |session| {
                if !std::mem::replace(&mut opened, true) {
                    session.client(&upload(1)).unwrap();
                }
                session.client(&frame(DATA, flags, 1, payload))
            });
        }
    }

    /// CVE-2023-44487
    #[test]
    fn rapid_reset_is_caught_at_once_and_paced() {
        flood("too many requests were cancelled", 200, 50, |session| {
            let stream = session.request()?;
            session.client(&cancel(stream))
        });
    }

    #[test]
    fn a_clock_that_goes_back_earns_nothing() {
        let mut session = Session::new();
        let (early, late) = (session.now, session.now + Duration::from_secs(60));
        for n in 0..=100 {
            session.now = if n % 2 == 0 { late } else { early };
            assert_eq!(session.client(&ping()).is_ok(), n < 100, "{n}");
        }
    }

    #[test]
    fn more_streams_allow_more_to_be_cancelled() {
        let now = Instant::now();
        let limits = Limits {
            max_concurrent_streams: 1000,
            ..LIMITS
        };
        let mut session = Session {
            guard: FrameCheck::new(limits, now),
            now,
            stream: 1,
        };
        session
            .client(&[&PREFACE[..], &settings(&[])].concat())
            .unwrap();
        for n in 0..=2000 {
            let stream = session.request().unwrap();
            assert_eq!(session.client(&cancel(stream)).is_ok(), n < 2000);
        }
    }

    /// CVE-2025-8671
    #[test]
    fn resets_that_the_client_provokes_are_counted_and_the_apps_are_not() {
        let reset = |code: u32| frame(RST_STREAM, 0, 1, &code.to_be_bytes());
        for code in [0x1, 0x3, 0x5, 0x6, 0x7, 0x9] {
            flood("too many streams had to be reset", 200, 50, |session| {
                session.server(&reset(code))
            });
        }
        let mut session = Session::new();
        for code in [0x0, 0x2, 0x8, 0xb].repeat(1000) {
            session.server(&reset(code)).unwrap();
        }
        // Cut anywhere, and told again by the next read.
        let bytes = reset(1).repeat(201);
        for cut in [1, 8, 9, 10, 12] {
            let mut session = Session::new();
            let ends = bytes
                .chunks(cut)
                .map(|piece| session.server(piece))
                .collect::<Vec<_>>();
            assert_eq!(ends.iter().filter(|end| end.is_err()).count(), 1);
            session.client(&ping()).unwrap_err();
        }
    }

    /// CVE-2024-27316
    #[test]
    fn field_blocks_in_many_pieces_are_caught() {
        // Two a request are earned.
        flood("too many CONTINUATION frames", 98, 50, |session| {
            session.stream += 2;
            let stream = session.stream;
            session.client(&frame(HEADERS, END_STREAM, stream, b""))?;
            session.client(&frame(CONTINUATION, 0, stream, b""))?;
            session.client(&frame(CONTINUATION, 0, stream, b""))?;
            session.client(&frame(CONTINUATION, END_HEADERS, stream, b""))
        });
        let mut session = Session::new();
        session.client(&frame(HEADERS, 0, 1, b"")).unwrap();
        let endless = frame(CONTINUATION, 0, 1, b"").repeat(103);
        session.client(&endless).unwrap_err();
    }

    /// CVE-2019-9511
    #[test]
    fn a_window_that_opens_by_a_byte_earns_nothing() {
        flood("too many WINDOW_UPDATE frames", 10_000, 500, |session| {
            session.server(&frame(DATA, 0, 1, b"x")).unwrap();
            session.client(&window_update(0, 1))
        });
    }
}
