//! Requests, before a client writes them in the form of its protocol.

use super::http2::HeaderList;
use super::websocket::HANDSHAKE;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct CaseRequest {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Lines of HTTP/1, each with its CR LF.
    pub(crate) headers: String,
    pub(crate) kind: RequestKind,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Http,
    /// A WebSocket.
    Handshake,
}

/// What follows the head of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upload {
    Nothing,
    /// This many bytes.
    Length(usize),
    /// Bytes of unknown number: chunks on HTTP/1.
    Open,
}

/// The host of each request.
pub(crate) const AUTHORITY: &str = "suite";

/// Announces a body of unknown length. HTTP/2 has no header for that.
pub(crate) const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// Headers of one connection, which a request over HTTP/2 does not have.
const OF_HTTP_1: [&str; 3] = ["connection", "transfer-encoding", "host"];

impl CaseRequest {
    /// The head for HTTP/1.1.
    pub(crate) fn http1(&self) -> String {
        let handshake = match self.kind {
            RequestKind::Http => "",
            RequestKind::Handshake => HANDSHAKE,
        };
        format!(
            "{} {} HTTP/1.1\r\nhost: {AUTHORITY}\r\n{handshake}{}\r\n",
            self.method, self.target, self.headers
        )
    }

    /// The headers for HTTP/2.
    pub(crate) fn http2(&self, scheme: &str) -> HeaderList {
        let mut list = HeaderList::new();
        let mut add = |name: &str, value: &str| list.push((name.into(), value.into()));
        match self.kind {
            RequestKind::Http if self.method == "CONNECT" => {
                add(":method", "CONNECT");
                add(":authority", &self.target);
            }
            kind => {
                let socket = kind == RequestKind::Handshake;
                add(":method", if socket { "CONNECT" } else { &self.method });
                if socket {
                    add(":protocol", "websocket");
                }
                add(":scheme", scheme);
                add(":authority", AUTHORITY);
                add(":path", &self.target);
                if socket {
                    add("sec-websocket-version", "13");
                }
            }
        }
        for (name, value) in self.lines() {
            if !OF_HTTP_1.contains(&name.as_str()) {
                add(&name, value);
            }
        }
        list
    }

    /// What its headers announce.
    pub(crate) fn upload(&self) -> Upload {
        for (name, value) in self.lines() {
            match name.as_str() {
                "transfer-encoding" => return Upload::Open,
                "content-length" => {
                    return match value.parse() {
                        Ok(length @ 1..) => Upload::Length(length),
                        _ => Upload::Nothing,
                    };
                }
                _ => {}
            }
        }
        match self.kind {
            RequestKind::Http => Upload::Nothing,
            RequestKind::Handshake => Upload::Open,
        }
    }

    fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        let lines = self.headers.split("\r\n");
        lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_same_headers_over_both_protocols() {
        let request = CaseRequest {
            method: "POST".into(),
            target: "/a".into(),
            headers: format!("{CHUNKED}X-A: 1\r\nte: trailers\r\nconnection: te\r\n"),
            kind: RequestKind::Http,
        };
        assert!(
            request
                .http1()
                .ends_with("X-A: 1\r\nte: trailers\r\nconnection: te\r\n\r\n")
        );
        assert_eq!(request.upload(), Upload::Open);
        let list = request.http2("https");
        let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [":method", ":scheme", ":authority", ":path", "x-a", "te"];
        assert_eq!(names, expected);
    }
}
