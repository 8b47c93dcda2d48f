//! Flags, variables and the configuration file: precedence, and the text of each error.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::{assert_refused, ferricorn, run, static_app};

/// A folder with the configuration file `f.toml`.
fn file(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f.toml"), text).unwrap();
    folder
}

/// The value that `--print-config` prints for one key.
#[track_caller]
fn setting(command: &mut Command, key: &str) -> String {
    let ended = run(command.arg("--print-config"));
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let begin = format!("{key} = ");
    let line = ended
        .stdout
        .lines()
        .find_map(|line| line.trim_start_matches("# ").strip_prefix(&begin));
    line.unwrap_or_else(|| panic!("found no {key} in\n{}", ended.stdout))
        .to_owned()
}

#[test]
fn flags_override_variables_override_the_file_overrides_the_default() {
    let folder = file("# mine\ngraceful_timeout = \"1s\"\n");
    let command = |arguments: &[&str]| {
        let mut command = ferricorn(arguments);
        command.current_dir(folder.path());
        command
    };
    let key = "graceful_timeout";
    assert_eq!(setting(&mut command(&[]), key), "\"30s\"  # default");
    let config = ["--config", "f.toml"];
    assert_eq!(setting(&mut command(&config), key), "\"1s\"  # f.toml:2");
    let variable = ("FERRICORN_GRACEFUL_TIMEOUT", "2s");
    assert_eq!(
        setting(command(&config).env(variable.0, variable.1), key),
        "\"2s\"  # FERRICORN_GRACEFUL_TIMEOUT"
    );
    let all = ["--config", "f.toml", "--graceful-timeout", "3s"];
    assert_eq!(
        setting(command(&all).env(variable.0, variable.1), key),
        "\"3s\"  # --graceful-timeout"
    );
}

#[test]
fn a_variable_can_name_the_file() {
    let folder = file("threads = 7");
    let mut command = ferricorn::<&str>(&[]);
    command
        .current_dir(folder.path())
        .env("FERRICORN_CONFIG", "f.toml");
    assert_eq!(setting(&mut command, "threads"), "7  # f.toml:1");
}

#[test]
fn the_last_of_two_flags_wins() {
    let threads = ["--threads", "3", "--threads=4"];
    assert_eq!(
        setting(&mut ferricorn(&threads), "threads"),
        "4  # --threads"
    );
    let off = ["--access-log", "--no-access-log"];
    assert_eq!(
        setting(&mut ferricorn(&off), "access_log"),
        "false  # --no-access-log"
    );
    let on = ["--no-access-log", "--access-log"];
    assert_eq!(
        setting(&mut ferricorn(&on), "access_log"),
        "true  # --access-log"
    );
}

#[test]
fn a_switch_is_true_or_false_in_a_variable_and_in_the_file() {
    let mut command = ferricorn::<&str>(&[]);
    command.env("FERRICORN_DATE_HEADER", "false");
    assert_eq!(
        setting(&mut command, "date_header"),
        "false  # FERRICORN_DATE_HEADER"
    );
    let folder = file("server_header = false");
    let mut command = ferricorn(&["-c", "f.toml"]);
    command.current_dir(folder.path());
    assert_eq!(setting(&mut command, "server_header"), "false  # f.toml:1");
}

#[test]
fn the_access_log_is_off_if_standard_output_is_not_a_terminal() {
    assert_eq!(
        setting(&mut ferricorn::<&str>(&[]), "access_log"),
        "false  # default"
    );
}

