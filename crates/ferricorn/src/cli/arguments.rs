//! Parses the flags with clap.
//!
//! clap's command is made from the option tables, and clap's errors become one line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::exit::{CODES, Error};
use super::kind::{FlagAction, OptionKind};
use super::options::{CliOption, by_name};
use super::settings::{CommandSettings, GivenOption, OptionSet, SettingSource, invalid_value};
use super::suggest::{counterpart, did_you_mean};

const APP: &str = "APP";

/// The task of the command, according to its arguments.
#[derive(Debug)]
pub(super) enum Invocation {
    /// Prints a text to standard output.
    PrintText(String),
    PrintConfig(Vec<GivenOption>),
    PrintLimits(Vec<GivenOption>),
    /// `app` is `None` if the app is linked in.
    Serve {
        app: Option<PathBuf>,
        flags: Vec<GivenOption>,
    },
}

/// Parses the arguments, without the name of the program.
pub(super) fn parse(
    name: &str,
    version: &str,
    set: OptionSet,
    arguments: impl Iterator<Item = OsString>,
) -> Result<Invocation, Error> {
    let all = std::iter::once(OsString::from(name)).chain(arguments);
    let matches = match command(name, version, set).try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(error) => {
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    Ok(Invocation::PrintText(error.to_string()))
                }
                _ => Err(one_line(&error, set)),
            };
        }
    };
    let flags = set
        .options()
        .filter_map(|option| given(option, &matches))
        .collect();
    if matches.get_flag("print-config") {
        return Ok(Invocation::PrintConfig(flags));
    }
    if matches.get_flag("print-limits") {
        return Ok(Invocation::PrintLimits(flags));
    }
    let app = match set {
        OptionSet::All => matches.get_one::<OsString>(APP).map(PathBuf::from),
        OptionSet::LinkedIn => None,
    };
    Ok(Invocation::Serve { app, flags })
}

fn command(name: &str, version: &str, set: OptionSet) -> Command {
    let mut defaults = CommandSettings::default();
    let mut command = Command::new(name.to_owned())
        .version(version.to_owned())
        .about("Serves an ASGI app")
        .after_help("--help prints details about each option.")
        .after_long_help(after_long_help())
        .max_term_width(100)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true);
    if set == OptionSet::All {
        command = command
            .override_usage(format!("{name} [OPTIONS] {APP}"))
            .arg(
                Arg::new(APP)
                    .value_parser(OsStringValueParser::new())
                    .required_unless_present_any(["print-config", "print-limits"])
                    .help(
                        "App to serve: a shared library, or the folder of a crate to build first",
                    ),
            );
    }
    for option in set.options() {
        command = command.arg(arg(option, &mut defaults));
        if matches!(option.kind, OptionKind::Switch(_)) {
            command = command.arg(no_arg(option));
        }
    }
    command
}

fn arg(option: &'static CliOption, defaults: &mut CommandSettings) -> Arg {
    let mut help = option.summary.to_owned();
    let default = option.default_text(defaults);
    if let Some(default) = default.filter(|text| !text.is_empty()) {
        help.push_str(&format!(" [default: {default}]"));
    }
    let long_help = match option.details {
        "" => help.clone(),
        details => format!("{help}\n\n{details}"),
    };
    let mut arg = Arg::new(option.name)
        .long(option.name)
        .help(help)
        .long_help(long_help)
        .help_heading(option.group.title())
        .action(match option.kind {
            OptionKind::Action(FlagAction::Help) => ArgAction::Help,
            OptionKind::Action(FlagAction::Version) => ArgAction::Version,
            OptionKind::Action(FlagAction::PrintConfig | FlagAction::PrintLimits)
            | OptionKind::Switch(_) => ArgAction::SetTrue,
            _ if option.kind.is_list() => ArgAction::Append,
            _ => ArgAction::Set,
        });
    if let Some(short) = option.short {
        arg = arg.short(short);
    }
    if let Some(value) = option.kind.value_name() {
        // `-1` is an invalid value, not a flag.
        arg = arg.value_name(value).allow_negative_numbers(true);
    }
    if matches!(option.kind, OptionKind::Switch(_)) {
        arg = arg.overrides_with(no_id(option));
    }
    arg
}

