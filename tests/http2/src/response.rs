//! Received responses.

/// The head of a response, or trailers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The value of `:status`, 0 if there is none.
    pub status: u16,
    /// The headers without `:status`, in their order.
    pub headers: Vec<(String, String)>,
    /// Whether the frame had END_STREAM.
    pub end: bool,
}

impl Head {
    pub(crate) fn new(headers: Vec<(String, String)>, end: bool) -> Self {
        let (pseudo, headers): (Vec<_>, Vec<_>) = headers
            .into_iter()
            .partition(|(name, _)| name.starts_with(':'));
        let status = match &pseudo[..] {
            [(name, value)] if name == ":status" => value.parse().unwrap_or(0),
            _ => 0,
        };
        Self {
            status,
            headers,
            end,
        }
    }

    /// The value of a header, `None` if there is none. Fails if the header is repeated.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is repeated in {self:#?}");
        value
    }
}

/// A response, or the received part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its final head.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Option<Vec<(String, String)>>,
}

impl Response {
    /// Its body as text. Invalid UTF-8 becomes U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// [`Head::header`] of its head.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }
}
