//! One connection for HTTP/1.

use super::parse::{self, BodyEnd, Head, Received};
use std::time::Duration;

use super::socket::{ConnectionEnding, Endpoint, RawConnection, STALL, WireProtocol};
use super::{Trace, within, within_time};
use crate::result::{Checked, Stop, fail};

/// A raw connection. It sends bytes as they are, and reads responses.
pub(crate) struct Http1 {
    pub(crate) connection: RawConnection,
}

impl Http1 {
    pub(crate) async fn connect(endpoint: &Endpoint, name: String, trace: Trace) -> Checked<Self> {
        let connection = RawConnection::connect(endpoint, WireProtocol::Http1, name, trace).await?;
        Ok(Self { connection })
    }

    /// Sends bytes. If the server is gone, the reads that follow will tell.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Checked {
        self.connection.send(bytes.as_ref()).await
    }

    /// Closes the client's side. It can still read.
    pub(crate) async fn close_write(&mut self) {
        self.connection.close_write().await;
    }

    /// Reads the next head, also that of an interim response.
    pub(crate) async fn head(&mut self) -> Result<Head, Stop> {
        let head = self.until(b"\r\n\r\n", "the head of a response").await?;
        match Head::parse(&head) {
            Ok(head) => Ok(head),
            Err(wrong) => fail("a head of HTTP/1", wrong),
        }
    }

    /// Reads a response to a request with a method other than HEAD.
    pub(crate) async fn response(&mut self) -> Result<Received, Stop> {
        self.response_to("GET").await
    }

    /// Reads a response to a request with this method, with the interim ones before it.
    pub(crate) async fn response_to(&mut self, method: &str) -> Result<Received, Stop> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head().await?;
            if !head.is_interim() {
                break head;
            }
            interim.push(head);
        };
        self.body_of(interim, head, method).await
    }

    /// Reads the body of a response whose head has come.
    pub(crate) async fn body_of(
        &mut self,
        interim: Vec<Head>,
        head: Head,
        method: &str,
    ) -> Result<Received, Stop> {
        let mut received = Received {
            interim,
            head,
            body: Vec::new(),
            trailers: Vec::new(),
            end: BodyEnd::None,
        };
        let without = method == "HEAD" || matches!(received.head.status, 204 | 304);
        if without {
            return Ok(received);
        }
        if received.head.is_chunked() {
            received.end = self.chunks(&mut received).await?;
        } else if let Some(length) = received.head.header("content-length") {
            let Ok(length) = length.parse::<usize>() else {
                return fail("a content-length in digits", format!("{length:?}"));
            };
            let complete = self.fill(length).await?;
            received.body = self.take(length);
            received.end = complete.map_or(BodyEnd::Length, broken);
        } else {
            let ending = within("the end of the body", self.connection.read_to_end()).await?;
            received.body = self.take(usize::MAX);
            received.end = match ending {
                ConnectionEnding::Closed => BodyEnd::Closed,
                ConnectionEnding::Reset => BodyEnd::Reset,
            };
        }
        Ok(received)
    }

    /// Waits until these bytes have come, and takes all up to their end.
    pub(crate) async fn expect_bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let what = format!("the bytes {:?}", bytes.escape_ascii().to_string());
        self.until(bytes, &what).await.map(drop)
    }

    /// Waits for this many bytes, and takes them.
    pub(crate) async fn exactly(&mut self, count: usize, what: &str) -> Result<Vec<u8>, Stop> {
        match within(what, self.read_until(count)).await? {
            None => Ok(self.take(count)),
            Some(ending) => {
                let came = self.connection.buffer.escape_ascii().to_string();
                fail(what, format!("{ending:?} after {came:?}"))
            }
        }
    }

    /// Waits for the end of the connection for as long as this, and returns what came before.
    pub(crate) async fn end_within(&mut self, limit: Duration) -> Result<Vec<u8>, Stop> {
        within_time(
            limit,
            "the end of the connection",
            self.connection.read_to_end(),
        )
        .await?;
        Ok(self.take(usize::MAX))
    }

    /// Waits for the end of the connection, and returns what came before.
    pub(crate) async fn end(&mut self) -> Result<(Vec<u8>, ConnectionEnding), Stop> {
        let ending = within("the end of the connection", self.connection.read_to_end()).await?;
        Ok((self.take(usize::MAX), ending))
    }

    /// Waits for the first bytes, and returns what has come. `None` if the connection ends without any.
    pub(crate) async fn first_bytes(&mut self) -> Checked<Option<Vec<u8>>> {
        let ended = within("an answer or an end", self.read_until(1)).await?;
        let bytes = self.take(usize::MAX);
        Ok(ended.is_none().then_some(bytes))
    }

    /// Returns the bytes that have come, or come within a short time. For things that must not
    /// happen.
    pub(crate) async fn anything(&mut self) -> Result<Vec<u8>, Stop> {
        let more = tokio::time::timeout(STALL, self.fill(self.connection.buffer.len() + 1)).await;
        if let Ok(more) = more {
            more?;
        }
        Ok(self.take(usize::MAX))
    }

    /// Reads chunks and trailers.
    async fn chunks(&mut self, received: &mut Received) -> Result<BodyEnd, Stop> {
        loop {
            let line = match self.line().await? {
                Ok(line) => line,
                Err(ending) => return Ok(broken(ending)),
            };
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return fail("the size of a chunk", format!("{line:?}"));
            };
            if size == 0 {
                break;
            }
            if let Some(ending) = self.fill(size + 2).await? {
                let came = self.take(size);
                received.body.extend(came);
                return Ok(broken(ending));
            }
            let chunk = self.take(size);
            received.body.extend(chunk);
            let after = self.take(2);
            if after != b"\r\n" {
                return fail("CR LF after a chunk", after.escape_ascii());
            }
        }
        loop {
            match self.line().await? {
                Err(ending) => return Ok(broken(ending)),
                Ok(line) if line.is_empty() => return Ok(BodyEnd::Marked),
                Ok(line) => match parse::header(&line) {
                    Ok(trailer) => received.trailers.push(trailer),
                    Err(wrong) => return fail("a trailer", wrong),
                },
            }
        }
    }

    /// Reads a line, or returns how the connection ended before.
    async fn line(&mut self) -> Result<Result<String, ConnectionEnding>, Stop> {
        loop {
            if let Some(at) = find(&self.connection.buffer, b"\r\n") {
                let line = self.take(at);
                self.connection.skip(2);
                return Ok(Ok(String::from_utf8_lossy(&line).into_owned()));
            }
            if let Some(ending) = self.fill(self.connection.buffer.len() + 1).await? {
                return Ok(Err(ending));
            }
        }
    }

    /// Takes bytes up to the end of `pattern`, and returns those before it.
    async fn until(&mut self, pattern: &[u8], what: &str) -> Result<Vec<u8>, Stop> {
        loop {
            if let Some(at) = find(&self.connection.buffer, pattern) {
                let before = self.take(at);
                self.connection.skip(pattern.len());
                return Ok(before);
            }
            let wanted = self.connection.buffer.len() + 1;
            if let Some(ending) = within(what, self.read_until(wanted)).await? {
                let came = self.connection.buffer.escape_ascii().to_string();
                return fail(what, format!("{ending:?} after {came:?}"));
            }
        }
    }

    /// Reads until the buffer has this many bytes. Returns how the connection ended if it ended
    /// before.
    async fn fill(&mut self, wanted: usize) -> Result<Option<ConnectionEnding>, Stop> {
        within("the rest of a body", self.read_until(wanted)).await
    }

    async fn read_until(&mut self, wanted: usize) -> Result<Option<ConnectionEnding>, Stop> {
        self.connection.read_until(wanted).await
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        self.connection.take(most)
    }
}

fn broken(ending: ConnectionEnding) -> BodyEnd {
    match ending {
        ConnectionEnding::Closed => BodyEnd::Cut,
        ConnectionEnding::Reset => BodyEnd::Reset,
    }
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes
        .windows(pattern.len())
        .position(|window| window == pattern)
}
