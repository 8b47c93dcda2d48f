//! Checks the ids and the tables of the spec against the code and the tests that cite them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The files with requirements, each with the prefix of its ids.
const FILES: [(&str, &str); 13] = [
    ("core", "CORE-"),
    ("http", "HTTP-"),
    ("lifespan", "LIFE-"),
    ("websocket", "WS-"),
    ("abi", "ABI-"),
    ("extensions/debug", "DEBUG-"),
    ("extensions/denial", "DENY-"),
    ("extensions/early-hints", "HINT-"),
    ("extensions/path-send", "PATH-"),
    ("extensions/push", "PUSH-"),
    ("extensions/tls", "TLS-"),
    ("extensions/trailers", "TRAIL-"),
    ("extensions/zero-copy-send", "ZERO-"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the ids in a text and their positions. An id is a prefix and three digits, and is not a
/// part of a longer word.
fn ids(text: &str) -> Vec<(usize, &str)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (_, prefix) in FILES {
        for (at, _) in text.match_indices(prefix) {
            let end = at + prefix.len() + 3;
            let Some(id) = text.get(at..end) else {
                continue;
            };
            let digits = id[prefix.len()..].bytes().all(|b| b.is_ascii_digit());
            let free = !text[..at].ends_with(is_word) && !text[end..].starts_with(is_word);
            if digits && free {
                found.push((at, id));
            }
        }
    }
    found.sort_unstable();
    found
}

/// One requirement of the spec, with each part on one line.
struct Requirement {
    id: String,
    /// The sentence with MUST, SHOULD or MAY.
    rule: String,
    reason: String,
    sources: String,
}

impl Requirement {
    fn is_must(&self) -> bool {
        self.rule.contains("MUST")
    }

    /// Parses the lines of a requirement, as `spec/README.md` describes them.
    fn parse(first: &str, indented: &[&str]) -> Self {
        let (id, rule) = first.split_once("** ").unwrap();
        let mut parts = vec![rule.to_owned()];
        for line in indented {
            match parts.len() {
                1 if line.starts_with("*Why:* ") => parts.push((*line).to_owned()),
                2 if line.starts_with("*From:* ") => parts.push((*line).to_owned()),
                _ => {
                    let part = parts.last_mut().unwrap();
                    *part = format!("{part} {line}");
                }
            }
        }
        let [rule, reason, sources] = &parts[..] else {
            panic!("{id} has no reason and sources: {parts:?}");
        };
        Self {
            id: id.to_owned(),
            rule: rule.clone(),
            reason: reason["*Why:* ".len()..].to_owned(),
            sources: sources["*From:* ".len()..].to_owned(),
        }
    }
}

fn spec_file(name: &str) -> String {
    let path = root().join("spec").join(name).with_extension("md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the requirements of each file of the spec, in the order of the file.
fn requirements() -> BTreeMap<&'static str, Vec<Requirement>> {
    let of_file = |file| {
        let text = spec_file(file);
        let lines: Vec<_> = text.lines().collect();
        let mut found = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            if let Some(first) = line.strip_prefix("- **") {
                let indented: Vec<_> = lines[at + 1..]
                    .iter()
                    .map_while(|line| line.strip_prefix("  "))
                    .collect();
                found.push(Requirement::parse(first, &indented));
            }
        }
        found
    };
    FILES.map(|(file, _)| (file, of_file(file))).into()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn an_id_is_a_prefix_and_three_digits_on_their_own() {
    let text = "WS-009, (HTTP-024) XHTTP-001 HTTP-1234 CORE-12 LIFE-001x CORE-007";
    let found: Vec<_> = ids(text).into_iter().map(|(_, id)| id).collect();
    assert_eq!(found, ["WS-009", "HTTP-024", "CORE-007"]);
}

#[test]
fn ids_are_unique_and_ascend_within_a_file_that_has_one_prefix() {
    let requirements = requirements();
    for (file, prefix) in FILES {
        let defined = &requirements[file];
        assert!(!defined.is_empty(), "{file} has no requirements");
        for Requirement { id, .. } in defined {
            assert_eq!(ids(id).len(), 1, "{id} in {file} is not an id");
            assert!(id.starts_with(prefix), "{id} does not belong in {file}");
        }
        // All ids have the same length, so their order as text is their order as numbers.
        for pair in defined.windows(2) {
            let (one, next) = (&pair[0].id, &pair[1].id);
            assert!(one < next, "{one} comes before {next}");
        }
    }
}

#[test]
fn each_file_of_the_spec_with_requirements_is_known() {
    for folder in ["", "extensions"] {
        for entry in fs::read_dir(root().join("spec").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // The README shows the form of a requirement.
            if path.extension().is_none_or(|extension| extension != "md")
                || path.ends_with("README.md")
            {
                continue;
            }
            let name = Path::new(folder).join(path.file_stem().unwrap());
            let known = FILES.iter().any(|(file, _)| Path::new(file) == name);
            let text = fs::read_to_string(&path).unwrap();
            let defines = text.lines().any(|line| {
                line.strip_prefix("- **")
                    .and_then(|rest| rest.split_once("** "))
                    .is_some_and(|(id, _)| id.ends_with(|last: char| last.is_ascii_digit()))
            });
            assert_eq!(known, defines, "{}", path.display());
        }
    }
}

#[test]
fn each_requirement_says_must_should_or_may_and_is_one_sentence() {
    for Requirement { id, rule, .. } in requirements().into_values().flatten() {
        let strong = ["MUST", "SHOULD", "MAY"];
        let words = rule.split(|c: char| !c.is_ascii_alphabetic());
        let count = words.filter(|word| strong.contains(word)).count();
        assert_eq!(count, 1, "{id}: {rule}");
        let one = rule.ends_with('.') && !rule.contains(". ");
        assert!(one, "{id}: {rule}");
    }
}

#[test]
fn each_requirement_has_a_reason_in_sentences() {
    for Requirement { id, reason, .. } in requirements().into_values().flatten() {
        let begins = reason.starts_with(|c: char| c.is_uppercase() || c == '`');
        assert!(begins && reason.ends_with('.'), "{id}: {reason}");
        assert!(!reason.contains("*From:*"), "{id}: {reason}");
    }
}

/// Returns the headings of ASGI's documents in `spec/coverage.md`: `www, Response Start`.
fn headings_of_asgi() -> Vec<String> {
    let mut found = Vec::new();
    let mut document = String::new();
    for line in spec_file("coverage").lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut document);
        } else if let Some(heading) = line.strip_prefix("### ") {
            found.push(format!("{document}, {heading}"));
        }
    }
    found
}

