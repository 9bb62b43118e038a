//! Map state with TTL: a time for each entry.

use super::super::MapState;
use super::super::db::Family;
use super::super::expiry::Expiry;
use super::{Then, Time};
use crate::Result;
use crate::backend::{KeyedState, MapCalls, StateCapture, StateValue, Timed, TimedCodec};
use crate::state::TtlConfig;
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;

/// A map from user keys `U` to values `V` per key `K` and namespace `N`, each entry of which expires
/// by itself.
pub struct TtlMapState<K, N, U, V> {
    pub(in super::super) maps: MapState<K, N, U, Timed<V>>,
    time: Time,
}

impl<K: Key, N: Key, U: Key, V: StateValue> TtlMapState<K, N, U, V> {
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(in super::super) fn new(
        place: (u32, KeyGroupRange),
        family: Arc<Family>,
        codec: impl ValueCodec<V> + 'static,
        (config, expiry): (TtlConfig, Arc<Expiry>),
    ) -> Result<Self> {
        let maps = MapState::new(place, family, TimedCodec(codec))?;
        Ok(Self { maps, time: Time::new(config, expiry) })
    }
}

impl<K: Key, N: Key, U: Key, V: StateValue> MapCalls<K, N, U, V> for TtlMapState<K, N, U, V> {
    fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let (shown, then) = self.time.seen(self.maps.get(key, namespace, user_key)?);
        match (&shown, then) {
            (_, Then::Remove) => self.maps.remove(key, namespace, user_key)?,
            (Some(timed), Then::Renew) => self.maps.put(key, namespace, user_key, timed.clone())?,
            _ => {}
        }
        Ok(f(shown.as_ref().map(|timed| &timed.value)))
    }

    fn contains(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<bool> {
        self.get_with(key, namespace, user_key, |value| value.is_some())
    }

    fn for_each(&mut self, key: &K, namespace: &N, mut f: impl FnMut(&U, &V)) -> Result<()> {
        let clock = &self.time.clock;
        let (mut expired, mut older) = (Vec::new(), Vec::new());
        self.maps.for_each(key, namespace, |user_key, timed| {
            let is_expired = clock.is_expired(timed.time_ms);
            if !is_expired || clock.shows_expired() {
                f(user_key, &timed.value);
            }
            if is_expired {
                expired.push(user_key.clone());
            } else if clock.renews_on_read() && timed.time_ms != clock.now_ms() {
                let timed = Timed { time_ms: clock.now_ms(), value: timed.value.clone() };
                older.push((user_key.clone(), timed));
            }
        })?;
        for user_key in &expired {
            self.maps.remove(key, namespace, user_key)?;
        }
        for (user_key, timed) in older {
            self.maps.put(key, namespace, &user_key, timed)?;
        }
        Ok(())
    }

    fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool> {
        let mut is_empty = true;
        self.for_each(key, namespace, |_, _| is_empty = false)?;
        Ok(is_empty)
    }

    fn put(&mut self, key: &K, namespace: &N, user_key: &U, value: V) -> Result<()> {
        let time_ms = self.time.clock.now_ms();
        self.maps.put(key, namespace, user_key, Timed { time_ms, value })
    }

    fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        let clock = &self.time.clock;
        self.maps.rmw(key, namespace, user_key, |slot| clock.change(slot, f))
    }

    fn remove(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<()> {
        self.maps.remove(key, namespace, user_key)
    }

    fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
        self.maps.clear(key, namespace)
    }
}

impl<K: Key, N: Key, U: Key, V: StateValue> KeyedState for TtlMapState<K, N, U, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        Arc::new(self.time.capture(|| self.maps.capture()))
    }

    fn captured_at(&mut self, time_ms: i64) {
        self.time.captured_at(time_ms);
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.time.begin_restore(stored)?;
        self.maps.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        self.maps.apply(self.time.clock.restored(entry))
    }

    fn end_restore(&mut self) {
        self.time.clock.end_restore();
        self.maps.end_restore();
    }

    fn entries(&self) -> u64 {
        self.maps.entries()
    }

    fn set_time_ms(&mut self, now_ms: i64) {
        self.time.set_ms(now_ms);
    }
}
