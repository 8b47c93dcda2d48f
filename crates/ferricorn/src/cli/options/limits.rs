//! Threads, time and room.

use super::{Entry, Group};
use crate::cli::kind::{Kind, Zero};

pub(super) static OPTIONS: &[Entry] = &[
    Entry {
        name: "threads",
        short: None,
        group: Group::Processes,
        kind: Kind::Count {
            field: |settings| &mut settings.threads,
            most: 1_024,
        },
        default: Some("the number of available cores"),
        help: "Threads that serve",
        more: "More than cores do not help: a thread that serves never waits. An app that blocks \
               belongs on threads of its own.",
    },
    Entry {
        name: "graceful-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.graceful_timeout,
            zero: Zero::Allowed,
        },
        default: None,
        help: "How long a stop waits for exchanges that run before it cuts them off",
        more: "The default is what orchestrators give a process before they kill it.",
    },
    Entry {
        name: "disconnect-grace",
        short: None,
        group: Group::Timeouts,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.disconnect_grace,
            zero: Zero::Allowed,
        },
        default: None,
        help: "How long an app may go on once its client has left",
        more: "Stops clients from piling up apps by connecting, asking and leaving; `never` lets \
               every app finish.",
    },
    Entry {
        name: "startup-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.startup_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long the app's start-up may take",
        more: "Nothing is accepted before it is complete.",
    },
    Entry {
        name: "shutdown-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.shutdown_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long the app's shutdown may take",
        more: "It begins when the last exchange is over, so it comes on top of --graceful-timeout.",
    },
    Entry {
        name: "keep-alive-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.keep_alive_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a connection may be idle between two requests",
        more: "Behind a load balancer it should be longer than the balancer's own (usually 60s), or \
               the balancer sends requests into connections that are being closed.",
    },
    Entry {
        name: "header-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.header_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a client may take for the head of a request",
        more: "Stops slow-header attacks. Counted from the head's first byte, and from the \
               connection's beginning for the first one.",
    },
    Entry {
        name: "body-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.body_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a client may stop in the middle of a request's body",
        more: "Only while the app waits for more of it.",
    },
    Entry {
        name: "write-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.write_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a client may leave a response unread",
        more: "Stops slow-read attacks. Only while there is more to write.",
    },
    Entry {
        name: "tls-handshake-timeout",
        short: None,
        group: Group::Timeouts,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.tls_handshake_timeout,
            zero: Zero::Refused,
        },
        default: None,
        help: "How long a client may take for the TLS handshake",
        more: "Stops clients that only connect from holding a place among --max-connections.",
    },
    Entry {
        name: "max-head-size",
        short: None,
        group: Group::Limits,
        kind: Kind::Size {
            field: |settings| &mut settings.config.max_head_size,
            least: 8 << 10,
            most: usize::MAX,
        },
        default: None,
        help: "Size of a request's head, request line included",
        more: "A larger one is answered with 431. Each connection may hold that much memory.",
    },
    Entry {
        name: "max-headers",
        short: None,
        group: Group::Limits,
        kind: Kind::Count {
            field: |settings| &mut settings.config.max_headers,
            most: 10_000,
        },
        default: None,
        help: "Header fields a request may have",
        more: "More are answered with 431.",
    },
    Entry {
        name: "max-connections",
        short: None,
        group: Group::Limits,
        kind: Kind::Count {
            field: |settings| &mut settings.config.max_connections,
            most: 1 << 30,
        },
        default: None,
        help: "Connections that may be open",
        more: "Further ones wait in the backlog. Each needs a file descriptor; the limit on those is \
               raised as far as it may be at the start.",
    },
    Entry {
        name: "max-exchanges",
        short: None,
        group: Group::Limits,
        kind: Kind::Count {
            field: |settings| &mut settings.config.max_exchanges,
            most: 1 << 30,
        },
        default: None,
        help: "Exchanges that may run at the same time",
        more: "A request beyond them is answered with 503. Those whose client has left count until \
               their app is done.",
    },
    Entry {
        name: "slow-poll",
        short: None,
        group: Group::Limits,
        kind: Kind::Duration {
            field: |settings| &mut settings.config.slow_poll,
            zero: Zero::Allowed,
        },
        default: None,
        help: "Log an app that does not give its thread back for that long; 0 turns it off",
        more: "Such an app blocks everything else that its thread serves.",
    },
    Entry {
        name: "keep-alive-max-requests",
        short: None,
        group: Group::Limits,
        kind: Kind::CountOrNever(|settings| &mut settings.config.keep_alive_max_requests),
        default: None,
        help: "Requests that a connection may carry until it is closed",
        more: "Spreads clients anew over servers behind a load balancer that works by connections. \
               nginx and Hypercorn have 1000.",
    },
];
