//! The framing of HTTP/1.1 requests, alone and beside hyper.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{EXPECT, TE, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response, Uri, request};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::splits;
use crate::http1::request_framing::{
    FramingError, LineLimits, Position, RequestFraming, SeenHeaders,
};

const MAX_LINE: usize = 256;

/// The input is the bytes that a client sends.
///
/// - The verdict is the same however the bytes are split. One difference is allowed: only in a split
///   head does the framing refuse a malformed header, and then hyper refuses it too.
/// - A refused request stays refused.
/// - No line takes more memory than the largest head.
/// - If the framing accepts a request, hyper reads the same request from the same bytes.
pub fn http1_framing(data: &[u8]) {
    let expected = follow([data]);
    for pieces in splits(data) {
        let verdict = follow(pieces);
        if verdict.is_of_split_headers() && verdict != expected {
            let before = verdict.requests.len() - 1;
            assert_eq!(verdict.requests[..before], expected.requests[..before]);
            assert!(requests_of_hyper(data).len() <= before, "hyper accepts it");
        } else {
            assert_eq!(verdict, expected, "split");
        }
    }
    compare_with_hyper(data);
}

/// The verdict of the framing about a connection.
#[derive(Debug, PartialEq)]
struct FramingVerdict {
    /// For each request, up to the first that the server must not serve.
    requests: Vec<Result<SeenHeaders, FramingError>>,
    body_fault: Option<FramingError>,
    position: Position,
}

impl FramingVerdict {
    fn is_of_split_headers(&self) -> bool {
        self.requests.last() == Some(&Err(FramingError::MalformedHeader))
    }
}

fn verdict(framing: &RequestFraming) -> FramingVerdict {
    let mut requests = Vec::new();
    while requests.last().is_none_or(Result::is_ok) {
        requests.push(framing.check_request(requests.len() as u64));
    }
    FramingVerdict {
        requests,
        body_fault: framing.body_fault(),
        position: framing.position(),
    }
}

fn follow<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> FramingVerdict {
    let mut framing = RequestFraming::new(LineLimits::new(MAX_LINE, MAX_LINE));
    for piece in pieces {
        let read = framing.read(piece);
        assert!(framing.held() <= MAX_LINE, "holds {}", framing.held());
        let is_refused = framing.body_fault().is_some() || framing.refused_head().is_some();
        assert_eq!(read.is_err(), is_refused);
        if let Err(before) = read {
            assert!(before < piece.len(), "the fault is after the piece");
            break;
        }
    }
    let result = verdict(&framing);
    if let Some(Err(error)) = result.requests.last()
        && *error != FramingError::OutOfStep
    {
        assert_eq!(framing.read(b"GET / HTTP/1.1\r\n\r\n"), Err(0));
        assert_eq!(verdict(&framing), result, "after more bytes");
    }
    result
}

/// Compares each request that hyper reads with the head that the framing saw.
///
/// If they disagree on where a request begins, a client can smuggle a request past the server's
/// checks.
fn compare_with_hyper(data: &[u8]) {
    let (heads, framing) = heads(data);
    for (number, request) in requests_of_hyper(data).into_iter().enumerate() {
        let Ok(seen) = framing.check_request(number as u64) else {
            // The server sends an error and closes the connection.
            return;
        };
        let (start, end) = heads[number];
        let mut lines = data[start..end].split(|byte| *byte == b'\n');
        let mut line = lines
            .next()
            .unwrap_or_default()
            .splitn(3, |byte| *byte == b' ');
        let (method, target) = (line.next(), line.next());
        let ReadRequest { head, body } = request;
        assert_eq!(Some(head.method.as_str().as_bytes()), method, "method");
        let target = target.and_then(|target| Uri::try_from(target).ok());
        assert_eq!(Some(&head.uri), target.as_ref(), "target");
        // The split leaves an empty piece after the end of the head, and one is the empty line.
        assert_eq!(head.headers.len() + 2, lines.count(), "header lines");
        for (name, seen) in [
            (EXPECT, seen.expect),
            (TE, seen.te),
            (TRANSFER_ENCODING, seen.transfer_encoding),
            (UPGRADE, seen.upgrade),
        ] {
            assert!(seen || !head.headers.contains_key(&name), "missed {name}");
        }
        if !head.headers.contains_key(TRANSFER_ENCODING) {
            assert!(data[end..].starts_with(&body), "body");
        }
    }
}

/// Where each head begins and ends, as the framing sees it.
fn heads(data: &[u8]) -> (Vec<(usize, usize)>, RequestFraming) {
    let mut framing = RequestFraming::new(LineLimits::new(MAX_LINE, MAX_LINE));
    let mut heads = Vec::new();
    let mut start = 0;
    for (at, byte) in data.iter().enumerate() {
        if framing.position() == Position::Between {
            start = at;
        }
        if framing.read(&[*byte]).is_err() {
            break;
        }
        if framing.check_request(heads.len() as u64).is_ok() {
            heads.push((start, at + 1));
        }
    }
    (heads, framing)
}

/// A request that hyper has read, with as much of its body as came.
struct ReadRequest {
    head: request::Parts,
    body: Vec<u8>,
}

/// Lets hyper read requests from these bytes, and answers each of them.
fn requests_of_hyper(data: &[u8]) -> Vec<ReadRequest> {
    let requests = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let requests = Rc::clone(&requests);
        async move {
            let (head, mut incoming) = request.into_parts();
            let index = requests.borrow().len();
            let body = Vec::new();
            requests.borrow_mut().push(ReadRequest { head, body });
            while let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                if let Some(bytes) = frame.data_ref() {
                    requests.borrow_mut()[index].body.extend_from_slice(bytes);
                }
            }
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let client = ScriptedClient(Bytes::copy_from_slice(data));
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .serve_connection(client, service)
    );
    let mut cx = Context::from_waker(Waker::noop());
    // hyper pauses after some work. It needs no more polls than there are bytes.
    for _ in 0..data.len() + 100 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    requests.take()
}

/// A client that sends these bytes, closes its side and reads everything.
struct ScriptedClient(Bytes);

impl Read for ScriptedClient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.0.len().min(buffer.remaining());
        buffer.put_slice(&self.0.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Write for ScriptedClient {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
