//! The text of steps.

/// A list of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script(pub(super) Vec<Step>);

/// One step: `name=argument;header:value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// As it came, for the record.
    pub(super) text: String,
    pub(super) name: String,
    /// The part before the first `;`.
    pub(super) argument: Vec<u8>,
    /// The other parts.
    pub(super) parts: Vec<Vec<u8>>,
}

impl Script {
    pub(super) fn parse(text: &str) -> Self {
        let steps = text.split('&').filter(|step| !step.is_empty());
        Self(steps.map(Step::parse).collect())
    }
}

impl Step {
    fn parse(text: &str) -> Self {
        let (name, rest) = text.split_once('=').unwrap_or((text, ""));
        let mut parts = rest.split(';').map(percent_decode);
        Self {
            text: text.into(),
            name: name.into(),
            argument: parts.next().unwrap_or_default(),
            parts: parts.collect(),
        }
    }

    /// The argument as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.argument).into_owned()
    }

    /// The argument as a number, or 0.
    pub(super) fn number(&self) -> usize {
        self.text().parse().unwrap_or(0)
    }

    /// The parts as headers.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.parts.iter().filter_map(|part| {
            let colon = part.iter().position(|byte| *byte == b':')?;
            Some((&part[..colon], &part[colon + 1..]))
        })
    }
}

/// Replaces each `%` and two hexadecimal digits by their byte.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| *first == b'%');
        let escape = escape.and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &after[2..];
            }
            None => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_a_name_an_argument_and_headers() {
        let script = Script::parse("receive&start=200;x-a:b%3Bc;%3aq&last=%e2%82%ac%");
        let names: Vec<&str> = script.0.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["receive", "start", "last"]);
        let start = &script.0[1];
        assert_eq!(start.number(), 200);
        let headers: Vec<_> = start.headers().collect();
        assert_eq!(headers, [(&b"x-a"[..], &b"b;c"[..]), (b"", b"q")]);
        assert_eq!(script.0[2].text(), "€%");
    }
}
