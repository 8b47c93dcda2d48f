//! Options for WebSockets.

use super::{CliOption, OptionGroup};
use crate::cli::kind::{OptionKind, Zero};

pub(super) static OPTIONS: &[CliOption] = &[
    CliOption {
        name: "ws",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Switch(|settings| &mut settings.config.ws),
        default_in_words: None,
        summary: "Let clients open WebSockets, over HTTP/1.1 and HTTP/2",
        details: "If it is off, the app gets a WebSocket handshake as a plain request.",
    },
    CliOption {
        name: "ws-origins",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Origins(|settings| &mut settings.config.ws_origins),
        default_in_words: None,
        summary: "Origin of web pages that may open WebSockets; may be repeated",
        details: "Without this option, pages of all origins may. Browsers let every page open a \
                  WebSocket to every server, with the cookies of the visitor, but they send the \
                  origin of the page. A page of another origin gets a 403. The server accepts \
                  clients that send no origin: most programs other than browsers send none.",
    },
    CliOption {
        name: "ws-max-message-size",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.ws_max_message_size,
            min: 1,
            max: 1 << 31,
        },
        default_in_words: None,
        summary: "Largest WebSocket message that a client may send, after decompression",
        details: "A larger one closes the WebSocket with 1009. Each WebSocket may hold this much \
                  memory while a message arrives, and twice as much if the message is compressed.",
    },
    CliOption {
        name: "ws-max-frame-size",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.ws_max_frame_size,
            min: 125,
            max: 1 << 31,
        },
        default_in_words: None,
        summary: "Largest WebSocket frame that a client may send",
        details: "A larger one closes the WebSocket with 1009. Browsers send a message in one \
                  frame.",
    },
    CliOption {
        name: "ws-ping-interval",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.ws_ping_interval,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a WebSocket client may send nothing before it gets a ping",
        details: "Finds clients that disappeared, and keeps proxies from closing a connection \
                  that looks idle.",
    },
    CliOption {
        name: "ws-ping-timeout",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.ws_ping_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a WebSocket client may send nothing after a ping",
        details: "After that, the server closes the WebSocket with 1011. Anything that the client \
                  sends counts as an answer.",
    },
    CliOption {
        name: "ws-close-timeout",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.ws_close_timeout,
            zero: Zero::Allowed,
        },
        default_in_words: None,
        summary: "How long a WebSocket client may take to answer a close frame",
        details: "After that, the server closes the connection without an answer.",
    },
    CliOption {
        name: "ws-deflate",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Switch(|settings| &mut settings.config.ws_deflate),
        default_in_words: None,
        summary: "Compress messages for clients that offer it (permessage-deflate)",
        details: "Saves bandwidth and costs processor time. Don't compress a secret together with \
                  text that an attacker can choose: the length can reveal the secret.",
    },
    CliOption {
        name: "ws-deflate-window-bits",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Count32 {
            setting: |settings| &mut settings.config.ws_deflate_window_bits,
            min: 9,
            max: 15,
        },
        default_in_words: None,
        summary: "How far back a compressed message may refer, as a power of two",
        details: "12 means 4KiB. Each WebSocket keeps this much of the data it received, and at \
                  most 8KiB of the data it sent. A larger window compresses better and costs more \
                  time for each message. A client that does not offer to keep to the limit may \
                  use 15.",
    },
    CliOption {
        name: "ws-deflate-context-takeover",
        short: None,
        group: OptionGroup::WebSocket,
        kind: OptionKind::Switch(|settings| &mut settings.config.ws_deflate_context_takeover),
        default_in_words: None,
        summary: "Let a compressed message refer to earlier messages",
        details: "If it is off, a WebSocket keeps nothing for compression, and small messages \
                  hardly shrink.",
    },
];
