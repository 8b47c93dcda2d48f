//! TLS.

use super::{Entry, Group};
use crate::cli::kind::{Kind, Zero};

pub(super) static OPTIONS: &[Entry] = &[
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
];
