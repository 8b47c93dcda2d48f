//! What goes over the socket: JSON, one object a message.
//!
//! The client says `{"say": "hello"}`. It hears objects with a `type`: `welcome` (its `name`, the
//! `room`, who is there as `members`, the `version` of HTTP), `joined`, `left`, `said`, `problem`.

use asgi::Message;
use serde_json::Value;

/// Letters in what is said at once. Room for a long paragraph; more is a document.
const MAX_TEXT: usize = 2_000;

/// Reads what a client said; the error is for the client.
pub(crate) fn said(message: &Message) -> Result<String, &'static str> {
    let Message::Text(text) = message else {
        return Err("only texts are understood");
    };
    let object: Value = serde_json::from_str(text).map_err(|_| "that is no JSON")?;
    let text = object["say"].as_str().map(str::trim);
    match text {
        None => Err("there is no text under \"say\""),
        Some("") => Err("that is nothing"),
        Some(text) if text.chars().count() > MAX_TEXT => {
            Err("that is too long: 2000 letters at most")
        }
        Some(text) => Ok(text.to_owned()),
    }
}

/// What a client hears. Each is made once, and shared by all who hear it.
pub(crate) mod event {
    use asgi::Text;
    use serde_json::json;

    use super::super::room::Member;

    pub(crate) fn welcome(member: &Member, version: &str) -> Text {
        let event = json!({
            "type": "welcome",
            "name": member.name(),
            "room": member.room(),
            "members": member.others_and_me(),
            "version": version,
        });
        event.to_string().into()
    }

    pub(crate) fn joined(name: &str) -> Text {
        json!({ "type": "joined", "name": name }).to_string().into()
    }

    pub(crate) fn left(name: &str, why: &str) -> Text {
        let event = json!({ "type": "left", "name": name, "why": why });
        event.to_string().into()
    }

    pub(crate) fn said(name: &str, text: &str) -> Text {
        let event = json!({ "type": "said", "name": name, "text": text });
        event.to_string().into()
    }

    pub(crate) fn problem(text: &str) -> Text {
        json!({ "type": "problem", "text": text })
            .to_string()
            .into()
    }
}
