//! The checks of HTTP/2 frames.

use std::time::Instant;

use super::splits;
use crate::http2::PREFACE;
use crate::http2::frame_check::{FrameCheck, FrameLimits};

const LIMITS: FrameLimits = FrameLimits {
    max_frame_size: 16_384,
    max_concurrent_streams: 100,
};

const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// The input is the bytes that a client sends. If they do not begin with `PRI`, a preface and SETTINGS
/// come before them.
///
/// - The verdict is the same however the bytes are split.
/// - A refused connection stays refused.
/// - h2 gets whole frames before the fault, and these frames alone have no fault.
/// - The bytes as frames of the server: the same verdict however they are split.
pub fn http2_frames(data: &[u8]) {
    let mut bytes = Vec::new();
    if !data.starts_with(b"PRI") {
        bytes.extend_from_slice(PREFACE);
        bytes.extend_from_slice(&EMPTY_SETTINGS);
    }
    bytes.extend_from_slice(data);
    let now = Instant::now();

    let whole = receive([&bytes[..]], now);
    for pieces in splits(&bytes) {
        let split = receive(pieces, now);
        assert_eq!(split.fault, whole.fault, "split");
        // h2 may have a part of the frame with the fault, but never all of it.
        assert!(split.given >= whole.given);
        assert!(split.fault.is_none() || split.given < bytes.len());
        if split.fault.is_none() {
            assert_eq!(split, whole, "split");
        }
    }
    if whole.fault.is_some() {
        assert!(ends_after_a_frame(&bytes, whole.given));
        let before = receive([&bytes[..whole.given]], now);
        assert_eq!(before.fault, None, "before the fault");
    }

    let sent = send([data], now);
    for pieces in splits(data) {
        assert_eq!(send(pieces, now), sent, "split of the server's frames");
    }
}

/// The end of a check: how many bytes h2 gets, the fault, and what the client has said.
#[derive(Debug, PartialEq)]
struct CheckOutcome {
    given: usize,
    fault: Option<(u32, &'static str)>,
    allows_push: bool,
    is_in_field_block: bool,
}

fn receive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, now: Instant) -> CheckOutcome {
    let mut check = FrameCheck::new(LIMITS, now);
    let mut given = 0;
    let mut fault = None;
    for piece in pieces {
        match check.check_received(piece, now) {
            Ok(()) => given += piece.len(),
            Err(refusal) => {
                assert!(refusal.before <= piece.len());
                given += refusal.before;
                let again = check
                    .check_received(piece, now)
                    .expect_err("a refused connection stays refused");
                assert_eq!((again.before, again.fault), (0, refusal.fault));
                fault = Some((refusal.fault.code as u32, refusal.fault.why));
                break;
            }
        }
    }
    CheckOutcome {
        given,
        fault,
        allows_push: check.allows_push(),
        is_in_field_block: check.is_in_field_block(),
    }
}

fn send<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    now: Instant,
) -> Option<(u32, &'static str)> {
    let mut check = FrameCheck::new(LIMITS, now);
    let mut fault = None;
    for piece in pieces {
        let checked = check.check_sent(piece, now).err();
        assert!(fault.is_none() || checked == fault, "a fault stays");
        fault = checked;
    }
    fault.map(|fault| (fault.code as u32, fault.why))
}

/// Whether `end` is the end of a frame, or of the preface.
fn ends_after_a_frame(bytes: &[u8], end: usize) -> bool {
    let mut at = if end == 0 { 0 } else { PREFACE.len() };
    while at < end {
        let [high, middle, low, ..] = bytes[at..] else {
            return false;
        };
        at += 9 + u32::from_be_bytes([0, high, middle, low]) as usize;
    }
    at == end
}
