//! Every option of the command line, in tables.
//!
//! An entry gives the flag (`--graceful-timeout`), the environment variable
//! (`FERRICORN_GRACEFUL_TIMEOUT`), the key in the configuration file (`graceful_timeout`), the help
//! text, the section of the reference page and how the value reaches the [`Settings`]. A new option
//! is a new entry in one of the tables and nothing else.

mod http2;
mod limits;
mod logging;
mod serving;
mod tls;
mod websocket;

use super::kind::Kind;
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
    Http2,
    WebSocket,
    Responses,
    Logging,
    Command,
}

impl Group {
    pub(super) const ALL: [Self; 11] = [
        Self::App,
        Self::Listening,
        Self::Tls,
        Self::Processes,
        Self::Timeouts,
        Self::Limits,
        Self::Http2,
        Self::WebSocket,
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
            Self::Http2 => "HTTP/2",
            Self::WebSocket => "WebSockets",
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
    all().find(|entry| entry.name == name)
}

/// All options, group by group.
pub(super) fn all() -> impl Iterator<Item = &'static Entry> {
    [
        serving::OPTIONS,
        tls::OPTIONS,
        limits::OPTIONS,
        http2::OPTIONS,
        websocket::OPTIONS,
        logging::OPTIONS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::value::Shown;

    #[test]
    fn groups_stand_together_and_in_order() {
        let positions: Vec<_> = all()
            .map(|entry| Group::ALL.iter().position(|group| *group == entry.group))
            .collect();
        assert!(positions.is_sorted(), "{positions:?}");
    }

    #[test]
    fn names_are_unique_and_no_switch_shadows_another_option() {
        let mut flags: Vec<_> = all()
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
        for entry in all() {
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
        for entry in all() {
            assert!(
                !entry.help.ends_with('.') && !entry.help.contains('\n'),
                "{}",
                entry.name
            );
        }
    }
}
