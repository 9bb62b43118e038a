//! Descriptors to states of any backend.

use super::keyed::{Aggregating, Backend, Descriptor, Reducing};
use super::state::StateValue;
use super::{AggregatingState, ReducingState};
use crate::Result;
use crate::format::Key;
use crate::format::manifest::StateInfo;
use crate::state::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor,
    TimerDescriptor, TtlDescriptor, ValueDescriptor,
};

impl<B: Backend, K: Key, V: StateValue, N: Key> Descriptor<B> for ValueDescriptor<K, V, N> {
    type State = B::Value<K, N, V>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_value(info, self.codec)
    }
}

impl<B: Backend, K: Key, E: StateValue, N: Key> Descriptor<B> for ListDescriptor<K, E, N> {
    type State = B::List<K, N, E>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_list(info, self.codec)
    }
}

impl<B: Backend, K: Key, U: Key, V: StateValue, N: Key> Descriptor<B>
    for MapDescriptor<K, U, V, N>
{
    type State = B::Map<K, N, U, V>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_map(info, self.codec)
    }
}

impl<B: Backend, K: Key, V: StateValue, N: Key> Descriptor<B> for ReducingDescriptor<K, V, N> {
    type State = Reducing<B, K, N, V>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        Ok(ReducingState::over(backend.make_value(info, self.codec)?, self.reduce))
    }
}

impl<B: Backend, K: Key, A: Aggregate, N: Key> Descriptor<B> for AggregatingDescriptor<K, A, N> {
    type State = Aggregating<B, K, N, A>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        Ok(AggregatingState::over(backend.make_value(info, self.codec)?, self.aggregate))
    }
}

impl<B: Backend, K: Key, N: Key> Descriptor<B> for TimerDescriptor<K, N> {
    type State = B::Timers<K, N>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_timers(info, self.domain)
    }
}

impl<B: Backend, K: Key, V: StateValue, N: Key> Descriptor<B>
    for TtlDescriptor<ValueDescriptor<K, V, N>>
{
    type State = B::TtlValue<K, N, V>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_ttl_value(info, self.descriptor.codec, self.config)
    }
}

impl<B: Backend, K: Key, E: StateValue, N: Key> Descriptor<B>
    for TtlDescriptor<ListDescriptor<K, E, N>>
{
    type State = B::TtlList<K, N, E>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_ttl_list(info, self.descriptor.codec, self.config)
    }
}

impl<B: Backend, K: Key, U: Key, V: StateValue, N: Key> Descriptor<B>
    for TtlDescriptor<MapDescriptor<K, U, V, N>>
{
    type State = B::TtlMap<K, N, U, V>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        backend.make_ttl_map(info, self.descriptor.codec, self.config)
    }
}

impl<B: Backend, K: Key, V: StateValue, N: Key> Descriptor<B>
    for TtlDescriptor<ReducingDescriptor<K, V, N>>
{
    type State = ReducingState<K, N, V, B::TtlValue<K, N, V>>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        let ReducingDescriptor { codec, reduce, .. } = self.descriptor;
        Ok(ReducingState::over(backend.make_ttl_value(info, codec, self.config)?, reduce))
    }
}

impl<B: Backend, K: Key, A: Aggregate, N: Key> Descriptor<B>
    for TtlDescriptor<AggregatingDescriptor<K, A, N>>
{
    type State = AggregatingState<K, N, A, B::TtlValue<K, N, A::Accumulator>>;

    fn make(self, backend: &mut B, info: &StateInfo) -> Result<Self::State> {
        let AggregatingDescriptor { codec, aggregate, .. } = self.descriptor;
        Ok(AggregatingState::over(backend.make_ttl_value(info, codec, self.config)?, aggregate))
    }
}
