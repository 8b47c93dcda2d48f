//! The rooms and their members, and the broadcast of messages to them.
//!
//! Each member has a bounded queue of messages. A broadcast never waits: if the queue of a member is
//! full, the room removes the member, and the others hear that it left. So one slow client costs the
//! room one queue, and it delays no one else.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asgi::Text;
use http::StatusCode;
use tokio::sync::{mpsc, watch};

use super::protocol::event;

/// The most letters in the name of a room or a person: it fits on one line of a phone.
const MAX_NAME: usize = 32;

/// The most open rooms. The first member opens a room.
const MAX_ROOMS: usize = 1_000;

/// The most people in a room. Each message goes to all of them.
const MAX_MEMBERS: usize = 1_000;

/// The most messages in the queue of a member: a few hundred KiB at most, which all queues share.
pub(crate) const QUEUE: usize = 64;

/// How many messages a member may send at once, and how long it waits for one more. No one types
/// faster for long.
const BURST: u32 = 30;
const PAUSE: Duration = Duration::from_millis(200);

/// All rooms with members.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<String, Vec<Listener>>>);

/// A member as the room sees it.
#[derive(Debug)]
struct Listener {
    name: String,
    queue: mpsc::Sender<Text>,
    /// Dropped when the room removes the member.
    _removed: watch::Sender<()>,
}

/// A person in a room, who leaves it when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    rooms: Arc<Rooms>,
    room: String,
    name: String,
    /// The members of the room when this one joined, itself included.
    members: Vec<String>,
    queue: mpsc::Receiver<Text>,
    removed: watch::Receiver<()>,
    /// How many messages it may send now, and the time of the last refill.
    tokens: (u32, Instant),
}

/// Why a person could not join a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomError {
    /// The path has no room and no name.
    NoRoom,
    /// A name is empty, too long, or has control characters.
    BadName(&'static str),
    /// There are too many rooms, or too many people in the room.
    Full(&'static str),
}

impl RoomError {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoRoom => StatusCode::NOT_FOUND,
            Self::BadName(_) => StatusCode::BAD_REQUEST,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for RoomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str("the WebSocket is at /ws/ROOM/NAME"),
            Self::BadName(what) => write!(
                f,
                "the name of the {what} needs 1 to {MAX_NAME} letters that can be seen"
            ),
            Self::Full(what) => write!(f, "the {what} is full"),
        }
    }
}

impl Rooms {
    /// Adds a person to a room, and tells the members.
    ///
    /// If the name is taken, the new member gets a number. Usually it is the same person, and the server
    /// has not noticed yet that the old connection is gone.
    pub(crate) fn join(rooms: &Arc<Self>, room: &str, name: &str) -> Result<Member, RoomError> {
        let room = valid_name(room).ok_or(RoomError::BadName("room"))?;
        let name = valid_name(name).ok_or(RoomError::BadName("person"))?;
        let mut open = rooms.lock();
        if open.len() >= MAX_ROOMS && !open.contains_key(room) {
            return Err(RoomError::Full("server"));
        }
        let listeners = open.entry(room.to_owned()).or_default();
        if listeners.len() >= MAX_MEMBERS {
            return Err(RoomError::Full("room"));
        }
        let name = free_name(listeners, name);
        broadcast(listeners, &event::joined(&name));
        let (queue, messages) = mpsc::channel(QUEUE);
        let (on_removal, removed) = watch::channel(());
        listeners.push(Listener {
            name: name.clone(),
            queue,
            _removed: on_removal,
        });
        let members = listeners.iter().map(|one| one.name.clone()).collect();
        drop(open);
        Ok(Member {
            rooms: Arc::clone(rooms),
            room: room.to_owned(),
            name,
            members,
            queue: messages,
            removed,
            tokens: (BURST, Instant::now()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Listener>>> {
        // No code panics between two changes that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// The members of the room when this one joined, itself included.
    pub(crate) fn members(&self) -> &[String] {
        &self.members
    }

    /// Sends a text to all members of the room. The sender gets it too, so that it sees the same order.
    pub(crate) fn say(&self, text: String) {
        let said = event::said(&self.name, &text);
        if let Some(listeners) = self.rooms.lock().get_mut(&self.room) {
            broadcast(listeners, &said);
        }
    }

    /// Waits for the next message. `None` after the room has removed this member and the queue is empty.
    ///
    /// Cancel-safe.
    pub(crate) async fn next_message(&mut self) -> Option<Text> {
        self.queue.recv().await
    }

    /// Waits until the room has removed this member.
    pub(crate) async fn removed(&mut self) {
        // The sender never sends a value. This ends with an error when it is dropped.
        let _ = self.removed.changed().await;
    }

    /// Whether the member may send one more message now. If so, this counts it.
    pub(crate) fn may_send(&mut self, now: Instant) -> bool {
        let (left, since) = &mut self.tokens;
        let passed = now.saturating_duration_since(*since).as_millis() / PAUSE.as_millis();
        if passed > 0 {
            *left = BURST.min(left.saturating_add(u32::try_from(passed).unwrap_or(BURST)));
            *since = now;
        }
        let may_send = *left > 0;
        *left = left.saturating_sub(1);
        may_send
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut open = self.rooms.lock();
        let Some(listeners) = open.get_mut(&self.room) else {
            return;
        };
        let before = listeners.len();
        listeners.retain(|one| one.name != self.name);
        // If the room has removed the member before, the others know already.
        if listeners.len() < before {
            broadcast(listeners, &event::left(&self.name, ""));
        }
        if listeners.is_empty() {
            open.remove(&self.room);
        }
    }
}

/// Sends a text to all listeners. It removes those whose queue is full, and tells the others about
/// them.
fn broadcast(listeners: &mut Vec<Listener>, text: &Text) {
    let mut slow = send_or_remove(listeners, text);
    while let Some(name) = slow.pop() {
        slow.extend(send_or_remove(listeners, &event::left(&name, "too slow")));
    }
}

/// Sends a text to each listener. Removes those whose queue is full, and returns their names.
fn send_or_remove(listeners: &mut Vec<Listener>, text: &Text) -> Vec<String> {
    let full = |listener: &mut Listener| listener.queue.try_send(text.clone()).is_err();
    listeners.extract_if(.., full).map(|one| one.name).collect()
}

/// The name without spaces around it, if it is valid.
fn valid_name(name: &str) -> Option<&str> {
    let name = name.trim();
    let is_visible = name.chars().all(|letter| !letter.is_control());
    let length = name.chars().count();
    (is_visible && (1..=MAX_NAME).contains(&length)).then_some(name)
}

/// The name, or the name with the first free number.
fn free_name(listeners: &[Listener], name: &str) -> String {
    let is_free = |name: &String| listeners.iter().all(|one| one.name != *name);
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(is_free)
        .unwrap_or_default()
}
