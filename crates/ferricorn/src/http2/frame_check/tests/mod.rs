//! Tests of the rules for frames. The tests of the token buckets are in [`floods`].

mod floods;

use std::time::Instant;

use super::{ConnectionFault, ErrorCode, FrameCheck, FrameLimits, FrameRefusal};
use crate::http2::client_state::EndedStreams;
use crate::http2::frame::{
    ACK, END_HEADERS, END_STREAM, PADDED, PREFACE, PRIORITY as WITH_PRIORITY,
};

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
const LIMITS: FrameLimits = FrameLimits {
    max_frame_size: 16_384,
    max_concurrent_streams: 100,
};

type Frame = Vec<u8>;

fn header(length: usize, kind: u8, flags: u8, stream: u32) -> Frame {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Frame {
    let mut bytes = header(payload.len(), kind, flags, stream);
    bytes.extend(payload);
    bytes
}

fn settings(settings: &[(u16, u32)]) -> Frame {
    let each = settings.iter();
    let payload =
        each.flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, 0, 0, &payload.collect::<Vec<_>>())
}

/// A GET. The check does not decode its headers.
fn request(stream: u32) -> Frame {
    frame(HEADERS, WHOLE, stream, b"block.")
}

/// A request with a body that is still to come.
fn upload(stream: u32) -> Frame {
    frame(HEADERS, END_HEADERS, stream, b"block.")
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

fn after_preface(now: Instant) -> FrameCheck {
    let mut check = FrameCheck::new(LIMITS, now);
    check.check_received(PREFACE, now).unwrap();
    check.check_received(&settings(&[]), now).unwrap();
    check
}

/// Feeds the pieces one by one. Returns how many bytes h2 may have, and the fault.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (usize, Option<ConnectionFault>) {
    let now = Instant::now();
    let mut check = FrameCheck::new(LIMITS, now);
    let mut given = 0;
    for piece in pieces {
        match check.check_received(piece, now) {
            Ok(()) => given += piece.len(),
            Err(FrameRefusal { before, fault }) => {
                assert!(before <= piece.len());
                let again = check.check_received(piece, now);
                assert_eq!(again, Err(FrameRefusal { before: 0, fault }));
                return (given + before, Some(fault));
            }
        }
    }
    (given, None)
}

/// The fault in the last of these frames, with every split of the bytes. The preface and SETTINGS come
/// before them.
#[track_caller]
fn verdict(frames: &[Frame]) -> Option<ConnectionFault> {
    let opening = [PREFACE.to_vec(), settings(&[])];
    let connection = [&opening[..], frames].concat();
    verdict_of(&connection)
}

#[track_caller]
fn verdict_of(connection: &[Vec<u8>]) -> Option<ConnectionFault> {
    let bytes = connection.concat();
    let last = bytes.len() - connection.last().unwrap().len();
    let (given, fault) = feed([&bytes[..]]);
    let expected = if fault.is_some() { last } else { bytes.len() };
    assert_eq!(given, expected, "h2 gets all bytes before the fault");
    for split in 0..bytes.len() {
        let (first, second) = bytes.split_at(split);
        let (given, same) = feed([first, second]);
        assert_eq!(same, fault, "split at {split}");
        // h2 may have a part of the last frame, but never all of it.
        assert!(given >= expected && (same.is_none() || given < bytes.len()));
    }
    assert_eq!(feed(bytes.chunks(1)).1, fault, "byte by byte");
    fault
}

#[test]
fn frames_that_rfc_9113_forbids_are_refused_with_its_code() {
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
        ("6.2", Protocol, vec![frame(HEADERS, WHOLE | PADDED, 1, b"\x07block.")]),
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
fn frames_that_rfc_9113_allows_pass() {
    #[rustfmt::skip]
    let allowed = [
        vec![request(1), request(3), request(7), window_update(7, 1), window_update(1, 1)],
        vec![upload(1), data(1), frame(DATA, END_STREAM, 1, b"")],
        // Trailers, and frames that may come on a stream that has ended.
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
fn push_is_allowed_until_the_client_forbids_it() {
    let now = Instant::now();
    let mut check = after_preface(now);
    assert!(check.allows_push());
    for (frame, allowed) in [
        (settings(&[(2, 0), (4, 9)]), false),
        (settings(&[(4, 9)]), false),
        (settings(&[(2, 0), (2, 1)]), true),
        (frame(GOAWAY, 0, 0, &[0; 8]), false),
        (settings(&[(2, 1)]), false),
    ] {
        check.check_received(&frame, now).unwrap();
        assert_eq!(check.allows_push(), allowed);
    }
}

#[test]
fn an_ended_stream_is_remembered_for_512_streams() {
    let last = 2 * EndedStreams::SPAN - 1;
    for (newest, known) in [(last, true), (last + 2, false)] {
        let now = Instant::now();
        let mut check = after_preface(now);
        let streams = (1..=newest).step_by(2);
        check
            .check_received(&streams.flat_map(request).collect::<Vec<_>>(), now)
            .unwrap();
        assert_eq!(
            check.check_received(&data(1), now).is_err(),
            known,
            "{newest}"
        );
    }
}

#[test]
fn a_stream_does_not_inherit_the_end_of_an_old_stream() {
    for between in [0, 1, 511, 512, 513, 5000] {
        let now = Instant::now();
        let mut check = after_preface(now);
        let all = (1..=2 * EndedStreams::SPAN)
            .step_by(2)
            .flat_map(request)
            .collect::<Vec<_>>();
        check.check_received(&all, now).unwrap();
        let next = 2 * EndedStreams::SPAN + 1 + 2 * between;
        for frame in [upload(next), data(next), request(next)] {
            check.check_received(&frame, now).unwrap();
        }
        check.check_received(&data(next), now).unwrap_err();
    }
}

/// A long stream among many short ones, or more than 512 open streams: the end of an old stream once
/// counted as that of the stream 512 later, and the client's next frame there broke the connection.
#[test]
fn a_stream_does_not_end_when_an_old_stream_ends() {
    for end in [frame(DATA, END_STREAM, 1, b""), request(1), cancel(1)] {
        let now = Instant::now();
        let mut check = after_preface(now);
        let newest = 2 * EndedStreams::SPAN + 1;
        let streams = (1..=newest).step_by(2).flat_map(upload);
        check
            .check_received(&streams.collect::<Vec<_>>(), now)
            .unwrap();
        for frame in [end, data(newest), request(newest)] {
            check.check_received(&frame, now).unwrap();
        }
        check.check_received(&data(newest), now).unwrap_err();
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

    /// A frame that is nearly valid.
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
fn random_frames_get_the_same_verdict_with_every_split() {
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
    // Some are valid and some are not.
    assert!((2_000..18_000).contains(&faults), "{faults}");
}
