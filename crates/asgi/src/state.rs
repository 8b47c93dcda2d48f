//! Values that an app made at start-up, handed to each of its scopes.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A map from types to values, cheap to clone, copied when it is changed.
///
/// An app fills one during start-up
/// ([`LifespanStartupComplete::state`](crate::LifespanStartupComplete)); the server clones it into
/// each scope. A middleware passes a value for one request the same way: what it inserts is seen
/// by that scope alone.
///
/// ```
/// # use asgi::State;
/// struct Pool(u16);
///
/// let mut state = State::new();
/// state.insert(Pool(5432));
/// let mut of_one_request = state.clone();
/// of_one_request.insert(String::from("alice"));
///
/// assert_eq!(of_one_request.get::<Pool>().unwrap().0, 5432);
/// assert!(state.get::<String>().is_none());
/// ```
///
/// Spec: core §6.
#[derive(Clone, Default)]
pub struct State(Option<Arc<BTreeMap<TypeId, Value>>>);

#[derive(Clone)]
struct Value {
    type_name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl State {
    /// An empty one. Allocates nothing.
    pub const fn new() -> Self {
        Self(None)
    }

    /// The value of type `T`, if there is one.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.0.as_ref()?.get(&TypeId::of::<T>())?;
        Arc::clone(&value.value).downcast().ok()
    }

    /// Puts a value in, in place of one of the same type. Other clones do not see it.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        let map = Arc::make_mut(self.0.get_or_insert_default());
        let type_name = type_name::<T>();
        let value = Arc::new(value);
        map.insert(TypeId::of::<T>(), Value { type_name, value });
    }

    /// Whether nothing was inserted.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|map| map.is_empty())
    }
}

impl fmt::Debug for State {
    /// Lists the types; the values need not be printable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.0.iter().flat_map(|map| map.values());
        f.debug_set()
            .entries(values.map(|value| value.type_name))
            .finish()
    }
}
