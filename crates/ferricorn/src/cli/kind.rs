//! The kinds of options: what value each takes, how it is checked, and which setting it sets.

use std::time::Duration;

use http::HeaderName;

use super::settings::Settings;
use super::value::{self, Shown};
use crate::Bind;

/// Gives the setting that an option sets.
pub(super) type Field<T> = fn(&mut Settings) -> &mut T;

/// What kind of value an option takes, and where it goes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Does something else than serving: a flag alone.
    Action(Action),
    /// The configuration file: no key, for a file does not name another.
    ConfigFile,
    /// `--name` and `--no-name`.
    Switch(Field<bool>),
    Duration {
        field: Field<Duration>,
        zero: Zero,
    },
    DurationOrNever {
        field: Field<Option<Duration>>,
        zero: Zero,
    },
    Count {
        field: Field<usize>,
        most: usize,
    },
    Count32 {
        field: Field<u32>,
        least: u32,
        most: u32,
    },
    /// A number, or no limit.
    CountOrNever(Field<Option<u64>>),
    Size {
        field: Field<usize>,
        least: usize,
        most: usize,
    },
    FieldNames(Field<Vec<HeaderName>>),
    /// Origins of web pages, none by default.
    Origins(Field<Vec<String>>),
    Text {
        field: Field<String>,
        value: &'static str,
        expected: &'static str,
        valid: fn(&str) -> bool,
    },
    Binds {
        field: Field<Vec<Bind>>,
        least: usize,
    },
    /// Paths of files, none by default.
    Files(Field<Vec<String>>),
}

/// What a flag does that does not set anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    PrintConfig,
    Help,
    Version,
}

/// Whether a duration may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

