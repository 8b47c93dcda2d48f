//! Bodies of the type `multipart/form-data` (RFC 7578).

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

/// A form with texts and files. [`Request::multipart`](crate::Request::multipart) sends it.
///
/// The parts keep their order. The boundary is one that no part contains.
///
/// ```
/// use asgi_testing::Multipart;
///
/// let form = Multipart::new()
///     .text("title", "A cat")
///     .file("picture", "cat.png", "image/png", &b"\x89PNG"[..]);
/// # let _ = form;
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a form does nothing until it is sent"]
pub struct Multipart(Vec<FormPart>);

#[derive(Debug, Clone)]
struct FormPart {
    /// The headers of the part, each with its line end.
    head: String,
    body: Bytes,
}

impl Multipart {
    /// Creates an empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text. The name may contain any letter: quotes and line ends are escaped as browsers
    /// do.
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        let head = format!("{}\r\n", disposition(name));
        self.part(head, Bytes::from(value.into()))
    }

    /// Adds a file with its name and its media type.
    ///
    /// # Panics
    ///
    /// Panics if `media_type` has a line end.
    #[track_caller]
    pub fn file(
        self,
        name: &str,
        file_name: &str,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> Self {
        assert!(
            !media_type.contains(['\r', '\n']),
            "{media_type:?} is not a media type"
        );
        let mut head = disposition(name);
        let _ = write!(
            head,
            "; filename=\"{}\"\r\ncontent-type: {media_type}\r\n",
            escaped(file_name)
        );
        self.part(head, content.into())
    }

    fn part(mut self, head: String, body: Bytes) -> Self {
        self.0.push(FormPart { head, body });
        self
    }

    /// Returns the media type with its boundary, and the body.
    pub(crate) fn encode(&self) -> (String, Bytes) {
        let boundary = self.boundary();
        let mut body = BytesMut::new();
        for part in &self.0 {
            body.extend_from_slice(format!("--{boundary}\r\n{}\r\n", part.head).as_bytes());
            body.extend_from_slice(&part.body);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let media_type = format!("multipart/form-data; boundary={boundary}");
        (media_type, body.freeze())
    }

    /// RFC 2046 §5.1.1: "Boundary delimiters must not appear within the encapsulated material."
    fn boundary(&self) -> String {
        let candidates = (0_u64..).map(|number| format!("asgi-testing-boundary-{number}"));
        let mut free = candidates.filter(|boundary| {
            let boundary = boundary.as_bytes();
            let mut bodies = self.0.iter().map(|part| &part.body);
            !bodies.any(|body| body.windows(boundary.len()).any(|some| some == boundary))
        });
        free.next()
            .expect("a finite body does not contain every number")
    }
}

fn disposition(name: &str) -> String {
    let name = escaped(name);
    format!("content-disposition: form-data; name=\"{name}\"")
}

/// WHATWG HTML, "multipart form data": these three are escaped in a name.
fn escaped(name: &str) -> String {
    name.replace('\n', "%0A")
        .replace('\r', "%0D")
        .replace('"', "%22")
}
