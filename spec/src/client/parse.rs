//! Responses as a case sees them, and the heads of HTTP/1.

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: String,
    pub(crate) status: u16,
    /// In their order. Names are in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Returns the values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(one, _)| one == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub(crate) fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header("transfer-encoding") == Some("chunked")
    }

    /// Reads a head without its last empty line. An error says what is wrong with it.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, String> {
        let text: String = head.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let (version, rest) = first
            .split_once(' ')
            .ok_or_else(|| format!("the status line {first:?}"))?;
        // Bytes that no response may have before it would stand before the version.
        if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
            return Err(format!("the status line {first:?}"));
        }
        let status = rest.get(..3).and_then(|status| status.parse().ok());
        let mut headers = Vec::new();
        for line in lines {
            headers.push(header(line)?);
        }
        Ok(Self {
            version: version.into(),
            status: status.ok_or_else(|| format!("the status line {first:?}"))?,
            headers,
        })
    }
}

/// Reads one header, of a head or of a section of trailers.
pub(crate) fn header(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| format!("the header line {line:?}"))?;
    Ok((
        name.to_ascii_lowercase(),
        value.trim_matches([' ', '\t']).into(),
    ))
}

/// A complete response, or as much of it as came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// The responses with a status from 100 to 199 that came first.
    pub(crate) interim: Vec<Head>,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) end: BodyEnd,
}

impl Received {
    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// The response has no body.
    None,
    /// All bytes of the `content-length` came.
    Length,
    /// The last chunk came, or END_STREAM, without a length.
    Marked,
    /// The server closed the connection, and nothing else could show the end.
    Closed,
    /// The connection ended before the body.
    Cut,
    /// The connection was reset before the body's end.
    Reset,
    /// The stream was reset before the body's end, with this code.
    StreamReset(u32),
}

impl BodyEnd {
    /// Whether the body has no sign of its end.
    pub(crate) fn is_cut(self) -> bool {
        matches!(self, Self::Cut | Self::Reset | Self::StreamReset(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_a_status_and_headers_in_their_order() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nA: 1\r\nb:\xff \r\na: 2").unwrap();
        assert_eq!((head.version.as_str(), head.status), ("HTTP/1.1", 200));
        assert_eq!(head.all("a"), ["1", "2"]);
        assert_eq!(head.header("b"), Some("\u{ff}"));
    }

    #[test]
    fn a_malformed_head_says_which_line_is_wrong() {
        let wrong = Head::parse(b"HTTP/1.1 200 OK\r\nno colon").unwrap_err();
        assert_eq!(wrong, "the header line \"no colon\"");
        assert!(Head::parse(b"hello").is_err());
        assert!(Head::parse(b"evilHTTP/1.1 200 OK\r\na: 1").is_err());
    }
}
