//! The most memory that each kind of peer can make the server hold, computed from the settings.
//!
//! To count something new, add a [`Share`] to its [`Holder`]. docs/limits.md has this table for the
//! defaults.

use super::settings::CommandSettings;
use crate::config::Config;
use crate::http1::{MOST_TAKEN, READ_BUFFER};
use crate::http2::{SEND_BUFFER, SMALL_DATA_FRAMES};
use crate::net::WRITE_BUFFER;
use crate::websocket::{ANSWERS_AHEAD, BYTES_AHEAD, LARGEST_READ};

/// The server's own state for a connection or a stream, as measured: about 14 KiB for an idle connection,
/// 4 KiB for a stream.
const CONNECTION: usize = 16 << 10;
const STREAM: usize = 4 << 10;

/// What h2 keeps for a DATA frame that waits.
const FRAME: usize = 300;

/// The state of a TLS session, one record in each direction, and what rustls holds until the socket takes it.
const TLS: usize = (24 << 10) + 2 * (16 << 10) + (64 << 10);

/// The compressors and the inflater of a thread, and the buffers that it keeps.
const THREAD_ZLIB: usize = 4 * (270 << 10) + (48 << 10) + 2 * (64 << 10);

/// Something that holds memory for a peer.
struct Holder {
    name: &'static str,
    shares: Vec<Share>,
}

/// A part of that memory.
struct Share {
    what: &'static str,
    bytes: usize,
    /// The options that change it.
    options: &'static [&'static str],
}

