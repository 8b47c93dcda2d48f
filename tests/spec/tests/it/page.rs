//! The commands of `docs/test-your-server.md` print what the page shows.

use std::path::Path;
use std::process::Command;

use test_support::library;

/// A command, and the lines that it must print.
struct Shown {
    command: String,
    lines: Vec<String>,
}

/// The commands in the blocks of a page. One that ends with a backslash goes on in the next line.
fn commands(page: &str) -> Vec<Shown> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut in_block = false;
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            in_block = language == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_block) {
            shown.push(Shown {
                command: command.into(),
                lines: Vec::new(),
            });
        } else if in_block {
            shown.last_mut().unwrap().lines.push(line.into());
        }
    }
    shown
}

/// Whether lines are those of the page. `…` at the end of a line is any text, and a line of it any lines.
fn agree(lines: &[&str], expected: &[String]) -> bool {
    match (lines, expected) {
        ([], []) => true,
        (_, [one, rest @ ..]) if one == "…" => {
            (0..=lines.len()).any(|skipped| agree(&lines[skipped..], rest))
        }
        ([line, lines @ ..], [one, expected @ ..]) => {
            let is_same = match one.strip_suffix('…') {
                Some(begin) => line.starts_with(begin),
                None => line == one,
            };
            is_same && agree(lines, expected)
        }
        _ => false,
    }
}

#[test]
fn each_command_of_the_page_prints_what_the_page_shows() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let page = std::fs::read_to_string(root.join("docs/test-your-server.md")).unwrap();
    // What the page builds, and the programs with their own folder.
    library::build("asgi-spec-probe");
    library::build("hello");
    library::build("tiny-server");
    library::build_program("ferricorn-cli", "ferricorn", &[]);
    let folder = library::build_program("asgi-spec", "asgi-spec", &["cli"]);
    let folder = folder.parent().unwrap();
    let mut count = 0;
    for shown in commands(&page) {
        // Those that the page shows without what they print build something or need more.
        if shown.lines.is_empty() || shown.command.ends_with('\\') {
            continue;
        }
        let output = Command::new("sh")
            .args(["-c", &shown.command])
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let printed: Vec<&str> = text.lines().collect();
        // How long the slowest case took depends on the machine.
        let printed: Vec<&str> = match printed.as_slice() {
            [all @ .., "", slowest] if slowest.starts_with("The slowest case") => all.to_vec(),
            all => all.to_vec(),
        };
        let expected = &shown.lines;
        assert!(
            agree(&printed, expected),
            "{}\nprinted:\n{text}\nthe page has:\n{}\n{output:?}",
            shown.command,
            expected.join("\n")
        );
        count += 1;
    }
    assert!(count > 6, "{count} commands");
}

#[test]
fn lines_agree_if_the_page_leaves_some_out() {
    let expected = ["a", "…", "d…"].map(String::from);
    assert!(agree(&["a", "b", "c", "d e"], &expected));
    assert!(agree(&["a", "d"], &expected));
    assert!(!agree(&["a", "b"], &expected));
    assert!(!agree(&["b", "d"], &expected));
}
