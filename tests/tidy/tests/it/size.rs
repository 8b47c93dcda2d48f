//! Sizes that are promises.

use crate::workspace::{code, files, is_test};

/// Counts the lines of code: not the comments, the documentation, the empty lines and the tests.
fn lines_of_code(text: &str) -> usize {
    let mut in_block_comment = false;
    let lines = text.lines().map(str::trim).filter(|line| {
        let begins = line.starts_with("/*");
        let is_comment = in_block_comment || begins || line.starts_with("//");
        in_block_comment = (in_block_comment || begins) && !line.contains("*/");
        !is_comment && !line.is_empty()
    });
    lines.count()
}

/// Counts the lines of code of the files below `folder`.
#[track_caller]
fn size(folder: &str) -> usize {
    let mut files = files(&["rs"]);
    files.retain(|file| file.starts_with(folder) && !is_test(file));
    assert!(!files.is_empty(), "{folder} has no files");
    files.iter().map(|file| lines_of_code(&code(file))).sum()
}

#[test]
fn the_interface_stays_small() {
    /// Everyone who writes an app, a middleware or a server depends on it.
    const MOST: usize = 1_700;
    let lines = size("crates/asgi/src/");
    assert!(
        lines < MOST,
        "asgi has {lines} lines of code, at most {MOST}"
    );
}

#[test]
fn the_tiny_server_stays_tiny() {
    const MOST: usize = 190;
    let lines = size("examples/tiny-server/src/");
    assert!(
        lines < MOST,
        "tiny-server has {lines} lines of code, at most {MOST}"
    );
}

#[test]
fn lines_of_code_are_neither_comments_nor_empty() {
    let text = "\
//! Docs.

/* A comment
   of two lines */
/// Docs.
fn f() { // code with a comment

    // A comment.
    1;
}
";
    assert_eq!(lines_of_code(text), 3);
}