#[test]
fn several_addresses_are_repeated_flags_a_list_or_separated_by_commas() {
    let flags = [
        "--bind",
        "127.0.0.1:1",
        "-b",
        "[::1]:2",
        "--bind=unix:/run/app.sock",
    ];
    assert_eq!(
        setting(&mut ferricorn(&flags), "bind"),
        r#"["127.0.0.1:1", "[::1]:2", "unix:/run/app.sock"]  # --bind"#
    );
    let mut variable = ferricorn::<&str>(&[]);
    variable.env("FERRICORN_BIND", "127.0.0.1:1, [::1]:2");
    assert_eq!(
        setting(&mut variable, "bind"),
        r#"["127.0.0.1:1", "[::1]:2"]  # FERRICORN_BIND"#
    );
    let folder = file("bind = [\"127.0.0.1:1\",\n  \"[::1]:2\"]\n");
    let mut list = ferricorn(&["-c", "f.toml"]);
    list.current_dir(folder.path());
    assert_eq!(
        setting(&mut list, "bind"),
        r#"["127.0.0.1:1", "[::1]:2"]  # f.toml:1"#
    );
    let folder = file("bind = \"127.0.0.1:1\"");
    let mut one = ferricorn(&["-c", "f.toml"]);
    one.current_dir(folder.path());
    assert_eq!(setting(&mut one, "bind"), r#"["127.0.0.1:1"]  # f.toml:1"#);
}

#[test]
fn a_value_may_be_written_in_several_ways() {
    for (flag, value, key, shown) in [
        ("--graceful-timeout", "45", "graceful_timeout", "\"45s\""),
        (
            "--graceful-timeout",
            "500ms",
            "graceful_timeout",
            "\"500ms\"",
        ),
        ("--graceful-timeout", "2m", "graceful_timeout", "\"120s\""),
        (
            "--graceful-timeout",
            "never",
            "graceful_timeout",
            "\"never\"",
        ),
        ("--slow-poll", "0", "slow_poll", "\"0s\""),
        ("--max-head-size", "131072", "max_head_size", "\"128KiB\""),
        ("--max-head-size", "1MiB", "max_head_size", "\"1MiB\""),
        ("--max-request-line", "8000", "max_request_line", "\"8000\""),
        ("--max-body-size", "2MiB", "max_body_size", "\"2MiB\""),
        ("--max-body-size", "never", "max_body_size", "\"never\""),
        ("--root-path", "/shop", "root_path", "\"/shop\""),
        (
            "--log-level",
            "info,hyper=debug",
            "log_level",
            "\"info,hyper=debug\"",
        ),
        ("--max-connections", "10", "max_connections", "10"),
        ("--backlog", "64", "backlog", "64"),
        ("--profile", "dist", "profile", "\"dist\""),
    ] {
        assert_eq!(
            setting(&mut ferricorn(&[flag, value]), key),
            format!("{shown}  # {flag}")
        );
    }
}

#[test]
fn the_output_of_print_config_is_a_configuration_file() {
    let first = run(&mut ferricorn(&[
        "--print-config",
        "--threads",
        "3",
        "--no-date-header",
    ]));
    let folder = file(&first.stdout);
    let mut command = ferricorn(&["--print-config", "-c", "f.toml"]);
    let second = run(command.current_dir(folder.path()));
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| line.split("  # ").next().unwrap_or_default().to_owned();
        text.lines().map(value).collect()
    };
    assert_eq!(values(&second.stdout), values(&first.stdout));
    assert!(
        second.stdout.contains("threads = 3  # f.toml:"),
        "{}",
        second.stdout
    );
}

#[test]
fn the_error_for_a_bad_value_says_what_was_found_and_expected() {
    const DURATION: &str = "a duration such as 30s, 500ms, 2m or 1h, at most 365d";
    let duration =
        |flag, found, more| format!("{flag}: found \"{found}\", expected {DURATION}{more}");
    for (flag, value, line) in [
        (
            "--threads",
            "0",
            "--threads: found \"0\", expected a whole number from 1 to 1024".to_owned(),
        ),
        (
            "--max-headers",
            "many",
            "--max-headers: found \"many\", expected a whole number from 1 to 10000".to_owned(),
        ),
        (
            "--graceful-timeout",
            "1.5s",
            duration("--graceful-timeout", "1.5s", ", or never"),
        ),
        (
            "--startup-timeout",
            "0",
            duration("--startup-timeout", "0", ", not zero, or never"),
        ),
        (
            "--keep-alive-timeout",
            "never",
            duration("--keep-alive-timeout", "never", ", not zero"),
        ),
        (
            "--max-head-size",
            "1KiB",
            "--max-head-size: found \"1KiB\", expected a size such as 65536, 64KiB or 1MiB, at \
             least 8KiB"
                .to_owned(),
        ),
        (
            "--root-path",
            "shop/",
            "--root-path: found \"shop/\", expected a path such as /shop, with a slash at the \
             start and none at the end"
                .to_owned(),
        ),
        (
            "--log-level",
            "verbose",
            "--log-level: found \"verbose\", expected off, error, warn, info, debug, trace or a \
             filter such as info,hyper=debug"
                .to_owned(),
        ),
        (
            "--profile",
            "../x",
            "--profile: found \"../x\", expected the name of a cargo profile, such as release or dev"
                .to_owned(),
        ),
    ] {
        let line = format!("ferricorn: error: {line}");
        assert_refused(&mut ferricorn(&["app.so", flag, value]), 2, &line);
    }
}

