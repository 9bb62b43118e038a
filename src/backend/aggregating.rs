//! Aggregating state: inputs folded into an accumulator of another type, which alone is stored.

use super::calls::ValueCalls;
use super::state::{KeyedState, keyed_by};
use crate::Result;
use crate::state::{Aggregate, MergeAggregate};
use esker_format::Key;
use std::marker::PhantomData;

/// One accumulator per key `K` and namespace `N`; held in `S`, a value state of any backend.
///
/// ```
/// # use esker::backend::{AggregatingState, heap::ValueState};
/// # use esker::format::{KeyGroupRange, Ordered};
/// # use esker::state::Aggregate;
/// struct Mean;
/// impl Aggregate for Mean {
///     type Input = u64;
///     type Accumulator = (u64, u64);
///     type Output = u64;
///     fn create(&self) -> (u64, u64) {
///         (0, 0)
///     }
///     fn add(&self, (sum, count): &mut (u64, u64), input: u64) {
///         *sum += input;
///         *count += 1;
///     }
///     fn result(&self, (sum, count): &(u64, u64)) -> u64 {
///         sum / count
///     }
/// }
/// let values = ValueState::<String, (), (u64, u64)>::new(1, KeyGroupRange::ALL, Ordered)?;
/// let mut taxi = AggregatingState::over(values, Mean);
/// taxi.add(&"EWR".into(), &(), 10)?;
/// taxi.add(&"EWR".into(), &(), 20)?;
/// assert_eq!(taxi.get(&"EWR".into(), &())?, Some(15));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct AggregatingState<K, N, A, S> {
    values: S,
    aggregate: A,
    addresses: PhantomData<fn() -> (K, N)>,
}

impl<K, N, A, S> AggregatingState<K, N, A, S>
where
    K: Key,
    N: Key,
    A: Aggregate,
    S: ValueCalls<K, N, A::Accumulator>,
{
    /// Keeps accumulators in a state that is there already; one with TTL, say.
    pub fn over(values: S, aggregate: A) -> Self {
        Self { values, aggregate, addresses: PhantomData }
    }

    /// Folds `input` into the accumulator, in one look-up.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn add(&mut self, key: &K, namespace: &N, input: A::Input) -> Result<()> {
        let aggregate = &self.aggregate;
        self.values.rmw(key, namespace, |slot| {
            aggregate.add(slot.get_or_insert_with(|| aggregate.create()), input);
        })
    }

    /// What the accumulator amounts to; `None` where nothing was added.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Option<A::Output>> {
        let aggregate = &self.aggregate;
        self.values.get_with(key, namespace, |value| value.map(|value| aggregate.result(value)))
    }

    /// A copy of the accumulator.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn accumulator(&mut self, key: &K, namespace: &N) -> Result<Option<A::Accumulator>> {
        self.values.get_with(key, namespace, |value| value.cloned())
    }

    /// Removes the accumulator and returns it.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<Option<A::Accumulator>> {
        self.values.rmw(key, namespace, Option::take)
    }

    /// The accumulators.
    pub fn values(&mut self) -> &mut S {
        &mut self.values
    }
}

impl<K, N, A, S> AggregatingState<K, N, A, S>
where
    K: Key,
    N: Key,
    A: MergeAggregate,
    S: ValueCalls<K, N, A::Accumulator>,
{
    /// Moves the accumulators of namespaces `from` into that of `to`, as where session windows
    /// meet.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn merge_namespaces(&mut self, key: &K, from: &[N], to: &N) -> Result<()> {
        for namespace in from.iter().filter(|namespace| *namespace != to) {
            let Some(other) = self.clear(key, namespace)? else { continue };
            let aggregate = &self.aggregate;
            self.values.rmw(key, to, |slot| match slot {
                Some(accumulator) => aggregate.merge(accumulator, other),
                None => *slot = Some(other),
            })?;
        }
        Ok(())
    }
}

impl<K, N, A, S> KeyedState for AggregatingState<K, N, A, S>
where
    K: Key,
    N: Key,
    A: Aggregate,
    S: ValueCalls<K, N, A::Accumulator>,
{
    keyed_by!(values);
}

#[cfg(test)]
mod tests;
