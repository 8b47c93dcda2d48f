//! Every option of the command line, in one table.
//!
//! An entry gives the flag (`--graceful-timeout`), the environment variable
//! (`FERRICORN_GRACEFUL_TIMEOUT`), the key in the configuration file (`graceful_timeout`), the help
//! text, the section of the reference page and how the value reaches the [`Settings`]. A new option
//! is a new entry here and nothing else.

use super::kind::{Action, Kind, Zero};
use super::logging;
use super::settings::Settings;

/// What the name of every environment variable begins with.
pub(super) const PREFIX: &str = "FERRICORN_";

/// One option.
#[derive(Debug)]
pub(super) struct Entry {
    /// As in the flag, without the dashes; the variable and the key follow from it.
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) group: Group,
    pub(super) kind: Kind,
    /// The default in words, where it depends on the machine.
    pub(super) default: Option<&'static str>,
    /// One sentence without a full stop, for `-h`.
    pub(super) help: &'static str,
    /// Why one would change it and what it costs, for `--help` and the reference page.
    pub(super) more: &'static str,
}

/// Entries of one group stand together in the help and on the reference page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Only where the app is loaded, not where it is linked in.
    App,
    Listening,
    Tls,
    Processes,
    Timeouts,
    Limits,
    Responses,
    Logging,
    Command,
}

impl Group {
    pub(super) const ALL: [Self; 9] = [
        Self::App,
        Self::Listening,
        Self::Tls,
        Self::Processes,
        Self::Timeouts,
        Self::Limits,
        Self::Responses,
        Self::Logging,
        Self::Command,
    ];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::App => "The app",
            Self::Listening => "Listening",
            Self::Tls => "TLS",
            Self::Processes => "Processes and threads",
            Self::Timeouts => "Timeouts",
            Self::Limits => "Limits",
            Self::Responses => "Responses",
            Self::Logging => "Logging",
            Self::Command => "The command itself",
        }
    }
}

impl Entry {
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The flag that turns a switch off.
    pub(super) fn no_flag(&self) -> Option<String> {
        matches!(self.kind, Kind::Switch(_)).then(|| format!("--no-{}", self.name))
    }

    /// The environment variable, if it has one.
    pub(super) fn variable(&self) -> Option<String> {
        match self.kind {
            Kind::Action(_) => None,
            _ => Some(format!(
                "{PREFIX}{}",
                self.name.replace('-', "_").to_ascii_uppercase()
            )),
        }
    }

    /// The key in the configuration file, if it has one.
    pub(super) fn key(&self) -> Option<String> {
        match self.kind {
            Kind::Action(_) | Kind::ConfigFile => None,
            _ => Some(self.name.replace('-', "_")),
        }
    }

    /// The default as text, `None` if there is nothing to say.
    pub(super) fn default_text(&self, defaults: &mut Settings) -> Option<String> {
        match self.default {
            Some(words) => Some(words.to_owned()),
            None => self.kind.show(defaults).map(|shown| shown.to_string()),
        }
    }
}

/// The entry whose flag is `--name`.
pub(super) fn by_name(name: &str) -> Option<&'static Entry> {
    OPTIONS.iter().find(|entry| entry.name == name)
}

fn is_root_path(text: &str) -> bool {
    text.is_empty() || (text.starts_with('/') && !text.ends_with('/'))
}

/// What cargo takes for a profile's name.
fn is_profile(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|char| char.is_alphanumeric() || "-_".contains(char))
}

