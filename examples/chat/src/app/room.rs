//! Who is in which room, and how what one says gets to the others.
//!
//! A member has a queue of what it is still to hear, with an end. Who speaks never waits: a member whose
//! queue is full is let go of, and the others hear that it left. So one slow listener costs the room one
//! queue, and nobody else hears anything later for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use asgi::Text;
use http::StatusCode;
use tokio::sync::{mpsc, watch};

use super::protocol::event;

/// Letters in the name of a room or of a person: what fits on a line of a phone.
const MAX_NAME: usize = 32;

/// Rooms that may be open. Each is made by whoever enters first.
const MAX_ROOMS: usize = 1_000;

/// People in a room. What one says goes to each of them.
const MAX_MEMBERS: usize = 1_000;

/// What a member may have before it to hear: a few hundred KiB at most, which all of them share.
pub(crate) const QUEUE: usize = 64;

/// What may be said at once, and how long until one more may be. Nobody types faster for long.
const BURST: u32 = 30;
const PAUSE: Duration = Duration::from_millis(200);

/// All rooms that somebody is in.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<String, Vec<Listener>>>);

/// A member as the room sees it.
#[derive(Debug)]
struct Listener {
    name: String,
    queue: mpsc::Sender<Text>,
    /// Told when the room lets go of it.
    _dropped: watch::Sender<()>,
}

/// Somebody in a room. It leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    rooms: Arc<Rooms>,
    room: String,
    name: String,
    /// Who was there when it joined, itself included.
    present: Vec<String>,
    queue: mpsc::Receiver<Text>,
    dropped: watch::Receiver<()>,
    /// How much it may say now, and since when.
    words: (u32, Instant),
}

/// Why somebody did not get into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotJoined {
    /// The path names no room.
    NoPlace,
    /// A name is empty, too long, or has letters that cannot be seen.
    BadName(&'static str),
    /// Too many are there already.
    Full(&'static str),
}

impl NotJoined {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoPlace => StatusCode::NOT_FOUND,
            Self::BadName(_) => StatusCode::BAD_REQUEST,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for NotJoined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace => f.write_str("the socket is at /ws/ROOM/NAME"),
            Self::BadName(what) => write!(
                f,
                "the name of the {what} needs 1 to {MAX_NAME} letters that can be seen"
            ),
            Self::Full(what) => write!(f, "the {what} is full"),
        }
    }
}

impl Rooms {
    /// Puts somebody into a room, and tells those who are there.
    ///
    /// A name that is taken gets a number: mostly it is somebody who comes back and whose old socket has
    /// not been missed yet.
    pub(crate) fn join(rooms: &Arc<Self>, room: &str, name: &str) -> Result<Member, NotJoined> {
        let room = checked(room).ok_or(NotJoined::BadName("room"))?;
        let name = checked(name).ok_or(NotJoined::BadName("person"))?;
        let mut open = rooms.lock();
        if open.len() >= MAX_ROOMS && !open.contains_key(room) {
            return Err(NotJoined::Full("house"));
        }
        let listeners = open.entry(room.to_owned()).or_default();
        if listeners.len() >= MAX_MEMBERS {
            return Err(NotJoined::Full("room"));
        }
        let name = free_name(listeners, name);
        tell(listeners, &event::joined(&name));
        let (queue, heard) = mpsc::channel(QUEUE);
        let (let_go, dropped) = watch::channel(());
        listeners.push(Listener {
            name: name.clone(),
            queue,
            _dropped: let_go,
        });
        let present = listeners.iter().map(|one| one.name.clone()).collect();
        drop(open);
        Ok(Member {
            rooms: Arc::clone(rooms),
            room: room.to_owned(),
            name,
            present,
            queue: heard,
            dropped,
            words: (BURST, Instant::now()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Listener>>> {
        // Nothing in here can panic between two changes that belong together.
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

    pub(crate) fn others_and_me(&self) -> &[String] {
        &self.present
    }

    /// Says something to everybody in the room, itself included: it sees the order that all see.
    pub(crate) fn say(&self, text: String) {
        let said = event::said(&self.name, &text);
        if let Some(listeners) = self.rooms.lock().get_mut(&self.room) {
            tell(listeners, &said);
        }
    }

    /// Waits for what others say; nothing more comes once the room has let go of this member and all
    /// before that is heard.
    ///
    /// Cancel-safe.
    pub(crate) async fn heard(&mut self) -> Option<Text> {
        self.queue.recv().await
    }

    /// Waits until the room has let go of this member.
    pub(crate) async fn dropped(&mut self) {
        // The sender never says anything: it is there or not.
        let _ = self.dropped.changed().await;
    }

    /// Whether it may say one more thing now.
    pub(crate) fn may_speak(&mut self, now: Instant) -> bool {
        let (left, since) = &mut self.words;
        let passed = now.saturating_duration_since(*since).as_millis() / PAUSE.as_millis();
        if passed > 0 {
            *left = BURST.min(left.saturating_add(u32::try_from(passed).unwrap_or(BURST)));
            *since = now;
        }
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
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
        // Who was let go of is not there any more, and the others know.
        if listeners.len() < before {
            tell(listeners, &event::left(&self.name, ""));
        }
        if listeners.is_empty() {
            open.remove(&self.room);
        }
    }
}

/// Tells all of them, and lets go of those who have too much before them; of which all others are told.
fn tell(listeners: &mut Vec<Listener>, text: &Text) {
    let mut slow = hand_on(listeners, text);
    while let Some(name) = slow.pop() {
        slow.extend(hand_on(listeners, &event::left(&name, "too slow")));
    }
}

/// Hands a text on to each; who had no room for it is taken off the list.
fn hand_on(listeners: &mut Vec<Listener>, text: &Text) -> Vec<String> {
    let full = |listener: &mut Listener| listener.queue.try_send(text.clone()).is_err();
    listeners.extract_if(.., full).map(|one| one.name).collect()
}

/// A name that can be shown.
fn checked(name: &str) -> Option<&str> {
    let name = name.trim();
    let seen = name.chars().all(|letter| !letter.is_control());
    let length = name.chars().count();
    (seen && (1..=MAX_NAME).contains(&length)).then_some(name)
}

/// The name, or the name and the first number that is free.
fn free_name(listeners: &[Listener], name: &str) -> String {
    let is_free = |name: &String| listeners.iter().all(|one| one.name != *name);
    let numbered = (2..).map(|number| format!("{name} ({number})"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(is_free)
        .unwrap_or_default()
}
