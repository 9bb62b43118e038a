//! The calls of any backend, on the states of the heap.

use super::{
    ListState, MapState, TimerState, TtlListState, TtlMapState, TtlValueState, ValueState,
};
use crate::Result;
use crate::backend::{ListCalls, MapCalls, StateValue, TimerCalls, ValueCalls};
use esker_format::Key;

macro_rules! value_calls {
    ($state:ident) => {
        impl<K: Key, N: Key, V: StateValue> ValueCalls<K, N, V> for $state<K, N, V> {
            #[inline]
            fn get_with<R>(
                &mut self,
                key: &K,
                namespace: &N,
                f: impl FnOnce(Option<&V>) -> R,
            ) -> Result<R> {
                $state::get_with(self, key, namespace, f)
            }

            #[inline]
            fn update(&mut self, key: &K, namespace: &N, value: V) -> Result<()> {
                $state::update(self, key, namespace, value).map(drop)
            }

            #[inline]
            fn rmw<R>(
                &mut self,
                key: &K,
                namespace: &N,
                f: impl FnOnce(&mut Option<V>) -> R,
            ) -> Result<R> {
                $state::rmw(self, key, namespace, f)
            }

            fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
                $state::clear(self, key, namespace).map(drop)
            }
        }
    };
}
value_calls!(ValueState);
value_calls!(TtlValueState);

macro_rules! list_calls {
    ($state:ident) => {
        impl<K: Key, N: Key, E: StateValue> ListCalls<K, N, E> for $state<K, N, E> {
            fn get(&mut self, key: &K, namespace: &N) -> Result<Vec<E>> {
                $state::get(self, key, namespace)
            }

            fn for_each(&mut self, key: &K, namespace: &N, f: impl FnMut(&E)) -> Result<()> {
                $state::for_each(self, key, namespace, f)
            }

            #[inline]
            fn append(&mut self, key: &K, namespace: &N, element: E) -> Result<()> {
                $state::append(self, key, namespace, element)
            }

            fn append_all(
                &mut self,
                key: &K,
                namespace: &N,
                elements: impl IntoIterator<Item = E>,
            ) -> Result<()> {
                $state::append_all(self, key, namespace, elements)
            }

            fn update(
                &mut self,
                key: &K,
                namespace: &N,
                elements: impl IntoIterator<Item = E>,
            ) -> Result<()> {
                $state::update(self, key, namespace, elements)
            }

            fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
                $state::clear(self, key, namespace).map(drop)
            }
        }
    };
}
list_calls!(ListState);
list_calls!(TtlListState);

macro_rules! map_calls {
    ($state:ident) => {
        impl<K: Key, N: Key, U: Key, V: StateValue> MapCalls<K, N, U, V> for $state<K, N, U, V> {
            #[inline]
            fn get_with<R>(
                &mut self,
                key: &K,
                namespace: &N,
                user_key: &U,
                f: impl FnOnce(Option<&V>) -> R,
            ) -> Result<R> {
                $state::get_with(self, key, namespace, user_key, f)
            }

            #[inline]
            fn contains(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<bool> {
                $state::contains(self, key, namespace, user_key)
            }

            fn for_each(&mut self, key: &K, namespace: &N, f: impl FnMut(&U, &V)) -> Result<()> {
                $state::for_each(self, key, namespace, f)
            }

            fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool> {
                $state::is_empty(self, key, namespace)
            }

            #[inline]
            fn put(&mut self, key: &K, namespace: &N, user_key: &U, value: V) -> Result<()> {
                $state::put(self, key, namespace, user_key, value).map(drop)
            }

            #[inline]
            fn rmw<R>(
                &mut self,
                key: &K,
                namespace: &N,
                user_key: &U,
                f: impl FnOnce(&mut Option<V>) -> R,
            ) -> Result<R> {
                $state::rmw(self, key, namespace, user_key, f)
            }

            #[inline]
            fn remove(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<()> {
                $state::remove(self, key, namespace, user_key).map(drop)
            }

            fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
                $state::clear(self, key, namespace).map(drop)
            }
        }
    };
}
map_calls!(MapState);
map_calls!(TtlMapState);

impl<K: Key, N: Key> TimerCalls<K, N> for TimerState<K, N> {
    #[inline]
    fn register(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()> {
        TimerState::register(self, time_ms, key, namespace).map(drop)
    }

    #[inline]
    fn delete(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()> {
        TimerState::delete(self, time_ms, key, namespace).map(drop)
    }

    fn contains(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<bool> {
        TimerState::contains(self, time_ms, key, namespace)
    }

    fn peek(&mut self) -> Result<Option<i64>> {
        TimerState::peek(self)
    }

    #[inline]
    fn pop_due(&mut self, time_ms: i64) -> Result<Option<(i64, K, N)>> {
        TimerState::pop_due(self, time_ms)
    }
}
