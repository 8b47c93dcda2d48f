//! Options for threads, timeouts and limits.

use super::{CliOption, OptionGroup};
use crate::cli::kind::{OptionKind, Zero};

pub(super) static OPTIONS: &[CliOption] = &[
    CliOption {
        name: "threads",
        short: None,
        group: OptionGroup::Threads,
        kind: OptionKind::Count {
            setting: |settings| &mut settings.threads,
            max: 1_024,
        },
        default_in_words: Some("the number of available cores"),
        summary: "How many threads serve connections",
        details: "More threads than cores don't help, because a serving thread never waits. An \
                  app should run blocking work on threads of its own.",
    },
    CliOption {
        name: "graceful-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.graceful_timeout,
            zero: Zero::Allowed,
        },
        default_in_words: None,
        summary: "How long a stop waits for running exchanges before it cuts them off",
        details: "The default is the time that orchestrators give a process before they kill it.",
    },
    CliOption {
        name: "disconnect-grace",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.disconnect_grace,
            zero: Zero::Allowed,
        },
        default_in_words: None,
        summary: "How long an app may continue after its client has left",
        details: "Stops clients from piling up app calls by connecting, sending a request and \
                  leaving. `never` lets every app finish.",
    },
    CliOption {
        name: "startup-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.startup_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long the app's startup may take",
        details: "The server accepts no connection before the startup is complete. If the startup \
                  takes longer, the command ends with exit code 4. The load of a library, with its \
                  constructors and its start function, may take this long too.",
    },
    CliOption {
        name: "shutdown-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.shutdown_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long the app's shutdown may take",
        details: "The shutdown starts after the last exchange has ended, so a stop may take \
                  --graceful-timeout plus this time, and one second more if the app blocks its \
                  threads. If the shutdown takes longer, the command ends with exit code 1.",
    },
    CliOption {
        name: "keep-alive-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.keep_alive_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a connection may be idle between two requests",
        details: "Behind a load balancer, use a longer time than the balancer's own (usually \
                  60s). Otherwise the balancer may send a request on a connection that the server \
                  is closing.",
    },
    CliOption {
        name: "header-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.header_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a client may take to send the head of a request",
        details: "Stops slow-header attacks. The time starts at the first byte of the head; for \
                  the first request it starts when the connection opens.",
    },
    CliOption {
        name: "body-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.body_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a client may pause while it sends a request body",
        details: "Counts only while the app waits for more of the body.",
    },
    CliOption {
        name: "min-body-rate",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.min_body_rate,
            min: 0,
            max: 1 << 30,
        },
        default_in_words: None,
        summary: "How many bytes of a request body a client must send in a second; 0 turns it off",
        details: "Stops clients that send a byte now and then, which --body-timeout takes for no \
                  pause. Counts only while the app waits for more of the body. The server ends a \
                  request whose client is late by --body-timeout at this rate. Turn it off for \
                  clients that keep a request open to send a few bytes now and then, such as \
                  streaming gRPC. The default is that of Kestrel.",
    },
    CliOption {
        name: "write-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.write_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a client may read nothing while the server has data to send",
        details: "Stops slow-read attacks.",
    },
    CliOption {
        name: "min-read-rate",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.min_read_rate,
            min: 0,
            max: 1 << 30,
        },
        default_in_words: None,
        summary: "How many bytes of a response a client must read in a second; 0 turns it off",
        details: "Stops clients that read a byte now and then, which --write-timeout takes for no \
                  pause. Counts only while the server has data to send. The server ends a response \
                  whose client is late by --write-timeout at this rate. WebSockets do not have this \
                  rate. The default is that of Kestrel.",
    },
    CliOption {
        name: "request-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.request_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a request may take, from its head to the end of its response",
        details: "Then the server ends the app. The client gets a 503, or a 408 if the app waits for \
                  its body, or a broken response if the head is out. Not for WebSockets, and not after the client has \
                  left or has the whole response: then --disconnect-grace counts.",
    },
    CliOption {
        name: "tls-handshake-timeout",
        short: None,
        group: OptionGroup::Timeouts,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.tls_handshake_timeout,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How long a TLS handshake may take",
        details: "Stops clients that connect and send nothing from using up --max-connections.",
    },
    CliOption {
        name: "max-head-size",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.max_head_size,
            min: 8 << 10,
            max: usize::MAX,
        },
        default_in_words: None,
        summary: "Largest head of a request, including the request line",
        details: "A request with a larger head gets a 431. Each connection may hold this much \
                  memory.",
    },
    CliOption {
        name: "max-request-line",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.config.max_request_line,
            min: 256,
            max: usize::MAX,
        },
        default_in_words: None,
        summary: "Longest request line; on HTTP/2, the longest path",
        details: "A longer one gets a 414. It cannot be longer than --max-head-size.",
    },
    CliOption {
        name: "max-headers",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::Count {
            setting: |settings| &mut settings.config.max_headers,
            max: 10_000,
        },
        default_in_words: None,
        summary: "How many headers a request may have",
        details: "A request with more headers gets a 431.",
    },
    CliOption {
        name: "max-header-size",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::SizeOrNever(|settings| &mut settings.config.max_header_size),
        default_in_words: None,
        summary: "Largest header of a request, its name and its value together",
        details: "A larger one gets a 431. --max-head-size bounds all of them.",
    },
    CliOption {
        name: "max-body-size",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::SizeOrNever(|settings| &mut settings.config.max_body_size),
        default_in_words: None,
        summary: "Largest body of a request",
        details: "A larger one gets a 413: before the app is called if content-length tells, and \
                  otherwise when the app reads beyond the limit.",
    },
    CliOption {
        name: "max-connections",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::Count {
            setting: |settings| &mut settings.config.max_connections,
            max: 1 << 30,
        },
        default_in_words: None,
        summary: "How many connections may be open",
        details: "Further ones wait in the backlog. Each needs a file descriptor: when the server \
                  starts, it raises the limit on open files as far as it is allowed.",
    },
    CliOption {
        name: "max-connections-per-address",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::CountOrNever(|settings| &mut settings.config.max_connections_per_address),
        default_in_words: None,
        summary: "How many connections one IP address may have",
        details: "The server closes further ones at once, without an answer. The first 64 bits of \
                  an IPv6 address count as one address. A proxy and the users of one network share \
                  an address.",
    },
    CliOption {
        name: "max-exchanges",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::Count {
            setting: |settings| &mut settings.config.max_exchanges,
            max: 1 << 30,
        },
        default_in_words: None,
        summary: "How many exchanges may run at the same time",
        details: "A request above the limit gets a 503. An exchange whose client has left counts \
                  until its app is done.",
    },
    CliOption {
        name: "slow-poll",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::Duration {
            setting: |settings| &mut settings.config.slow_poll,
            zero: Zero::Allowed,
        },
        default_in_words: None,
        summary: "Log an app that blocks its thread for longer than this; 0 turns it off",
        details: "A blocked thread serves nothing else.",
    },
    CliOption {
        name: "keep-alive-max-requests",
        short: None,
        group: OptionGroup::Limits,
        kind: OptionKind::CountOrNever(|settings| &mut settings.config.keep_alive_max_requests),
        default_in_words: None,
        summary: "How many requests a connection may carry before the server closes it",
        details: "Behind a load balancer that distributes connections, this spreads clients over \
                  the servers again. nginx and Hypercorn use 1000.",
    },
];
