//! Which interface the server gives to its app.

/// The interface between the server under test and the probe. The probe's report says which it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interface {
    /// That of the crate `asgi`.
    #[default]
    Rust,
    /// Python's ASGI, with `probe/probe.py`.
    Python,
}

impl Interface {
    /// Returns its name, as the report of the probe in Python has it: `rust` or `python`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
        }
    }

    /// Reads it from a report of the probe.
    pub(super) fn of_report(report: &str) -> Self {
        if report.contains("\"interface\":\"python\"") {
            Self::Python
        } else {
            Self::Rust
        }
    }

    /// How the probe reports this outcome. Python's ASGI has no reasons for a disconnect of HTTP.
    pub(super) fn outcome(self, expected: &str) -> &str {
        match (self, expected) {
            (Self::Python, "Complete" | "Closed" | "Lost" | "TimedOut" | "ProtocolError") => {
                "closed"
            }
            (Self::Python, reset) if reset.starts_with("Reset(") => "closed",
            (Self::Python, expected) if expected.starts_with("http.disconnect ") => {
                "http.disconnect"
            }
            (_, expected) => expected,
        }
    }
}