#[test]
fn an_invalid_address_is_an_error() {
    assert_refused(
        &mut ferricorn(&["app.so", "--bind", "127.0.0.1:http:80"]),
        2,
        "ferricorn: error: --bind: found \"127.0.0.1:http:80\", expected host:port, [v6]:port or \
         unix:path",
    );
}

#[test]
fn the_error_for_a_bad_variable_names_it() {
    assert_refused(
        ferricorn(&["app.so"]).env("FERRICORN_ACCESS_LOG", "yes"),
        2,
        "ferricorn: error: FERRICORN_ACCESS_LOG: found \"yes\", expected true or false",
    );
}

#[test]
fn the_error_for_a_bad_value_in_the_file_names_its_line_and_quotes_it() {
    for (text, line) in [
        (
            "\nthreads = \"two\"",
            "f.toml:2: threads: found \"two\", expected a whole number from 1 to 1024",
        ),
        (
            "max_headers = 1.5",
            "f.toml:1: max_headers: found 1.5, expected a whole number from 1 to 10000",
        ),
        (
            "date_header = [true]",
            "f.toml:1: date_header: found [true], expected true or false",
        ),
        (
            "bind = []",
            "f.toml:1: bind: found no value, expected host:port, [v6]:port or unix:path",
        ),
    ] {
        let folder = file(text);
        let mut command = ferricorn(&["app.so", "--config", "f.toml"]);
        let line = format!("ferricorn: error: {line}");
        assert_refused(command.current_dir(folder.path()), 2, &line);
    }
}

#[test]
fn a_bad_value_is_an_error_even_if_another_source_overrides_it() {
    assert_refused(
        ferricorn(&["app.so", "--threads", "1"]).env("FERRICORN_THREADS", "-1"),
        2,
        "ferricorn: error: FERRICORN_THREADS: found \"-1\", expected a whole number from 1 to 1024",
    );
}

#[test]
fn the_error_for_an_unknown_name_suggests_a_known_one() {
    assert_refused(
        &mut ferricorn(&["app.so", "--gracefull-timeout=3"]),
        2,
        "ferricorn: error: unknown flag --gracefull-timeout; did you mean --graceful-timeout?",
    );
    assert_refused(
        ferricorn(&["app.so"]).env("FERRICORN_THREDS", "3"),
        2,
        "ferricorn: error: unknown variable FERRICORN_THREDS; did you mean FERRICORN_THREADS?",
    );
    let folder = file("threads = 1\n\"max-headers\" = 3\n");
    assert_refused(
        ferricorn(&["app.so", "-c", "f.toml"]).current_dir(folder.path()),
        2,
        "ferricorn: error: f.toml:2: unknown key \"max-headers\"; did you mean max_headers?",
    );
}

/// For a service called "ferricorn", Kubernetes sets these variables in every pod of the namespace.
#[test]
fn variables_that_kubernetes_sets_for_a_service_are_ignored() {
    for name in [
        "FERRICORN_SERVICE_HOST",
        "FERRICORN_SERVICE_PORT",
        "FERRICORN_SERVICE_PORT_HTTP",
        "FERRICORN_PORT",
        "FERRICORN_PORT_80_TCP",
        "FERRICORN_PORT_80_TCP_ADDR",
    ] {
        let mut command = ferricorn::<&str>(&[]);
        command.env(name, "tcp://10.0.0.1:80");
        assert_eq!(
            setting(&mut command, "backlog"),
            "2048  # default",
            "{name}"
        );
    }
}

#[test]
fn a_negative_number_is_a_bad_value_and_not_a_flag() {
    assert_refused(
        &mut ferricorn(&["app.so", "--backlog", "-1"]),
        2,
        "ferricorn: error: --backlog: found \"-1\", expected a whole number from 1 to 2147483647",
    );
}

