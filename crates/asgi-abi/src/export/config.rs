//! The operator's configuration of an app.

/// The configuration that an app starts with: the option `--app-config` of the server.
///
/// It is a text; the app defines its format.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    text: Option<String>,
}

impl Config {
    /// A configuration for the test of a start function.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
        }
    }

    /// The text; `None` if the operator did not set the option.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}
