//! HTTP/2.

use super::{Entry, Group};
use crate::cli::kind::{Kind, Zero};

pub(super) static OPTIONS: &[Entry] = &[
    Entry {
        name: "h2-max-concurrent-streams",
        short: None,
        group: Group::Http2,
        kind: Kind::Count32 {
            field: |settings| &mut settings.config.h2_max_concurrent_streams,
            least: 1,
            most: 10_000,
        },
        default: None,
        help: "Streams that a client may have open on one connection",
        more: "Further ones are refused, and clients know to send them later. Fewer than 100 make \
               browsers wait.",
    },
    Entry {
        name: "h2-stream-window",
        short: None,
        group: Group::Http2,
        kind: Kind::Size {
            field: |settings| &mut settings.config.h2_stream_window,
            least: 16 << 10,
            most: (1 << 31) - 1,
        },
        default: None,
        help: "How much of an upload may wait for the app",
        more: "An upload is at most one window a round trip fast: 256 KiB and 50 ms make 5 MiB a \
               second. An app that does not read its uploads holds as much memory for each.",
    },
    Entry {
        name: "h2-max-frame-size",
        short: None,
        group: Group::Http2,
        kind: Kind::Size {
            field: |settings| &mut settings.config.h2_max_frame_size,
            least: 16 << 10,
            most: (1 << 24) - 1,
        },
        default: None,
        help: "Size of the largest frame that a client may send",
        more: "Larger ones save little and let one stream keep the others waiting.",
    },
    Entry {
        name: "h2-keep-alive-interval",
        short: None,
        group: Group::Http2,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.h2_keep_alive_interval,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a client with open streams may say nothing until it is sent a ping",
        more: "Finds clients that went without a word.",
    },
    Entry {
        name: "h2-keep-alive-timeout",
        short: None,
        group: Group::Http2,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.h2_keep_alive_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long the answer to that ping may take",
        more: "The connection is given up then, and the apps that serve it learn that it is lost.",
    },
    Entry {
        name: "h2-push",
        short: None,
        group: Group::Http2,
        kind: Kind::Switch(|settings| &mut settings.config.h2_push),
        default: None,
        help: "Let apps push to clients that take pushes",
        more: "Browsers take none today; other clients may.",
    },
    Entry {
        name: "h2-max-pushes",
        short: None,
        group: Group::Http2,
        kind: Kind::Count {
            field: |settings| &mut settings.config.h2_max_pushes,
            most: 10_000,
        },
        default: None,
        help: "Pushes that one response may have",
        more: "The app learns of each that is refused.",
    },
    Entry {
        name: "h2-push-headers",
        short: None,
        group: Group::Http2,
        kind: Kind::FieldNames(|settings| &mut settings.config.h2_push_headers),
        default: None,
        help: "Fields that a promised request has of the one it belongs to; may be repeated",
        more: "What the pushed responses depend on: without its cookie a client that is logged in \
               gets the page of one that is not.",
    },
];
