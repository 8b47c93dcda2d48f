//! The command `compare`: the results of several servers on one page.

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{page, write};

pub(super) fn command() -> Command {
    Command::new("compare")
        .about("Makes a page that shows the results of several servers side by side")
        .after_help("Example: asgi-spec compare --html page.html ours.json theirs.json")
        .arg(
            Arg::new("html")
                .long("html")
                .value_name("FILE")
                .required(true)
                .help("The page to write; - is the standard output"),
        )
        .arg(
            Arg::new("results")
                .value_name("RESULTS")
                .required(true)
                .action(ArgAction::Append)
                .help("Files of `asgi-spec run --json`; the others are compared with the first"),
        )
}

pub(super) fn run(arguments: &ArgMatches) -> Result<ExitCode, String> {
    let files = arguments
        .get_many::<String>("results")
        .into_iter()
        .flatten();
    let results = files
        .map(|file| {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("the results {file} can't be read: {error}"))?;
            let name = Path::new(file).file_stem().unwrap_or_default();
            Ok((name.to_string_lossy().into_owned(), text))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let file = arguments
        .get_one::<String>("html")
        .map_or("-", String::as_str);
    write(file, &page::render(&results)?)?;
    Ok(ExitCode::SUCCESS)
}