impl Kind {
    /// The name of the value in `--name <VALUE>`.
    pub(super) fn value_name(&self) -> Option<&'static str> {
        match self {
            Self::Action(_) | Self::Switch(_) => None,
            Self::ConfigFile | Self::Files(_) => Some("FILE"),
            Self::Duration { .. } | Self::DurationOrNever { .. } => Some("DURATION"),
            Self::Count { .. } | Self::Count32 { .. } | Self::CountOrNever(_) => Some("NUMBER"),
            Self::FieldNames(_) => Some("NAME"),
            Self::Origins(_) => Some("ORIGIN"),
            Self::Size { .. } => Some("SIZE"),
            Self::Text { value, .. } => Some(value),
            Self::Binds { .. } => Some("ADDRESS"),
        }
    }

    /// Whether it may be given several times.
    pub(super) fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Binds { .. } | Self::Files(_) | Self::FieldNames(_) | Self::Origins(_)
        )
    }

    /// What a value looks like, for messages and the reference page.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Action(_) => "no value".to_owned(),
            Self::ConfigFile => "the path of a TOML file".to_owned(),
            Self::Switch(_) => "true or false".to_owned(),
            Self::Duration { zero, .. } => format!("{}{}", value::DURATION, zero.words()),
            Self::DurationOrNever { zero, .. } => {
                format!("{}{}, or never", value::DURATION, zero.words())
            }
            Self::Count { most, .. } => format!("a whole number from 1 to {most}"),
            Self::Count32 { least, most, .. } => {
                format!("a whole number from {least} to {most}")
            }
            Self::CountOrNever(_) => "a whole number, at least 1, or never".to_owned(),
            Self::Size { least, most, .. } => {
                let least = value::show_size(*least);
                let most = match *most {
                    usize::MAX => String::new(),
                    most => format!(", at most {}", value::show_size(most)),
                };
                format!("a size such as 65536, 64KiB or 1MiB, at least {least}{most}")
            }
            Self::FieldNames(_) => "the name of a header field".to_owned(),
            Self::Origins(_) => {
                "an origin such as https://example.org, as browsers send it, without a path"
                    .to_owned()
            }
            Self::Text { expected, .. } => (*expected).to_owned(),
            Self::Binds { .. } => "host:port, [v6]:port or unix:path".to_owned(),
            Self::Files(_) => "the path of a PEM file".to_owned(),
        }
    }

    /// Sets the option, or says that one of the texts is none of its values.
    pub(super) fn set<'a>(
        &self,
        settings: &mut Settings,
        texts: &'a [String],
    ) -> Result<(), Option<&'a str>> {
        match self {
            Self::Binds { field, least } => {
                let parsed: Result<Vec<Bind>, _> = texts
                    .iter()
                    .map(|text| text.parse().map_err(|_| Some(text.as_str())))
                    .collect();
                *field(settings) = parsed?;
                return if texts.len() < *least {
                    Err(None)
                } else {
                    Ok(())
                };
            }
            Self::Files(field) => {
                *field(settings) = texts.to_vec();
                return match texts.iter().find(|text| text.is_empty()) {
                    Some(empty) => Err(Some(empty)),
                    None => Ok(()),
                };
            }
            Self::FieldNames(field) => {
                let parsed: Result<Vec<HeaderName>, _> = texts
                    .iter()
                    .map(|text| text.parse().map_err(|_| Some(text.as_str())))
                    .collect();
                *field(settings) = parsed?;
                return Ok(());
            }
            Self::Origins(field) => {
                *field(settings) = texts.to_vec();
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

    fn set_one(&self, settings: &mut Settings, text: &str) -> Option<()> {
        match self {
            // The file's name is taken before anything is set.
            Self::Action(_)
            | Self::ConfigFile
            | Self::Binds { .. }
            | Self::Files(_)
            | Self::FieldNames(_)
            | Self::Origins(_) => {}
            Self::Switch(field) => *field(settings) = text.parse().ok()?,
            Self::Duration { field, zero } => *field(settings) = zero.check(text)?,
            Self::DurationOrNever { field, zero } => {
                *field(settings) = match text {
                    "never" => None,
                    text => Some(zero.check(text)?),
                }
            }
            Self::Count { field, most } => {
                *field(settings) = text.parse().ok().filter(|n| (1..=*most).contains(n))?;
            }
            Self::Count32 { field, least, most } => {
                *field(settings) = text.parse().ok().filter(|n| (least..=most).contains(&n))?;
            }
            Self::CountOrNever(field) => {
                *field(settings) = match text {
                    "never" => None,
                    text => Some(text.parse().ok().filter(|n| *n > 0)?),
                }
            }
            Self::Size { field, least, most } => {
                *field(settings) =
                    value::size(text).filter(|size| (least..=most).contains(&size))?;
            }
            Self::Text { field, valid, .. } => {
                *field(settings) = valid(text).then(|| text.to_owned())?;
            }
        }
        Some(())
    }

    /// The present value; `None` for what is no setting.
    pub(super) fn show(&self, settings: &mut Settings) -> Option<Shown> {
        Some(match self {
            Self::Action(_) | Self::ConfigFile => return None,
            Self::Switch(field) => Shown::Bare(field(settings).to_string()),
            Self::Duration { field, .. } => Shown::Text(value::show_duration(*field(settings))),
            Self::DurationOrNever { field, .. } => Shown::Text(
                field(settings).map_or_else(|| "never".to_owned(), value::show_duration),
            ),
            Self::Count { field, .. } => Shown::Bare(field(settings).to_string()),
            Self::Count32 { field, .. } => Shown::Bare(field(settings).to_string()),
            Self::Size { field, .. } => Shown::Text(value::show_size(*field(settings))),
            Self::Text { field, .. } => Shown::Text(field(settings).clone()),
            Self::Files(field) | Self::Origins(field) => Shown::List(field(settings).clone()),
            Self::CountOrNever(field) => match field(settings) {
                Some(count) => Shown::Bare(count.to_string()),
                None => Shown::Text("never".to_owned()),
            },
            Self::FieldNames(field) => {
                Shown::List(field(settings).iter().map(HeaderName::to_string).collect())
            }
            Self::Binds { field, .. } => {
                Shown::List(field(settings).iter().map(Bind::to_string).collect())
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

    fn check(self, text: &str) -> Option<Duration> {
        value::duration(text).filter(|duration| self == Self::Allowed || !duration.is_zero())
    }
}
