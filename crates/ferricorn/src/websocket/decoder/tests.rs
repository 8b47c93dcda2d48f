use asgi::Message;
use bytes::BytesMut;

use super::{
    COPIED, Decoder, Incoming, MessageLimits, NO_CODE, READ_AHEAD, WebSocketFault, unmask,
};

const LIMITS: MessageLimits = MessageLimits {
    frame: 100_000,
    message: 200_000,
};

/// A masked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [0x5a, 0x13, 0xff, 0x01];
    frame.extend_from_slice(&mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// Decodes these pieces, one after the other.
fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Incoming>, Option<WebSocketFault>) {
    let mut decoder = Decoder::new(LIMITS, None);
    let mut buffer = BytesMut::new();
    let mut all = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(item)) => all.push(item),
                Ok(None) => break,
                Err(fault) => return (all, Some(fault)),
            }
        }
    }
    (all, None)
}

fn text(text: &str) -> Incoming {
    Incoming::Message(Message::text(text))
}

fn binary(data: &[u8]) -> Incoming {
    Incoming::Message(Message::binary(data.to_vec()))
}

/// Every kind of frame, as bytes and decoded.
fn conversation() -> (Vec<u8>, Vec<Incoming>) {
    let crab = "🦀".as_bytes();
    let frames = [
        frame(0x81, b"hello"),
        frame(0x82, &[1; 126]),
        frame(0x01, &crab[..3]),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x8a, b""),
        frame(0x80, &crab[3..]),
        frame(0x82, b""),
        frame(0x81, &b"x".repeat(65_536)),
        frame(0x88, b"\x0f\xa0bye"),
    ];
    let items = vec![
        text("hello"),
        binary(&[1; 126]),
        Incoming::Ping("ping".into()),
        Incoming::Pong,
        text("🦀"),
        binary(b""),
        text(&"x".repeat(65_536)),
        Incoming::Close(4000, "bye".to_owned()),
    ];
    (frames.concat(), items)
}

#[test]
fn a_conversation_is_decoded_the_same_with_every_split() {
    let (bytes, items) = conversation();
    assert_eq!(decode([&bytes[..]]), (items, None));
    let (_, items) = conversation();
    assert_eq!(decode(bytes.chunks(1)), (items, None));
    // Everywhere except inside the long message.
    for cut in (0..400).chain(bytes.len() - 20..bytes.len()) {
        let (_, items) = conversation();
        let (first, second) = bytes.split_at(cut);
        assert_eq!(decode([first, second]), (items, None), "{cut}");
    }
}

#[test]
fn a_fault_comes_after_the_messages_before_it_with_every_split() {
    for (code, bad) in [
        (1002, vec![0x81, 1, b'x']),
        (1002, frame(0xc1, b"x")),
        (1002, frame(0x83, b"x")),
        (1002, frame(0x8b, b"x")),
        (1002, frame(0x09, b"x")),
        (1002, frame(0x80, b"x")),
        (1002, [frame(0x01, b"x"), frame(0x81, b"x")].concat()),
        (1002, frame(0x88, b"x")),
        (1002, frame(0x88, &1006_u16.to_be_bytes())),
        (1007, frame(0x81, b"\xff")),
        (1007, frame(0x01, b"a\xc0")),
        (1007, frame(0x88, b"\x03\xe8\xff")),
        (1009, frame(0x82, &[0; 100_001])[..14].to_vec()),
    ] {
        let bytes = [frame(0x81, b"ok"), bad].concat();
        for cut in 0..bytes.len() {
            let (first, second) = bytes.split_at(cut);
            let (items, fault) = decode([first, second]);
            assert_eq!(items, [text("ok")], "{bytes:x?} at {cut}");
            assert_eq!(
                fault.map(|fault| fault.code),
                Some(code),
                "{bytes:x?} at {cut}"
            );
        }
    }
}

#[test]
fn every_first_byte_is_accepted_or_refused_by_rfc_6455() {
    for first in 0..=u8::MAX {
        let (items, fault) = decode([&frame(first, b"")[..]]);
        let opcode = first & 0x0f;
        let is_control = opcode >= 8;
        let valid = first & 0x70 == 0
            && matches!(opcode, 1 | 2 | 8..=10)
            && (first & 0x80 != 0 || !is_control);
        assert_eq!(fault.is_none(), valid, "{first:#x}");
        let whole = valid && first & 0x80 != 0;
        assert_eq!(items.len(), usize::from(whole), "{first:#x}");
    }
}

