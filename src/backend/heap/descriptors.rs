//! Descriptors to states on the heap.

use super::backend::HeapDescriptor;
use super::{
    Aggregate, AggregatingState, ListState, MapState, ReducingState, TimerState, ValueState,
};
use crate::Result;
use crate::format::{Key, KeyGroupRange};
use crate::state::{
    AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor,
    ValueDescriptor,
};

impl<K: Key, V: Clone + Send + Sync + 'static, N: Key> HeapDescriptor for ValueDescriptor<K, V, N> {
    type State = ValueState<K, N, V>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        ValueState::new(id, range, self.codec)
    }
}

impl<K: Key, E: Clone + Send + Sync + 'static, N: Key> HeapDescriptor for ListDescriptor<K, E, N> {
    type State = ListState<K, N, E>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        ListState::new(id, range, self.codec)
    }
}

impl<K, UK, V, N> HeapDescriptor for MapDescriptor<K, UK, V, N>
where
    K: Key,
    UK: Key,
    V: Clone + Send + Sync + 'static,
    N: Key,
{
    type State = MapState<K, N, UK, V>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        MapState::new(id, range, self.codec)
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static, N: Key> HeapDescriptor
    for ReducingDescriptor<K, V, N>
{
    type State = ReducingState<K, N, V>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        Ok(ReducingState::over(ValueState::new(id, range, self.codec)?, self.reduce))
    }
}

impl<K: Key, A: Aggregate, N: Key> HeapDescriptor for AggregatingDescriptor<K, A, N> {
    type State = AggregatingState<K, N, A>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        Ok(AggregatingState::over(ValueState::new(id, range, self.codec)?, self.aggregate))
    }
}

impl<K: Key, N: Key> HeapDescriptor for TimerDescriptor<K, N> {
    type State = TimerState<K, N>;

    fn build(self, id: u32, range: KeyGroupRange) -> Result<Self::State> {
        TimerState::new(id, self.domain, range)
    }
}
