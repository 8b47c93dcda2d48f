//! `docs/axum.md` names a test for each of its claims.

use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[test]
fn every_test_that_the_page_names_exists() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/axum.md")).unwrap();
    let mut sources = String::new();
    for folder in ["tests/tower/tests/it", "crates/asgi-tower/tests/it"] {
        for file in Path::new(ROOT).join(folder).read_dir().unwrap() {
            sources += &std::fs::read_to_string(file.unwrap().path()).unwrap();
        }
    }
    let quoted = page.split('`').skip(1).step_by(2);
    let is_name = |name: &&str| {
        let letters = name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || "_0123456789".contains(letter));
        letters && name.matches('_').count() > 2
    };
    let names: Vec<&str> = quoted.filter(is_name).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let is_test = sources.contains(&format!("fn {name}()"));
        assert!(is_test, "docs/axum.md names {name}, which is no test");
    }
}