fn no_arg(option: &'static CliOption) -> Arg {
    Arg::new(no_id(option))
        .long(no_id(option))
        .help(format!("Turn --{} off", option.name))
        .help_heading(option.group.title())
        .action(ArgAction::SetTrue)
        .overrides_with(option.name)
}

fn no_id(option: &CliOption) -> String {
    format!("no-{}", option.name)
}

fn after_long_help() -> String {
    let mut text = String::from(
        "An exchange is one request with its response, or one WebSocket.\n\n\
         Each option is also an environment variable, such as FERRICORN_GRACEFUL_TIMEOUT=5s, and a \
         key in the file of --config, such as graceful_timeout = \"5s\". Flags override variables, \
         and variables override the file.\n\n\
         Exit codes:\n",
    );
    for (code, meaning) in CODES {
        text.push_str(&format!("  {code:<6} {meaning}\n"));
    }
    text
}

/// The values that the flags give to one option.
fn given(option: &'static CliOption, matches: &ArgMatches) -> Option<GivenOption> {
    let (texts, flag) = match option.kind {
        OptionKind::Switch(_) if matches.get_flag(option.name) => {
            ("true".to_owned(), option.flag())
        }
        OptionKind::Switch(_) if matches.get_flag(&no_id(option)) => {
            ("false".to_owned(), option.no_flag()?)
        }
        OptionKind::Action(_) | OptionKind::Switch(_) => return None,
        _ => {
            let texts = matches.get_many::<String>(option.name)?.cloned().collect();
            return Some(given_by_flag(option, texts, option.flag()));
        }
    };
    Some(given_by_flag(option, vec![texts], flag))
}

fn given_by_flag(option: &'static CliOption, texts: Vec<String>, flag: String) -> GivenOption {
    GivenOption {
        option,
        texts,
        unusable: None,
        source: SettingSource::Flag(flag),
    }
}

/// Makes one line of clap's error, which has several.
fn one_line(error: &clap::Error, set: OptionSet) -> Error {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(ContextValue::Strings(texts)) => texts.first().map_or("", String::as_str),
        _ => "",
    };
    let arg = context(ContextKind::InvalidArg);
    // clap names one of our options as `--bind <ADDRESS>`.
    let flag = arg.split_whitespace().next().unwrap_or_default();
    let option = flag.strip_prefix("--").and_then(by_name);
    match (error.kind(), option) {
        (ErrorKind::UnknownArgument, _) if arg.starts_with('-') => {
            if let Some(own) = counterpart(arg) {
                return Error::usage(format_args!("unknown flag {arg}; use {own}"));
            }
            let flags = set
                .options()
                .flat_map(|option| [Some(option.flag()), option.no_flag()])
                .flatten();
            let hint = did_you_mean(arg, flags, "--help lists all flags");
            Error::usage(format_args!("unknown flag {arg}{hint}"))
        }
        (ErrorKind::UnknownArgument, _) => {
            let expected = match set {
                OptionSet::All => "one APP and flags",
                OptionSet::LinkedIn => "flags only",
            };
            Error::usage(format_args!(
                "unexpected argument {arg:?}, expected {expected}"
            ))
        }
        (ErrorKind::MissingRequiredArgument, _) => Error::usage(
            "no APP given, expected a shared library or the folder of a crate; see --help",
        ),
        (ErrorKind::InvalidValue, Some(option)) => {
            invalid_value(&SettingSource::Flag(option.flag()), None, option)
        }
        (ErrorKind::TooManyValues, _) => Error::usage(format_args!(
            "{flag}: found {:?}, expected no value",
            context(ContextKind::InvalidValue)
        )),
        (ErrorKind::InvalidUtf8, _) => {
            Error::usage("found an argument that is not UTF-8, expected UTF-8 except in APP")
        }
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
    fn clap_accepts_the_command() {
        for set in [OptionSet::All, OptionSet::LinkedIn] {
            command("ferricorn", "1", set).debug_assert();
        }
    }
}
