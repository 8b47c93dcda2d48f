//! Compares the reference pages with the tables in the code.

use crate::process::repository;

#[test]
fn the_reference_page_is_up_to_date() {
    let path = repository("server-bin/OPTIONS.md");
    let expected = ferricorn::cli::reference();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "server-bin/OPTIONS.md differs from the option tables; make it again with\n\n    \
         UPDATE=1 cargo test -p ferricorn-cli the_reference_page\n"
    );
}

#[test]
fn the_table_of_limits_is_up_to_date() {
    let path = repository("docs/limits.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- the table begins -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- the table ends -->").unwrap();
    let table = ferricorn::cli::limits();
    let expected =
        format!("{before}<!-- the table begins -->\n{table}<!-- the table ends -->{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == expected,
        "docs/limits.md differs from cli/limits.rs; make its table again with\n\n    \
         UPDATE=1 cargo test -p ferricorn-cli the_table_of_limits\n"
    );
}
