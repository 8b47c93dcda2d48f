//! What a client waits for.

use super::super::parse::{BodyEnd, Head, Received};
use super::super::socket::{ConnectionEnding, STALL};
use super::super::within;
use super::{HeaderList, Http2, StreamEnding};
use crate::result::{Checked, Stop, ensure, fail};

impl Http2 {
    /// Reads the whole response on a stream.
    pub(crate) async fn response(&mut self, stream: u32) -> Checked<Received> {
        let mut interim = Vec::new();
        loop {
            let head = self.head(stream).await?;
            if !head.is_interim() {
                return self.body_of(stream, interim, head, "GET").await;
            }
            interim.push(head);
        }
    }

    /// Waits for the end of a stream.
    pub(crate) async fn ending(&mut self, stream: u32) -> Checked<StreamEnding> {
        self.until(stream, "the end of the stream", |arrived| arrived.ending)
            .await
    }

    /// Waits for the end of a stream or of the connection.
    pub(crate) async fn ending_of_either(&mut self, stream: u32) -> Checked<ConnectionEnding> {
        loop {
            match self.stream(stream).ending {
                Some(StreamEnding::EndStream) => return Ok(ConnectionEnding::Closed),
                Some(StreamEnding::Reset(_)) => return Ok(ConnectionEnding::Reset),
                None => {}
            }
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
            within("the end of the stream", self.read()).await?;
        }
    }

    /// Waits for a final head or the end of the stream or the connection. Returns the status, or `None`
    /// if there was no head.
    pub(crate) async fn status_or_end(&mut self, stream: u32) -> Checked<Option<u16>> {
        loop {
            let arrived = self.stream(stream);
            let head = arrived.heads.iter().find(|head| !head.is_interim());
            if let Some(head) = head {
                return Ok(Some(head.status));
            }
            if self.is_over(stream) {
                return Ok(None);
            }
            within("a status or the end of the stream", self.read()).await?;
        }
    }

    /// Waits for a promise on a stream, and returns the promised stream and its request.
    pub(crate) async fn promise(&mut self, stream: u32) -> Checked<(u32, HeaderList)> {
        let promise = self
            .until(stream, "a promise", |arrived| {
                match arrived.promises.pop_front() {
                    Some(promise) => Some(Ok(promise)),
                    None => arrived.ending.map(Err),
                }
            })
            .await?;
        match promise {
            Ok(promise) => Ok(promise),
            Err(ending) => fail("a promise", format!("{ending:?}")),
        }
    }

    /// Reads the next head of a stream, also that of an interim response.
    pub(crate) async fn head(&mut self, stream: u32) -> Checked<Head> {
        const WHAT: &str = "the head of a response";
        let head = self
            .until(stream, WHAT, |arrived| match arrived.heads.pop_front() {
                Some(head) => Some(Ok(head)),
                None => arrived.ending.map(Err),
            })
            .await?;
        match head {
            Ok(head) => Ok(head),
            Err(ending) => fail(WHAT, format!("{ending:?}")),
        }
    }

    /// Reads the body of a response whose head has come.
    pub(crate) async fn body_of(
        &mut self,
        stream: u32,
        interim: Vec<Head>,
        head: Head,
        method: &str,
    ) -> Checked<Received> {
        let ending = loop {
            if let Some(ending) = self.stream(stream).ending {
                break match ending {
                    StreamEnding::EndStream => None,
                    StreamEnding::Reset(code) => Some(BodyEnd::StreamReset(code)),
                };
            }
            match self.ending {
                None => within("the rest of a body", self.read()).await?,
                Some(ConnectionEnding::Closed) => break Some(BodyEnd::Cut),
                Some(ConnectionEnding::Reset) => break Some(BodyEnd::Reset),
            }
        };
        let arrived = self.stream(stream);
        let body = arrived.data.split().to_vec();
        let trailers = std::mem::take(&mut arrived.trailers);
        let length = head.header("content-length").map(str::to_owned);
        let without = method == "HEAD" || matches!(head.status, 204 | 304);
        let end = match (ending, length) {
            (Some(cut), _) => cut,
            (None, _) if without => BodyEnd::None,
            (None, None) => BodyEnd::Marked,
            (None, Some(length)) => {
                let right = length == body.len().to_string();
                ensure(
                    right,
                    "a body with its content-length",
                    (length, body.len()),
                )?;
                BodyEnd::Length
            }
        };
        Ok(Received {
            interim,
            head,
            body,
            trailers,
            end,
        })
    }

    /// Reads whatever comes within a short time.
    pub(crate) async fn settle(&mut self) -> Checked {
        while self.ending.is_none() {
            match tokio::time::timeout(STALL, self.read()).await {
                Err(_) => break,
                Ok(read) => read?,
            }
        }
        Ok(())
    }

    /// Waits for this many bytes of DATA, and takes them.
    pub(crate) async fn exactly(
        &mut self,
        stream: u32,
        count: usize,
        what: &str,
    ) -> Checked<Vec<u8>> {
        self.until_data(stream, what, |data| (data.len() >= count).then_some(count))
            .await
    }

    /// Takes DATA up to the end of `pattern`.
    pub(crate) async fn expect_bytes(&mut self, stream: u32, pattern: &[u8]) -> Checked {
        let what = format!("the bytes {:?}", pattern.escape_ascii().to_string());
        self.until_data(stream, &what, |data| {
            let mut windows = data.windows(pattern.len());
            Some(windows.position(|window| window == pattern)? + pattern.len())
        })
        .await
        .map(drop)
    }

    /// Waits until `enough` says how many bytes of DATA are wanted, and takes them.
    async fn until_data(
        &mut self,
        stream: u32,
        what: &str,
        enough: impl Fn(&[u8]) -> Option<usize>,
    ) -> Checked<Vec<u8>> {
        let taken: Result<Vec<u8>, Stop> = self
            .until(stream, what, |arrived| match enough(&arrived.data) {
                Some(count) => Some(Ok(arrived.data.split_to(count).to_vec())),
                None => arrived.ending.map(|ending| {
                    let came = arrived.data.escape_ascii().to_string();
                    fail(what, format!("{ending:?} after {came:?}"))
                }),
            })
            .await?;
        taken
    }
}
