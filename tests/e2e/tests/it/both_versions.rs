//! Rules that hold for HTTP/1.1 and HTTP/2 alike: each test runs once over each version.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::mpsc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use asgi::{AppError, ReceiveEvent};
use ferricorn::{Config, Handle};
use http2::{Event, Frame, Peer, Request, headers};

use test_support::{Http, LIMIT, Server, http, logs, run};

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// A request that the client sends byte by byte if it wants to.
#[derive(Debug, Clone, Copy)]
struct Ask {
    method: &'static str,
    header: Option<(&'static str, &'static str)>,
    /// The length that the client announces. HTTP/2: one DATA frame of this length.
    length: usize,
}

const GET: Ask = Ask {
    method: "GET",
    header: None,
    length: 0,
};

const POST: Ask = Ask {
    method: "POST",
    header: None,
    length: 20,
};

impl Ask {
    fn with(self, name: &'static str, value: &'static str) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }
}

/// A final response, as much of it as came.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    /// The statuses of the interim responses before it.
    interim: Vec<u16>,
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// It was broken off.
    broken: bool,
    /// The server said that it reads no more of the request: `connection: close` and the end of the
    /// connection, or RST_STREAM with NO_ERROR.
    stops: bool,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is repeated in {self:?}");
        value
    }

    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// A client with one request.
enum Client {
    Http1(TcpStream, Ask),
    Http2(Box<Peer>),
}

impl Client {
    /// Sends the head of a request.
    fn ask(version: Version, address: SocketAddr, ask: Ask) -> Self {
        match version {
            Version::Http1 => {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.set_nodelay(true).unwrap();
                let Ask { method, length, .. } = ask;
                let target = if method == "CONNECT" { "a:1" } else { "/" };
                let mut head = format!("{method} {target} HTTP/1.1\r\nhost: a\r\n");
                if let Some((name, value)) = ask.header {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                if length > 0 {
                    head.push_str(&format!("content-length: {length}\r\n"));
                }
                head.push_str("\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                Self::Http1(stream, ask)
            }
            Version::Http2 => {
                let mut peer = Peer::connect(address);
                let mut request = Request::new(ask.method, "/");
                if ask.method == "CONNECT" {
                    request = request.without(":scheme").without(":path");
                }
                if let Some((name, value)) = ask.header {
                    request = request.header(name, value);
                }
                let head = headers(1, &request);
                if ask.length == 0 {
                    peer.send(head.end_stream());
                } else {
                    peer.send(head);
                    let mut frame = Vec::new();
                    let body = vec![0; ask.length];
                    Frame::data(1, body).end_stream().write_to(&mut frame);
                    peer.write(&frame[..9]);
                }
                Self::Http2(Box::new(peer))
            }
        }
    }

    /// Sends bytes of the body.
    fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Http1(stream, _) => stream.write_all(bytes).unwrap(),
            Self::Http2(peer) => peer.write(bytes),
        }
    }

    /// Reads the response to its end.
    fn answer(&mut self) -> Answer {
        match self {
            Self::Http1(stream, ask) => read_http1(stream, ask.method == "HEAD"),
            Self::Http2(peer) => read_http2(peer),
        }
    }
}

fn read_http1(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut answer = Answer::default();
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        answer.status = status.parse().unwrap();
        if answer.status >= 200 {
            answer.headers = lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            break;
        }
        answer.interim.push(answer.status);
    }
    let length = answer.header("content-length").map(|text| text.parse());
    let expected: Option<usize> = match length {
        _ if is_head => Some(0),
        Some(length) => Some(length.unwrap()),
        None => None,
    };
    let closes = answer.header("connection") == Some("close");
    let mut ended = false;
    let mut part = [0; 64 * 1024];
    while !ended && (closes || expected.is_none_or(|length| answer.body.len() < length)) {
        match stream.read(&mut part) {
            Ok(0) => ended = true,
            Ok(read) => answer.body.extend(&part[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                ended = true;
                answer.broken = true;
            }
            Err(error) => panic!("{error} after {answer:?}"),
        }
        if expected.is_none() && answer.body.ends_with(b"0\r\n\r\n") {
            return answer;
        }
    }
    answer.broken |= expected.is_none_or(|length| answer.body.len() != length);
    answer.stops = closes && ended && !answer.broken;
    answer
}

