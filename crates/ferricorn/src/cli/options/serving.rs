//! What is served, and where.

use super::{Entry, Group};
use crate::cli::kind::Kind;

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
            least: 1,
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
];

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
