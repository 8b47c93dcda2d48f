//! `asgi-spec library`: the library's side of the C ABI.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{BREAKS_A_MUST, print};
use crate::requirement;

pub(super) fn command() -> Command {
    Command::new("library")
        .about("Checks an app in a shared library against the chapter on the C ABI")
        .after_help(
            "Exit code: 0 if no MUST failed, 1 if one did, 2 if the check could not run.\n\n\
             The library runs in this process: if it crashes, so does the check.\n\n\
             Example: asgi-spec library ./libhello.so",
        )
        .arg(
            Arg::new("library")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("The library"),
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("TEXT")
                .help("The configuration for the app"),
        )
}

/// Checks a library, and prints a line for each requirement.
pub(super) fn check(arguments: &ArgMatches) -> Result<ExitCode, String> {
    let path = arguments
        .get_one::<PathBuf>("library")
        .ok_or("expected a library")?;
    let config = arguments.get_one::<String>("config").map(String::as_str);
    let findings = asgi_spec_abi::library::check(path, config)?;
    let mut text = String::new();
    let mut failed = 0;
    for one in &findings {
        let rule = requirement(one.id).map_or("", |rule| rule.text.as_str());
        match &one.broken {
            None => text += &format!("{:<9} passed  {rule}\n", one.id),
            Some(what) => {
                failed += 1;
                text += &format!("{:<9} failed  {rule}\n          got     {what}\n", one.id);
            }
        }
    }
    text += &format!("\n{} passed, {failed} failed\n", findings.len() - failed);
    print(&text);
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(BREAKS_A_MUST),
    })
}

#[cfg(test)]
mod tests {
    use crate::cases::of_libraries;

    #[test]
    fn each_requirement_that_is_left_to_this_check_is_in_it() {
        let checked = asgi_spec_abi::library::CHECKED;
        let missing: Vec<&str> = of_libraries().filter(|id| !checked.contains(id)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
