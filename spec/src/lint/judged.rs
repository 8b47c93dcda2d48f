//! What the spec says about an event that the app sends.

/// A rule that an event breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BrokenRule {
    pub(crate) id: &'static str,
    /// What the event is or does, for a sentence that begins with the event's name.
    pub(crate) what: String,
}

impl BrokenRule {
    pub(crate) fn new(id: &'static str, what: impl Into<String>) -> Self {
        Self {
            id,
            what: what.into(),
        }
    }
}

/// How the server must answer an event while the client is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpectedAnswer {
    /// It takes the event.
    Take {
        /// Which requirement it breaks if it calls the event misuse.
        misuse: &'static str,
        /// Which requirement it breaks if it refuses the event; `None` if it may refuse it.
        refused: Option<&'static str>,
    },
    /// It calls the event misuse.
    Misuse(BrokenRule),
    /// It refuses the event. What is not offered is refused even if it is misuse too.
    Refuse(BrokenRule),
    /// Lint can't know.
    Unknown,
}

/// A verdict about one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged<E> {
    /// What the app did wrong.
    pub(crate) app: Option<BrokenRule>,
    pub(crate) answer: ExpectedAnswer,
    /// What the event does if the server takes it; `None` if the server must not take it.
    pub(crate) effect: Option<E>,
}

impl<E> Judged<E> {
    /// The app may send it, and the server must take it.
    pub(crate) fn taken(effect: E) -> Self {
        Self::allowed(
            effect,
            ExpectedAnswer::Take {
                misuse: "CORE-013",
                refused: None,
            },
        )
    }

    /// The app may send it.
    pub(crate) fn allowed(effect: E, answer: ExpectedAnswer) -> Self {
        Self {
            app: None,
            answer,
            effect: Some(effect),
        }
    }

    /// The app must not send it, and the server must say so.
    pub(crate) fn misuse(id: &'static str, what: impl Into<String>) -> Self {
        let rule = BrokenRule::new(id, what);
        Self {
            app: Some(rule.clone()),
            answer: ExpectedAnswer::Misuse(rule),
            effect: None,
        }
    }

    /// The server must refuse it, and the app could know that.
    pub(crate) fn refused(id: &'static str, what: impl Into<String>) -> Self {
        let rule = BrokenRule::new(id, what);
        Self {
            app: Some(rule.clone()),
            answer: ExpectedAnswer::Refuse(rule),
            effect: None,
        }
    }

    /// The server must refuse it, but that is no fault of the app.
    pub(crate) fn refused_by_chance(id: &'static str, what: impl Into<String>) -> Self {
        Self {
            app: None,
            ..Self::refused(id, what)
        }
    }

    pub(crate) fn not_offered(name: &str) -> Self {
        Self::refused("CORE-025", format!("without {name} in the scope"))
    }

    pub(crate) fn after_the_end() -> Self {
        Self::misuse("CORE-014", "after the last event")
    }

    pub(crate) fn map<F>(self, change: impl FnOnce(E) -> F) -> Judged<F> {
        Judged {
            app: self.app,
            answer: self.answer,
            effect: self.effect.map(change),
        }
    }
}