/// A row says which ids correspond to a sentence of ASGI, or why none does.
#[test]
fn each_row_of_the_coverage_names_ids_of_the_spec_or_a_reason() {
    let defined: Vec<_> = requirements().into_values().flatten().collect();
    let coverage = spec_file("coverage");
    let mut rows = 0;
    for row in coverage.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.split(" | ").collect();
        let [_, here] = cells[..] else {
            panic!("{row}");
        };
        let here = here.trim_end_matches(" |");
        if here == "---" || here == "here" {
            continue;
        }
        rows += 1;
        let named = ids(here);
        for (_, id) in &named {
            assert!(defined.iter().any(|one| one.id == *id), "{row}");
        }
        let reason = ["types: ", "none: "]
            .iter()
            .any(|word| here.starts_with(word));
        let only_ids = here.split(", ").all(|cell| ids(cell).len() == 1);
        assert!(reason || only_ids && !named.is_empty(), "{row}");
    }
    assert!(rows > 100, "{rows} rows");
}

#[test]
fn each_source_is_a_heading_of_asgi_or_a_section_of_an_rfc_or_ours() {
    let headings = headings_of_asgi();
    assert!(headings.len() > 40, "{headings:?}");
    for Requirement { id, sources, .. } in requirements().into_values().flatten() {
        let sources = sources.strip_suffix('.').unwrap_or_else(|| panic!("{id}"));
        for source in sources.split("; ") {
            let asgi = source.strip_prefix("ours, against ").unwrap_or(source);
            let known = if let Some(heading) = asgi.strip_prefix("ASGI ") {
                headings.iter().any(|known| known == heading)
            } else if let Some(rfc) = source.strip_prefix("RFC ") {
                rfc.split_once(" §").is_some_and(|(number, section)| {
                    number.bytes().all(|byte| byte.is_ascii_digit())
                        && section
                            .bytes()
                            .all(|byte| byte.is_ascii_digit() || byte == b'.')
                })
            } else {
                source == "ours"
            };
            assert!(known, "{id}: {source}");
        }
    }
}

