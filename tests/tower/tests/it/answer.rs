//! A client for any server, and what it sees of a response.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use test_support::within;
use tokio::net::TcpStream;

/// The version of HTTP of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

pub const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A response, without what each server decides for itself: the date, its name, and the framing of
/// HTTP/1.1 (RFC 9110 §7.6.1, RFC 9112 §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: Bytes,
    pub trailers: Option<BTreeMap<String, Vec<String>>>,
    /// Whether the response came to its end.
    pub complete: bool,
}

impl Answer {
    /// Removes a `content-length` that says only what the client sees anyway. Servers may send it, or
    /// leave it out. (RFC 9110 §8.6) On 204 it is forbidden, and hyper sends it.
    fn drop_optional_length(&mut self) {
        let length = self.header("content-length").map(str::to_owned);
        if self.status == 204 || length == Some(self.body.len().to_string()) {
            self.headers.remove("content-length");
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|values| values[0].as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request on a connection of its own.
pub async fn send(address: SocketAddr, over: Protocol, request: Request<Bytes>) -> Answer {
    within("the response", async {
        let (response, _connection) = begin(address, over, request).await;
        let (head, mut body) = response.into_parts();
        let mut answer = Answer {
            status: head.status.as_u16(),
            headers: compared(&head.headers),
            body: Bytes::new(),
            trailers: None,
            complete: true,
        };
        let mut data = BytesMut::new();
        while let Some(frame) = body.frame().await {
            match frame.map(|frame| frame.into_data()) {
                Ok(Ok(part)) => data.extend_from_slice(&part),
                Ok(Err(frame)) => {
                    answer.trailers = frame.into_trailers().ok().map(|map| compared(&map));
                }
                Err(_) => {
                    answer.complete = false;
                    break;
                }
            }
        }
        answer.body = data.freeze();
        answer.drop_optional_length();
        answer
    })
    .await
}

/// What keeps a connection open.
#[derive(Debug)]
pub enum Connection {
    Http1(#[expect(dead_code, reason = "it is dropped late")] http1::SendRequest<Full<Bytes>>),
    Http2(#[expect(dead_code, reason = "it is dropped late")] http2::SendRequest<Full<Bytes>>),
}

/// Sends a request, and returns as soon as the head of the response is there.
pub async fn begin(
    address: SocketAddr,
    over: Protocol,
    mut request: Request<Bytes>,
) -> (Response<Incoming>, Connection) {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    match over {
        Protocol::Http1 => {
            let host = "example.org".parse().unwrap();
            request.headers_mut().entry(header::HOST).or_insert(host);
            let (mut requests, connection) = http1::handshake(stream).await.unwrap();
            // A failed connection also fails its request.
            tokio::spawn(async { drop(connection.await) });
            let response = requests.send_request(request.map(Full::new)).await;
            (response.unwrap(), Connection::Http1(requests))
        }
        Protocol::Http2 => {
            let target = request.uri().path_and_query().unwrap();
            *request.uri_mut() = format!("http://example.org{target}").parse().unwrap();
            let executor = TokioExecutor::new();
            let (mut requests, connection) = http2::handshake(executor, stream).await.unwrap();
            tokio::spawn(async { drop(connection.await) });
            let response = requests.send_request(request.map(Full::new)).await;
            (response.unwrap(), Connection::Http2(requests))
        }
    }
}

/// The headers that both servers must have in common.
fn compared(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    const OWN: [http::HeaderName; 4] = [
        header::DATE,
        header::SERVER,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
    ];
    let mut compared: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if !OWN.contains(name) {
            let values = compared.entry(name.to_string()).or_default();
            values.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    compared
}
