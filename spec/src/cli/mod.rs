//! The command line: `run`, `library`, `compare`, `list` and `explain`.

mod certificates;
mod compare;
mod formats;
mod library;
mod page;
mod table;

use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::certificates::RunCertificates;
use crate::cases::{cases, missing, not_observable};
use crate::suite::{
    Grade, Graded, Results, StatedLimit, Suite, SuiteTls, matches, names_case, split,
};
use crate::{Requirement, requirement, requirements};

/// The exit code if a requirement with MUST failed.
const BREAKS_A_MUST: u8 = 1;
/// The exit code if the suite could not run.
const DID_NOT_RUN: u8 = 2;

/// Runs the command with the arguments of the process.
///
/// The exit code is 0 if no MUST failed, 1 if one did, and 2 if the suite could not run.
pub fn main() -> ExitCode {
    let arguments = command().get_matches();
    let result = match arguments.subcommand() {
        Some(("run", arguments)) => run(arguments),
        Some(("library", arguments)) => library::check(arguments),
        Some(("compare", arguments)) => compare::run(arguments),
        Some(("list", arguments)) => list(arguments),
        Some(("explain", arguments)) => explain(arguments),
        _ => Err("expected a command: run, library, compare, list or explain".into()),
    };
    match result {
        Ok(code) => code,
        Err(why) => {
            // There is no one left to tell if this fails.
            writeln!(io::stderr(), "asgi-spec: {why}").ok();
            ExitCode::from(DID_NOT_RUN)
        }
    }
}

fn command() -> Command {
    Command::new("asgi-spec")
        .about("Grades a server against the spec of the interface asgi")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run_command())
        .subcommand(library::command())
        .subcommand(compare::command())
        .subcommand(
            Command::new("list")
                .about("Lists the requirements, and whether a case checks each")
                .arg(only()),
        )
        .subcommand(
            Command::new("explain")
                .about("Prints a requirement, its reason, its sources and its cases")
                .arg(Arg::new("id").value_name("ID").required(true)),
        )
}

fn run_command() -> Command {
    let value = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("run")
        .about("Runs the cases against a server that serves the probe")
        .after_help(
            "Exit code: 0 if no MUST failed, 1 if one did, 2 if the suite could not run.\n\n\
             Example: asgi-spec run --exec 'ferricorn {probe} --bind 127.0.0.1:{port}'",
        )
        .arg(
            value(
                "exec",
                "COMMAND",
                "Command that starts the server; {probe} and {port} are filled in, with --tls also \
                 {cert}, {key} and {client-ca}",
            )
            .required_unless_present("url"),
        )
        .arg(
            value(
                "url",
                "URL",
                "Server that already serves the probe, such as http://127.0.0.1:8000; https uses TLS",
            )
            .conflicts_with("exec"),
        )
        .arg(value(
            "probe",
            "FILE",
            "Library of the probe [default: the one beside this program]",
        ))
        .arg(only())
        .arg(flag(
            "stop-by-input",
            "The server stops after a line on its standard input, not after SIGTERM",
        ))
        .arg(
            value(
                "limit",
                "NAME=VALUE",
                "A limit that the server has, such as head-timeout=2s; may be repeated",
            )
            .action(ArgAction::Append),
        )
        .arg(flag("no-websocket", "The server has no WebSockets"))
        .arg(flag(
            "http2",
            "The server must speak HTTP/2 [default: the suite finds out]",
        ))
        .arg(flag("no-http2", "The server has no HTTP/2").conflicts_with("http2"))
        .arg(flag("tls", "Use TLS on all connections"))
        .arg(flag("trace", "Print bytes and events of each failure"))
        .arg(value(
            "json",
            "FILE",
            "Write the results as JSON; - is the standard output",
        ))
        .arg(value(
            "junit",
            "FILE",
            "Write the results for JUnit readers",
        ))
        .arg(value("html", "FILE", "Write the results as a page"))
        .arg(
            value("name", "NAME", "Name of the server in the results").default_value("this server"),
        )
}

