//! Every option of the command line, in tables.
//!
//! One [`CliOption`] gives the flag (`--graceful-timeout`), the environment variable
//! (`FERRICORN_GRACEFUL_TIMEOUT`), the key in the configuration file (`graceful_timeout`), the help
//! text, the section of the reference page, and the setting that the value changes. To add an
//! option, add an entry to one of the tables and a setting for it.

mod http2;
mod limits;
mod logging;
mod serving;
mod tls;
mod websocket;

use super::kind::OptionKind;
use super::settings::CommandSettings;

/// The prefix of all environment variables.
pub(super) const PREFIX: &str = "FERRICORN_";

/// One option.
#[derive(Debug)]
pub(super) struct CliOption {
    /// The flag without its dashes. The variable and the key are made from it.
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) group: OptionGroup,
    pub(super) kind: OptionKind,
    /// Says the default in words if it depends on the machine.
    pub(super) default_in_words: Option<&'static str>,
    /// One sentence without a full stop, for `-h`.
    pub(super) summary: &'static str,
    /// Why to change the option and what that costs, for `--help` and the reference page.
    pub(super) details: &'static str,
}

/// A heading in the help and on the reference page. Options of one group stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionGroup {
    /// Only for the command that loads an app; a linked-in app does not have these options.
    App,
    Listening,
    Tls,
    Threads,
    Timeouts,
    Limits,
    Http2,
    WebSocket,
    Responses,
    Logging,
    Command,
}

impl OptionGroup {
    pub(super) const ALL: [Self; 11] = [
        Self::App,
        Self::Listening,
        Self::Tls,
        Self::Threads,
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
            Self::Threads => "Threads",
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

impl CliOption {
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The flag that turns a switch off.
    pub(super) fn no_flag(&self) -> Option<String> {
        matches!(self.kind, OptionKind::Switch(_)).then(|| format!("--no-{}", self.name))
    }

    /// The environment variable, if the option has one.
    pub(super) fn variable(&self) -> Option<String> {
        match self.kind {
            OptionKind::Action(_) => None,
            _ => Some(format!(
                "{PREFIX}{}",
                self.name.replace('-', "_").to_ascii_uppercase()
            )),
        }
    }

    /// The key in the configuration file, if the option has one.
    pub(super) fn key(&self) -> Option<String> {
        match self.kind {
            OptionKind::Action(_) | OptionKind::ConfigFile => None,
            _ => Some(self.name.replace('-', "_")),
        }
    }

    /// The default as text, or `None` if the option has no default.
    pub(super) fn default_text(&self, defaults: &mut CommandSettings) -> Option<String> {
        match self.default_in_words {
            Some(words) => Some(words.to_owned()),
            None => self
                .kind
                .current_value(defaults)
                .map(|value| value.to_string()),
        }
    }
}

/// The option whose flag is `--name`.
pub(super) fn by_name(name: &str) -> Option<&'static CliOption> {
    all().find(|option| option.name == name)
}

/// All options, group by group.
pub(super) fn all() -> impl Iterator<Item = &'static CliOption> {
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
    use crate::cli::value::SettingValue;

    #[test]
    fn options_of_a_group_stand_together_and_groups_are_in_order() {
        let positions: Vec<_> = all()
            .map(|option| {
                OptionGroup::ALL
                    .iter()
                    .position(|group| *group == option.group)
            })
            .collect();
        assert!(positions.is_sorted(), "{positions:?}");
    }

    #[test]
    fn flags_are_unique_and_no_switch_shadows_another_option() {
        let mut flags: Vec<_> = all()
            .flat_map(|option| [Some(option.flag()), option.no_flag()])
            .flatten()
            .collect();
        flags.sort();
        let count = flags.len();
        flags.dedup();
        assert_eq!(flags.len(), count);
    }

    #[test]
    fn every_default_is_a_valid_value_of_its_option() {
        for option in all() {
            let mut settings = CommandSettings::default();
            let Some(value) = option.kind.current_value(&mut settings) else {
                continue;
            };
            let texts = match &value {
                SettingValue::List(texts) => texts.clone(),
                SettingValue::Bare(text) | SettingValue::Text(text) => vec![text.clone()],
            };
            assert_eq!(
                option.kind.set(&mut settings, &texts),
                Ok(()),
                "{}",
                option.name
            );
            assert_eq!(
                option.kind.current_value(&mut settings),
                Some(value),
                "{}",
                option.name
            );
        }
    }

    #[test]
    fn a_summary_is_one_sentence_without_a_full_stop() {
        for option in all() {
            assert!(
                !option.summary.ends_with('.') && !option.summary.contains('\n'),
                "{}",
                option.name
            );
        }
    }
}
