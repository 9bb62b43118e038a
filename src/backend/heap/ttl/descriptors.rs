//! Descriptors with TTL to states on the heap.

use super::super::backend::HeapDescriptor;
use super::super::{Aggregate, AggregatingState, ReducingState};
use super::{TtlListState, TtlMapState, TtlValueState};
use crate::Result;
use crate::format::{Key, KeyGroupRange};
use crate::state::{
    AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TtlDescriptor,
    ValueDescriptor,
};

impl<K, V, N> HeapDescriptor for TtlDescriptor<ValueDescriptor<K, V, N>>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
    N: Key,
{
    type State = TtlValueState<K, N, V>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        TtlValueState::new(id, range, self.descriptor.codec, self.config)
    }
}

impl<K, E, N> HeapDescriptor for TtlDescriptor<ListDescriptor<K, E, N>>
where
    K: Key,
    E: Clone + Send + Sync + 'static,
    N: Key,
{
    type State = TtlListState<K, N, E>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        TtlListState::new(id, range, self.descriptor.codec, self.config)
    }
}

impl<K, UK, V, N> HeapDescriptor for TtlDescriptor<MapDescriptor<K, UK, V, N>>
where
    K: Key,
    UK: Key,
    V: Clone + Send + Sync + 'static,
    N: Key,
{
    type State = TtlMapState<K, N, UK, V>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        TtlMapState::new(id, range, self.descriptor.codec, self.config)
    }
}

impl<K, V, N> HeapDescriptor for TtlDescriptor<ReducingDescriptor<K, V, N>>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
    N: Key,
{
    type State = ReducingState<K, N, V, TtlValueState<K, N, V>>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        let ReducingDescriptor { codec, reduce, .. } = self.descriptor;
        Ok(ReducingState::over(TtlValueState::new(id, range, codec, self.config)?, reduce))
    }
}

impl<K, A, N> HeapDescriptor for TtlDescriptor<AggregatingDescriptor<K, A, N>>
where
    K: Key,
    A: Aggregate,
    N: Key,
{
    type State = AggregatingState<K, N, A, TtlValueState<K, N, A::Accumulator>>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        let AggregatingDescriptor { codec, aggregate, .. } = self.descriptor;
        Ok(AggregatingState::over(TtlValueState::new(id, range, codec, self.config)?, aggregate))
    }
}
