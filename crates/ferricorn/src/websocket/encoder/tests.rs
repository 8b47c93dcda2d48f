use asgi::{Message, WebSocketClose};
use bytes::Bytes;

use super::{ENOUGH, NOT_COPIED, Outgoing};

/// Takes all of it, so many bytes at a time.
fn drain(outgoing: &mut Outgoing, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !outgoing.is_empty() {
        let slices = outgoing.slices();
        let bytes: Vec<u8> = slices
            .iter()
            .flat_map(|slice| slice.iter())
            .copied()
            .collect();
        let count = step.min(bytes.len());
        all.extend_from_slice(&bytes[..count]);
        outgoing.written(count);
    }
    all
}

fn take(outgoing: &mut Outgoing, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while !outgoing.is_empty() {
        assert!(outgoing.next_len() > 0);
        let piece = outgoing.take(step);
        assert!(!piece.is_empty() && piece.len() <= step);
        all.extend_from_slice(&piece);
    }
    all
}

fn filled() -> (Outgoing, Vec<u8>) {
    let mut outgoing = Outgoing::new(None);
    let large = vec![b'L'; NOT_COPIED];
    outgoing.message(Message::text("hello"));
    outgoing.ping();
    outgoing.message(Message::binary(vec![b'm'; 300]));
    outgoing.message(Message::binary(large.clone()));
    assert!(!outgoing.has_room());
    outgoing.pong("pong".into());
    outgoing.close(&WebSocketClose::new(1000).reason("bye"));
    let expected = [
        b"\x81\x05hello\x89\x00\x82\x7e\x01\x2c",
        &[b'm'; 300][..],
        b"\x82\x7e\x20\x00",
        &large,
        b"\x8a\x04pong\x88\x05\x03\xe8bye",
    ];
    (outgoing, expected.concat())
}

#[test]
fn frames_leave_in_order_however_many_bytes_at_a_time() {
    for step in [1, 2, 7, 300, 4096, NOT_COPIED, 1 << 20] {
        let (mut outgoing, expected) = filled();
        assert!(drain(&mut outgoing, step) == expected, "{step}");
        let (mut outgoing, expected) = filled();
        assert!(take(&mut outgoing, step) == expected, "{step}");
        assert!(outgoing.has_room() && outgoing.has_room_for_control());
    }
}

#[test]
fn a_large_payload_is_not_copied() {
    let payload = Bytes::from(vec![0; NOT_COPIED]);
    let mut outgoing = Outgoing::new(None);
    outgoing.message(Message::Binary(payload.clone()));
    assert_eq!(outgoing.slices()[1].as_ptr(), payload.as_ptr());
}

#[test]
fn the_room_for_messages_and_for_answers_has_an_end() {
    let mut outgoing = Outgoing::new(None);
    let mut count = 0;
    while outgoing.has_room() {
        outgoing.message(Message::binary(vec![0; 1_000]));
        count += 1;
    }
    assert!((60..70).contains(&count), "{count}");
    let mut outgoing = Outgoing::new(None);
    let mut count = 0;
    while outgoing.has_room_for_control() {
        outgoing.pong(vec![0; 125].into());
        count += 1;
    }
    assert!((ENOUGH / 127..ENOUGH / 120).contains(&count), "{count}");
}

#[test]
fn lengths_are_written_as_short_as_they_can_be() {
    for (length, head) in [
        (0, &b"\x82\x00"[..]),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ] {
        let mut outgoing = Outgoing::new(None);
        outgoing.message(Message::binary(vec![0; length]));
        let written = drain(&mut outgoing, 1 << 20);
        assert_eq!(&written[..head.len()], head);
        assert_eq!(written.len(), head.len() + length);
    }
}
