//! Values that an app makes at startup and finds in each of its scopes.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A map with one value per type. It is cheap to clone, and an insert does not change other clones.
///
/// An app fills a state during startup and sends it with
/// [`LifespanStartupComplete::state`](crate::LifespanStartupComplete). The server puts a clone into
/// each scope. A middleware can insert a value for one request: only the apps inside it see that
/// value, and only for that request.
///
/// ```
/// # use asgi::State;
/// struct Pool(u16);
///
/// let mut state = State::new();
/// state.insert(Pool(5432));
/// let mut request_state = state.clone();
/// request_state.insert(String::from("alice"));
///
/// assert_eq!(request_state.get::<Pool>().unwrap().0, 5432);
/// assert!(state.get::<String>().is_none());
/// ```
///
/// Spec: core §6.
#[derive(Clone, Default)]
pub struct State(Option<Arc<BTreeMap<TypeId, StateValue>>>);

#[derive(Clone)]
struct StateValue {
    type_name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl State {
    /// Creates an empty state. This does not allocate.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Returns the value of type `T`, if there is one.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        let value = self.0.as_ref()?.get(&TypeId::of::<T>())?;
        Arc::clone(&value.value).downcast().ok()
    }

    /// Like [`get`](Self::get), without a new reference count.
    pub fn get_ref<T: Send + Sync + 'static>(&self) -> Option<&T> {
        let value = self.0.as_ref()?.get(&TypeId::of::<T>())?;
        value.value.downcast_ref()
    }

    /// Inserts a value and replaces any value of the same type. Other clones do not change.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.insert_arc(Arc::new(value));
    }

    /// Like [`insert`](Self::insert), for a value that is already shared.
    pub fn insert_arc<T: Send + Sync + 'static>(&mut self, value: Arc<T>) {
        let map = Arc::make_mut(self.0.get_or_insert_default());
        let type_name = type_name::<T>();
        map.insert(TypeId::of::<T>(), StateValue { type_name, value });
    }

    /// Removes the value of type `T` and returns it, if there is one. Other clones do not change.
    pub fn remove<T: Send + Sync + 'static>(&mut self) -> Option<Arc<T>> {
        self.get_ref::<T>()?;
        let map = Arc::make_mut(self.0.as_mut()?);
        map.remove(&TypeId::of::<T>())?.value.downcast().ok()
    }

    /// Returns whether the state has no values.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|map| map.is_empty())
    }
}

impl fmt::Debug for State {
    /// Lists the types only, because the values need not implement `Debug`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.0.iter().flat_map(|map| map.values());
        f.debug_set()
            .entries(values.map(|value| value.type_name))
            .finish()
    }
}