#[test]
fn print_config_prints_defaults_as_comments() {
    let ended = run(&mut ferricorn(&["--print-config", "--backlog", "7"]));
    assert!(ended.stdout.contains("\n# threads = "), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("\nbacklog = 7  # --backlog\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn the_error_for_an_unknown_name_without_a_similar_one_says_where_to_look() {
    assert_refused(
        &mut ferricorn(&["app.so", "--sharing", "x"]),
        2,
        "ferricorn: error: unknown flag --sharing; --help lists all flags",
    );
    assert_refused(
        ferricorn(&["app.so"]).env("FERRICORN_APPLICATION", "x"),
        2,
        "ferricorn: error: unknown variable FERRICORN_APPLICATION; --help lists the options",
    );
}

#[test]
fn missing_and_extra_arguments_are_errors() {
    for (arguments, line) in [
        (
            &[][..],
            "no APP given, expected a shared library or the folder of a crate; see --help",
        ),
        (
            &["a.so", "b.so"],
            "unexpected argument \"b.so\", expected one APP and flags",
        ),
        (
            &["a.so", "--threads"],
            "--threads: found no value, expected a whole number from 1 to 1024",
        ),
        (
            &["a.so", "--no-access-log=1"],
            "--no-access-log: found \"1\", expected no value",
        ),
    ] {
        let line = format!("ferricorn: error: {line}");
        assert_refused(&mut ferricorn(arguments), 2, &line);
    }
}

#[test]
fn an_unreadable_file_and_invalid_toml_are_errors() {
    assert_refused(
        &mut ferricorn(&["app.so", "--config", "/no/such.toml"]),
        2,
        "ferricorn: error: --config: /no/such.toml cannot be read (No such file or directory (os \
         error 2)), expected a TOML file",
    );
    let folder = file("threads = 1\nthreads = 2\n");
    assert_refused(
        ferricorn(&["app.so", "--config", "f.toml"]).current_dir(folder.path()),
        2,
        "ferricorn: error: f.toml:2: duplicate key",
    );
}

#[test]
fn version_and_help_go_to_standard_output() {
    let version = run(&mut ferricorn(&["--version"]));
    let expected = concat!("ferricorn ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((version.code, version.stdout.as_str()), (0, expected));
    let short = run(&mut ferricorn(&["-h"]));
    let long = run(&mut ferricorn(&["--help"]));
    assert_eq!((short.code, short.stderr.as_str()), (0, ""));
    assert_eq!((long.code, long.stderr.as_str()), (0, ""));
    for help in [&short.stdout, &long.stdout] {
        assert!(help.contains("--graceful-timeout <DURATION>"), "{help}");
    }
    assert!(long.stdout.len() > short.stdout.len());
    let last = long.stdout.lines().rfind(|line| !line.is_empty());
    assert_eq!(
        last,
        Some("  128+n  stopped at once by a signal n: 130 for SIGINT, 143 for SIGTERM")
    );
}

#[test]
fn a_linked_in_app_has_no_argument_app_and_no_build_options() {
    let version = run(&mut static_app(&["--version"]));
    let expected = concat!(
        "static_app 1.2.3 (ferricorn ",
        env!("CARGO_PKG_VERSION"),
        ")\n"
    );
    assert_eq!((version.code, version.stdout.as_str()), (0, expected));
    assert_refused(
        &mut static_app(&["app.so"]),
        2,
        "static_app: error: unexpected argument \"app.so\", expected flags only",
    );
    assert_refused(
        &mut static_app(&["--profile", "dev"]),
        2,
        "static_app: error: unknown flag --profile; --help lists all flags",
    );
    // Both kinds of program may share one environment.
    let mut command = static_app(&["--print-config"]);
    assert_eq!(run(command.env("FERRICORN_PROFILE", "dev")).code, 0);
}

#[test]
fn a_path_may_be_other_than_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let path = PathBuf::from(OsStr::from_bytes(b"/no/\xff.so"));
    let ended = run(ferricorn::<&str>(&[]).arg(path));
    assert_eq!(ended.code, 3, "{}", ended.stderr);
}
