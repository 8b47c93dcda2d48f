//! The reference page of all options, made from the table.

use super::exit::CODES;
use super::kind::Kind;
use super::options::{self, Entry, Group};
use super::settings::Settings;

const BEFORE: &str = "\
# Options of `ferricorn`

This page is made from the table in `crates/ferricorn/src/cli/options.rs`; a test compares them.

An option can be given as a flag, as an environment variable or as a key in the TOML file that
`--config` names. A flag has precedence over a variable, that over the file, that over the default.
What is unknown or no value of its option is refused, also where another source overrides it.
`ferricorn --print-config` prints what is in effect and where it came from.

- A **duration** is a number with `ms`, `s`, `m`, `h` or `d`; without a unit it is in seconds.
  `never`, where it is allowed, sets no limit.
- A **size** is a number of bytes, also with `KiB`, `MiB` or `GiB`.
- A **switch** has two flags; in a variable and in the file it is `true` or `false`.
- An option that **may be repeated** is a list in the file, and separated by commas in a variable.
";

/// The reference page of all options, as Markdown. `server-bin/OPTIONS.md` is this text.
pub fn reference() -> String {
    let mut defaults = Settings::default();
    let mut page = String::from(BEFORE);
    for group in Group::ALL {
        page.push_str(&format!("\n## {}\n", group.title()));
        if group == Group::App {
            page.push_str("\nNot for an app that has the server linked in.\n");
        }
        for entry in options::all().filter(|entry| entry.group == group) {
            page.push_str(&section(entry, &mut defaults));
        }
    }
    page.push_str("\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in CODES {
        page.push_str(&format!("| {code} | {meaning} |\n"));
    }
    page
}

fn section(entry: &Entry, defaults: &mut Settings) -> String {
    let mut section = String::from("\n### ");
    if let Some(short) = entry.short {
        section.push_str(&format!("`-{short}`, "));
    }
    match (entry.no_flag(), entry.kind.value_name()) {
        (Some(no), _) => section.push_str(&format!("`{}`, `{no}`", entry.flag())),
        (None, Some(value)) => section.push_str(&format!("`{} {value}`", entry.flag())),
        (None, None) => section.push_str(&format!("`{}`", entry.flag())),
    }
    section.push_str(&format!("\n\n{}.\n", entry.help));
    if !entry.more.is_empty() {
        section.push_str(&format!("{}\n", entry.more));
    }
    let Some(variable) = entry.variable() else {
        return section;
    };
    section.push_str(&format!("\n- value: {}", entry.kind.expected()));
    if entry.kind.is_list() {
        section.push_str("; may be repeated");
    }
    let default = match (entry.default, entry.default_text(defaults)) {
        (Some(words), _) => words.to_owned(),
        (None, Some(text)) if !text.is_empty() => format!("`{text}`"),
        _ => "none".to_owned(),
    };
    section.push_str(&format!(
        "\n- default: {default}\n- variable: `{variable}`\n"
    ));
    match (&entry.kind, entry.key()) {
        (Kind::ConfigFile, _) | (_, None) => {}
        (_, Some(key)) => section.push_str(&format!("- key: `{key}`\n")),
    }
    section
}
