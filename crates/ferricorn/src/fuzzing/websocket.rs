//! WebSocket frames from a client, with and without compression.

use asgi::WebSocketClose;
use bytes::{Bytes, BytesMut};

use super::splits;
use crate::websocket::Encoder;
use crate::websocket::decoder::{Decoder, Incoming, MessageLimits, WebSocketFault};
use crate::websocket::deflate::negotiation::Direction;
use crate::websocket::deflate::{Agreement, Deflater, Inflater};

const LIMITS: MessageLimits = MessageLimits {
    frame: 4_096,
    message: 8_192,
};

/// The first byte of the input chooses the compression: bit 0 on, bits 1 to 3 the window, bit 4 context
/// takeover. The rest is the bytes that a client sends after the handshake.
///
/// - The messages and the fault are the same however the bytes are split.
/// - No message is longer than the limit. Without compression, all messages together are no longer
///   than the input.
/// - The server does not read more than 64 KiB ahead, or as much as it has already.
/// - What the encoder makes of the messages, with a mask on it, decodes to the same messages.
pub fn websocket_frames(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let agreement = (first & 1 == 1).then(|| {
        let direction = Direction {
            window_bits: (8 + (first >> 1 & 7)).max(9),
            context_takeover: first & 0x10 != 0,
        };
        Agreement {
            server: direction,
            client: direction,
        }
    });
    let (items, fault) = decode([bytes], LIMITS, agreement);
    for pieces in splits(bytes) {
        let (split_items, split_fault) = decode(pieces, LIMITS, agreement);
        assert_eq!(split_items, items, "split");
        assert_eq!(split_fault, fault, "split");
    }
    let total: usize = items.iter().map(length).sum();
    assert!(agreement.is_some() || total <= bytes.len());

    let items: Vec<_> = items.into_iter().map(answer).collect();
    let sent = masked(&encode(&items, agreement));
    let limits = MessageLimits {
        // The encoder makes one frame of a message.
        frame: 2 * LIMITS.message,
        ..LIMITS
    };
    assert_eq!(decode([&sent[..]], limits, agreement), (items, None));
}

fn decode<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: MessageLimits,
    agreement: Option<Agreement>,
) -> (Vec<Incoming>, Option<WebSocketFault>) {
    let mut decoder = Decoder::new(limits, agreement.map(Inflater::new));
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(item)) => {
                    assert!(length(&item) <= limits.message, "a message over the limit");
                    items.push(item);
                }
                Ok(None) => break,
                Err(fault) => return (items, Some(fault)),
            }
        }
        let missing = decoder.missing(&buffer);
        assert!(missing <= buffer.len().max(64 * 1024));
        assert!(missing <= limits.frame);
    }
    (items, None)
}

fn length(item: &Incoming) -> usize {
    match item {
        Incoming::Message(message) => message.as_bytes().len(),
        Incoming::Ping(payload) => payload.len(),
        Incoming::Pong => 0,
        Incoming::Close(_, reason) => reason.len(),
    }
}

/// The server has no ping with a payload.
fn answer(item: Incoming) -> Incoming {
    match item {
        Incoming::Ping(_) => Incoming::Pong,
        other => other,
    }
}

fn encode(items: &[Incoming], agreement: Option<Agreement>) -> Vec<u8> {
    let mut encoder = Encoder::new(agreement.map(Deflater::new));
    let mut sent = Vec::new();
    for item in items {
        match item {
            Incoming::Message(message) => encoder.message(message.clone()),
            Incoming::Ping(_) | Incoming::Pong => encoder.pong(Bytes::from_static(b"pong")),
            Incoming::Close(code, reason) => {
                encoder.close(&WebSocketClose::new(*code).reason(reason));
            }
        }
        // One piece for each message, so that the encoder has to keep some of them.
        sent.extend_from_slice(&encoder.take(1_000));
    }
    while !encoder.is_empty() {
        let most = encoder.next_len();
        let piece = encoder.take(most);
        assert_eq!(piece.len(), most);
        sent.extend_from_slice(&piece);
    }
    sent
}

/// Puts a mask on each frame of a server, as a client would.
fn masked(mut frames: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0x13, 0xff, 0x01];
    let mut masked = Vec::new();
    while let [first, second, rest @ ..] = frames {
        let (length, size) = match (second, rest) {
            (126, [high, low, ..]) => (u64::from(u16::from_be_bytes([*high, *low])), 2),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]), 8)
            }
            (length, _) => (u64::from(*length), 0),
        };
        let (extended, rest) = rest.split_at(size);
        let (payload, rest) = rest.split_at(length as usize);
        masked.extend([*first, second | 0x80]);
        masked.extend_from_slice(extended);
        masked.extend(MASK);
        let payload = payload.iter().zip(MASK.iter().cycle());
        masked.extend(payload.map(|(byte, mask)| byte ^ mask));
        frames = rest;
    }
    masked
}