fn read_http2(peer: &mut Peer) -> Answer {
    let mut answer = Answer::default();
    let mut complete = false;
    while !complete {
        match peer.next(1) {
            Event::Head(head) if head.status < 200 && head.status > 0 => {
                answer.interim.push(head.status);
            }
            Event::Head(head) => {
                complete = head.end;
                answer.status = head.status;
                answer.headers = head.headers;
            }
            Event::Data(data, end) => {
                answer.body.extend(data);
                complete = end;
            }
            Event::Reset(_) => {
                answer.broken = true;
                return answer;
            }
            other => panic!("{other:?} after {answer:?}"),
        }
    }
    let announced = answer.header("content-length").map(str::to_owned);
    if let Some(announced) = announced.filter(|_| !answer.body.is_empty()) {
        assert_eq!(announced, answer.body.len().to_string());
    }
    answer
}

/// Runs a script with a server, once for each version of HTTP.
fn on_both<F, Fut>(
    config: &Config,
    app: F,
    script: impl Fn(Version, SocketAddr, &Handle) + Send + Sync + Clone + 'static,
) where
    F: Fn(Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    on_both_then(config, app, script, || {});
}

/// As [`on_both`]. `check` looks at the log after each run.
fn on_both_then<F, Fut>(
    config: &Config,
    app: F,
    script: impl Fn(Version, SocketAddr, &Handle) + Send + Sync + Clone + 'static,
    check: impl Fn() + Copy,
) where
    F: Fn(Http) -> Fut + Send + Sync + Clone + 'static,
    Fut: Future<Output = Result<(), AppError>> + Send,
{
    for version in BOTH {
        let (config, app, script) = (config.clone(), app.clone(), script.clone());
        run(async move {
            let server = Server::start_with(config, http(app)).await;
            let (address, handle) = (server.address(), server.handle());
            tokio::task::spawn_blocking(move || script(version, address, &handle))
                .await
                .unwrap();
            check();
        });
    }
}

/// Reads the whole body, then answers with its length. Returns without a response if the client
/// fails.
async fn count_bytes(mut http: Http) -> Result<(), AppError> {
    let mut length = 0;
    loop {
        match http.receive.receive().await {
            ReceiveEvent::HttpRequest(part) => {
                length += part.body.len();
                if !part.more_body {
                    return http.respond(length.to_string()).await;
                }
            }
            _ => return Ok(()),
        }
    }
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn with_body_timeout(timeout: Duration) -> Config {
    let mut config = Config::default();
    config.body_timeout = timeout;
    config.min_body_rate = 0;
    config
}

#[test]
fn a_body_that_stops_is_answered_with_408() {
    let config = with_body_timeout(milliseconds(400));
    on_both(&config, count_bytes, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        client.send(b"abc");
        let began = Instant::now();
        let answer = client.answer();
        let took = began.elapsed();
        assert_eq!(answer.status, 408, "{version:?}: {answer:?}");
        assert_eq!(answer.text(), "Request Timeout\n", "{version:?}");
        assert!(!answer.broken, "{version:?}");
        assert!(took >= milliseconds(390), "{version:?}: {took:?}");
        assert!(took < milliseconds(2_000), "{version:?}: {took:?}");
        match client {
            Client::Http1(..) => assert!(answer.stops, "{answer:?}"),
            // RFC 9113 §8.1: "request that the client abort transmission of a request without error".
            Client::Http2(mut peer) => peer.expect_reset(1, 0),
        }
    });
}

#[test]
fn a_body_that_comes_byte_by_byte_is_not_too_slow() {
    let config = with_body_timeout(milliseconds(400));
    on_both(&config, count_bytes, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        for _ in 0..POST.length {
            sleep(milliseconds(100));
            client.send(b"x");
        }
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{version:?}: {answer:?}");
        assert_eq!(answer.header("content-length"), Some("2"), "{version:?}");
        assert_eq!(answer.text(), "20", "{version:?}");
    });
}

#[test]
fn a_body_that_comes_below_the_lowest_rate_is_answered_with_408() {
    let mut config = with_body_timeout(milliseconds(400));
    config.min_body_rate = 240;
    on_both(&config, count_bytes, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        for _ in 0..POST.length {
            sleep(milliseconds(80));
            client.send(b"x");
        }
        let answer = client.answer();
        assert_eq!(answer.status, 408, "{version:?}: {answer:?}");
    });
}

