//! The flags: clap's command made from the table, and its errors on one line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::exit::{CODES, Error};
use super::kind::{Action, Kind};
use super::options::{Entry, by_name};
use super::settings::{Given, Groups, Settings, Source, bad_value};
use super::suggest::did_you_mean;

const APP: &str = "APP";

/// What the arguments ask for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A text for standard output, and nothing else.
    Text(String),
    PrintConfig(Vec<Given>),
    /// The app is `None` where it is linked in.
    Serve {
        app: Option<PathBuf>,
        flags: Vec<Given>,
    },
}

/// Reads the arguments, the program's own name not among them.
pub(super) fn parse(
    name: &str,
    version: &str,
    groups: Groups,
    arguments: impl Iterator<Item = OsString>,
) -> Result<Asked, Error> {
    let all = std::iter::once(OsString::from(name)).chain(arguments);
    let matches = match command(name, version, groups).try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(error) => {
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Ok(Asked::Text(error.to_string()))
                }
                _ => Err(one_line(&error, groups)),
            };
        }
    };
    let flags = groups
        .entries()
        .filter_map(|entry| given(entry, &matches))
        .collect();
    if matches.get_flag("print-config") {
        return Ok(Asked::PrintConfig(flags));
    }
    let app = match groups {
        Groups::All => matches.get_one::<OsString>(APP).map(PathBuf::from),
        Groups::LinkedIn => None,
    };
    Ok(Asked::Serve { app, flags })
}

fn command(name: &str, version: &str, groups: Groups) -> Command {
    let mut defaults = Settings::default();
    let mut command = Command::new(name.to_owned())
        .version(version.to_owned())
        .about("Serves a web app")
        .after_help("--help says more about each option.")
        .after_long_help(after_long_help())
        .max_term_width(100)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true);
    if groups == Groups::All {
        command = command
            .override_usage(format!("{name} [OPTIONS] {APP}"))
            .arg(
                Arg::new(APP)
                    .value_parser(OsStringValueParser::new())
                    .required_unless_present("print-config")
                    .help("The app: a shared library, or the folder of a crate to build first"),
            );
    }
    for entry in groups.entries() {
        command = command.arg(arg(entry, &mut defaults));
        if matches!(entry.kind, Kind::Switch(_)) {
            command = command.arg(no_arg(entry));
        }
    }
    command
}

fn arg(entry: &'static Entry, defaults: &mut Settings) -> Arg {
    let mut help = entry.help.to_owned();
    if let Some(default) = entry.default_text(defaults).filter(|text| !text.is_empty()) {
        help.push_str(&format!(" [default: {default}]"));
    }
    let long_help = match entry.more {
        "" => help.clone(),
        more => format!("{help}\n\n{more}"),
    };
    let mut arg = Arg::new(entry.name)
        .long(entry.name)
        .help(help)
        .long_help(long_help)
        .help_heading(entry.group.title())
        .action(match entry.kind {
            Kind::Action(Action::Help) => ArgAction::Help,
            Kind::Action(Action::Version) => ArgAction::Version,
            Kind::Action(Action::PrintConfig) | Kind::Switch(_) => ArgAction::SetTrue,
            _ if entry.kind.is_list() => ArgAction::Append,
            _ => ArgAction::Set,
        });
    if let Some(short) = entry.short {
        arg = arg.short(short);
    }
    if let Some(value) = entry.kind.value_name() {
        // `-1` is a bad value, no flag.
        arg = arg.value_name(value).allow_negative_numbers(true);
    }
    if matches!(entry.kind, Kind::Switch(_)) {
        arg = arg.overrides_with(no_id(entry));
    }
    arg
}

fn no_arg(entry: &'static Entry) -> Arg {
    Arg::new(no_id(entry))
        .long(no_id(entry))
        .help(format!("The opposite of --{}", entry.name))
        .help_heading(entry.group.title())
        .action(ArgAction::SetTrue)
        .overrides_with(entry.name)
}

fn no_id(entry: &Entry) -> String {
    format!("no-{}", entry.name)
}

fn after_long_help() -> String {
    let mut text = String::from(
        "Each option is also a variable, as FERRICORN_GRACEFUL_TIMEOUT=5s, and a key in the file of \
         --config, as graceful_timeout = \"5s\". A flag has precedence over a variable, that over \
         the file.\n\nExit codes:\n",
    );
    for (code, meaning) in CODES {
        text.push_str(&format!("  {code:<6} {meaning}\n"));
    }
    text
}

/// What the flags give for one option.
fn given(entry: &'static Entry, matches: &ArgMatches) -> Option<Given> {
    let (texts, flag) = match entry.kind {
        Kind::Switch(_) if matches.get_flag(entry.name) => ("true".to_owned(), entry.flag()),
        Kind::Switch(_) if matches.get_flag(&no_id(entry)) => {
            ("false".to_owned(), entry.no_flag()?)
        }
        Kind::Action(_) | Kind::Switch(_) => return None,
        _ => {
            let texts = matches.get_many::<String>(entry.name)?.cloned().collect();
            return Some(flag_given(entry, texts, entry.flag()));
        }
    };
    Some(flag_given(entry, vec![texts], flag))
}

fn flag_given(entry: &'static Entry, texts: Vec<String>, flag: String) -> Given {
    Given {
        entry,
        texts,
        found: None,
        source: Source::Flag(flag),
    }
}

/// clap's errors take several lines; a log has room for one.
fn one_line(error: &clap::Error, groups: Groups) -> Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", String::as_str),
        _ => "",
    };
    let arg = context(ContextKind::InvalidArg);
    // `--bind <ADDRESS>` where clap means an option of ours.
    let flag = arg.split_whitespace().next().unwrap_or_default();
    let entry = flag.strip_prefix("--").and_then(by_name);
    match (error.kind(), entry) {
        (ErrorKind::UnknownArgument, _) if arg.starts_with('-') => {
            let flags = groups
                .entries()
                .flat_map(|entry| [Some(entry.flag()), entry.no_flag()])
                .flatten();
            let hint = did_you_mean(arg, flags, "--help lists all flags");
            Error::usage(format_args!("unknown flag {arg}{hint}"))
        }
        (ErrorKind::UnknownArgument, _) => {
            let expected = match groups {
                Groups::All => "one APP and flags",
                Groups::LinkedIn => "flags only",
            };
            Error::usage(format_args!(
                "unexpected argument {arg:?}, expected {expected}"
            ))
        }
        (ErrorKind::MissingRequiredArgument, _) => Error::usage(
            "no APP given, expected a shared library or the folder of a crate; --help says more",
        ),
        (ErrorKind::InvalidValue, Some(entry)) => {
            bad_value(&Source::Flag(entry.flag()), None, entry)
        }
        (ErrorKind::TooManyValues, _) => Error::usage(format_args!(
            "{flag}: found {:?}, expected no value",
            context(ContextKind::InvalidValue)
        )),
        (ErrorKind::InvalidUtf8, _) => Error::usage("an argument is no UTF-8"),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            Error::usage(line.trim_start_matches("error: "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault_with_the_command() {
        for groups in [Groups::All, Groups::LinkedIn] {
            command("ferricorn", "1", groups).debug_assert();
        }
    }
}