fn only() -> Arg {
    Arg::new("only")
        .long("only")
        .value_name("ID")
        .action(ArgAction::Append)
        .help(
            "Only this requirement, or those that begin so: 'HTTP-02*', or over one protocol: \
             HTTP-024@http2; may be repeated",
        )
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn run(arguments: &ArgMatches) -> Result<ExitCode, String> {
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    // Its files are needed until the end of the run.
    let certificates = match arguments.get_flag("tls") {
        true => Some(RunCertificates::new()?),
        false => None,
    };
    let mut suite = suite(arguments, certificates.as_ref())?;
    let patterns = patterns(arguments)?;
    for pattern in &patterns {
        suite = suite.only(pattern);
    }
    suite = suite.websocket(!arguments.get_flag("no-websocket"));
    if arguments.get_flag("http2") || arguments.get_flag("no-http2") {
        suite = suite.http2(arguments.get_flag("http2"));
    }
    for limit in arguments.get_many::<String>("limit").into_iter().flatten() {
        let limit = StatedLimit::parse(limit).map_err(|why| format!("--limit {why}"))?;
        suite = suite.limit(limit);
    }
    let results = suite.try_run(progress)?;
    clear_progress();
    let name = text("name").unwrap_or_default();
    if let Some(file) = text("json") {
        write(file, &formats::json(&results, name))?;
    }
    if let Some(file) = text("junit") {
        write(file, &formats::junit(&results))?;
    }
    if let Some(file) = text("html") {
        let json = formats::json(&results, name);
        write(file, &page::render(&[(name.into(), json)])?)?;
    }
    if text("json") != Some("-") {
        print(&table::render(&results));
        print(&failures(&results, arguments));
    }
    Ok(match results.breaks_a_must() {
        true => ExitCode::from(BREAKS_A_MUST),
        false => ExitCode::SUCCESS,
    })
}

/// The suite for the server that the arguments name.
fn suite(arguments: &ArgMatches, certificates: Option<&RunCertificates>) -> Result<Suite, String> {
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    match (text("exec"), text("url")) {
        (Some(command), _) => {
            let (command, tls) = match certificates {
                Some(certificates) => {
                    let (command, tls) = certificates.fill_in(command);
                    (command, Some(tls))
                }
                None => (command.to_owned(), None),
            };
            let probe = probe_of(&command, text("probe"))?;
            let suite = match arguments.get_flag("stop-by-input") {
                true => Suite::command_that_reads(&command, &probe),
                false => Suite::command(&command, &probe),
            };
            Ok(match tls {
                Some(tls) => suite.tls(tls),
                None => suite,
            })
        }
        (_, Some(url)) => {
            let (address, has_tls) = address(url)?;
            let suite = Suite::at(address);
            Ok(match has_tls || arguments.get_flag("tls") {
                true => suite.tls(SuiteTls::new()),
                false => suite,
            })
        }
        _ => Err("expected --exec or --url".into()),
    }
}

/// The failures, each with the command that repeats it.
fn failures(results: &Results, arguments: &ArgMatches) -> String {
    let mut text = String::new();
    for one in results.failures() {
        let mut one = one.clone();
        if !arguments.get_flag("trace") {
            one.trace.clear();
        }
        text.push('\n');
        crate::suite::describe(&one, &mut text);
        text.pop();
        text += &format!("  repeat    {}\n", repeat(&one, arguments));
    }
    text
}

fn repeat(one: &Graded, arguments: &ArgMatches) -> String {
    let over = one.transport.trim_end_matches("-tls");
    let id = one.requirement.id;
    let mut command = format!("asgi-spec run --only {id}@{over} --trace");
    for name in ["tls", "stop-by-input"] {
        if arguments.get_flag(name) {
            command += &format!(" --{name}");
        }
    }
    for name in ["exec", "url", "probe"] {
        if let Some(value) = arguments.get_one::<String>(name) {
            command += &format!(" --{name} '{value}'");
        }
    }
    command
}

/// The library for a command that names it, or nothing for one that has its own probe.
fn probe_of(command: &str, named: Option<&str>) -> Result<PathBuf, String> {
    if command.contains("{probe}") {
        probe(named)
    } else {
        Ok(PathBuf::new())
    }
}

/// The library of the probe: the one that was named, or the one beside this program.
fn probe(named: Option<&str>) -> Result<PathBuf, String> {
    let path = match named {
        Some(path) => PathBuf::from(path),
        None => {
            let program = std::env::current_exe().map_err(|error| error.to_string())?;
            program.with_file_name("libasgi_spec_probe.so")
        }
    };
    if path.is_file() {
        return Ok(path);
    }
    Err(format!(
        "there is no probe at {}; build it with `cargo build -p asgi-spec-probe`, and name it with \
         --probe",
        path.display()
    ))
}

/// The address in a URL, and whether it asks for TLS.
fn address(url: &str) -> Result<(SocketAddr, bool), String> {
    let expected = || format!("--url {url}: expected http://HOST:PORT or https://HOST:PORT");
    let (rest, has_tls) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return Err(expected()),
    };
    let host = rest.split('/').next().unwrap_or_default();
    let with_port = match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
        Some((_, port)) if !host.ends_with(']') && !port.is_empty() => return Err(expected()),
        _ if has_tls => format!("{host}:443"),
        _ => format!("{host}:80"),
    };
    let mut addresses = with_port
        .to_socket_addrs()
        .map_err(|error| format!("--url {url}: {error}"))?;
    Ok((addresses.next().ok_or_else(expected)?, has_tls))
}

