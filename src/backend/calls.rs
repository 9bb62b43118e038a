//! The calls on state, whatever backend holds it: what a program that is to run on any of them uses.
//!
//! All take `&mut self`, as a read may renew the time of an entry, and all can fail, as a backend may
//! do I/O. None returns what it replaced: on disk that would be a read for every write. A state's own
//! methods, of the same names, may promise more.

use super::state::{KeyedState, StateValue};
use crate::Result;
use esker_format::Key;

/// One value per key and namespace.
///
/// # Errors
/// Of every call: `Invalid` for a key outside the owned key groups or a value that cannot be encoded,
/// `Corrupt` if what is stored cannot be decoded, `Poisoned` after an I/O error. Of a heap that was restored
/// lazily those of the store too, which the next call asks again.
pub trait ValueCalls<K: Key, N: Key, V: StateValue>: KeyedState + Sized {
    /// A copy of the value.
    ///
    /// # Errors
    /// Those of the trait.
    fn get(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.get_with(key, namespace, |value| value.cloned())
    }

    /// Lets `f` read the value in place.
    ///
    /// # Errors
    /// Those of the trait.
    fn get_with<R>(&mut self, key: &K, namespace: &N, f: impl FnOnce(Option<&V>) -> R)
    -> Result<R>;

    /// Sets the value.
    ///
    /// # Errors
    /// Those of the trait.
    fn update(&mut self, key: &K, namespace: &N, value: V) -> Result<()>;

    /// Reads, changes, sets or removes the value.
    ///
    /// # Errors
    /// Those of the trait.
    fn rmw<R>(&mut self, key: &K, namespace: &N, f: impl FnOnce(&mut Option<V>) -> R) -> Result<R>;

    /// Removes the value.
    ///
    /// # Errors
    /// Those of the trait.
    fn clear(&mut self, key: &K, namespace: &N) -> Result<()>;
}

/// One list per key and namespace; an empty one is none.
///
/// # Errors
/// As for [`ValueCalls`].
pub trait ListCalls<K: Key, N: Key, E: StateValue>: KeyedState + Sized {
    /// A copy of the list.
    ///
    /// # Errors
    /// Those of the trait.
    fn get(&mut self, key: &K, namespace: &N) -> Result<Vec<E>> {
        let mut elements = Vec::new();
        self.for_each(key, namespace, |element| elements.push(element.clone()))?;
        Ok(elements)
    }

    /// Calls `f` with each element in turn.
    ///
    /// # Errors
    /// Those of the trait; what cannot be decoded is noticed before `f` sees the first element.
    fn for_each(&mut self, key: &K, namespace: &N, f: impl FnMut(&E)) -> Result<()>;

    /// Puts an element behind the others. Costs the element, not the list.
    ///
    /// # Errors
    /// Those of the trait.
    fn append(&mut self, key: &K, namespace: &N, element: E) -> Result<()>;

    /// Puts elements behind the others.
    ///
    /// # Errors
    /// Those of the trait.
    fn append_all(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()>;

    /// Sets the whole list.
    ///
    /// # Errors
    /// Those of the trait.
    fn update(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()>;

    /// Removes the list.
    ///
    /// # Errors
    /// Those of the trait.
    fn clear(&mut self, key: &K, namespace: &N) -> Result<()>;
}

/// One map per key and namespace; an empty one is none.
///
/// # Errors
/// As for [`ValueCalls`].
pub trait MapCalls<K: Key, N: Key, U: Key, V: StateValue>: KeyedState + Sized {
    /// A copy of the value of a user key.
    ///
    /// # Errors
    /// Those of the trait.
    fn get(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<Option<V>> {
        self.get_with(key, namespace, user_key, |value| value.cloned())
    }

    /// Lets `f` read the value of a user key in place.
    ///
    /// # Errors
    /// Those of the trait.
    fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R>;

    /// Whether there is a value of a user key.
    ///
    /// # Errors
    /// Those of the trait.
    fn contains(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<bool>;

    /// Calls `f` with each entry of the map, in an order that means nothing.
    ///
    /// # Errors
    /// Those of the trait. Entries before one that cannot be decoded may have been seen.
    fn for_each(&mut self, key: &K, namespace: &N, f: impl FnMut(&U, &V)) -> Result<()>;

    /// The user keys of the map, in an order that means nothing.
    ///
    /// # Errors
    /// Those of the trait.
    fn keys(&mut self, key: &K, namespace: &N) -> Result<Vec<U>> {
        let mut keys = Vec::new();
        self.for_each(key, namespace, |user_key, _| keys.push(user_key.clone()))?;
        Ok(keys)
    }

    /// Whether the map has no entry.
    ///
    /// # Errors
    /// Those of the trait.
    fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool>;

    /// Sets the value of a user key.
    ///
    /// # Errors
    /// Those of the trait.
    fn put(&mut self, key: &K, namespace: &N, user_key: &U, value: V) -> Result<()>;

    /// Reads, changes, sets or removes the value of a user key.
    ///
    /// # Errors
    /// Those of the trait.
    fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R>;

    /// Removes the value of a user key.
    ///
    /// # Errors
    /// Those of the trait.
    fn remove(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<()>;

    /// Removes the map.
    ///
    /// # Errors
    /// Those of the trait.
    fn clear(&mut self, key: &K, namespace: &N) -> Result<()>;
}

/// Timers of one time domain, each of a time in milliseconds, a key and a namespace; ordered by time,
/// each there once.
///
/// # Errors
/// As for [`ValueCalls`].
pub trait TimerCalls<K: Key, N: Key>: KeyedState + Sized {
    /// Sets a timer, if it is not set yet.
    ///
    /// # Errors
    /// Those of the trait.
    fn register(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()>;

    /// Takes a timer back, if it is set.
    ///
    /// # Errors
    /// Those of the trait.
    fn delete(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()>;

    /// Whether a timer is set.
    ///
    /// # Errors
    /// Those of the trait.
    fn contains(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<bool>;

    /// The time of the next timer to fire.
    ///
    /// # Errors
    /// Those of the trait.
    fn peek(&mut self) -> Result<Option<i64>>;

    /// Takes the first timer of a time of at most `time_ms`; those of one time come in order of key
    /// group, encoded key and encoded namespace.
    ///
    /// # Errors
    /// Those of the trait.
    fn pop_due(&mut self, time_ms: i64) -> Result<Option<(i64, K, N)>>;
}
