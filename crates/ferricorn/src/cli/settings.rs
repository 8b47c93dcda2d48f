//! What the command runs with, and where each setting came from.
//!
//! Everything that is given is checked, what another source overrides too: file, then variables,
//! then flags are applied in this order, so the last one has precedence.

use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::thread::available_parallelism;

use super::exit::Error;
use super::file;
use super::options::{self, Entry, Group, PREFIX};
use super::suggest::did_you_mean;
use super::tls::TlsSettings;
use super::value::quote;
use crate::{Bind, Config};

/// What the command runs with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) binds: Vec<Bind>,
    pub(super) insecure_binds: Vec<Bind>,
    pub(super) tls: TlsSettings,
    pub(super) threads: usize,
    pub(super) log_level: String,
    pub(super) app_config: String,
    pub(super) profile: String,
    pub(super) config: Config,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            binds: vec![Bind::default()],
            insecure_binds: Vec::new(),
            tls: TlsSettings::default(),
            threads: available_parallelism().map_or(1, usize::from),
            log_level: "info".to_owned(),
            app_config: String::new(),
            profile: "release".to_owned(),
            config: Config {
                access_log: std::io::stdout().is_terminal(),
                ..Config::default()
            },
        }
    }
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    Flag(String),
    Variable(String),
    /// The key is kept for messages.
    File {
        file: PathBuf,
        line: usize,
        key: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.display()),
        }
    }
}

/// The texts that one source gives for one option: several only where it takes several.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) entry: &'static Entry,
    pub(super) texts: Vec<String>,
    /// What was found when `texts` cannot say it: a table in the file.
    pub(super) found: Option<String>,
    pub(super) source: Source,
}

impl Given {
    fn apply(&self, settings: &mut Settings) -> Result<(), Error> {
        let refused = match &self.found {
            Some(found) => Err(Some(found.clone())),
            None => self
                .entry
                .kind
                .set(settings, &self.texts)
                .map_err(|text| text.map(quote)),
        };
        refused.map_err(|found| bad_value(&self.source, found.as_deref(), self.entry))
    }
}

/// The line for a value that is none of its option's.
pub(super) fn bad_value(source: &Source, found: Option<&str>, entry: &Entry) -> Error {
    let at = match source {
        Source::File { key, .. } => format!("{source}: {key}"),
        source => source.to_string(),
    };
    let found = found.unwrap_or("no value");
    Error::usage(format_args!(
        "{at}: found {found}, expected {}",
        entry.kind.expected()
    ))
}

/// The settings with the source of each option, in the table's order.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) settings: Settings,
    sources: Vec<(&'static Entry, Source)>,
}

impl Resolved {
    /// Applies what was given: later ones have precedence.
    pub(super) fn new(groups: Groups, given: &[Given]) -> Result<Self, Error> {
        let mut settings = Settings::default();
        let mut sources: Vec<_> = groups
            .entries()
            .map(|entry| (entry, Source::Default))
            .collect();
        for given in given {
            given.apply(&mut settings)?;
            for (entry, source) in &mut sources {
                if entry.name == given.entry.name {
                    *source = given.source.clone();
                }
            }
        }
        Ok(Self { settings, sources })
    }

    /// Whether an option has another source than its default.
    pub(super) fn is_given(&self, name: &str) -> bool {
        let given =
            |(entry, source): &(&Entry, Source)| entry.name == name && *source != Source::Default;
        self.sources.iter().any(given)
    }

    /// The settings as a configuration file, each with its source.
    pub(super) fn print(&mut self) -> String {
        let mut page = String::new();
        let mut group = None;
        for (entry, source) in &self.sources {
            let (Some(key), Some(shown)) = (entry.key(), entry.kind.show(&mut self.settings))
            else {
                continue;
            };
            if group != Some(entry.group) {
                let gap = if group.is_some() { "\n" } else { "" };
                page.push_str(&format!("{gap}# {}\n", entry.group.title()));
                group = Some(entry.group);
            }
            // A default may depend on the machine: as a comment it does not pin that of this one.
            let comment = match source {
                Source::Default => "# ",
                _ => "",
            };
            page.push_str(&format!("{comment}{key} = {}  # {source}\n", shown.toml()));
        }
        page
    }
}

/// Which groups of options a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Groups {
    /// It loads the app.
    All,
    /// The app is linked in: there is nothing to build.
    LinkedIn,
}

impl Groups {
    pub(super) fn entries(self) -> impl Iterator<Item = &'static Entry> {
        options::all().filter(move |entry| self == Self::All || entry.group != Group::App)
    }
}

/// Whether it is a variable that Kubernetes sets in every pod for a service called "ferricorn…".
fn is_service_link(name: &str) -> bool {
    let numbered_port = |(_, rest): (&str, &str)| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_PORT")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(numbered_port)
}

/// The variables of ours that are set.
pub(super) fn variables(
    groups: Groups,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Given>, Error> {
    let mut given = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let known = |entry: &&Entry| entry.variable().as_deref() == Some(name);
        let Some(entry) = groups.entries().find(known) else {
            // One environment may serve a command that builds and an app that has the server in it.
            if is_service_link(name) || options::all().any(|entry| known(&entry)) {
                continue;
            }
            let names = groups.entries().filter_map(Entry::variable);
            return Err(Error::usage(format_args!(
                "unknown variable {name}{}",
                did_you_mean(name, names, "--help lists the options")
            )));
        };
        let source = Source::Variable(name.to_owned());
        let Some(value) = value.to_str() else {
            return Err(bad_value(&source, Some("what is no UTF-8"), entry));
        };
        given.push(Given {
            entry,
            texts: if entry.kind.is_list() {
                value
                    .split(',')
                    .map(|text| text.trim().to_owned())
                    .collect()
            } else {
                vec![value.to_owned()]
            },
            found: None,
            source,
        });
    }
    // The environment has no order; messages and tests should have one.
    given.sort_by_key(|given| given.source.to_string());
    Ok(given)
}

/// All that is given, in order of precedence, the highest last.
pub(super) fn gather(
    groups: Groups,
    flags: Vec<Given>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Given>, Error> {
    let mut given = variables(groups, environment)?;
    given.extend(flags);
    let config = |given: &&Given| given.entry.name == "config";
    let in_file = match given.iter().rfind(config) {
        Some(config) => file::read(groups, config)?,
        None => Vec::new(),
    };
    Ok(in_file.into_iter().chain(given).collect())
}
