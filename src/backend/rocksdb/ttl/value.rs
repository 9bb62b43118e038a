//! Value state with TTL.

use super::super::ValueState;
use super::super::db::Family;
use super::super::expiry::Expiry;
use super::{Then, Time};
use crate::Result;
use crate::backend::{KeyedState, StateCapture, StateValue, Timed, TimedCodec, ValueCalls};
use crate::state::TtlConfig;
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;

/// One value of type `V` per key `K` and namespace `N` that expires.
pub struct TtlValueState<K, N, V> {
    pub(in super::super) values: ValueState<K, N, Timed<V>>,
    time: Time,
}

impl<K: Key, N: Key, V: StateValue> TtlValueState<K, N, V> {
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(in super::super) fn new(
        place: (u32, KeyGroupRange),
        family: Arc<Family>,
        codec: impl ValueCodec<V> + 'static,
        (config, expiry): (TtlConfig, Arc<Expiry>),
    ) -> Result<Self> {
        let values = ValueState::new(place, family, TimedCodec(codec))?;
        Ok(Self { values, time: Time::new(config, expiry) })
    }
}

impl<K: Key, N: Key, V: StateValue> ValueCalls<K, N, V> for TtlValueState<K, N, V> {
    fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let (shown, then) = self.time.seen(self.values.get(key, namespace)?);
        match (&shown, then) {
            (_, Then::Remove) => self.values.clear(key, namespace)?,
            (Some(timed), Then::Renew) => self.values.update(key, namespace, timed.clone())?,
            _ => {}
        }
        Ok(f(shown.as_ref().map(|timed| &timed.value)))
    }

    fn update(&mut self, key: &K, namespace: &N, value: V) -> Result<()> {
        let time_ms = self.time.clock.now_ms();
        self.values.update(key, namespace, Timed { time_ms, value })
    }

    fn rmw<R>(&mut self, key: &K, namespace: &N, f: impl FnOnce(&mut Option<V>) -> R) -> Result<R> {
        let clock = &self.time.clock;
        self.values.rmw(key, namespace, |slot| clock.change(slot, f))
    }

    fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
        self.values.clear(key, namespace)
    }
}

impl<K: Key, N: Key, V: StateValue> KeyedState for TtlValueState<K, N, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        Arc::new(self.time.capture(|| self.values.capture()))
    }

    fn captured_at(&mut self, time_ms: i64) {
        self.time.captured_at(time_ms);
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.time.begin_restore(stored)?;
        self.values.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        self.values.apply(self.time.clock.restored(entry))
    }

    fn end_restore(&mut self) {
        self.time.clock.end_restore();
        self.values.end_restore();
    }

    fn entries(&self) -> u64 {
        self.values.entries()
    }

    fn set_time_ms(&mut self, now_ms: i64) {
        self.time.set_ms(now_ms);
    }
}
