//! Sends each row of `tests/conformance/framing.txt` to a server, and compares `musts.txt` with its rows.
//!
//! Each row is sent in one piece, then in two pieces, split at every byte. The pieces are two writes on a
//! real socket: client and server share one thread, and the server reads the first piece before the client
//! sends the second one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asgi::AppError;
use ferricorn::Config;

use test_support::{Client, Http, Server, http, run};

/// Follows each row in the same segment. A server that answers it has found the end of the row's requests.
const PROBE: &str = "GET /probe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Rows that are longer than this are split only near their ends.
const LONG: usize = 1_000;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The rows of a file, as columns.
fn rows(path: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder(path)).unwrap();
    let rows = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| row.split(" | ").map(str::to_owned).collect())
        .collect()
}

struct Row {
    id: String,
    level: String,
    clause: String,
    what: String,
    bytes: Vec<u8>,
    /// The client closes its side after the bytes.
    eof: bool,
    answer: String,
}

fn framing_rows() -> Vec<Row> {
    let parse = |columns: Vec<String>| {
        let [id, rule, what, bytes, answer] = &columns[..] else {
            panic!("not five columns: {columns:?}");
        };
        let (level, clause) = rule.split_once(' ').unwrap();
        assert!(
            ["MUST", "SHOULD", "valid", "chosen"].contains(&level),
            "{id}: {level}"
        );
        assert!(
            clause.starts_with("RFC ") && clause.contains('§'),
            "{id}: {clause}"
        );
        let without_eof = bytes.strip_suffix("{eof}");
        Row {
            id: id.clone(),
            level: level.to_owned(),
            clause: clause.to_owned(),
            what: what.clone(),
            bytes: unescape(without_eof.unwrap_or(bytes)),
            eof: without_eof.is_some(),
            answer: answer.clone(),
        }
    };
    rows("conformance/framing.txt")
        .into_iter()
        .map(parse)
        .collect()
}

/// The bytes that the escapes of a row stand for.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        if first == '\\' {
            let escape = rest.chars().next().unwrap();
            rest = &rest[1..];
            bytes.push(match escape {
                'r' => b'\r',
                'n' => b'\n',
                't' => b'\t',
                '0' => b'\0',
                '\\' => b'\\',
                'x' => {
                    let (digits, after) = rest.split_at(2);
                    rest = after;
                    u8::from_str_radix(digits, 16).unwrap()
                }
                other => panic!("\\{other} is no escape"),
            });
        } else if let Some((count, after)) = repetition(first, rest) {
            let end = end_of_repetition(after);
            bytes.extend(unescape(&after[..end]).repeat(count));
            rest = &after[end + 1..];
        } else {
            bytes.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    bytes
}

/// The count of `{N*text}`, and what follows its asterisk.
fn repetition(first: char, rest: &str) -> Option<(usize, &str)> {
    let (count, after) = rest.split_once('*').filter(|_| first == '{')?;
    Some((count.parse().ok()?, after))
}

fn end_of_repetition(text: &str) -> usize {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return at,
            '}' => depth -= 1,
            _ => {}
        }
    }
    panic!("no end of a repetition in {text:?}");
}

/// Reads the whole body and responds with the path, which shows the request that reached the app.
async fn app(mut http: Http) -> Result<(), AppError> {
    let path = http.scope.path().into_owned();
    match http.body().await {
        Ok(_) => http.respond(path).await,
        // The server answers for the app.
        Err(_) => Err(AppError::aborted()),
    }
}

