//! What came in answer to a request.

/// The head of a response, or trailers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The value of `:status`; 0 if there is none.
    pub status: u16,
    /// The fields without `:status`, in their order.
    pub fields: Vec<(String, String)>,
    /// Whether END_STREAM came with it.
    pub end: bool,
}

impl Head {
    pub(crate) fn new(fields: Vec<(String, String)>, end: bool) -> Self {
        let (pseudo, fields): (Vec<_>, Vec<_>) = fields
            .into_iter()
            .partition(|(name, _)| name.starts_with(':'));
        let status = match &pseudo[..] {
            [(name, value)] if name == ":status" => value.parse().unwrap_or(0),
            _ => 0,
        };
        Self {
            status,
            fields,
            end,
        }
    }

    /// The one value of a field, `None` if there is none.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(other, _)| other == name)
            .map(|(_, value)| value.as_str());
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is repeated in {self:#?}");
        value
    }
}

/// A response, as much of it as came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Its head, the final one.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
    /// The trailers behind it.
    pub trailers: Option<Vec<(String, String)>>,
}

impl Response {
    /// Its body, of which a wrong byte would show.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// As [`Head::field`].
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }
}
