//! The messages on the WebSocket: each is one JSON object.
//!
//! The client sends `{"say": "hello"}`. It receives objects with a `type`: `welcome` (with its `name`,
//! the `room`, the `members` of the room and the `version` of HTTP), `joined`, `left`, `said`, `problem`.

use asgi::Message;
use serde_json::Value;

/// The most letters in a message: enough for a long paragraph.
const MAX_TEXT: usize = 2_000;

/// Reads a message of a client. The error is a text for the client.
pub(crate) fn parse(message: &Message) -> Result<String, &'static str> {
    let Message::Text(text) = message else {
        return Err("the message is not text");
    };
    let object: Value = serde_json::from_str(text).map_err(|_| "the message is not JSON")?;
    let text = object["say"].as_str().map(str::trim);
    match text {
        None => Err("\"say\" is missing or not a text"),
        Some("") => Err("the text is empty"),
        Some(text) if text.chars().count() > MAX_TEXT => {
            Err("the text is too long, the limit is 2000 letters")
        }
        Some(text) => Ok(text.to_owned()),
    }
}

/// The messages to the client. Each is encoded once, and all receivers share it.
pub(crate) mod event {
    use asgi::Text;
    use serde_json::json;

    use super::super::room::Member;

    pub(crate) fn welcome(member: &Member, version: &str) -> Text {
        let event = json!({
            "type": "welcome",
            "name": member.name(),
            "room": member.room(),
            "members": member.members(),
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