/// Sends a row in two pieces, the first of which may be empty. Returns the answer in the form of the table.
async fn answer(server: &Server, row: &Row, split: usize) -> String {
    let mut client = server.connect().await;
    let (first, second) = row.bytes.split_at(split);
    if !first.is_empty() && client.try_write(first).await.is_ok() {
        // The server's task is on this thread. It is ready as soon as the runtime has looked at the socket.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    let probe = if row.eof { "" } else { PROBE };
    // The server may have closed after the first piece.
    let _ = client.try_write([second, probe.as_bytes()].concat()).await;
    if row.eof {
        client.half_close().await;
    }
    read_answer(client).await
}

async fn read_answer(mut client: Client) -> String {
    // The probe asks for a close, so each connection ends.
    let (bytes, closed) = client.read_for(PATIENCE).await;
    let text = String::from_utf8_lossy(&bytes);
    let mut statuses: Vec<_> = text
        .match_indices("HTTP/1.")
        .map(|(at, _)| {
            text.get(at + "HTTP/1.1 ".len()..)
                .and_then(|rest| rest.get(..3))
        })
        .map(|status| status.unwrap_or("?").to_owned())
        .collect();
    let end = match (closed, text.ends_with("/probe")) {
        (false, _) => "silent",
        (true, false) => "closed",
        (true, true) => {
            statuses.pop();
            "open"
        }
    };
    if statuses.is_empty() {
        statuses.push("-".to_owned());
    }
    statuses.join(" ") + " " + end
}

/// How long the server may take for a row. Far less than its own time-outs.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn each_row_of_framing_txt_is_answered_as_it_says() {
    run(async {
        let server = Server::start_with(Config::default(), http(app)).await;
        let mut wrong = Vec::new();
        for row in framing_rows() {
            let answer = answer(&server, &row, 0).await;
            if answer != row.answer {
                let Row {
                    id,
                    what,
                    answer: expected,
                    ..
                } = row;
                wrong.push(format!("{id} {what}: {answer}, expected {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn the_answer_does_not_depend_on_how_the_bytes_are_split() {
    run(async {
        let server = Server::start_with(Config::default(), http(app)).await;
        let mut wrong = Vec::new();
        for row in framing_rows() {
            let length = row.bytes.len();
            let splits = (1..length).filter(|split| {
                length < LONG || *split < 50 || length - *split < 50 || split % 8_191 == 0
            });
            for split in splits {
                let answer = answer(&server, &row, split).await;
                if answer != row.answer {
                    let Row {
                        id,
                        what,
                        answer: expected,
                        ..
                    } = row;
                    wrong.push(format!(
                        "{id} {what}, at {split}: {answer}, expected {expected}"
                    ));
                    break;
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

#[test]
fn every_must_has_rows_and_every_row_of_a_must_is_listed() {
    let framing: BTreeMap<_, _> = framing_rows()
        .into_iter()
        .map(|row| (row.id, (row.level, row.clause)))
        .collect();
    let edges: BTreeMap<_, _> = rows("http2/edges.txt")
        .into_iter()
        .map(|columns| (columns[0].clone(), columns[2].clone()))
        .collect();
    let mut listed = BTreeSet::new();
    for columns in rows("conformance/musts.txt") {
        let [clause, rule, ids] = &columns[..] else {
            panic!("not three columns: {columns:?}");
        };
        assert!(!rule.is_empty(), "{clause} has no rule");
        for id in ids.split(' ') {
            if let Some((level, of_row)) = framing.get(id) {
                assert_eq!(level, "MUST", "{id}");
                assert_eq!(of_row, clause, "{id}");
                listed.insert(id.to_owned());
            } else if let Some(test) = id.strip_prefix("e2e::") {
                assert_eq!(find_test("e2e", test), Some(Kept::Yes), "{id}");
            } else {
                let (id, kept) = match id.strip_suffix('!') {
                    Some(id) => (id, Kept::NotYet),
                    None => (id, Kept::Yes),
                };
                let test = edges
                    .get(id)
                    .unwrap_or_else(|| panic!("{clause}: no row {id}"));
                assert_eq!(find_test("http2", test), Some(kept), "{id}");
            }
        }
    }
    let musts = framing.iter().filter(|(_, (level, _))| level == "MUST");
    let missing: Vec<_> = musts
        .map(|(id, _)| id)
        .filter(|id| !listed.contains(*id))
        .collect();
    assert!(
        missing.is_empty(),
        "rows of a MUST that musts.txt does not have: {missing:?}"
    );
}

#[test]
fn every_row_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for row in framing_rows() {
        assert!(ids.insert(row.id.clone()), "{} is repeated", row.id);
    }
}

/// Whether the server keeps a rule: its test runs, or is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Yes,
    NotYet,
}

/// Looks for a test, as `module::name`, in the source of a package.
fn find_test(package: &str, path: &str) -> Option<Kept> {
    let (modules, name) = path.rsplit_once("::")?;
    let file = folder(package)
        .join("tests/it")
        .join(modules.replace("::", "/") + ".rs");
    let text = fs::read_to_string(file).ok()?;
    let (before, _) = text.split_once(&format!("\nfn {name}() {{"))?;
    let attributes = before
        .lines()
        .rev()
        .take_while(|line| line.starts_with("#["));
    let is_ignored = attributes
        .into_iter()
        .any(|line| line.starts_with("#[ignore"));
    Some(if is_ignored { Kept::NotYet } else { Kept::Yes })
}

#[test]
fn escapes_stand_for_bytes() {
    assert_eq!(unescape(r"a\r\n\t\0\\\xff{"), b"a\r\n\t\0\\\xff{");
    assert_eq!(unescape(r"{2*a: {3*b}\r\n}c"), b"a: bbb\r\na: bbb\r\nc");
}