/// Shows the number of results on a terminal.
fn progress(one: &Graded) {
    if io::stderr().is_terminal() {
        let id = one.requirement.id;
        let line = format!("\r\x1b[K{id} {}", one.grade.name());
        io::stderr().write_all(line.as_bytes()).ok();
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        io::stderr().write_all(b"\r\x1b[K").ok();
    }
}

fn list(arguments: &ArgMatches) -> Result<ExitCode, String> {
    let patterns = patterns(arguments)?;
    let mut text = String::new();
    for one in selected(&patterns) {
        let of_it = cases().filter(|case| case.id == one.id);
        let count: usize = of_it.map(|case| case.transports.len()).sum();
        let checked = match missing(one.id) {
            Some(grade) => grade.name().to_owned(),
            None if count == 1 => "1 case".into(),
            None => format!("{count} cases"),
        };
        let level = one.level.word();
        text += &format!("{:<9} {level:<6} {checked:<14} {}\n", one.id, one.text);
    }
    if patterns.is_empty() {
        let with_case = requirements()
            .iter()
            .filter(|one| missing(one.id).is_none());
        text += &format!(
            "\n{} requirements: {} with a case, {} not observable\n",
            requirements().len(),
            with_case.count(),
            not_observable().count()
        );
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn explain(arguments: &ArgMatches) -> Result<ExitCode, String> {
    let id = arguments
        .get_one::<String>("id")
        .map(|id| id.to_uppercase())
        .unwrap_or_default();
    let one = requirement(&id).ok_or_else(|| {
        format!("the spec has no requirement {id}; `asgi-spec list` shows all of them")
    })?;
    let mut text = format!("{} (chapter {})\n\n{}\n", one.id, one.chapter, one.text);
    if !one.reason.is_empty() {
        text += &format!("\nWhy: {}\n", one.reason);
    }
    if !one.sources.is_empty() {
        text += &format!("From: {}\n", one.sources);
    }
    text.push('\n');
    for case in cases().filter(|case| case.id == one.id) {
        let rule = case.name.replace('_', " ");
        let over = case.transports.iter();
        let over: Vec<&str> = over.map(|transport| transport.name(false)).collect();
        text += &format!("Case over {}: {rule}\n", over.join(" and "));
    }
    if let Some(grade) = missing(one.id) {
        text += &format!("{}: {}\n", grade.name(), grade.reason().unwrap_or_default());
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

/// The patterns of `--only`, each of which must select something.
fn patterns(arguments: &ArgMatches) -> Result<Vec<String>, String> {
    let patterns = arguments.get_many::<String>("only").into_iter().flatten();
    let patterns: Vec<String> = patterns.cloned().collect();
    for pattern in &patterns {
        let (ids, over) = split(pattern);
        let selects = match over {
            None => requirements().iter().any(|one| matches(ids, one.id)),
            Some(_) => cases().any(|case| {
                let mut over = case.transports.iter();
                over.any(|over| names_case(pattern, case.id, over.name(false)))
            }),
        };
        if !selects {
            return Err(format!(
                "--only {pattern}: no requirement has such an id; expected one such as HTTP-024, or \
                 the beginning of one and *, such as 'HTTP-02*'; after an @ comes http1, http2, \
                 websocket or websocket-http2"
            ));
        }
    }
    Ok(patterns)
}

fn selected(patterns: &[String]) -> impl Iterator<Item = &'static Requirement> {
    requirements().iter().filter(move |one| {
        patterns.is_empty()
            || patterns
                .iter()
                .any(|pattern| matches(split(pattern).0, one.id))
    })
}

fn write(file: &str, text: &str) -> Result<(), String> {
    if file == "-" {
        print(text);
        return Ok(());
    }
    std::fs::write(Path::new(file), text)
        .map_err(|error| format!("the results can't be written to {file}: {error}"))
}

fn print(text: &str) {
    // A reader that has closed the pipe wants no more.
    io::stdout().write_all(text.as_bytes()).ok();
}

/// The name of a grade and its number of results, for tables.
fn names() -> [&'static str; 5] {
    [
        "passed",
        "failed",
        "not supported",
        "not observable",
        "no case",
    ]
}

/// A grade as a table of the terminal shows it.
fn is(grade: &Grade, name: &str) -> bool {
    grade.name() == name
}
