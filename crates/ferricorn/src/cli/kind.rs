//! The kinds of options: which values each one accepts, and which setting it changes.

use std::time::Duration;

use http::HeaderName;

use super::settings::CommandSettings;
use super::value::{self, SettingValue};
use crate::Bind;

/// Finds the setting that an option changes.
pub(super) type SettingOf<T> = fn(&mut CommandSettings) -> &mut T;

/// The type of an option's value, with the setting that it changes.
#[derive(Debug)]
pub(super) enum OptionKind {
    /// Does something other than serving. It is a flag only.
    Action(FlagAction),
    /// The configuration file. It has no key, because a file cannot name another file.
    ConfigFile,
    /// `--name` and `--no-name`.
    Switch(SettingOf<bool>),
    Duration {
        setting: SettingOf<Duration>,
        zero: Zero,
    },
    DurationOrNever {
        setting: SettingOf<Option<Duration>>,
        zero: Zero,
    },
    /// A number from 1 to `max`.
    Count {
        setting: SettingOf<usize>,
        max: usize,
    },
    Count32 {
        setting: SettingOf<u32>,
        min: u32,
        max: u32,
    },
    /// A number, or no limit.
    CountOrNever(SettingOf<Option<u64>>),
    Size {
        setting: SettingOf<usize>,
        min: usize,
        max: usize,
    },
    /// A size, or no limit.
    SizeOrNever(SettingOf<Option<u64>>),
    HeaderNames(SettingOf<Vec<HeaderName>>),
    /// Origins of web pages. The list may be empty.
    Origins(SettingOf<Vec<String>>),
    Text {
        setting: SettingOf<String>,
        value_name: &'static str,
        expected: &'static str,
        valid: fn(&str) -> bool,
    },
    Binds {
        setting: SettingOf<Vec<Bind>>,
        /// How many addresses there must be.
        min: usize,
    },
    /// Paths of files. The list may be empty.
    Files(SettingOf<Vec<String>>),
}

/// The action of a flag that changes no setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagAction {
    PrintConfig,
    PrintLimits,
    Help,
    Version,
}

/// Whether a duration may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

