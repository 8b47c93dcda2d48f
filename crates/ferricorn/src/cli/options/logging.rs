//! Options for responses, for the log, and for the command itself.

use super::{CliOption, OptionGroup};
use crate::cli::kind::{FlagAction, OptionKind};
use crate::cli::log_filter;

pub(super) static OPTIONS: &[CliOption] = &[
    CliOption {
        name: "date-header",
        short: None,
        group: OptionGroup::Responses,
        kind: OptionKind::Switch(|settings| &mut settings.config.date_header),
        default_in_words: None,
        summary: "Send a `date` header if the app sends none",
        details: "RFC 9110 section 6.6.1 asks for it.",
    },
    CliOption {
        name: "server-header",
        short: None,
        group: OptionGroup::Responses,
        kind: OptionKind::Switch(|settings| &mut settings.config.server_header),
        default_in_words: None,
        summary: "Send `server: ferricorn` if the app sends none",
        details: "Turn it off if clients should not learn the name of the server.",
    },
    CliOption {
        name: "access-log",
        short: None,
        group: OptionGroup::Logging,
        kind: OptionKind::Switch(|settings| &mut settings.config.access_log),
        default_in_words: Some("true if standard output is a terminal"),
        summary: "Write one line for each exchange to standard output",
        details: "Does not depend on --log-level. A thread of its own writes the lines.",
    },
    CliOption {
        name: "log-level",
        short: None,
        group: OptionGroup::Logging,
        kind: OptionKind::Text {
            setting: |settings| &mut settings.log_level,
            value_name: "LEVEL",
            expected: "off, error, warn, info, debug, trace or a filter such as info,hyper=debug",
            valid: |text| log_filter::filter(text).is_some(),
        },
        default_in_words: None,
        summary: "What to log to standard error: off, error, warn, info, debug, trace, or a filter",
        details: "A filter is a list of tracing's directives: `info,ferricorn=debug,h2=warn`. \
                  Below `debug`, the libraries that speak with clients are silent unless a \
                  directive names them, because a client could fill the log. `debug` and `trace` are slow under load.",
    },
    CliOption {
        name: "log-buffer",
        short: None,
        group: OptionGroup::Logging,
        kind: OptionKind::Size {
            setting: |settings| &mut settings.log_buffer,
            min: 64 << 10,
            max: 1 << 30,
        },
        default_in_words: None,
        summary: "How much of the log waits in memory while its reader or its disk is slow",
        details: "The log and the access log each have such a buffer. A thread of its own writes \
                  it, so the log never stops the server. Lines that do not fit are dropped, and a \
                  line in the log says how many. The default holds about 8,000 lines, which bridges \
                  the short pauses of a log collector.",
    },
    CliOption {
        name: "config",
        short: Some('c'),
        group: OptionGroup::Command,
        kind: OptionKind::ConfigFile,
        default_in_words: None,
        summary: "TOML file to read settings from",
        details: "The keys are the names of the flags with underscores: `graceful_timeout = \
                  \"5s\"`. Flags override variables, and variables override the file.",
    },
    CliOption {
        name: "print-config",
        short: None,
        group: OptionGroup::Command,
        kind: OptionKind::Action(FlagAction::PrintConfig),
        default_in_words: None,
        summary: "Print all settings and where each comes from, and exit",
        details: "You can use the output with --config.",
    },
    CliOption {
        name: "print-limits",
        short: None,
        group: OptionGroup::Command,
        kind: OptionKind::Action(FlagAction::PrintLimits),
        default_in_words: None,
        summary: "Print how much memory clients can make the server hold, and exit",
        details: "The table is computed from the settings and names the options that change each \
                  figure.",
    },
    CliOption {
        name: "help",
        short: Some('h'),
        group: OptionGroup::Command,
        kind: OptionKind::Action(FlagAction::Help),
        default_in_words: None,
        summary: "Print the options and exit; --help prints their details too",
        details: "",
    },
    CliOption {
        name: "version",
        short: Some('V'),
        group: OptionGroup::Command,
        kind: OptionKind::Action(FlagAction::Version),
        default_in_words: None,
        summary: "Print the version and exit",
        details: "",
    },
];
