use asgi::{Message, WebSocketClose};
use bytes::Bytes;

use super::{ENOUGH, Encoder, NOT_COPIED};

/// Writes everything, `step` bytes at a time.
fn drain(encoder: &mut Encoder, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !encoder.is_empty() {
        let slices = encoder.slices();
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter())
            .copied()
            .collect();
        let count = step.min(bytes.len());
        all.extend_from_slice(&bytes[..count]);
        encoder.written(count);
    }
    all
}

fn take(encoder: &mut Encoder, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !encoder.is_empty() {
        assert!(encoder.next_len() > 0);
        let piece = encoder.take(step);
        assert!(!piece.is_empty() && piece.len() <= step);
        all.extend_from_slice(&piece);
    }
    all
}

fn filled() -> (Encoder, Vec<u8>) {
    let mut encoder = Encoder::new(None);
    let large = vec![b'L'; NOT_COPIED];
    encoder.message(Message::text("hello"));
    encoder.ping();
    encoder.message(Message::binary(vec![b'm'; 300]));
    encoder.message(Message::binary(large.clone()));
    assert!(!encoder.has_room());
    encoder.pong("pong".into());
    encoder.close(&WebSocketClose::new(1000).reason("bye"));
    let expected = [
        b"\x81\x05hello\x89\x00\x82\x7e\x01\x2c",
        &[b'm'; 300][..],
        b"\x82\x7e\x20\x00",
        &large,
        b"\x8a\x04pong\x88\x05\x03\xe8bye",
    ];
    (encoder, expected.concat())
}

#[test]
fn frames_leave_in_order_in_pieces_of_every_size() {
    for step in [1, 2, 7, 300, 4096, NOT_COPIED, 1 << 20] {
        let (mut encoder, expected) = filled();
        assert!(drain(&mut encoder, step) == expected, "{step}");
        let (mut encoder, expected) = filled();
        assert!(take(&mut encoder, step) == expected, "{step}");
        assert!(encoder.has_room() && encoder.has_room_for_control());
    }
}

#[test]
fn a_large_payload_is_not_copied() {
    let payload = Bytes::from(vec![0; NOT_COPIED]);
    let mut encoder = Encoder::new(None);
    encoder.message(Message::Binary(payload.clone()));
    assert_eq!(encoder.slices()[1].as_ptr(), payload.as_ptr());
}

#[test]
fn the_room_for_messages_and_for_answers_is_limited() {
    let mut encoder = Encoder::new(None);
    let mut count = 0;
    while encoder.has_room() {
        encoder.message(Message::binary(vec![0; 1_000]));
        count += 1;
    }
    assert!((60..70).contains(&count), "{count}");
    let mut encoder = Encoder::new(None);
    let mut count = 0;
    while encoder.has_room_for_control() {
        encoder.pong(vec![0; 125].into());
        count += 1;
    }
    assert!((ENOUGH / 127..ENOUGH / 120).contains(&count), "{count}");
}

#[test]
fn lengths_have_their_shortest_form() {
    for (length, head) in [
        (0, &b"\x82\x00"[..]),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ] {
        let mut encoder = Encoder::new(None);
        encoder.message(Message::binary(vec![0; length]));
        let written = drain(&mut encoder, 1 << 20);
        assert_eq!(&written[..head.len()], head);
        assert_eq!(written.len(), head.len() + length);
    }
}
