//! Reducing state: inputs folded into a value of their own type, which alone is stored.

use super::calls::ValueCalls;
use super::state::{KeyedState, StateValue, keyed_by};
use crate::Result;
use crate::state::Reduce;
use esker_format::Key;
use std::marker::PhantomData;

/// One value of type `V` per key `K` and namespace `N`, into which inputs are folded; held in `S`, a
/// value state of any backend.
///
/// ```
/// # use esker::backend::{ReducingState, heap::ValueState};
/// # use esker::format::{KeyGroupRange, Ordered};
/// let longest = |value: &mut i64, input: i64| *value = input.max(*value);
/// let values = ValueState::<String, (), i64>::new(1, KeyGroupRange::ALL, Ordered)?;
/// let mut delay = ReducingState::over(values, longest);
/// delay.add(&"UA".into(), &(), 12)?;
/// delay.add(&"UA".into(), &(), -3)?;
/// assert_eq!(delay.get(&"UA".into(), &())?, Some(12));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct ReducingState<K, N, V, S> {
    values: S,
    reduce: Reduce<V>,
    addresses: PhantomData<fn() -> (K, N)>,
}

impl<K, N, V, S> ReducingState<K, N, V, S>
where
    K: Key,
    N: Key,
    V: StateValue,
    S: ValueCalls<K, N, V>,
{
    /// Folds into the values of a state that is there already; one with TTL, say.
    pub fn over(values: S, reduce: impl Fn(&mut V, V) + Send + 'static) -> Self {
        Self { values, reduce: Box::new(reduce), addresses: PhantomData }
    }

    /// Folds `input` into the value, in one look-up.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn add(&mut self, key: &K, namespace: &N, input: V) -> Result<()> {
        let reduce = &self.reduce;
        self.values.rmw(key, namespace, |slot| match slot {
            Some(value) => reduce(value, input),
            None => *slot = Some(input),
        })
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.values.get_with(key, namespace, |value| value.cloned())
    }

    /// Removes the value and returns it.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.values.rmw(key, namespace, Option::take)
    }

    /// Moves the values of namespaces `from` into that of `to`, as where session windows meet.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn merge_namespaces(&mut self, key: &K, from: &[N], to: &N) -> Result<()> {
        for namespace in from.iter().filter(|namespace| *namespace != to) {
            if let Some(value) = self.clear(key, namespace)? {
                self.add(key, to, value)?;
            }
        }
        Ok(())
    }

    /// The values.
    pub fn values(&mut self) -> &mut S {
        &mut self.values
    }
}

impl<K, N, V, S> KeyedState for ReducingState<K, N, V, S>
where
    K: Key,
    N: Key,
    V: StateValue,
    S: ValueCalls<K, N, V>,
{
    keyed_by!(values);
}
