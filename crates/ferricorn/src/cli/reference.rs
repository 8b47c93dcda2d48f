//! Makes the reference page of all options from the option tables.

use super::exit::CODES;
use super::kind::OptionKind;
use super::options::{self, CliOption, OptionGroup};
use super::settings::CommandSettings;

const INTRODUCTION: &str = "\
# Options of `ferricorn`

This page is made from the tables in `crates/ferricorn/src/cli/options/`; a test compares them.

You can give an option as a flag, as an environment variable, or as a key in the TOML file that
`--config` names. A flag overrides a variable, a variable overrides the file, and the file overrides
the default. Unknown options and invalid values are errors, even when another source overrides them.
`ferricorn --print-config` prints all settings and where each comes from.

- A **duration** is a number with `ms`, `s`, `m`, `h` or `d`. A number without a unit is in seconds.
  If the option accepts `never`, that means no limit.
- A **size** is a number of bytes, or a number with `KiB`, `MiB` or `GiB`.
- A **switch** has two flags. In a variable and in the file it is `true` or `false`.
- An option that **may be repeated** is a list in the file. In a variable, commas separate the values.
- A variable that is **empty** counts as unset.
- An **exchange** is one request with its response, or one WebSocket.
";

/// The reference page of all options, as Markdown. `server-bin/OPTIONS.md` is this text.
pub fn reference() -> String {
    let mut defaults = CommandSettings::default();
    let mut page = String::from(INTRODUCTION);
    for group in OptionGroup::ALL {
        page.push_str(&format!("\n## {}\n", group.title()));
        if group == OptionGroup::App {
            page.push_str(
                "\nThese options do not exist in an app that has the server linked in.\n",
            );
        }
        for option in options::all().filter(|option| option.group == group) {
            page.push_str(&section(option, &mut defaults));
        }
    }
    page.push_str("\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n");
    for (code, meaning) in CODES {
        page.push_str(&format!("| {code} | {meaning} |\n"));
    }
    page
}

fn section(option: &CliOption, defaults: &mut CommandSettings) -> String {
    let mut section = String::from("\n### ");
    if let Some(short) = option.short {
        section.push_str(&format!("`-{short}`, "));
    }
    match (option.no_flag(), option.kind.value_name()) {
        (Some(no), _) => section.push_str(&format!("`{}`, `{no}`", option.flag())),
        (None, Some(value)) => section.push_str(&format!("`{} {value}`", option.flag())),
        (None, None) => section.push_str(&format!("`{}`", option.flag())),
    }
    section.push_str(&format!("\n\n{}.\n", option.summary));
    if !option.details.is_empty() {
        section.push_str(&format!("{}\n", option.details));
    }
    let Some(variable) = option.variable() else {
        return section;
    };
    section.push_str(&format!("\n- value: {}", option.kind.expected()));
    if option.kind.is_list() {
        section.push_str("; may be repeated");
    }
    let default = match (option.default_in_words, option.default_text(defaults)) {
        (Some(words), _) => words.to_owned(),
        (None, Some(text)) if !text.is_empty() => format!("`{text}`"),
        _ => "none".to_owned(),
    };
    section.push_str(&format!(
        "\n- default: {default}\n- variable: `{variable}`\n"
    ));
    match (&option.kind, option.key()) {
        (OptionKind::ConfigFile, _) | (_, None) => {}
        (_, Some(key)) => section.push_str(&format!("- key: `{key}`\n")),
    }
    section
}