#[test]
fn a_body_at_the_lowest_rate_is_not_too_slow() {
    let mut config = with_body_timeout(milliseconds(400));
    config.min_body_rate = 5;
    on_both(&config, count_bytes, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        for _ in 0..POST.length {
            sleep(milliseconds(80));
            client.send(b"x");
        }
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{version:?}: {answer:?}");
    });
}

#[test]
fn a_body_that_comes_byte_by_byte_and_then_stops_is_answered_with_408() {
    let config = with_body_timeout(milliseconds(400));
    on_both(&config, count_bytes, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        for _ in 0..8 {
            sleep(milliseconds(100));
            client.send(b"x");
        }
        let began = Instant::now();
        assert_eq!(client.answer().status, 408, "{version:?}");
        let took = began.elapsed();
        assert!(took >= milliseconds(290), "{version:?}: {took:?}");
    });
}

#[test]
fn a_body_that_stops_after_the_response_began_breaks_the_response_off() {
    let config = with_body_timeout(milliseconds(300));
    let app = |mut http: Http| async move {
        http.begin().await?;
        http.more("part").await?;
        http.disconnect().await;
        Ok(())
    };
    on_both(&config, app, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        client.send(b"abc");
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{version:?}");
        assert!(answer.broken, "{version:?}: {answer:?}");
    });
}

#[test]
fn an_app_that_ignores_the_time_out_ends_after_its_grace() {
    let mut config = with_body_timeout(milliseconds(300));
    config.disconnect_grace = Some(milliseconds(600));
    let app = |mut http: Http| async move {
        http.disconnect().await;
        std::future::pending().await
    };
    on_both(&config, app, |version, address, _| {
        let mut client = Client::ask(version, address, POST);
        client.send(b"abc");
        let began = Instant::now();
        assert_eq!(client.answer().status, 408, "{version:?}");
        let took = began.elapsed();
        assert!(took >= milliseconds(890), "{version:?}: {took:?}");
        assert!(took < milliseconds(4_000), "{version:?}: {took:?}");
    });
}

#[test]
fn a_client_that_does_not_read_its_response_is_given_up() {
    let mut config = Config::default();
    config.write_timeout = milliseconds(400);
    let app = |mut http: Http| async move {
        http.begin().await?;
        loop {
            http.more(vec![b'x'; 64 * 1024]).await?;
        }
    };
    on_both(&config, app, |version, address, handle| {
        let mut client = Client::ask(version, address, GET);
        let began = Instant::now();
        while handle.statistics().exchanges > handle.statistics().detached
            || began.elapsed() < milliseconds(200)
        {
            assert!(began.elapsed() < LIMIT, "{version:?}");
            sleep(milliseconds(10));
        }
        let took = began.elapsed();
        assert!(took >= milliseconds(390), "{version:?}: {took:?}");
        assert!(client.answer().broken, "{version:?}");
    });
}