/// Returns the events of an enum of the crate `asgi`, each with the fields of its struct.
///
/// `path` is a file, or a folder whose `mod.rs` contains the enum and whose other files contain the
/// structs.
fn events_of_the_types(path: &str) -> BTreeMap<String, Vec<String>> {
    let path = root().join("crates/asgi/src").join(path);
    let mut files = Vec::new();
    if path.is_dir() {
        rust_files(&path, &mut files);
        // The first text must be the one with the enum.
        files.sort_by_key(|file| !file.ends_with("mod.rs"));
    } else {
        files.push(path);
    }
    let texts: Vec<_> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let all = texts.concat();
    let mut events = BTreeMap::new();
    // A line "/// `http.request`: …" comes before each variant "HttpRequest(HttpRequest),".
    for place in texts[0].split("\n    /// `").skip(1) {
        let (name, rest) = place.split_once('`').unwrap();
        let variant = rest.lines().nth(1).unwrap().trim();
        let (_, type_name) = variant.split_once('(').unwrap();
        let opening = format!("pub struct {} {{", type_name.trim_end_matches("),"));
        let (_, body) = all.split_once(&opening).unwrap();
        let body = body.split('}').next().unwrap();
        let fields = body
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'));
        let fields = fields.map(|(field, _)| field.to_owned()).collect();
        events.insert(name.to_owned(), fields);
    }
    events
}

/// Returns the events in the spec's tables that this side sends.
fn events_of_the_tables(side: &str) -> BTreeMap<String, Vec<String>> {
    let mut events = BTreeMap::new();
    for file in ["http", "lifespan", "websocket"] {
        for row in spec_file(file).lines() {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            if let ["", event, sent_by, fields, ""] = cells[..]
                && sent_by == side
            {
                let quoted = fields.split('`').skip(1).step_by(2).map(str::to_owned);
                events.insert(event.trim_matches('`').to_owned(), quoted.collect());
            }
        }
    }
    events
}

#[test]
fn the_tables_of_events_agree_with_the_types() {
    for (side, file) in [("server", "receive_event.rs"), ("app", "send_event")] {
        let types = events_of_the_types(file);
        assert!(types.len() > 5, "{types:?}");
        assert_eq!(events_of_the_tables(side), types);
    }
}

#[test]
fn the_page_for_people_from_python_lists_each_event_with_its_type() {
    let page = spec_file("from-python");
    let row = |event: &str| page.find(&format!("\n| `{event}` | `{}", type_of(event)));
    for (file, heading) in [
        ("receive_event.rs", "## Events that an app receives"),
        ("send_event", "## Events that an app sends"),
    ] {
        let (heading, _) = page.match_indices(heading).next().unwrap();
        for event in events_of_the_types(file).keys() {
            assert!(row(event).is_some_and(|at| at > heading), "{event}");
        }
    }
}

/// Returns the name of the type of an event, such as `HttpResponseStart` for `http.response.start`.
fn type_of(event: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let name: String = event.split(['.', '_']).map(capital).collect();
    name.replace("Websocket", "WebSocket")
        .replace("Pathsend", "PathSend")
        .replace("Zerocopysend", "ZeroCopySend")
}

