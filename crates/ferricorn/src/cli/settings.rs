//! The settings of the command, and where each one comes from.
//!
//! The file is applied first, then the variables, then the flags, so that flags have precedence.
//! Every value is checked, even when another source overrides it.

use std::ffi::OsString;
use std::fmt;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::thread::available_parallelism;

use super::exit::Error;
use super::file;
use super::options::{self, CliOption, OptionGroup, PREFIX};
use super::suggest::did_you_mean;
use super::tls::TlsSettings;
use super::value::quote;
use crate::{Bind, Config};

/// All settings of the command.
#[derive(Debug, Clone)]
pub(super) struct CommandSettings {
    pub(super) binds: Vec<Bind>,
    pub(super) insecure_binds: Vec<Bind>,
    pub(super) tls: TlsSettings,
    pub(super) threads: usize,
    pub(super) log_level: String,
    pub(super) log_buffer: usize,
    pub(super) app_config: String,
    pub(super) profile: String,
    pub(super) config: Config,
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            binds: vec![Bind::default()],
            insecure_binds: Vec::new(),
            tls: TlsSettings::default(),
            threads: available_parallelism().map_or(1, usize::from),
            log_level: "info".to_owned(),
            log_buffer: 1 << 20,
            app_config: String::new(),
            profile: "release".to_owned(),
            config: Config {
                access_log: std::io::stdout().is_terminal(),
                ..Config::default()
            },
        }
    }
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SettingSource {
    Default,
    Flag(String),
    Variable(String),
    /// The key is for errors.
    File {
        file: PathBuf,
        line: usize,
        key: String,
    },
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.display()),
        }
    }
}

/// The texts that one source gives for one option. Only a list has several.
#[derive(Debug)]
pub(super) struct GivenOption {
    pub(super) option: &'static CliOption,
    pub(super) texts: Vec<String>,
    /// Describes a value that cannot be a text, such as a table in the file.
    pub(super) unusable: Option<String>,
    pub(super) source: SettingSource,
}

impl GivenOption {
    fn apply(&self, settings: &mut CommandSettings) -> Result<(), Error> {
        let result = match &self.unusable {
            Some(found) => Err(Some(found.clone())),
            None => self
                .option
                .kind
                .set(settings, &self.texts)
                .map_err(|text| text.map(quote)),
        };
        result.map_err(|found| invalid_value(&self.source, found.as_deref(), self.option))
    }
}

/// The error for a value that its option does not accept.
pub(super) fn invalid_value(
    source: &SettingSource,
    found: Option<&str>,
    option: &CliOption,
) -> Error {
    let at = match source {
        SettingSource::File { key, .. } => format!("{source}: {key}"),
        source => source.to_string(),
    };
    let found = found.unwrap_or("no value");
    Error::usage(format_args!(
        "{at}: found {found}, expected {}",
        option.kind.expected()
    ))
}

/// The settings and their sources, in the order of the option tables.
#[derive(Debug)]
pub(super) struct ResolvedSettings {
    pub(super) settings: CommandSettings,
    sources: Vec<(&'static CliOption, SettingSource)>,
}

impl ResolvedSettings {
    /// Applies the given options in order; a later one overrides an earlier one.
    pub(super) fn new(set: OptionSet, given: &[GivenOption]) -> Result<Self, Error> {
        let mut settings = CommandSettings::default();
        let mut sources: Vec<_> = set
            .options()
            .map(|option| (option, SettingSource::Default))
            .collect();
        for given in given {
            given.apply(&mut settings)?;
            for (option, source) in &mut sources {
                if option.name == given.option.name {
                    *source = given.source.clone();
                }
            }
        }
        Ok(Self { settings, sources })
    }

    /// Whether an option was given, by any source other than its default.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.sources
            .iter()
            .any(|(option, source)| option.name == name && *source != SettingSource::Default)
    }

    /// The settings as a configuration file; a comment names the source of each one.
    pub(super) fn print(&mut self) -> String {
        let mut page = String::new();
        let mut group = None;
        for (option, source) in &self.sources {
            let value = option.kind.current_value(&mut self.settings);
            let (Some(key), Some(value)) = (option.key(), value) else {
                continue;
            };
            if group != Some(option.group) {
                let gap = if group.is_some() { "\n" } else { "" };
                page.push_str(&format!("{gap}# {}\n", option.group.title()));
                group = Some(option.group);
            }
            // A default may depend on the machine. A comment does not carry it to another one.
            let comment = match source {
                SettingSource::Default => "# ",
                _ => "",
            };
            page.push_str(&format!("{comment}{key} = {}  # {source}\n", value.toml()));
        }
        page
    }
}

/// Which options a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OptionSet {
    /// The command loads the app.
    All,
    /// The app is linked in, so there is nothing to build or load.
    LinkedIn,
}

impl OptionSet {
    pub(super) fn options(self) -> impl Iterator<Item = &'static CliOption> {
        options::all().filter(move |option| self == Self::All || option.group != OptionGroup::App)
    }
}

/// Whether Kubernetes sets this variable in every pod for a service called "ferricorn…".
fn is_service_link(name: &str) -> bool {
    let numbered_port = |(_, rest): (&str, &str)| rest.starts_with(|c: char| c.is_ascii_digit());
    name.ends_with("_PORT")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.split_once("_PORT_").is_some_and(numbered_port)
}

/// The options that environment variables give.
fn variables(
    set: OptionSet,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<GivenOption>, Error> {
    let mut given = Vec::new();
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
            continue;
        };
        let has_name = |option: &&CliOption| option.variable().as_deref() == Some(name);
        let Some(option) = set.options().find(has_name) else {
            // Options of the other kind of command are fine: both may share one environment.
            if is_service_link(name) || options::all().any(|option| has_name(&option)) {
                continue;
            }
            let names = set.options().filter_map(CliOption::variable);
            return Err(Error::usage(format_args!(
                "unknown variable {name}{}",
                did_you_mean(name, names, "--help lists the options")
            )));
        };
        // Compose files and unit files pass variables that have no value.
        if value.is_empty() {
            continue;
        }
        let source = SettingSource::Variable(name.to_owned());
        let Some(value) = value.to_str() else {
            let found = Some("a value that is not UTF-8");
            return Err(invalid_value(&source, found, option));
        };
        given.push(GivenOption {
            option,
            texts: if option.kind.is_list() {
                value
                    .split(',')
                    .map(|text| text.trim().to_owned())
                    .collect()
            } else {
                vec![value.to_owned()]
            },
            unusable: None,
            source,
        });
    }
    // The environment has no order. Sorting makes errors and tests repeatable.
    given.sort_by_key(|given| given.source.to_string());
    Ok(given)
}

/// All given options: those of the file, then the variables, then the flags.
pub(super) fn gather(
    set: OptionSet,
    flags: Vec<GivenOption>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<GivenOption>, Error> {
    let mut given = variables(set, environment)?;
    given.extend(flags);
    let config = |given: &&GivenOption| given.option.name == "config";
    let in_file = match given.iter().rfind(config) {
        Some(config) => file::read(set, config)?,
        None => Vec::new(),
    };
    Ok(in_file.into_iter().chain(given).collect())
}
