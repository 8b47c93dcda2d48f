//! The negotiation of permessage-deflate.

use crate::websocket::deflate::negotiation::{DeflateSettings, negotiate_values};

/// The first byte of the input is the server's settings: bits 0 to 3 the window, bit 4 context
/// takeover. Each line of the rest is the value of one `sec-websocket-extensions` header.
///
/// - The agreement keeps to the settings.
/// - Several headers give the same result as one header with the whole list.
/// - A client that offers the server's answer gets the same agreement.
pub fn deflate_negotiation(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let settings = DeflateSettings {
        window_bits: first & 0xf,
        context_takeover: first & 0x10 != 0,
    };
    let values: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    let result = negotiate_values(values.iter().copied(), settings);
    let list = values.join(&b","[..]);
    let of_list = negotiate_values([&list[..]].into_iter(), settings);
    assert_eq!(of_list, result, "one header");

    let Ok(Some((agreement, answer))) = result else {
        return;
    };
    let largest = settings.window_bits.clamp(9, 15);
    assert!((9..=largest).contains(&agreement.server.window_bits));
    let client = agreement.client.window_bits;
    // A client that offers no limit may use the largest window.
    assert!((8..=largest).contains(&client) || client == 15);
    for direction in [agreement.server, agreement.client] {
        assert!(settings.context_takeover || !direction.context_takeover);
    }
    let again = negotiate_values([answer.as_bytes()].into_iter(), settings);
    let again = again
        .expect("the answer follows the grammar")
        .expect("the answer is a sound offer");
    assert_eq!(again.0, agreement, "{answer:?}");
}