/// All options, group by group.
pub(super) static OPTIONS: &[Entry] = &[
    Entry {
        name: "app-config",
        short: None,
        group: Group::App,
        kind: Kind::Text {
            field: |settings| &mut settings.app_config,
            value: "TEXT",
            expected: "a text for the app, or @ and the path of a file that holds it",
            valid: |text| text != "@",
        },
        default: None,
        help: "Text that the app is started with, or @FILE to read it from a file",
        more: "What it means is the app's to say. Others on this machine can read a command line: \
               what is secret belongs in a file.",
    },
    Entry {
        name: "profile",
        short: None,
        group: Group::App,
        kind: Kind::Text {
            field: |settings| &mut settings.profile,
            value: "NAME",
            expected: "the name of a cargo profile, as release or dev",
            valid: is_profile,
        },
        default: None,
        help: "Cargo profile to build APP with, if it is the folder of a crate",
        more: "`dev` builds sooner and serves several times slower.",
    },
    Entry {
        name: "bind",
        short: Some('b'),
        group: Group::Listening,
        kind: Kind::Binds {
            field: |settings| &mut settings.binds,
            least: 1,
        },
        default: None,
        help: "Address to listen on: host:port, [v6]:port or unix:path; may be repeated",
        more: "Port 0 takes a free port, and the line that says that the server is up names it. The \
               default is reached from this machine only; 0.0.0.0:8000 and [::]:8000 open it to the \
               network. With a certificate (--certfile) these addresses speak TLS.",
    },
    Entry {
        name: "insecure-bind",
        short: None,
        group: Group::Listening,
        kind: Kind::Binds {
            field: |settings| &mut settings.insecure_binds,
            least: 0,
        },
        default: None,
        help: "Address that stays without TLS beside --bind; may be repeated",
        more: "For a port that redirects to https, and for a proxy or a health check on this machine.",
    },
    Entry {
        name: "backlog",
        short: None,
        group: Group::Listening,
        kind: Kind::Count32 {
            field: |settings| &mut settings.config.backlog,
            most: i32::MAX as u32,
        },
        default: None,
        help: "Connections the kernel holds until they are accepted",
        more: "It only matters in a burst: a client beyond it waits a second and tries again. The \
               kernel cuts it down to its own limit, net.core.somaxconn.",
    },
    Entry {
        name: "root-path",
        short: None,
        group: Group::Listening,
        kind: Kind::Text {
            field: |settings| &mut settings.config.root_path,
            value: "PATH",
            expected: "a path such as /shop, with a slash at its beginning and none at its end",
            valid: is_root_path,
        },
        default: None,
        help: "Path that the app is mounted under",
        more: "For a proxy that strips a prefix: the app learns the prefix and builds links with it.",
    },
    Entry {
        name: "certfile",
        short: None,
        group: Group::Tls,
        kind: Kind::Files(|settings| &mut settings.tls.certificates),
        default: None,
        help: "PEM file of a certificate and its intermediates; may be repeated",
        more: "Makes --bind speak TLS. Of several certificates a client gets the one that names the host it \
               asks for, and the first if none does. Changed files are noticed, see \
               --tls-check-interval.",
    },
    Entry {
        name: "keyfile",
        short: None,
        group: Group::Tls,
        kind: Kind::Files(|settings| &mut settings.tls.keys),
        default: None,
        help: "PEM file of the private key of a --certfile; may be repeated",
        more: "The first one belongs to the first --certfile and so on; not needed where each --certfile \
               holds its key too. PKCS#8, PKCS#1 or SEC1, not encrypted.",
    },
    Entry {
        name: "ca-certs",
        short: None,
        group: Group::Tls,
        kind: Kind::Files(|settings| &mut settings.tls.client_authorities),
        default: None,
        help: "PEM file of the authorities that vouch for clients; may be repeated",
        more: "For --verify-mode optional or required.",
    },
    Entry {
        name: "verify-mode",
        short: None,
        group: Group::Tls,
        kind: Kind::Text {
            field: |settings| &mut settings.tls.verify_mode,
            value: "MODE",
            expected: "none, optional or required",
            valid: |text| ["none", "optional", "required"].contains(&text),
        },
        default: None,
        help: "Whether clients are asked for a certificate: none, optional or required",
        more: "With `optional` a client may have none, but one that is not valid is refused. The app finds \
               it in the scope.",
    },
    Entry {
        name: "crl",
        short: None,
        group: Group::Tls,
        kind: Kind::Files(|settings| &mut settings.tls.revocation_lists),
        default: None,
        help: "PEM file of certificates that are revoked; may be repeated",
        more: "With any, each authority in a client's chain needs a list: what no list speaks of is refused.",
    },
    Entry {
        name: "tls-min-version",
        short: None,
        group: Group::Tls,
        kind: Kind::Text {
            field: |settings| &mut settings.tls.min_version,
            value: "VERSION",
            expected: "1.2 or 1.3",
            valid: |text| ["1.2", "1.3"].contains(&text),
        },
        default: None,
        help: "The oldest version of TLS that is spoken: 1.2 or 1.3",
        more: "1.2 is for clients from before 2018. Older versions are not offered.",
    },
    Entry {
        name: "tls-check-interval",
        short: None,
        group: Group::Tls,
        kind: Kind::DurationOrNever {
            field: |settings| &mut settings.config.tls_check_interval,
            zero: Zero::Refused,
        },
        default: None,
        help: "How often it is looked whether files of TLS have changed",
        more: "Those that have are reloaded, as by SIGHUP: new connections use them, open ones go on. What \
               is broken is told in the log, and the old ones stay in use.",
    },
    Entry {
        name: "dev-cert",
        short: None,
        group: Group::Tls,
        kind: Kind::Switch(|settings| &mut settings.tls.dev_certificate),
        default: None,
        help: "Speak TLS with a throw-away certificate for localhost",
        more: "It is made at the start, for localhost, 127.0.0.1 and ::1, and no client trusts it: for \
               development alone.",
    },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::value::Shown;

    #[test]
    fn groups_stand_together_and_in_order() {
        let positions: Vec<_> = OPTIONS
            .iter()
            .map(|entry| Group::ALL.iter().position(|group| *group == entry.group))
            .collect();
        assert!(positions.is_sorted(), "{positions:?}");
    }

    #[test]
    fn names_are_unique_and_no_switch_shadows_another_option() {
        let mut flags: Vec<_> = OPTIONS
            .iter()
            .flat_map(|entry| [Some(entry.flag()), entry.no_flag()])
            .flatten()
            .collect();
        flags.sort();
        let count = flags.len();
        flags.dedup();
        assert_eq!(flags.len(), count);
    }

    #[test]
    fn every_default_is_a_value_of_its_option() {
        for entry in OPTIONS {
            let mut settings = Settings::default();
            let Some(shown) = entry.kind.show(&mut settings) else {
                continue;
            };
            let texts = match &shown {
                Shown::List(texts) => texts.clone(),
                Shown::Bare(text) | Shown::Text(text) => vec![text.clone()],
            };
            assert_eq!(
                entry.kind.set(&mut settings, &texts),
                Ok(()),
                "{}",
                entry.name
            );
            assert_eq!(
                entry.kind.show(&mut settings),
                Some(shown),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn help_is_one_sentence_without_a_full_stop() {
        for entry in OPTIONS {
            assert!(
                !entry.help.ends_with('.') && !entry.help.contains('\n'),
                "{}",
                entry.name
            );
        }
    }
}