#[test]
fn close_codes_are_those_that_a_client_may_send() {
    for code in 0..=u16::MAX {
        let (items, fault) = decode([&frame(0x88, &code.to_be_bytes())[..]]);
        let valid = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        match items.first() {
            Some(item) => assert_eq!(*item, Incoming::Close(code, String::new())),
            None => assert_eq!(fault.unwrap().code, 1002),
        }
        assert_eq!(fault.is_none(), valid, "{code}");
    }
    let none = Incoming::Close(NO_CODE, String::new());
    assert_eq!(decode([&frame(0x88, b"")[..]]), (vec![none], None));
}

#[test]
fn a_message_is_limited_over_all_of_its_frames() {
    let part = vec![b'x'; 100_000];
    let two = [frame(0x01, &part), frame(0x00, &part)].concat();
    let whole = [&two[..], &frame(0x80, b"")].concat();
    assert_eq!(
        decode([&whole[..]]),
        (vec![text(&"x".repeat(200_000))], None)
    );
    let more = [&two[..], &frame(0x80, b"x")].concat();
    assert_eq!(decode([&more[..]]).1.unwrap().code, 1009);
    let ping = [&two[..], &frame(0x89, b"x"), &frame(0x80, b"")].concat();
    assert_eq!(decode([&ping[..]]).0.len(), 2);
    // The header alone is enough to refuse a length beyond all memory.
    let mut huge = vec![0x82, 0xff];
    huge.extend_from_slice(&[0xff; 8]);
    huge.extend_from_slice(&[0; 4]);
    assert_eq!(decode([&huge[..]]).1.unwrap().code, 1009);
}

#[test]
fn a_read_is_at_most_as_large_as_the_bytes_so_far() {
    let mut decoder = Decoder::new(
        MessageLimits {
            frame: 1 << 30,
            message: 1 << 30,
        },
        None,
    );
    let mut buffer = BytesMut::new();
    let whole = frame(0x82, &vec![0; 1 << 20]);
    for byte in whole[..100].chunks(1) {
        buffer.extend_from_slice(byte);
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert!(decoder.missing(&buffer) <= READ_AHEAD);
    }
    for piece in whole[100..].chunks(10_000) {
        buffer.extend_from_slice(piece);
        assert!(decoder.missing(&buffer) <= READ_AHEAD.max(buffer.len()));
        if decoder.decode(&mut buffer).unwrap().is_some() {
            return;
        }
    }
    panic!("the message is incomplete");
}

#[test]
fn a_small_message_leaves_the_buffer_to_the_next_read() {
    let mut decoder = Decoder::new(LIMITS, None);
    let mut buffer = BytesMut::with_capacity(4 * COPIED);
    let mut kept = Vec::new();
    for _ in 0..10 {
        buffer.extend_from_slice(&frame(0x82, &[7; 40]));
        kept.push(decoder.decode(&mut buffer).unwrap());
    }
    // The whole buffer is free, although the messages still exist.
    assert!(buffer.try_reclaim(4 * COPIED));
    buffer.extend_from_slice(&frame(0x82, &[7; 3 * COPIED]));
    kept.push(decoder.decode(&mut buffer).unwrap());
    assert!(!buffer.try_reclaim(4 * COPIED));
}

#[test]
fn payloads_of_every_length_are_unmasked() {
    let mask = [1, 2, 3, 4];
    for length in 0..40 {
        let plain: Vec<u8> = (0..length).collect();
        let masked = plain.iter().zip(mask.iter().cycle());
        let mut payload: Vec<u8> = masked.map(|(byte, mask)| byte ^ mask).collect();
        unmask(&mut payload, mask);
        assert_eq!(payload, plain);
    }
}

/// Marsaglia's xorshift64.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 8
}

#[test]
fn random_bytes_never_panic_and_decode_the_same_with_every_split() {
    let (sound, _) = conversation();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..3_000 {
        let mut bytes: Vec<u8> = sound[..300].to_vec();
        for _ in 0..random(&mut state) % 4 {
            let at = random(&mut state) as usize % bytes.len();
            bytes[at] = random(&mut state) as u8;
        }
        let whole = decode([&bytes[..]]);
        let length = random(&mut state) as usize % 40 + 1;
        assert_eq!(decode(bytes.chunks(length)), whole);
    }
}
