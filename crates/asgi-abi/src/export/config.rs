//! What an operator has to say to an app.

/// What an app is started with: `--app-config` of the command line.
///
/// It is text, and its form is the app's to choose.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    text: Option<String>,
}

impl Config {
    /// For tests of a start function.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Some(text.into()),
        }
    }

    /// The text; `None` if the operator gave none.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}