#[test]
fn the_newest_version_lists_the_ids_of_each_file_and_is_that_of_the_readme() {
    let changes = spec_file("CHANGES");
    let version = changes.split("\n## ").nth(1).unwrap();
    let number = version.lines().next().unwrap();
    assert!(spec_file("README").contains(&format!("this is {number} ")));
    for (file, requirements) in requirements() {
        let [first, .., last] = &requirements[..] else {
            panic!("{file} has one requirement");
        };
        let row = format!("| [{file}.md]({file}.md) | {} to {} |", first.id, last.id);
        assert!(version.contains(&row), "{row}");
    }
}

/// Returns the files that may cite the spec. This file is not one of them, because of its examples.
fn citing_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["crates", "tests"] {
        for package in fs::read_dir(root().join(folder)).unwrap() {
            let package = package.unwrap().path();
            rust_files(&package.join("src"), &mut files);
            rust_files(&package.join("tests"), &mut files);
        }
    }
    rust_files(&root().join("spec/src/cases"), &mut files);
    // The second one lists what has no case.
    let no_citations = ["asgi-rules/tests/it/spec.rs", "spec/src/cases/without.rs"];
    files.retain(|path| !no_citations.iter().any(|file| path.ends_with(file)));
    files
}

#[test]
fn each_id_that_is_cited_is_in_the_spec() {
    let defined: Vec<_> = requirements().into_values().flatten().collect();
    let mut cited = 0;
    for path in citing_files() {
        let text = fs::read_to_string(&path).unwrap();
        for (at, id) in ids(&text) {
            let line = text[..at].lines().count();
            let place = path.display();
            assert!(
                defined.iter().any(|other| other.id == id),
                "{place}:{line} cites {id}"
            );
            cited += 1;
        }
    }
    assert!(cited > 0, "no citation was found");
}

/// The requirements with MUST that no code and no test cites so far. It shrinks.
///
/// No server offers the extensions of `PATH` and `ZERO`. The others wait for a test, except CORE-006,
/// which an app cannot observe.
const NOT_CITED: &[&str] = &["ABI-007", "CORE-006", "HTTP-089"];

/// A requirement with MUST can be observed, so code or a test must cite it. For an extension, it must
/// be a test.
#[test]
fn each_must_is_cited_or_listed_as_not_cited() {
    let (mut by_code, mut by_tests) = (BTreeSet::new(), BTreeSet::new());
    for path in citing_files() {
        let is_test = path
            .components()
            .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "cases");
        let cited = if is_test { &mut by_tests } else { &mut by_code };
        let text = fs::read_to_string(path).unwrap();
        cited.extend(ids(&text).into_iter().map(|(_, id)| id.to_owned()));
    }
    let mut not_cited = Vec::new();
    for (file, requirements) in requirements() {
        for Requirement { id, .. } in requirements.into_iter().filter(Requirement::is_must) {
            let by_code = !file.starts_with("extensions/") && by_code.contains(&id);
            if !by_code && !by_tests.contains(&id) {
                not_cited.push(id);
            }
        }
    }
    let listed: Vec<_> = NOT_CITED.iter().map(|id| (*id).to_owned()).collect();
    not_cited.sort_unstable();
    assert_eq!(not_cited, listed);
}

/// `Spec: http §3.` in a doc comment means the heading `## 3.` of `spec/http.md`.
#[test]
fn each_section_that_is_cited_is_in_the_spec() {
    let mut cited = 0;
    for path in citing_files() {
        let text = fs::read_to_string(&path).unwrap();
        for place in text.split("/// Spec: ").skip(1) {
            let (file, section) = place.split_once(" §").unwrap();
            let section = section.split_once('.').unwrap().0;
            let file = root().join("spec").join(file).with_extension("md");
            let heading = format!("\n## {section}. ");
            let found = fs::read_to_string(&file).is_ok_and(|spec| spec.contains(&heading));
            let place = path.display();
            assert!(found, "{place} cites §{section} of {}", file.display());
            cited += 1;
        }
    }
    assert!(cited > 0, "no citation was found");
}
