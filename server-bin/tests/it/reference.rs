//! Compares the reference page with the option tables.

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
