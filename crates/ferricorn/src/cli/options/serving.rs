//! Options for the app and for the addresses that the server listens on.

use super::{CliOption, OptionGroup};
use crate::cli::kind::OptionKind;

pub(super) static OPTIONS: &[CliOption] = &[
    CliOption {
        name: "app-config",
        short: None,
        group: OptionGroup::App,
        kind: OptionKind::Text {
            setting: |settings| &mut settings.app_config,
            value_name: "TEXT",
            expected: "a text for the app, or @ and the path of a file",
            valid: |text| text != "@",
        },
        default_in_words: None,
        summary: "Configuration text for the app, or @FILE to read it from a file",
        details: "The app defines its meaning. Other users of this machine can see a command \
                  line: keep secrets in a file.",
    },
    CliOption {
        name: "profile",
        short: None,
        group: OptionGroup::App,
        kind: OptionKind::Text {
            setting: |settings| &mut settings.profile,
            value_name: "NAME",
            expected: "the name of a cargo profile, such as release or dev",
            valid: is_profile,
        },
        default_in_words: None,
        summary: "Cargo profile to build APP with, if APP is the folder of a crate",
        details: "`dev` builds faster, but the app serves several times slower.",
    },
    CliOption {
        name: "bind",
        short: Some('b'),
        group: OptionGroup::Listening,
        kind: OptionKind::Binds {
            setting: |settings| &mut settings.binds,
            min: 1,
        },
        default_in_words: None,
        summary: "Address to listen on: host:port, [v6]:port or unix:path; may be repeated",
        details: "Port 0 picks a free port; the line that says the server is up shows it. Only \
                  this machine can reach the default address; 0.0.0.0:8000 and [::]:8000 open the \
                  server to the network. With --certfile or --dev-cert, these addresses use TLS.",
    },
    CliOption {
        name: "insecure-bind",
        short: None,
        group: OptionGroup::Listening,
        kind: OptionKind::Binds {
            setting: |settings| &mut settings.insecure_binds,
            min: 0,
        },
        default_in_words: None,
        summary: "Address without TLS, in addition to --bind; may be repeated",
        details: "Use it for a port that redirects to https, or for a proxy or health check on \
                  this machine. Needs --certfile or --dev-cert; without them, --bind is enough.",
    },
    CliOption {
        name: "backlog",
        short: None,
        group: OptionGroup::Listening,
        kind: OptionKind::Count32 {
            setting: |settings| &mut settings.config.backlog,
            min: 1,
            max: i32::MAX as u32,
        },
        default_in_words: None,
        summary: "How many connections the kernel holds until the server accepts them",
        details: "Matters only in a burst: if the backlog is full, a client tries again after a \
                  second. The kernel lowers the value to its own limit, net.core.somaxconn.",
    },
    CliOption {
        name: "root-path",
        short: None,
        group: OptionGroup::Listening,
        kind: OptionKind::Text {
            setting: |settings| &mut settings.config.root_path,
            value_name: "PATH",
            expected: "a path such as /shop, with a slash at the start and none at the end",
            valid: is_root_path,
        },
        default_in_words: None,
        summary: "Path that the app is mounted under",
        details: "For a proxy that strips a prefix: the app gets the prefix and builds links with \
                  it.",
    },
];

fn is_root_path(text: &str) -> bool {
    text.is_empty() || (text.starts_with('/') && !text.ends_with('/'))
}

/// Whether cargo accepts the text as the name of a profile.
fn is_profile(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|char| char.is_alphanumeric() || "-_".contains(char))
}
