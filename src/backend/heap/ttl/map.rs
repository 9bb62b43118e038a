//! Map state with TTL: a time for each entry.

use super::super::lazy::{self, lazily_over};
use super::super::map::{MapCapture, MapCursor, MapState};
use super::capture::TtlCapture;
use crate::Result;
use crate::backend::KeyedState;
use crate::backend::StateCapture;
use crate::backend::ttl::Clock;
use crate::backend::{Timed, TimedCodec};
use crate::state::TtlConfig;
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;

/// A map from user keys `U` to values `V` per key `K` and namespace `N`, each entry of which expires
/// by itself. The time is what [`set_time_ms`](KeyedState::set_time_ms) last said; 0 at first. It
/// never goes back.
///
/// ```
/// # use esker::backend::KeyedState;
/// # use esker::backend::heap::TtlMapState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// # use esker::state::TtlConfig;
/// let hour = TtlConfig::new(3_600_000);
/// let mut gates =
///     TtlMapState::<String, (), String, u32>::new(1, KeyGroupRange::ALL, Ordered, hour)?;
/// gates.put(&"EWR".into(), &(), &"UA1".into(), 7)?;
/// gates.set_time_ms(3_600_000);
/// gates.put(&"EWR".into(), &(), &"UA2".into(), 8)?;
/// assert_eq!(gates.get(&"EWR".into(), &(), &"UA1".into())?, None);
/// assert_eq!(gates.keys(&"EWR".into(), &())?, ["UA2"]);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TtlMapState<K: Key, N: Key, U: Key, V> {
    maps: MapState<K, N, U, Timed<V>>,
    clock: Clock,
    /// What the cleaning looks at next.
    cursor: MapCursor<K, N>,
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> TtlMapState<K, N, U, V> {
    /// An empty state with numeric id `id` for the key groups in `range`; `codec` is that of the
    /// values alone.
    ///
    /// # Errors
    /// `Incompatible` if the type of key, namespace or user key has no deterministic encoding.
    pub fn new(
        id: u32,
        range: KeyGroupRange,
        codec: impl ValueCodec<V> + 'static,
        config: TtlConfig,
    ) -> Result<Self> {
        let maps = MapState::new(id, range, TimedCodec(codec))?;
        Ok(Self { maps, clock: Clock::new(config), cursor: MapCursor::default() })
    }

    /// How many maps there are, those included whose entries have all expired and are still there.
    pub fn maps(&self) -> usize {
        self.maps.maps()
    }

    /// A copy of an entry's value.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn get(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<Option<V>> {
        self.get_with(key, namespace, user_key, |value| value.cloned())
    }

    /// Lets `f` read an entry's value in place. One that has expired is removed.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let (clock, shown) = (&self.clock, self.clock.shows_expired());
        let (mut expired, mut older) = (false, false);
        let result = self.maps.get_with(key, namespace, user_key, |timed| {
            expired = timed.is_some_and(|timed| clock.is_expired(timed.time_ms));
            older = timed.is_some_and(|timed| timed.time_ms != clock.now_ms());
            f(timed.filter(|_| !expired || shown).map(|timed| &timed.value))
        })?;
        if expired {
            self.maps.remove(key, namespace, user_key)?;
        } else if older && clock.renews_on_read() {
            self.renew(key, namespace, user_key)?;
        }
        self.clean()?;
        Ok(result)
    }

    /// Whether the map has an entry; that is a read.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn contains(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<bool> {
        self.get_with(key, namespace, user_key, |value| value.is_some())
    }

    /// Calls `f` with each entry of a map, in an order that means nothing and may differ from one
    /// call to the next; that reads each. Entries that have expired are removed.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn for_each(&mut self, key: &K, namespace: &N, mut f: impl FnMut(&U, &V)) -> Result<()> {
        let (clock, shown) = (&self.clock, self.clock.shows_expired());
        let (mut expired, mut older) = (Vec::new(), Vec::new());
        self.maps.read(key, namespace, |map| {
            for (user_key, timed) in map.iter() {
                let is_expired = clock.is_expired(timed.time_ms);
                if shown || !is_expired {
                    f(user_key, &timed.value);
                }
                if is_expired {
                    expired.push(user_key.clone());
                } else if clock.renews_on_read() && timed.time_ms != clock.now_ms() {
                    older.push(user_key.clone());
                }
            }
        })?;
        for user_key in &expired {
            self.maps.remove(key, namespace, user_key)?;
        }
        older.iter().try_for_each(|user_key| self.renew(key, namespace, user_key))?;
        self.clean()
    }

    /// Copies of the map's user keys, in no order that means anything; that reads each entry.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn keys(&mut self, key: &K, namespace: &N) -> Result<Vec<U>> {
        let mut keys = Vec::new();
        self.for_each(key, namespace, |user_key, _| keys.push(user_key.clone()))?;
        Ok(keys)
    }

    /// Whether the map has no entry; that reads each entry.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn is_empty(&mut self, key: &K, namespace: &N) -> Result<bool> {
        let mut is_empty = true;
        self.for_each(key, namespace, |_, _| is_empty = false)?;
        Ok(is_empty)
    }

    /// Sets an entry's value and returns the one before, unless that had expired.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn put(&mut self, key: &K, namespace: &N, user_key: &U, value: V) -> Result<Option<V>> {
        let timed = Timed { time_ms: self.clock.now_ms(), value };
        let before = self.maps.put(key, namespace, user_key, timed)?;
        self.clean()?;
        Ok(self.live(before))
    }

    /// Reads, changes, sets or removes an entry's value in one look-up, which counts as a write.
    /// What has expired is not there.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: &U,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        let clock = &self.clock;
        let result = self.maps.rmw(key, namespace, user_key, |slot| clock.change(slot, f))?;
        self.clean()?;
        Ok(result)
    }

    /// Removes an entry and returns its value, unless it had expired.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn remove(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<Option<V>> {
        let before = self.maps.remove(key, namespace, user_key)?;
        self.clean()?;
        Ok(self.live(before))
    }

    /// Removes the map. Returns whether there was an entry that had not expired.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<bool> {
        let clock = &self.clock;
        let live = self.maps.read(key, namespace, |map| {
            map.iter().any(|(_, timed)| !clock.is_expired(timed.time_ms))
        })?;
        self.maps.clear(key, namespace)?;
        self.clean()?;
        Ok(live)
    }

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> TtlMapCapture<K, N, U, V> {
        let content = self.maps.capture();
        TtlCapture { content, config: self.clock.config, time_ms: self.clock.now_ms() }
    }

    fn live(&self, timed: Option<Timed<V>>) -> Option<V> {
        timed.filter(|timed| !self.clock.is_expired(timed.time_ms)).map(|timed| timed.value)
    }

    fn renew(&mut self, key: &K, namespace: &N, user_key: &U) -> Result<()> {
        let time_ms = self.clock.now_ms();
        self.maps.rmw(key, namespace, user_key, |slot| {
            if let Some(timed) = slot {
                timed.time_ms = time_ms;
            }
        })
    }

    /// Looks at the next few entries, and removes those that have expired.
    fn clean(&mut self) -> Result<()> {
        let limit = self.clock.config.clean_entries_per_call;
        if limit == 0 {
            return Ok(());
        }
        let mut expired = Vec::new();
        let clock = &self.clock;
        self.maps.visit(&mut self.cursor, limit, |key, namespace, user_key, timed| {
            if clock.is_expired(timed.time_ms) {
                expired.push((key.clone(), namespace.clone(), user_key.clone()));
            }
        });
        for (key, namespace, user_key) in expired {
            self.maps.remove(&key, &namespace, &user_key)?;
        }
        Ok(())
    }
}

impl<K: Key, N: Key, U: Key, V: Clone + Send + Sync + 'static> KeyedState
    for TtlMapState<K, N, U, V>
{
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    lazily_over!(maps);

    fn captured_at(&mut self, time_ms: i64) {
        self.clock.captured_at(time_ms);
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.clock.begin_restore(stored)?;
        self.maps.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        KeyedState::apply(&mut self.maps, self.clock.restored(entry))
    }

    fn end_restore(&mut self) {
        self.clock.end_restore();
        self.maps.end_restore();
    }

    fn entries(&self) -> u64 {
        self.maps.entries()
    }

    fn set_time_ms(&mut self, now_ms: i64) {
        self.clock.set_ms(now_ms);
    }
}

/// A map state with TTL at one moment.
pub type TtlMapCapture<K, N, U, V> = TtlCapture<MapCapture<K, N, U, Timed<V>>>;

#[cfg(test)]
mod tests;
