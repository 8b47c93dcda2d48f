//! The requirements of the spec, read from its own files.

use std::sync::LazyLock;

/// The chapters in the order of the tables, each with its title and its text.
const CHAPTERS: &[(&str, &str)] = &[
    ("core", include_str!("../core.md")),
    ("http", include_str!("../http.md")),
    ("websocket", include_str!("../websocket.md")),
    ("lifespan", include_str!("../lifespan.md")),
    ("push", include_str!("../extensions/push.md")),
    ("early-hints", include_str!("../extensions/early-hints.md")),
    ("trailers", include_str!("../extensions/trailers.md")),
    ("denial", include_str!("../extensions/denial.md")),
    ("tls", include_str!("../extensions/tls.md")),
    ("path-send", include_str!("../extensions/path-send.md")),
    (
        "zero-copy-send",
        include_str!("../extensions/zero-copy-send.md"),
    ),
    ("debug", include_str!("../extensions/debug.md")),
    ("abi", include_str!("../abi.md")),
];

/// One numbered sentence of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// The id, such as `HTTP-017`. It never changes its meaning.
    pub id: &'static str,
    /// The chapter, such as `http`.
    pub chapter: &'static str,
    /// How strong the sentence is.
    pub level: Level,
    /// The sentence, on one line.
    pub text: String,
    /// Why the requirement exists, on one line. Empty if the spec gives no reason.
    pub reason: String,
    /// The documents that the requirement comes from. Empty if the spec names none.
    pub sources: String,
}

impl Requirement {
    /// The kinds of its sources: `ASGI`, `RFC` and `ours`, each at most once.
    pub(crate) fn basis(&self) -> Vec<&'static str> {
        let sources = self.sources.split("; ");
        let mut kinds = Vec::new();
        for source in sources {
            let kind = ["ASGI", "RFC"]
                .into_iter()
                .find(|kind| source.starts_with(kind));
            let kind = kind.unwrap_or("ours");
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }
}

/// The strength of a requirement, as in RFC 2119.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// A server that breaks it is not conformant.
    Must,
    /// There can be a reason to break it.
    Should,
    /// A permission.
    May,
}

impl Level {
    /// Returns the word of the spec: `MUST`, `SHOULD` or `MAY`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

static REQUIREMENTS: LazyLock<Vec<Requirement>> = LazyLock::new(|| {
    let chapters = CHAPTERS.iter();
    chapters
        .flat_map(|(chapter, text)| parse(chapter, text))
        .collect()
});

/// Returns all requirements, in the order of the spec.
pub fn requirements() -> &'static [Requirement] {
    &REQUIREMENTS
}

/// Returns the requirement with this id.
pub fn requirement(id: &str) -> Option<&'static Requirement> {
    requirements()
        .iter()
        .find(|requirement| requirement.id == id)
}

/// Reads the items that begin with `- **ID** `. The form is described in the spec's README.
fn parse(chapter: &'static str, text: &'static str) -> Vec<Requirement> {
    let items = text.split("\n- **").skip(1);
    items
        .filter_map(|item| {
            let (id, item) = item.split_once("** ")?;
            let mut parts = [String::new(), String::new(), String::new()];
            let mut part = 0;
            for (number, line) in item.lines().enumerate() {
                let line = match (number, line.strip_prefix("  ")) {
                    (0, _) => line,
                    (_, Some(line)) => line.trim(),
                    // The item ends before the first line that is not indented.
                    (_, None) => break,
                };
                let line = if let Some(reason) = line.strip_prefix("*Why:*") {
                    part = 1;
                    reason
                } else if let Some(sources) = line.strip_prefix("*From:*") {
                    part = 2;
                    sources
                } else {
                    line
                };
                if !parts[part].is_empty() {
                    parts[part].push(' ');
                }
                parts[part].push_str(line.trim());
            }
            let [text, reason, sources] = parts;
            let level = level(&text)?;
            Some(Requirement {
                id,
                chapter,
                level,
                text,
                reason,
                sources,
            })
        })
        .collect()
}

fn level(text: &str) -> Option<Level> {
    let mut words = text.split(|letter: char| !letter.is_ascii_uppercase());
    words.find_map(|word| match word {
        "MUST" => Some(Level::Must),
        "SHOULD" => Some(Level::Should),
        "MAY" => Some(Level::May),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_a_sentence_a_reason_and_sources() {
        let text = "# A\n\n- **AB-001** It SHOULD\n  work.\n  *Why:* else it\n  fails.\n  *From:* ours.\n\nText.\n";
        let expected = Requirement {
            id: "AB-001",
            chapter: "a",
            level: Level::Should,
            text: "It SHOULD work.".into(),
            reason: "else it fails.".into(),
            sources: "ours.".into(),
        };
        assert_eq!(parse("a", text), [expected]);
    }

    #[test]
    fn the_basis_names_each_kind_of_source_once() {
        let basis = |id| requirement(id).map(Requirement::basis).unwrap_or_default();
        assert_eq!(basis("CORE-014"), ["ours"]);
        assert_eq!(basis("HTTP-021"), ["ASGI", "ours"]);
        assert_eq!(basis("WS-039"), ["RFC"]);
    }

    #[test]
    fn each_item_of_the_spec_is_read() {
        let items: usize = CHAPTERS
            .iter()
            .map(|(_, text)| text.matches("\n- **").count())
            .sum();
        assert_eq!(requirements().len(), items);
        assert!(items > 250, "{items}");
        for one in requirements() {
            assert!(
                !one.reason.is_empty() && !one.sources.is_empty(),
                "{}",
                one.id
            );
        }
        let unchanged = requirement("HTTP-002").unwrap();
        assert!(unchanged.text.ends_with("with its case unchanged."));
    }
}
