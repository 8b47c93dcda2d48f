//! What the documents say about files is true, and their prose is plain.

use crate::workspace::{files, packages, read, root};

const MAP: &str = "docs/architecture.md";

#[test]
fn the_map_has_a_row_for_each_package_with_its_folder() {
    let map = read(MAP);
    let root = root().canonicalize().unwrap();
    for package in packages() {
        let folder = package.folder.canonicalize().unwrap();
        let folder = folder.strip_prefix(&root).unwrap().display().to_string();
        let row = format!("| `{}` | `{folder}` |", package.name);
        assert!(
            map.contains(&row),
            "{MAP} has no row that begins with {row}"
        );
    }
}

#[test]
fn every_file_that_the_map_names_exists() {
    /// What a path on that page can be relative to.
    const BASES: &[&str] = &[
        "",
        "crates/",
        "crates/ferricorn/src/",
        "crates/asgi-abi/src/",
        "tests/http2/tests/it/",
    ];

    let map = read(MAP);
    let mut missing = Vec::new();
    let mut count = 0;
    for name in quoted(&map).chain(drawn(&map)) {
        let is_path = name.contains('/') || name.ends_with(".rs") || name.ends_with(".md");
        let is_file_name = name
            .chars()
            .all(|letter| letter.is_ascii_graphic() && !"*:<>()=".contains(letter));
        if !is_path || !is_file_name || name.starts_with("asgi-rules/") {
            continue;
        }
        count += 1;
        let folders = BASES.iter().map(|base| format!("{base}{name}"));
        let found = folders.into_iter().any(|path| root().join(path).exists());
        // A diagram names files of the folder that it is about.
        let drawn = ["http1", "http2", "websocket"];
        let found = found
            || drawn.iter().any(|folder| {
                let path = format!("crates/ferricorn/src/{folder}/{name}");
                root().join(&path).exists() || root().join(path.replace(".rs", "/mod.rs")).exists()
            });
        let as_folder = format!("crates/ferricorn/src/{}", name.replace(".rs", "/mod.rs"));
        if !found && !root().join(as_folder).exists() {
            missing.push(name.to_owned());
        }
    }
    assert!(count > 50, "only {count} paths were found in {MAP}");
    assert!(
        missing.is_empty(),
        "{MAP} names what does not exist: {missing:#?}"
    );
}

/// What stands between back-ticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().flat_map(move |line| {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        let line = if fenced { "" } else { line };
        line.split('`').skip(1).step_by(2)
    })
}

/// File names in the diagrams.
fn drawn(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().flat_map(move |line| {
        if line.starts_with("```") {
            fenced = !fenced;
        }
        let line = if fenced { line } else { "" };
        let words = line.split_whitespace();
        words
            .map(|word| word.trim_matches([',', ';', ':']))
            .filter(|word| word.ends_with(".rs"))
    })
}

#[test]
fn every_relative_link_in_a_document_leads_to_a_file() {
    let mut broken = Vec::new();
    for file in files(&["md"]) {
        let text = read(&file);
        let folder = root().join(&file).parent().unwrap().to_owned();
        for link in links(&text) {
            let path = link.split('#').next().unwrap();
            let outside = link.contains("://") || link.starts_with("mailto:");
            if !outside && !path.is_empty() && !folder.join(path).exists() {
                broken.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "links that lead nowhere:\n{broken:#?}");
}

/// The targets of `[text](target)` and `[text]: target`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let inline = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ', '\n']).next());
    let reference = text.lines().filter_map(|line| {
        let (_, target) = line.strip_prefix('[')?.split_once("]: ")?;
        target.split_whitespace().next()
    });
    inline.chain(reference)
}

#[test]
fn prose_has_no_word_that_plain_english_says_otherwise() {
    /// Words that have a plainer one: "after", "anyone who", "no one", "of it".
    const AVOIDED: &[&str] = &["behind", "whoever", "nobody", "thereof"];
    /// Places, not times: these are what plain English says too.
    const ALLOWED: &[&str] = &[
        "behind a proxy",
        "behind a reverse proxy",
        "behind a load balancer",
        "behind nginx",
        "left behind",
        "leaves behind",
        "nothing behind",
        "nothing_behind",
    ];

    let mut found = Vec::new();
    let mut all = files(&["md", "rs", "py", "toml"]);
    all.retain(|file| !file.ends_with("/docs.rs"));
    for file in all {
        for (number, line) in read(&file).lines().enumerate() {
            let mut line = line.to_lowercase();
            for allowed in ALLOWED {
                line = line.replace(allowed, "");
            }
            let mut words = line.split(|letter: char| !letter.is_alphanumeric());
            if words.any(|word| AVOIDED.contains(&word)) {
                found.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{} places:\n{found:#?}", found.len());
}
