//! Options for HTTP/2.

use super::{CliOption, OptionGroup};
use crate::cli::kind::{OptionKind, Zero};

pub(super) static OPTIONS: &[CliOption] = &[
    CliOption {
        name: "h2-max-concurrent-streams",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::Count32 {
            setting: |settings| &mut settings.config.h2_max_concurrent_streams,
            min: 1,
            max: 10_000,
        },
        default_in_words: None,
        summary: "How many streams a client may have open on one connection",
        details: "The server refuses further streams; the client knows that it can send them \
                  later. With fewer than 100, browsers wait.",
    },
    CliOption {
        name: "h2-stream-window",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.h2_stream_window,
            min: 16 << 10,
            max: (1 << 31) - 1,
        },
        default_in_words: None,
        summary: "How much of a request body a client may send before the app reads it",
        details: "Limits an upload to one window for each round trip: 256KiB and 50ms make 5MiB a \
                  second. Each upload that the app does not read may hold this much memory.",
    },
    CliOption {
        name: "h2-max-frame-size",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.h2_max_frame_size,
            min: 16 << 10,
            max: (1 << 24) - 1,
        },
        default_in_words: None,
        summary: "Largest HTTP/2 frame that a client may send",
        details: "Larger frames save little, and one stream then delays the others for longer.",
    },
    CliOption {
        name: "h2-keep-alive-interval",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.h2_keep_alive_interval,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a client with open streams may send nothing before it gets a ping",
        details: "Finds clients that disappeared without closing the connection.",
    },
    CliOption {
        name: "h2-keep-alive-timeout",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.h2_keep_alive_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a client may take to answer an HTTP/2 ping",
        details: "After that, the server closes the connection and its apps get a disconnect.",
    },
    CliOption {
        name: "h2-push",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::Switch(|settings| &mut settings.config.h2_push),
        default_in_words: None,
        summary: "Let apps push responses to clients that accept pushes",
        details: "Browsers accept none today; other clients may.",
    },
    CliOption {
        name: "h2-max-pushes",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::Count {
            setting: |settings| &mut settings.config.h2_max_pushes,
            max: 10_000,
        },
        default_in_words: None,
        summary: "How many pushes one response may have",
        details: "The app learns about each push that the server refuses.",
    },
    CliOption {
        name: "h2-push-headers",
        short: None,
        group: OptionGroup::Http2,
        kind: OptionKind::HeaderNames(|settings| &mut settings.config.h2_push_headers),
        default_in_words: None,
        summary: "Header that a pushed request copies from the client's request; may be repeated",
        details: "List the headers that pushed responses depend on. Without `cookie`, a client \
                  that is logged in gets the page of one that is not.",
    },
];
