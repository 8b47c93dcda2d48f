//! Reads the configuration file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::exit::Error;
use super::options::CliOption;
use super::settings::{GivenOption, OptionSet, SettingSource, invalid_value};
use super::suggest::did_you_mean;
use super::value::quote;

/// Reads the file that `config` names.
pub(super) fn read(set: OptionSet, config: &GivenOption) -> Result<Vec<GivenOption>, Error> {
    let [path] = config.texts.as_slice() else {
        return Err(invalid_value(&config.source, None, config.option));
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::usage(format_args!(
            "{}: {path} cannot be read ({error}), expected a TOML file",
            config.source
        ))
    })?;
    parse(set, Path::new(path), &text)
}

fn parse(set: OptionSet, file: &Path, text: &str) -> Result<Vec<GivenOption>, Error> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_at(text, error.span().map_or(0, |span| span.start));
        Error::usage(format_args!(
            "{}:{line}: {}",
            file.display(),
            error.message()
        ))
    })?;
    let mut given: Vec<(usize, GivenOption)> = Vec::new();
    for (key, value) in table.get_ref() {
        let start = key.span().start;
        let line = line_at(text, start);
        let key = key.get_ref().as_ref();
        let has_key = |option: &&CliOption| option.key().as_deref() == Some(key);
        let Some(option) = set.options().find(has_key) else {
            let keys = set.options().filter_map(CliOption::key);
            return Err(Error::usage(format_args!(
                "{}:{line}: unknown key {}{}",
                file.display(),
                quote(key),
                did_you_mean(key, keys, "--print-config lists all keys")
            )));
        };
        let texts = texts(value.get_ref(), option.kind.is_list());
        given.push((
            start,
            GivenOption {
                option,
                unusable: texts
                    .is_none()
                    .then(|| found(text, value.span(), value.get_ref())),
                texts: texts.unwrap_or_default(),
                source: SettingSource::File {
                    file: PathBuf::from(file),
                    line,
                    key: key.to_owned(),
                },
            },
        ));
    }
    // The error names the first mistake in the file.
    given.sort_by_key(|(start, _)| *start);
    Ok(given.into_iter().map(|(_, given)| given).collect())
}

/// The value as the texts that a flag would have, or `None` for a type that no option takes.
fn texts(value: &DeValue<'_>, list: bool) -> Option<Vec<String>> {
    match value {
        DeValue::Array(values) if list => values
            .iter()
            .map(|value| match value.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            })
            .collect(),
        DeValue::String(text) => Some(vec![text.to_string()]),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(vec![number.to_string()])
        }
        DeValue::Boolean(value) => Some(vec![value.to_string()]),
        _ => None,
    }
}

/// The value as it is written in the file, or its type if it is too long for an error.
fn found(text: &str, span: Range<usize>, value: &DeValue<'_>) -> String {
    match text.get(span) {
        Some(found) if found.len() <= 40 && !found.contains('\n') => found.to_owned(),
        _ => format!("a value of the type {}", value.type_str()),
    }
}

/// The line, counted from 1, of a byte of the text.
fn line_at(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Vec<(String, Vec<String>, String)> {
        parse(OptionSet::All, Path::new("f.toml"), text)
            .unwrap()
            .into_iter()
            .map(|given| (given.option.flag(), given.texts, given.source.to_string()))
            .collect()
    }

    fn refused(text: &str) -> String {
        parse(OptionSet::All, Path::new("f.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn numbers_booleans_and_strings_become_the_texts_of_a_flag() {
        let text =
            "threads = 4\nmax_head_size = 0x10000\n\ndate_header = false\nslow_poll = \"1s\"";
        let expected = [
            ("--threads", "4", "f.toml:1"),
            ("--max-head-size", "65536", "f.toml:2"),
            ("--date-header", "false", "f.toml:4"),
            ("--slow-poll", "1s", "f.toml:5"),
        ]
        .map(|(flag, text, at)| (flag.to_owned(), vec![text.to_owned()], at.to_owned()));
        assert_eq!(given(text), expected);
    }

    #[test]
    fn a_list_may_be_one_string() {
        assert_eq!(given("bind = \"a:1\"")[0].1, ["a:1"]);
        assert_eq!(given("bind = [\"a:1\",\n \"b:2\"]")[0].1, ["a:1", "b:2"]);
    }

    #[test]
    fn the_error_for_an_unknown_key_names_its_line() {
        assert_eq!(
            refused("threads = 1\n\ngracefull_timeout = 3"),
            "f.toml:3: unknown key \"gracefull_timeout\"; did you mean graceful_timeout?"
        );
        assert_eq!(
            refused("[server]\nthreads = 1"),
            "f.toml:1: unknown key \"server\"; --print-config lists all keys"
        );
    }

    #[test]
    fn the_error_for_invalid_toml_names_its_line() {
        let message = refused("threads = 1\nbind = [");
        assert!(message.starts_with("f.toml:2: "), "{message}");
    }
}