impl OptionKind {
    /// The name of the value in `--name <VALUE>`.
    pub(super) fn value_name(&self) -> Option<&'static str> {
        match self {
            Self::Action(_) | Self::Switch(_) => None,
            Self::ConfigFile | Self::Files(_) => Some("FILE"),
            Self::Duration { .. } | Self::DurationOrNever { .. } => Some("DURATION"),
            Self::Count { .. } | Self::Count32 { .. } | Self::CountOrNever(_) => Some("NUMBER"),
            Self::HeaderNames(_) => Some("NAME"),
            Self::Origins(_) => Some("ORIGIN"),
            Self::Size { .. } | Self::SizeOrNever(_) => Some("SIZE"),
            Self::Text { value_name, .. } => Some(value_name),
            Self::Binds { .. } => Some("ADDRESS"),
        }
    }

    /// Whether the option may be given several times.
    pub(super) fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Binds { .. } | Self::Files(_) | Self::HeaderNames(_) | Self::Origins(_)
        )
    }

    /// Describes a valid value, for errors and the reference page.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Action(_) => "no value".to_owned(),
            Self::ConfigFile => "the path of a TOML file".to_owned(),
            Self::Switch(_) => "true or false".to_owned(),
            Self::Duration { zero, .. } => format!("{}{}", value::DURATION, zero.words()),
            Self::DurationOrNever { zero, .. } => {
                format!("{}{}, or never", value::DURATION, zero.words())
            }
            Self::Count { max, .. } => format!("a whole number from 1 to {max}"),
            Self::Count32 { min, max, .. } => {
                format!("a whole number from {min} to {max}")
            }
            Self::CountOrNever(_) => "a whole number, at least 1, or never".to_owned(),
            Self::Size { min, max, .. } => {
                let min = value::show_size(*min);
                let max = match *max {
                    usize::MAX => String::new(),
                    max => format!(", at most {}", value::show_size(max)),
                };
                format!("a size such as 65536, 64KiB or 1MiB, at least {min}{max}")
            }
            Self::SizeOrNever(_) => "a size such as 65536, 64KiB or 1MiB, or never".to_owned(),
            Self::HeaderNames(_) => "the name of a header".to_owned(),
            Self::Origins(_) => {
                "an origin such as https://example.org, as browsers send it, without a path"
                    .to_owned()
            }
            Self::Text { expected, .. } => (*expected).to_owned(),
            Self::Binds { .. } => "host:port, [v6]:port or unix:path".to_owned(),
            Self::Files(_) => "the path of a PEM file".to_owned(),
        }
    }

    /// Changes the setting.
    ///
    /// # Errors
    ///
    /// The first invalid text, or `None` if there are too few texts or too many.
    pub(super) fn set<'a>(
        &self,
        settings: &mut CommandSettings,
        texts: &'a [String],
    ) -> Result<(), Option<&'a str>> {
        match self {
            Self::Binds { setting, min } => {
                let parsed: Result<Vec<Bind>, _> = texts
                    .iter()
                    .map(|text| text.parse().map_err(|_| Some(text.as_str())))
                    .collect();
                *setting(settings) = parsed?;
                return if texts.len() < *min {
                    Err(None)
                } else {
                    Ok(())
                };
            }
            Self::Files(setting) => {
                *setting(settings) = texts.to_vec();
                return match texts.iter().find(|text| text.is_empty()) {
                    Some(empty) => Err(Some(empty)),
                    None => Ok(()),
                };
            }
            Self::HeaderNames(setting) => {
                let parsed: Result<Vec<HeaderName>, _> = texts
                    .iter()
                    .map(|text| text.parse().map_err(|_| Some(text.as_str())))
                    .collect();
                *setting(settings) = parsed?;
                return Ok(());
            }
            Self::Origins(setting) => {
                *setting(settings) = texts.to_vec();
                return match texts.iter().find(|text| !value::is_origin(text)) {
                    Some(other) => Err(Some(other)),
                    None => Ok(()),
                };
            }
            _ => {}
        }
        let [text] = texts else {
            return Err(None);
        };
        self.set_one(settings, text).ok_or(Some(text))
    }

    fn set_one(&self, settings: &mut CommandSettings, text: &str) -> Option<()> {
        match self {
            // The file is read before any setting changes; `set` handles the lists.
            Self::Action(_)
            | Self::ConfigFile
            | Self::Binds { .. }
            | Self::Files(_)
            | Self::HeaderNames(_)
            | Self::Origins(_) => {}
            Self::Switch(setting) => *setting(settings) = text.parse().ok()?,
            Self::Duration { setting, zero } => *setting(settings) = zero.parse(text)?,
            Self::DurationOrNever { setting, zero } => {
                *setting(settings) = match text {
                    "never" => None,
                    text => Some(zero.parse(text)?),
                }
            }
            Self::Count { setting, max } => {
                *setting(settings) = text.parse().ok().filter(|n| (1..=*max).contains(n))?;
            }
            Self::Count32 { setting, min, max } => {
                *setting(settings) = text.parse().ok().filter(|n| (min..=max).contains(&n))?;
            }
            Self::CountOrNever(setting) => {
                *setting(settings) = match text {
                    "never" => None,
                    text => Some(text.parse().ok().filter(|n| *n > 0)?),
                }
            }
            Self::Size { setting, min, max } => {
                *setting(settings) =
                    value::size(text).filter(|size| (min..=max).contains(&size))?;
            }
            Self::SizeOrNever(setting) => {
                *setting(settings) = match text {
                    "never" => None,
                    text => Some(value::size(text)? as u64),
                }
            }
            Self::Text { setting, valid, .. } => {
                *setting(settings) = valid(text).then(|| text.to_owned())?;
            }
        }
        Some(())
    }

    /// The current value of the setting, or `None` if the option has no setting.
    pub(super) fn current_value(&self, settings: &mut CommandSettings) -> Option<SettingValue> {
        Some(match self {
            Self::Action(_) | Self::ConfigFile => return None,
            Self::Switch(setting) => SettingValue::Bare(setting(settings).to_string()),
            Self::Duration { setting, .. } => {
                SettingValue::Text(value::show_duration(*setting(settings)))
            }
            Self::DurationOrNever { setting, .. } => SettingValue::Text(
                setting(settings).map_or_else(|| "never".to_owned(), value::show_duration),
            ),
            Self::Count { setting, .. } => SettingValue::Bare(setting(settings).to_string()),
            Self::Count32 { setting, .. } => SettingValue::Bare(setting(settings).to_string()),
            Self::Size { setting, .. } => SettingValue::Text(value::show_size(*setting(settings))),
            Self::Text { setting, .. } => SettingValue::Text(setting(settings).clone()),
            Self::Files(setting) | Self::Origins(setting) => {
                SettingValue::List(setting(settings).clone())
            }
            Self::CountOrNever(setting) => match setting(settings) {
                Some(count) => SettingValue::Bare(count.to_string()),
                None => SettingValue::Text("never".to_owned()),
            },
            Self::SizeOrNever(setting) => SettingValue::Text(match setting(settings) {
                Some(size) => value::show_size(usize::try_from(*size).unwrap_or(usize::MAX)),
                None => "never".to_owned(),
            }),
            Self::HeaderNames(setting) => SettingValue::List(
                setting(settings)
                    .iter()
                    .map(HeaderName::to_string)
                    .collect(),
            ),
            Self::Binds { setting, .. } => {
                SettingValue::List(setting(settings).iter().map(Bind::to_string).collect())
            }
        })
    }
}

impl Zero {
    fn words(self) -> &'static str {
        match self {
            Self::Allowed => "",
            Self::Refused => ", not zero",
        }
    }

    fn parse(self, text: &str) -> Option<Duration> {
        value::duration(text).filter(|duration| self == Self::Allowed || !duration.is_zero())
    }
}