#[test]
fn a_closed_connection_lingers_until_the_client_closes_or_2_seconds_are_over() {
    on_both(
        &Config::default(),
        count_bytes,
        |version, address, handle| {
            for leaves in [false, true] {
                let stream = match version {
                    Version::Http1 => {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream
                            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")
                            .unwrap();
                        stream
                    }
                    Version::Http2 => {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream.write_all(http2::PREFACE).unwrap();
                        let mut frames = Vec::new();
                        Frame::settings(&[]).write_to(&mut frames);
                        // A frame of a stream that has none ends the connection with GOAWAY.
                        Frame::data(0, "x").write_to(&mut frames);
                        stream.write_all(&frames).unwrap();
                        stream
                    }
                };
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                let mut all = Vec::new();
                (&stream).read_to_end(&mut all).unwrap();
                assert!(!all.is_empty(), "{version:?}");
                if leaves {
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                let began = Instant::now();
                while handle.statistics().connections > 0 {
                    assert!(began.elapsed() < LIMIT, "{version:?}");
                    sleep(milliseconds(10));
                }
                let took = began.elapsed();
                match leaves {
                    true => assert!(took < milliseconds(1_500), "{version:?}: {took:?}"),
                    false => {
                        assert!(took > milliseconds(1_700), "{version:?}: {took:?}");
                        assert!(took < milliseconds(4_000), "{version:?}: {took:?}");
                    }
                }
            }
        },
    );
}

#[test]
fn an_upload_that_the_app_does_not_read_is_discarded_for_2_seconds() {
    let app = |mut http: Http| async move { http.respond("early").await };
    on_both(&Config::default(), app, |version, address, handle| {
        let mut client = Client::ask(version, address, POST);
        client.send(b"abc");
        let began = Instant::now();
        let answer = client.answer();
        assert_eq!(answer.text(), "early", "{version:?}: {answer:?}");
        match &mut client {
            Client::Http1(..) => {
                while handle.statistics().connections > 0 {
                    assert!(began.elapsed() < LIMIT);
                    sleep(milliseconds(10));
                }
            }
            Client::Http2(peer) => peer.expect_reset(1, 0),
        }
        let took = began.elapsed();
        assert!(took > milliseconds(1_700), "{version:?}: {took:?}");
        assert!(took < milliseconds(4_000), "{version:?}: {took:?}");
    });
}

/// What a refusal has on both versions.
fn check_refusal(version: Version, answer: &Answer, status: u16, text: &str) {
    let context = format!("{version:?} {status}: {answer:?}");
    assert_eq!(answer.status, status, "{context}");
    assert_eq!(answer.text(), text, "{context}");
    let length = text.len().to_string();
    assert_eq!(answer.header("content-length"), Some(&*length), "{context}");
    let kind = Some("text/plain; charset=utf-8");
    assert_eq!(answer.header("content-type"), kind, "{context}");
    assert_eq!(answer.header("server"), Some("ferricorn"), "{context}");
    assert!(answer.header("date").is_some(), "{context}");
    let retry = (status == 503).then_some("1");
    assert_eq!(answer.header("retry-after"), retry, "{context}");
    assert!(!answer.broken, "{context}");
}

#[test]
fn a_refusal_is_the_same_on_both() {
    let rows = [
        (GET.with("expect", "x"), 417, "Expectation Failed\n"),
        (
            Ask {
                method: "CONNECT",
                ..GET
            },
            501,
            "Not Implemented\n",
        ),
    ];
    on_both(
        &Config::default(),
        count_bytes,
        move |version, address, _| {
            for (ask, status, text) in rows {
                let answer = Client::ask(version, address, ask).answer();
                check_refusal(version, &answer, status, text);
            }
        },
    );
}

/// HTTP-067
#[test]
fn too_many_exchanges_are_answered_with_503() {
    let mut config = Config::default();
    config.max_exchanges = 0;
    on_both(&config, count_bytes, |version, address, _| {
        let answer = Client::ask(version, address, GET).answer();
        check_refusal(version, &answer, 503, "Service Unavailable\n");
    });
}

/// RFC 9110 §9.3.2: "the server MUST NOT send content in the response" to HEAD.
#[test]
fn a_refused_head_gets_the_headers_and_no_body() {
    let mut config = with_body_timeout(milliseconds(300));
    let rows = [(16, 408, "16"), (0, 503, "20")];
    for (exchanges, status, length) in rows {
        config.max_exchanges = exchanges;
        on_both(&config, count_bytes, move |version, address, _| {
            let ask = Ask {
                method: "HEAD",
                ..POST
            };
            let answer = Client::ask(version, address, ask).answer();
            assert_eq!(answer.status, status, "{version:?}");
            assert_eq!(answer.header("content-length"), Some(length), "{version:?}");
            assert!(answer.body.is_empty(), "{version:?}: {answer:?}");
        });
    }
}

#[test]
fn an_app_that_fails_is_answered_with_500() {
    let app = |_: Http| async { Err("broken".into()) };
    let script = |version, address, _: &Handle| {
        let answer = Client::ask(version, address, GET).answer();
        check_refusal(version, &answer, 500, "Internal Server Error\n");
    };
    on_both_then(&Config::default(), app, script, || {
        logs::expect_error(&["the app failed", "broken"]);
    });
}

/// RFC 9110 §6.6.1: an origin server with a clock must send `date` in a 4xx of its own. HTTP/2 ends the
/// connection instead: no stream is open yet.
#[test]
fn a_head_that_stops_is_answered_with_a_whole_408() {
    let mut config = Config::default();
    config.header_timeout = milliseconds(400);
    on_both(&config, count_bytes, |version, address, _| match version {
        Version::Http1 => {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").unwrap();
            let answer = read_http1(&mut stream, false);
            check_refusal(version, &answer, 408, "Request Timeout\n");
            assert!(answer.stops, "{answer:?}");
        }
        Version::Http2 => {
            let mut peer = Peer::connect(address);
            let mut head = headers(1, &Request::get("/")).end_stream();
            // Without END_HEADERS.
            head.flags &= !0x4;
            peer.send(head);
            peer.expect_connection_error(0xb);
        }
    });
}

/// RFC 6455 §4.4: the server names the version that it speaks. HTTP/2 has no 426, because that needs an
/// `upgrade` header.
#[test]
fn a_handshake_of_another_version_learns_the_right_one() {
    on_both(&Config::default(), count_bytes, |version, address, _| {
        let answer = match version {
            Version::Http1 => {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                let head = "GET / HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                    sec-websocket-version: 12\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                let answer = read_http1(&mut stream, false);
                check_refusal(version, &answer, 426, "Upgrade Required\n");
                assert_eq!(answer.header("upgrade"), Some("websocket"));
                answer
            }
            Version::Http2 => {
                let mut peer = Peer::connect(address);
                let request = Request::new("CONNECT", "/")
                    .header(":protocol", "websocket")
                    .header("sec-websocket-version", "12");
                peer.send(headers(1, &request));
                let answer = read_http2(&mut peer);
                check_refusal(version, &answer, 400, "Bad Request\n");
                answer
            }
        };
        assert_eq!(
            answer.header("sec-websocket-version"),
            Some("13"),
            "{answer:?}"
        );
    });
}

#[test]
fn expect_100_continue_is_a_list_and_gets_a_100() {
    on_both(&Config::default(), count_bytes, |version, address, _| {
        let mut client = Client::ask(version, address, POST.with("expect", "100-continue"));
        sleep(milliseconds(100));
        client.send(&[b'x'; 20]);
        let answer = client.answer();
        assert_eq!(
            (answer.status, &*answer.interim),
            (200, &[100][..]),
            "{version:?}"
        );
        for value in ["100-continue, 100-Continue", "", ","] {
            let mut client = Client::ask(version, address, POST.with("expect", value));
            client.send(&[b'x'; 20]);
            let answer = client.answer();
            assert_eq!(answer.status, 200, "{version:?} {value:?}");
        }
        for value in ["100-continue, x", "200-ok"] {
            let answer = Client::ask(version, address, GET.with("expect", value)).answer();
            assert_eq!(answer.status, 417, "{version:?} {value:?}");
        }
    });
}

/// Answers from another thread, as the runtime of a loaded app does. The body comes only after the
/// server has polled the app again, so a server that takes the app for waiting has sent the head by then.
async fn answer_from_another_thread(mut http: Http) -> Result<(), AppError> {
    let (polled, wait) = mpsc::channel();
    let mut answer = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        wait.recv()?;
        runtime.block_on(http.begin())?;
        wait.recv()?;
        runtime.block_on(http.last("late"))
    });
    poll_fn(|cx| {
        let answered = Pin::new(&mut answer).poll(cx);
        if answered.is_pending() {
            ferricorn::app_is_working();
            // It fails if the other thread has heard enough.
            let _ = polled.send(());
        }
        answered
    })
    .await?
}

/// HTTP-024, HTTP-027, HTTP-086
#[test]
fn the_head_is_held_back_while_the_app_runs_on_another_thread() {
    let config = Config::default();
    on_both(
        &config,
        answer_from_another_thread,
        |version, address, _| {
            let answer = Client::ask(version, address, GET).answer();
            assert_eq!(answer.status, 200, "{version:?}: {answer:?}");
            assert_eq!(answer.header("content-length"), Some("4"), "{version:?}");
            assert_eq!(answer.header("transfer-encoding"), None, "{version:?}");
            assert_eq!(answer.text(), "late", "{version:?}");
        },
    );
}
