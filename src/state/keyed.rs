//! Descriptors of the kinds of keyed state.

use super::Aggregate;
use super::descriptor::{Described, key_info, keyed_info};
use crate::Result;
use crate::format::manifest::{StateInfo, StateKind};
use crate::format::schema::Reads;
use crate::format::{Bincode, Key, ValueCodec};
use serde::{Serialize, de::DeserializeOwned};
use std::marker::PhantomData;
use std::sync::Arc;

/// Describes a state of one value `V` per key `K` and namespace `N` (`()`: none).
pub struct ValueDescriptor<K, V, N = ()> {
    pub(crate) name: String,
    pub(crate) codec: Arc<dyn ValueCodec<V>>,
    types: PhantomData<fn(K, N)>,
}

impl<K, V: Serialize + DeserializeOwned + 'static, N> ValueDescriptor<K, V, N> {
    /// A value state called `name`; values are written by [`Bincode`].
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_codec(name, Bincode)
    }
}

impl<K, V, N> ValueDescriptor<K, V, N> {
    /// A value state called `name` whose values are written by `codec`.
    pub fn with_codec(name: impl Into<String>, codec: impl ValueCodec<V> + 'static) -> Self {
        Self { name: name.into(), codec: Arc::new(codec), types: PhantomData }
    }
}

impl<K: Key, V, N: Key> Described for ValueDescriptor<K, V, N> {
    type Key = K;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        keyed_info::<N>(id, &self.name, StateKind::Value, None, Some(self.codec.info()?))
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }
}

/// Describes a state of one list of elements `E` per key `K` and namespace `N` (`()`: none).
pub struct ListDescriptor<K, E, N = ()> {
    pub(crate) name: String,
    pub(crate) codec: Arc<dyn ValueCodec<E>>,
    types: PhantomData<fn(K, N)>,
}

impl<K, E: Serialize + DeserializeOwned + 'static, N> ListDescriptor<K, E, N> {
    /// A list state called `name`; elements are written by [`Bincode`].
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_codec(name, Bincode)
    }
}

impl<K, E, N> ListDescriptor<K, E, N> {
    /// A list state called `name` whose elements are written by `codec`.
    pub fn with_codec(name: impl Into<String>, codec: impl ValueCodec<E> + 'static) -> Self {
        Self { name: name.into(), codec: Arc::new(codec), types: PhantomData }
    }
}

impl<K: Key, E, N: Key> Described for ListDescriptor<K, E, N> {
    type Key = K;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        keyed_info::<N>(id, &self.name, StateKind::List, None, Some(self.codec.info()?))
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }
}

/// Describes a state of one map from `UK` to `V` per key `K` and namespace `N` (`()`: none).
pub struct MapDescriptor<K, UK, V, N = ()> {
    pub(crate) name: String,
    pub(crate) codec: Arc<dyn ValueCodec<V>>,
    types: PhantomData<fn(K, N, UK)>,
}

impl<K, UK, V: Serialize + DeserializeOwned + 'static, N> MapDescriptor<K, UK, V, N> {
    /// A map state called `name`; values are written by [`Bincode`].
    pub fn new(name: impl Into<String>) -> Self {
        Self::with_codec(name, Bincode)
    }
}

impl<K, UK, V, N> MapDescriptor<K, UK, V, N> {
    /// A map state called `name` whose values are written by `codec`.
    pub fn with_codec(name: impl Into<String>, codec: impl ValueCodec<V> + 'static) -> Self {
        Self { name: name.into(), codec: Arc::new(codec), types: PhantomData }
    }
}

impl<K: Key, UK: Key, V, N: Key> Described for MapDescriptor<K, UK, V, N> {
    type Key = K;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        let (user_key, value) = (Some(key_info::<UK>()?), Some(self.codec.info()?));
        keyed_info::<N>(id, &self.name, StateKind::Map, user_key, value)
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }
}

/// Folds an input into what there is.
pub(crate) type Reduce<V> = Box<dyn Fn(&mut V, V) + Send>;

