//! What has come on one stream.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::super::parse::Head;
use super::hpack::HeaderList;

/// What has come on one stream and was not taken yet.
#[derive(Debug)]
pub(crate) struct StreamArrivals {
    /// How much the client may send.
    pub(super) window: i64,
    pub(crate) heads: VecDeque<Head>,
    pub(crate) data: BytesMut,
    pub(crate) trailers: HeaderList,
    /// The promised streams, each with the headers of its request.
    pub(crate) promises: VecDeque<(u32, HeaderList)>,
    pub(crate) ending: Option<StreamEnding>,
    /// The order in which all of it came.
    pub(crate) steps: Vec<StreamStep>,
    has_final_head: bool,
}

/// How the server ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnding {
    EndStream,
    /// RST_STREAM with this code.
    Reset(u32),
}

/// One thing that came on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamStep {
    /// A head with this status.
    Head(u16),
    Data,
    Trailers,
    /// A promise of this stream.
    Promise(u32),
}

impl StreamArrivals {
    pub(super) fn new(window: i64) -> Self {
        Self {
            window,
            heads: VecDeque::new(),
            data: BytesMut::new(),
            trailers: Vec::new(),
            promises: VecDeque::new(),
            ending: None,
            steps: Vec::new(),
            has_final_head: false,
        }
    }

    pub(super) fn on_data(&mut self, data: &[u8], end: bool) {
        if !data.is_empty() {
            self.data.extend_from_slice(data);
            self.steps.push(StreamStep::Data);
        }
        if end {
            self.end(StreamEnding::EndStream);
        }
    }

    pub(super) fn on_reset(&mut self, code: u32) {
        // After END_STREAM, a reset only asks the client to send no more (RFC 9113 §8.1).
        self.end(StreamEnding::Reset(code));
    }

    fn end(&mut self, ending: StreamEnding) {
        self.ending.get_or_insert(ending);
    }

    pub(super) fn on_promise(&mut self, stream: u32, headers: HeaderList) {
        self.steps.push(StreamStep::Promise(stream));
        self.promises.push_back((stream, headers));
    }

    /// Takes a head or a section of trailers. An error says what is wrong with it.
    pub(super) fn on_headers(&mut self, headers: HeaderList, end: bool) -> Result<(), String> {
        if let Some((name, _)) = headers
            .iter()
            .find(|(name, _)| name.chars().any(char::is_uppercase) || CONNECTION.contains(&&**name))
        {
            return Err(format!("the header {name:?}"));
        }
        if self.has_final_head {
            if let Some((name, _)) = headers.iter().find(|(name, _)| name.starts_with(':')) {
                return Err(format!("the trailer {name:?}"));
            }
            self.trailers = headers;
            self.steps.push(StreamStep::Trailers);
        } else {
            let status = match headers.first() {
                Some((name, value)) if name == ":status" => value.parse::<u16>().ok(),
                _ => None,
            };
            let status = status.ok_or_else(|| format!("no :status first in {headers:?}"))?;
            let rest = &headers[1..];
            if rest.iter().any(|(name, _)| name.starts_with(':')) {
                return Err(format!("two pseudo-headers in {headers:?}"));
            }
            let head = Head {
                version: "HTTP/2".into(),
                status,
                headers: rest.to_vec(),
            };
            self.has_final_head = !head.is_interim();
            self.steps.push(StreamStep::Head(status));
            self.heads.push_back(head);
        }
        if end {
            self.end(StreamEnding::EndStream);
        }
        Ok(())
    }
}

/// Headers that HTTP/2 forbids (RFC 9113 §8.2.2).
const CONNECTION: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderList {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn trailers_are_what_comes_after_the_final_head() {
        let mut stream = StreamArrivals::new(0);
        for status in ["103", "200"] {
            let head = headers(&[(":status", status), ("x-a", "1")]);
            stream.on_headers(head, false).unwrap();
        }
        stream.on_data(b"body", false);
        stream.on_headers(headers(&[("x-b", "2")]), true).unwrap();
        assert_eq!(stream.heads.len(), 2);
        assert_eq!(stream.trailers, headers(&[("x-b", "2")]));
        assert_eq!(stream.ending, Some(StreamEnding::EndStream));
        let steps = [
            StreamStep::Head(103),
            StreamStep::Head(200),
            StreamStep::Data,
            StreamStep::Trailers,
        ];
        assert_eq!(stream.steps, steps);
    }

    #[test]
    fn a_head_that_rfc_9113_forbids_is_an_error() {
        for wrong in [
            &[("x-a", "1")][..],
            &[(":status", "200"), (":path", "/")],
            &[("x-a", "1"), (":status", "200")],
            &[(":status", "200"), ("X-A", "1")],
            &[(":status", "200"), ("connection", "close")],
        ] {
            let mut stream = StreamArrivals::new(0);
            assert!(
                stream.on_headers(headers(wrong), true).is_err(),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_reset_after_the_end_of_the_stream_is_no_other_end() {
        let mut stream = StreamArrivals::new(0);
        stream.on_data(b"", true);
        stream.on_reset(0);
        assert_eq!(stream.ending, Some(StreamEnding::EndStream));
    }
}
