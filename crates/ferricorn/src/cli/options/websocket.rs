//! WebSockets.

use super::{Entry, Group};
use crate::cli::kind::{Kind, Zero};

pub(super) static OPTIONS: &[Entry] = &[
    Entry {
        name: "ws",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Switch(|settings| &mut settings.config.ws),
        default: None,
        help: "Let clients open WebSockets, over HTTP/1.1 and HTTP/2",
        more: "Without it a handshake is a plain request to the app.",
    },
    Entry {
        name: "ws-origins",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Origins(|settings| &mut settings.config.ws_origins),
        default: None,
        help: "Where the pages may come from that open WebSockets; may be repeated",
        more: "None allows all. Browsers let every page open a socket to everywhere, with the cookies \
               of its visitor; they say where the page came from, and others get a 403. Clients that \
               are no browsers mostly say nothing and are let in.",
    },
    Entry {
        name: "ws-max-message-size",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Size {
            field: |settings| &mut settings.config.ws_max_message_size,
            least: 1,
            most: 1 << 31,
        },
        default: None,
        help: "Size of the largest message that a client may send, inflated",
        more: "A larger one closes the socket with 1009. Each socket may hold as much memory while a \
               message comes, and twice as much if it is compressed.",
    },
    Entry {
        name: "ws-max-frame-size",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Size {
            field: |settings| &mut settings.config.ws_max_frame_size,
            least: 125,
            most: 1 << 31,
        },
        default: None,
        help: "Size of the largest frame that a client may send",
        more: "A larger one closes the socket with 1009. Browsers send a message in one frame.",
    },
    Entry {
        name: "ws-ping-interval",
        short: None,
        group: Group::WebSocket,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.ws_ping_interval,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a client may say nothing until it is sent a ping",
        more: "Finds clients that went without a word, and keeps proxies from closing what looks idle.",
    },
    Entry {
        name: "ws-ping-timeout",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.ws_ping_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long it may go on saying nothing then",
        more: "The socket is closed with 1011 after that. Anything that comes counts as an answer.",
    },
    Entry {
        name: "ws-close-timeout",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.ws_close_timeout,
            zero: Zero::Allowed,
        },
        default: None,
        help: "How long a client may take to answer a close frame",
        more: "The connection is closed without it after that.",
    },
    Entry {
        name: "ws-deflate",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Switch(|settings| &mut settings.config.ws_deflate),
        default: None,
        help: "Compress messages for clients that offer it (permessage-deflate)",
        more: "Saves bandwidth and costs processor time. What is secret should not be compressed beside \
               what an attacker chooses: the length tells of it.",
    },
    Entry {
        name: "ws-deflate-window-bits",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Count32 {
            field: |settings| &mut settings.config.ws_deflate_window_bits,
            least: 9,
            most: 15,
        },
        default: None,
        help: "How far back a compressed message may refer, as a power of two",
        more: "A socket holds as much of what came, and at most 8 KiB of what it sent: 12 are 4 KiB. More \
               compresses better and costs more time for each message. A client that does not offer to \
               keep to it may refer back by 15.",
    },
    Entry {
        name: "ws-deflate-context-takeover",
        short: None,
        group: Group::WebSocket,
        kind: Kind::Switch(|settings| &mut settings.config.ws_deflate_context_takeover),
        default: None,
        help: "Let a compressed message refer to those before it",
        more: "Without it a socket holds nothing for compression, and small messages hardly shrink.",
    },
];