/// Describes a state of one value `V` per key `K` and namespace `N` (`()`: none), into which inputs
/// of the same type are folded.
pub struct ReducingDescriptor<K, V, N = ()> {
    pub(crate) name: String,
    pub(crate) codec: Arc<dyn ValueCodec<V>>,
    pub(crate) reduce: Reduce<V>,
    types: PhantomData<fn(K, N)>,
}

impl<K, V: Serialize + DeserializeOwned + 'static, N> ReducingDescriptor<K, V, N> {
    /// A reducing state called `name`; values are written by [`Bincode`].
    pub fn new(name: impl Into<String>, reduce: impl Fn(&mut V, V) + Send + 'static) -> Self {
        Self::with_codec(name, Bincode, reduce)
    }
}

impl<K, V, N> ReducingDescriptor<K, V, N> {
    /// A reducing state called `name` whose values are written by `codec`.
    pub fn with_codec(
        name: impl Into<String>,
        codec: impl ValueCodec<V> + 'static,
        reduce: impl Fn(&mut V, V) + Send + 'static,
    ) -> Self {
        let (codec, reduce) = (Arc::new(codec), Box::new(reduce));
        Self { name: name.into(), codec, reduce, types: PhantomData }
    }
}

impl<K: Key, V, N: Key> Described for ReducingDescriptor<K, V, N> {
    type Key = K;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        keyed_info::<N>(id, &self.name, StateKind::Reducing, None, Some(self.codec.info()?))
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }
}

/// Describes a state of one accumulator per key `K` and namespace `N` (`()`: none), into which the
/// inputs of `A` are folded.
pub struct AggregatingDescriptor<K, A: Aggregate, N = ()> {
    pub(crate) name: String,
    pub(crate) codec: Arc<dyn ValueCodec<A::Accumulator>>,
    pub(crate) aggregate: A,
    types: PhantomData<fn(K, N)>,
}

impl<K, A: Aggregate, N> AggregatingDescriptor<K, A, N>
where
    A::Accumulator: Serialize + DeserializeOwned,
{
    /// An aggregating state called `name`; accumulators are written by [`Bincode`].
    pub fn new(name: impl Into<String>, aggregate: A) -> Self {
        Self::with_codec(name, Bincode, aggregate)
    }
}

impl<K, A: Aggregate, N> AggregatingDescriptor<K, A, N> {
    /// An aggregating state called `name` whose accumulators are written by `codec`.
    pub fn with_codec(
        name: impl Into<String>,
        codec: impl ValueCodec<A::Accumulator> + 'static,
        aggregate: A,
    ) -> Self {
        Self { name: name.into(), codec: Arc::new(codec), aggregate, types: PhantomData }
    }
}

impl<K: Key, A: Aggregate, N: Key> Described for AggregatingDescriptor<K, A, N> {
    type Key = K;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        keyed_info::<N>(id, &self.name, StateKind::Aggregating, None, Some(self.codec.info()?))
    }

    fn reads(&self) -> Result<Option<Reads>> {
        Ok(self.codec.reads()?)
    }
}

/// By which time timers fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeDomain {
    /// The time that events carry; a watermark says how far it has come.
    Event,
    /// The time of a clock, which the engine reads.
    Processing,
}

/// Describes timers per key `K` and namespace `N` (`()`: none).
pub struct TimerDescriptor<K, N = ()> {
    pub(crate) name: String,
    pub(crate) domain: TimeDomain,
    types: PhantomData<fn(K, N)>,
}

impl<K, N> TimerDescriptor<K, N> {
    /// Timers called `name` that fire as the watermark passes them.
    pub fn event(name: impl Into<String>) -> Self {
        Self { name: name.into(), domain: TimeDomain::Event, types: PhantomData }
    }

    /// Timers called `name` that fire by the clock.
    pub fn processing(name: impl Into<String>) -> Self {
        Self { name: name.into(), domain: TimeDomain::Processing, types: PhantomData }
    }
}

impl<K: Key, N: Key> Described for TimerDescriptor<K, N> {
    type Key = K;

    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        let kind = match self.domain {
            TimeDomain::Event => StateKind::TimerEvent,
            TimeDomain::Processing => StateKind::TimerProcessing,
        };
        keyed_info::<N>(id, &self.name, kind, None, None)
    }
}
