//! The list, and the news about it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::broadcast;

/// How many news a slow reader may be late. Then it misses some.
const NEWS: usize = 64;

/// All todos. A clone refers to the same list.
#[derive(Clone)]
pub(super) struct Todos {
    list: Arc<Mutex<List>>,
    news: broadcast::Sender<String>,
}

#[derive(Default)]
struct List {
    last_id: u64,
    todos: BTreeMap<u64, Todo>,
}

struct Todo {
    text: String,
    done: bool,
}

impl Default for Todos {
    fn default() -> Self {
        Self {
            list: Arc::default(),
            news: broadcast::channel(NEWS).0,
        }
    }
}

impl Todos {
    pub(super) fn to_json(&self) -> Value {
        let list = self.lock();
        list.todos
            .iter()
            .map(|(id, todo)| todo.to_json(*id))
            .collect()
    }

    pub(super) fn add(&self, text: &str) -> Value {
        let mut list = self.lock();
        list.last_id += 1;
        let id = list.last_id;
        let todo = Todo {
            text: text.to_owned(),
            done: false,
        };
        let json = todo.to_json(id);
        list.todos.insert(id, todo);
        self.tell(format!("added {id}: {text}"));
        json
    }

    /// Returns whether there is such a todo.
    pub(super) fn change(&self, id: u64, text: Option<&str>, done: Option<bool>) -> bool {
        let mut list = self.lock();
        let Some(todo) = list.todos.get_mut(&id) else {
            return false;
        };
        if let Some(text) = text {
            text.clone_into(&mut todo.text);
        }
        todo.done = done.unwrap_or(todo.done);
        self.tell(format!("changed {id}: {}", todo.text));
        true
    }

    /// Returns whether there was such a todo.
    pub(super) fn remove(&self, id: u64) -> bool {
        let removed = self.lock().todos.remove(&id).is_some();
        if removed {
            self.tell(format!("removed {id}"));
        }
        removed
    }

    /// News from now on.
    pub(super) fn news(&self) -> broadcast::Receiver<String> {
        self.news.subscribe()
    }

    fn tell(&self, news: String) {
        // It fails if no one listens.
        let _ = self.news.send(news);
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Todo {
    fn to_json(&self, id: u64) -> Value {
        json!({ "id": id, "text": self.text, "done": self.done })
    }
}
