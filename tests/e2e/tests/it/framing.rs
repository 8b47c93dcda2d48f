//! Sends each row of `tests/conformance/framing.txt` to a server: over TCP, over a Unix socket and over TLS.
//!
//! Each row is sent in one piece, then in two pieces; over TCP it is split at nearly every byte. The pieces are
//! two writes on a real socket: client and server share one thread, and the server reads the first piece
//! before the client sends the second one.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use asgi::{App, AppError};
use ferricorn::{Bind, Config};
use tempfile::TempDir;

use test_support::app::channel;
use test_support::certificates::Authority;
use test_support::server::Server;
use test_support::tls_client::TlsClient;
use test_support::{Client, Http, http, http_with, run, within};

/// Follows each row in the same segment. A server that answers it has found the end of the row's requests.
const PROBE: &str = "GET /probe HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// Rows that are longer than this are split only near their ends.
const LONG: usize = 1_000;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The rows of a file, as columns.
pub(crate) fn rows(path: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder(path)).unwrap();
    let rows = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| row.split(" | ").map(str::to_owned).collect())
        .collect()
}

pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) level: String,
    pub(crate) clause: String,
    what: String,
    bytes: Vec<u8>,
    /// The client closes its side after the bytes.
    eof: bool,
    answer: String,
}

pub(crate) fn framing_rows() -> Vec<Row> {
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

/// A server, and how to reach it.
struct Endpoint {
    server: Server,
    transport: Transport,
}

enum Transport {
    Tcp,
    Tls(TlsClient),
    /// The socket is in this folder.
    Unix(TempDir),
}

impl Endpoint {
    async fn tcp() -> Self {
        Self {
            server: Server::start(http(app)).await,
            transport: Transport::Tcp,
        }
    }

    /// `protocol` is the only one that the client offers in ALPN.
    async fn tls(protocol: &str, app: impl App) -> Self {
        let authority = Authority::new("The authority");
        let tls = crate::tls::tls(&authority.server(&["localhost"]));
        Self {
            server: Server::start_tls(Config::default(), &tls, app).await,
            transport: Transport::Tls(TlsClient::new(&authority).speaking(protocol)),
        }
    }

    async fn unix() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bind = format!("unix:{}", folder.path().join("socket").display());
        let bind: Bind = bind.parse().unwrap();
        Self {
            server: Server::start_bound(&bind, Config::default(), http(app)).await,
            transport: Transport::Unix(folder),
        }
    }

    async fn connect(&self) -> Client {
        match &self.transport {
            Transport::Tcp => self.server.connect().await,
            Transport::Tls(client) => client.connect(&self.server, "localhost").await,
            Transport::Unix(folder) => {
                let path = folder.path().join("socket");
                within("a connection", Client::unix(&path)).await
            }
        }
    }

    /// Sends each row in two pieces, with the first piece as long as each of `splits`. Fails if an answer
    /// is another one than the table's.
    async fn expect_answers(&self, mut splits: impl FnMut(&[u8]) -> Vec<usize>) {
        let mut wrong = Vec::new();
        for row in framing_rows() {
            for split in splits(&row.bytes) {
                let got = answer(self, &row, split).await;
                if got != row.answer {
                    let Row {
                        id, what, answer, ..
                    } = row;
                    wrong.push(format!("{id} {what}, at {split}: {got}, expected {answer}"));
                    break;
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Sends a row in two pieces, the first of which may be empty. Returns the answer in the form of the table.
async fn answer(endpoint: &Endpoint, row: &Row, split: usize) -> String {
    in_the_form_of_the_table(&exchange(endpoint, row, split).await)
}

/// Sends a row in two pieces, and then the probe. Returns all that the server sends, and whether it closes.
async fn exchange(endpoint: &Endpoint, row: &Row, split: usize) -> (Vec<u8>, bool) {
    let mut client = endpoint.connect().await;
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
    // The probe asks for a close, so each connection ends.
    let (bytes, closed) = client.read_for(PATIENCE).await;
    (bytes.to_vec(), closed)
}

fn in_the_form_of_the_table((bytes, closed): &(Vec<u8>, bool)) -> String {
    let text = String::from_utf8_lossy(bytes);
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
    run(async { Endpoint::tcp().await.expect_answers(|_| vec![0]).await });
}

#[test]
fn the_answer_does_not_depend_on_how_the_bytes_are_split() {
    run(async {
        let endpoint = Endpoint::tcp().await;
        // After the same first piece as of an earlier row, the server is in the same state. So few of
        // those splits are tried.
        let mut tried = HashSet::new();
        let splits = |bytes: &[u8]| {
            let length = bytes.len();
            let mut splits: Vec<_> = (1..length).collect();
            splits.retain(|split| {
                length < LONG || *split < 50 || length - split < 50 || split % 8_191 == 0
            });
            splits.retain(|split| tried.insert(bytes[..*split].to_vec()) || split % 8 == 0);
            splits
        };
        endpoint.expect_answers(splits).await;
    });
}

#[test]
fn over_a_unix_socket_each_row_has_the_same_answer() {
    run(async {
        let endpoint = Endpoint::unix().await;
        endpoint
            .expect_answers(|bytes| vec![0, bytes.len() / 2])
            .await;
    });
}

#[test]
fn over_tls_each_row_has_the_same_answer() {
    run(async {
        let endpoint = Endpoint::tls("http/1.1", http(app)).await;
        endpoint
            .expect_answers(|bytes| vec![0, bytes.len() / 2])
            .await;
    });
}

/// RFC 9113 §3.4: "Clients and servers MUST treat an invalid connection preface as a connection error".
#[test]
fn over_tls_with_h2_no_row_is_a_request() {
    run(async {
        let (calls, mut called) = channel();
        let app = http_with(calls, async |calls, mut http: Http| {
            calls.send(http.scope.target.clone())?;
            http.respond("").await
        });
        let endpoint = Endpoint::tls("h2", app).await;
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        for row in framing_rows() {
            let (bytes, closed) = exchange(&endpoint, &row, 0).await;
            assert!(closed && bytes.ends_with(&goaway), "{}: {bytes:?}", row.id);
        }
        assert!(called.try_recv().is_err(), "the app was called");
    });
}

/// RFC 9110 §6.6.1, also for the answers that no app and no hyper makes.
#[test]
fn each_response_of_framing_txt_has_a_date() {
    run(async {
        let endpoint = Endpoint::tcp().await;
        for row in framing_rows() {
            let (bytes, _) = exchange(&endpoint, &row, 0).await;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let interim = text.matches("HTTP/1.1 100 ").count();
            let responses = text.matches("HTTP/1.").count() - interim;
            let dates = text.matches("\r\ndate: ").count();
            assert_eq!(dates, responses, "{}: {text}", row.id);
        }
    });
}

#[test]
fn every_row_has_an_id_of_its_own() {
    let mut ids = BTreeSet::new();
    for row in framing_rows() {
        assert!(ids.insert(row.id.clone()), "{} is repeated", row.id);
    }
}

#[test]
fn escapes_stand_for_bytes() {
    assert_eq!(unescape(r"a\r\n\t\0\\\xff{"), b"a\r\n\t\0\\\xff{");
    assert_eq!(unescape(r"{2*a: {3*b}\r\n}c"), b"a: bbb\r\na: bbb\r\nc");
}
