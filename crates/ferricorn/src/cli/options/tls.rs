//! Options for TLS.

use super::{CliOption, OptionGroup};
use crate::cli::kind::{OptionKind, Zero};

pub(super) static OPTIONS: &[CliOption] = &[
    CliOption {
        name: "certfile",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Files(|settings| &mut settings.tls.certificates),
        default_in_words: None,
        summary: "PEM file with a certificate and its intermediates; may be repeated",
        details: "Makes --bind use TLS. With several certificates, a client gets the one that \
                  names the host it asks for, or else the first one. The server reloads changed \
                  files, see --tls-check-interval.",
    },
    CliOption {
        name: "keyfile",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Files(|settings| &mut settings.tls.keys),
        default_in_words: None,
        summary: "PEM file with the private key of a --certfile; may be repeated",
        details: "Give one for each --certfile, in the same order. Not needed if each --certfile \
                  also holds its key. A key is PKCS#8, PKCS#1 or SEC1, and not encrypted.",
    },
    CliOption {
        name: "ca-certs",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Files(|settings| &mut settings.tls.client_authorities),
        default_in_words: None,
        summary: "PEM file with authorities that sign client certificates; may be repeated",
        details: "Needed for --verify-mode optional and required.",
    },
    CliOption {
        name: "verify-mode",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Text {
            setting: |settings| &mut settings.tls.verify_mode,
            value_name: "MODE",
            expected: "none, optional or required",
            valid: |text| ["none", "optional", "required"].contains(&text),
        },
        default_in_words: None,
        summary: "Whether the server asks clients for a certificate: none, optional or required",
        details: "`required` refuses a client without a valid certificate. `optional` accepts a \
                  client without a certificate, but refuses an invalid one. The app finds the \
                  certificate in the scope.",
    },
    CliOption {
        name: "crl",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Files(|settings| &mut settings.tls.revocation_lists),
        default_in_words: None,
        summary: "PEM file with revocation lists for client certificates; may be repeated",
        details: "With a list, every authority in a client's chain needs one: the server refuses \
                  a certificate that no list covers.",
    },
    CliOption {
        name: "tls-min-version",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Text {
            setting: |settings| &mut settings.tls.min_version,
            value_name: "VERSION",
            expected: "1.2 or 1.3",
            valid: |text| ["1.2", "1.3"].contains(&text),
        },
        default_in_words: None,
        summary: "Oldest TLS version that clients may use: 1.2 or 1.3",
        details: "TLS 1.2 is for clients from before 2018. The server does not support older \
                  versions.",
    },
    CliOption {
        name: "tls-check-interval",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::DurationOrNever {
            setting: |settings| &mut settings.config.tls_check_interval,
            zero: Zero::Refused,
        },
        default_in_words: None,
        summary: "How often the server looks for changed certificates, keys and lists",
        details: "It reloads changed files, as after SIGHUP. New connections use the new files; \
                  open connections continue. If a file is invalid, the server logs why and keeps \
                  the old certificates.",
    },
    CliOption {
        name: "dev-cert",
        short: None,
        group: OptionGroup::Tls,
        kind: OptionKind::Switch(|settings| &mut settings.tls.dev_certificate),
        default_in_words: None,
        summary: "Use TLS with a temporary certificate for localhost",
        details: "For development only. The server makes the certificate when it starts, for \
                  localhost, 127.0.0.1 and ::1. No client trusts it.",
    },
];