const fn share(what: &'static str, bytes: usize, options: &'static [&'static str]) -> Share {
    Share {
        what,
        bytes,
        options,
    }
}

impl Holder {
    fn total(&self) -> usize {
        let bytes = self.shares.iter().map(|share| share.bytes);
        bytes.fold(0, usize::saturating_add)
    }
}

/// The table with the default settings, for docs/limits.md.
pub fn limits() -> String {
    let settings = CommandSettings {
        threads: 1,
        ..CommandSettings::default()
    };
    table(&settings)
}

/// The table as Markdown.
pub(super) fn table(settings: &CommandSettings) -> String {
    let mut page = String::from(
        "| what | holds at most | because of | options |\n| --- | --- | --- | --- |\n",
    );
    for holder in holders(settings) {
        let total = show(holder.total());
        page.push_str(&format!("| **{}** | **{total}** | | |\n", holder.name));
        for share in holder.shares {
            let options: Vec<_> = share
                .options
                .iter()
                .map(|name| format!("`--{name}`"))
                .collect();
            let (bytes, options) = (show(share.bytes), options.join(", "));
            page.push_str(&format!("| | {bytes} | {} | {options} |\n", share.what));
        }
    }
    page
}

fn holders(settings: &CommandSettings) -> Vec<Holder> {
    let config = &settings.config;
    let http1 = http1(config);
    let stream = stream(config);
    let websocket = websocket(config);
    let websockets = if config.ws { websocket.total() } else { 0 };
    let http2 = http2(config, stream.total(), websockets);
    let tls = Holder {
        name: "TLS, on top of a connection",
        shares: vec![share("a session and its records", TLS, &[])],
    };
    // Each WebSocket is an exchange, and the process has a limit for those.
    let without_websockets = self::http2(config, stream.total(), 0);
    let connections = without_websockets
        .total()
        .max(http1.total())
        .saturating_add(TLS)
        .saturating_mul(config.max_connections);
    let process = Holder {
        name: "The process",
        shares: vec![
            share(
                "every connection at its most, with TLS and without WebSockets",
                connections,
                &["max-connections"],
            ),
            share(
                "as many WebSockets as apps may run",
                websockets.saturating_mul(config.max_exchanges),
                &["max-exchanges", "ws"],
            ),
            share(
                "compression, for each thread",
                THREAD_ZLIB.saturating_mul(settings.threads),
                &["threads", "ws-deflate"],
            ),
        ],
    };
    vec![http1, http2, stream, websocket, tls, process]
}

fn http1(config: &Config) -> Holder {
    let buffer = READ_BUFFER.max(config.max_head_size);
    Holder {
        name: "A connection of HTTP/1.1",
        shares: vec![
            share("what was read and not used", buffer, &["max-head-size"]),
            share(
                "a head that was read",
                config.max_head_size,
                &["max-head-size", "max-headers"],
            ),
            share(
                "a line of a head that is incomplete",
                config.max_head_size,
                &["max-head-size"],
            ),
            share(
                "what follows a head that is refused after an earlier request",
                buffer,
                &["max-head-size"],
            ),
            share(
                "what the socket has not taken",
                MOST_TAKEN + WRITE_BUFFER,
                &[],
            ),
            share("the server's state", CONNECTION, &[]),
        ],
    }
}

fn http2(config: &Config, stream: usize, websocket: usize) -> Holder {
    let streams = config.h2_max_concurrent_streams as usize;
    Holder {
        name: "A connection of HTTP/2",
        shares: vec![
            share(
                "all its streams",
                stream.saturating_mul(streams),
                &["h2-max-concurrent-streams"],
            ),
            share(
                "a WebSocket on each of them",
                websocket.saturating_mul(streams),
                &["h2-max-concurrent-streams", "ws"],
            ),
            share("tiny DATA frames that wait", SMALL_DATA_FRAMES * FRAME, &[]),
            share(
                "a frame that is incomplete",
                config.h2_max_frame_size,
                &["h2-max-frame-size"],
            ),
            share(
                "a header block that is incomplete",
                config.max_head_size,
                &["max-head-size"],
            ),
            share("what the socket has not taken", WRITE_BUFFER, &[]),
            share("the server's state", CONNECTION, &[]),
        ],
    }
}

fn stream(config: &Config) -> Holder {
    Holder {
        name: "A stream of HTTP/2",
        shares: vec![
            share(
                "an upload that the app has not read",
                config.h2_stream_window,
                &["h2-stream-window"],
            ),
            share("a response that the client has not read", SEND_BUFFER, &[]),
            share(
                "a head",
                config.max_head_size,
                &["max-head-size", "max-headers"],
            ),
            share("the server's state", STREAM, &[]),
        ],
    }
}

fn websocket(config: &Config) -> Holder {
    let message = config.ws_max_message_size;
    let mut shares = vec![share(
        "a message, as the app gets it",
        message,
        &["ws-max-message-size"],
    )];
    if config.ws_deflate {
        shares.push(share(
            "the same, compressed",
            message.saturating_add(message / 8),
            &["ws-max-message-size", "ws-deflate"],
        ));
        shares.push(share(
            "the windows of compression",
            (1 << config.ws_deflate_window_bits) + (8 << 10),
            &["ws-deflate-window-bits", "ws-deflate-context-takeover"],
        ));
    }
    shares.extend([
        share("messages before it that wait for the app", BYTES_AHEAD, &[]),
        share("a read", LARGEST_READ, &[]),
        share(
            "answers that the socket has not taken",
            2 * ANSWERS_AHEAD,
            &[],
        ),
    ]);
    Holder {
        name: "A WebSocket, on top of its connection or stream",
        shares,
    }
}

/// A size to three digits, rounded up.
fn show(bytes: usize) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    match size {
        size if size < 10.0 && unit > 0 => {
            format!("{:.1} {}", (size * 10.0).ceil() / 10.0, units[unit])
        }
        size => format!("{:.0} {}", size.ceil(), units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options;

    #[test]
    fn every_option_in_the_table_exists() {
        for holder in holders(&CommandSettings::default()) {
            for share in holder.shares {
                for name in share.options {
                    assert!(options::by_name(name).is_some(), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_larger_setting_raises_what_depends_on_it_and_nothing_overflows() {
        let mut settings = CommandSettings::default();
        let total = |settings: &CommandSettings, name: &str| {
            let holders = holders(settings);
            let holder = holders.iter().find(|holder| holder.name == name);
            holder.unwrap().total()
        };
        let (stream, process) = ("A stream of HTTP/2", "The process");
        let before = total(&settings, stream);
        settings.config.h2_stream_window += 1 << 20;
        assert_eq!(total(&settings, stream), before + (1 << 20));
        let before = total(&settings, process);
        settings.config.max_exchanges += 1;
        assert_eq!(
            total(&settings, process),
            before + total(&settings, "A WebSocket, on top of its connection or stream")
        );
        settings.config.ws_max_message_size = usize::MAX;
        assert_eq!(total(&settings, process), usize::MAX);
    }

    #[test]
    fn a_size_is_rounded_up() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1025, "1.1 KiB"),
            (16 << 20, "16 MiB"),
        ] {
            assert_eq!(show(bytes), text);
        }
    }
}
