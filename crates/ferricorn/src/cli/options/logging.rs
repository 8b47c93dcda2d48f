//! What is told: to clients, to the log, about the command.

use super::{Entry, Group};
use crate::cli::kind::{Action, Kind};
use crate::cli::logging;

pub(super) static OPTIONS: &[Entry] = &[
    Entry {
        name: "date-header",
        short: None,
        group: Group::Responses,
        kind: Kind::Switch(|settings| &mut settings.config.date_header),
        default: None,
        help: "Send a `date` header, if the app sends none",
        more: "RFC 9110 asks for it.",
    },
    Entry {
        name: "server-header",
        short: None,
        group: Group::Responses,
        kind: Kind::Switch(|settings| &mut settings.config.server_header),
        default: None,
        help: "Send `server: ferricorn`, if the app sends none",
        more: "",
    },
    Entry {
        name: "access-log",
        short: None,
        group: Group::Logging,
        kind: Kind::Switch(|settings| &mut settings.config.access_log),
        default: Some("true if standard output is a terminal"),
        help: "Write a line for each exchange to standard output",
        more: "It does not depend on --log-level. It costs a system call for each exchange.",
    },
    Entry {
        name: "log-level",
        short: None,
        group: Group::Logging,
        kind: Kind::Text {
            field: |settings| &mut settings.log_level,
            value: "LEVEL",
            expected: "off, error, warn, info, debug, trace or a filter such as info,hyper=debug",
            valid: |text| logging::filter(text).is_some(),
        },
        default: None,
        help: "What is logged to standard error: error, warn, info, debug, trace, or a filter",
        more: "A filter is what tracing calls directives: `info,ferricorn=debug,hyper=off`. `debug` \
               and `trace` cost much under load.",
    },
    Entry {
        name: "config",
        short: Some('c'),
        group: Group::Command,
        kind: Kind::ConfigFile,
        default: None,
        help: "TOML file to take settings from",
        more: "The keys are the flags' names with underscores: `graceful_timeout = \"5s\"`. A flag \
               has precedence over the environment, that over the file.",
    },
    Entry {
        name: "print-config",
        short: None,
        group: Group::Command,
        kind: Kind::Action(Action::PrintConfig),
        default: None,
        help: "Print all settings, each with where it came from, and exit",
        more: "What is printed can be used with --config.",
    },
    Entry {
        name: "help",
        short: Some('h'),
        group: Group::Command,
        kind: Kind::Action(Action::Help),
        default: None,
        help: "Print the options, with --help at length, and exit",
        more: "",
    },
    Entry {
        name: "version",
        short: Some('V'),
        group: Group::Command,
        kind: Kind::Action(Action::Version),
        default: None,
        help: "Print the version and exit",
        more: "",
    },
];
