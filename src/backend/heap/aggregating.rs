//! Aggregating state: inputs folded into an accumulator of another type, which alone is stored.

use super::access::{ValueAccess, keyed_by_values};
use super::state::KeyedState;
use super::value::ValueState;
use crate::Result;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::marker::PhantomData;

/// How inputs become an accumulator, and that an output.
pub trait Aggregate: Send + 'static {
    /// What is added.
    type Input;
    /// What is stored.
    type Accumulator: Clone + Send + Sync + 'static;
    /// What is read.
    type Output;

    /// An accumulator of no input.
    fn create(&self) -> Self::Accumulator;

    /// Folds `input` in.
    fn add(&self, accumulator: &mut Self::Accumulator, input: Self::Input);

    /// What the accumulator amounts to.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Output;
}

/// An aggregate whose accumulators can be brought together.
pub trait MergeAggregate: Aggregate {
    /// Folds another accumulator in.
    fn merge(&self, accumulator: &mut Self::Accumulator, other: Self::Accumulator);
}

/// One accumulator per key `K` and namespace `N`; held in `S`.
///
/// ```
/// # use esker::backend::heap::{Aggregate, AggregatingState};
/// # use esker::format::{KeyGroupRange, Ordered};
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
/// let mut taxi = AggregatingState::<String, (), Mean>::new(1, KeyGroupRange::ALL, Ordered, Mean)?;
/// taxi.add(&"EWR".into(), &(), 10)?;
/// taxi.add(&"EWR".into(), &(), 20)?;
/// assert_eq!(taxi.get(&"EWR".into(), &())?, Some(15));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct AggregatingState<
    K: Key,
    N: Key,
    A: Aggregate,
    S = ValueState<K, N, <A as Aggregate>::Accumulator>,
> {
    values: S,
    aggregate: A,
    addresses: PhantomData<fn() -> (K, N)>,
}

impl<K: Key, N: Key, A: Aggregate> AggregatingState<K, N, A> {
    /// An empty state with numeric id `id` for the key groups in `range`.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(
        id: u32,
        range: KeyGroupRange,
        codec: impl ValueCodec<A::Accumulator> + 'static,
        aggregate: A,
    ) -> Result<Self> {
        Ok(Self::over(ValueState::new(id, range, codec)?, aggregate))
    }
}

impl<K, N, A, S> AggregatingState<K, N, A, S>
where
    K: Key,
    N: Key,
    A: Aggregate,
    S: ValueAccess<K, N, A::Accumulator>,
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
        self.values.change(key, namespace, |slot| {
            aggregate.add(slot.get_or_insert_with(|| aggregate.create()), input);
        })
    }

    /// What the accumulator amounts to; `None` where nothing was added.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Option<A::Output>> {
        let aggregate = &self.aggregate;
        self.values.read(key, namespace, |value| value.map(|value| aggregate.result(value)))
    }

    /// A copy of the accumulator.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn accumulator(&mut self, key: &K, namespace: &N) -> Result<Option<A::Accumulator>> {
        self.values.read(key, namespace, |value| value.cloned())
    }

    /// Removes the accumulator and returns it.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<Option<A::Accumulator>> {
        self.values.change(key, namespace, Option::take)
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
    S: ValueAccess<K, N, A::Accumulator>,
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
            self.values.change(key, to, |slot| match slot {
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
    S: ValueAccess<K, N, A::Accumulator>,
{
    keyed_by_values!(values);
}

#[cfg(test)]
mod tests;
