//! List state with TTL: a time for each element.

use super::super::ListState;
use super::super::db::Family;
use super::super::expiry::Expiry;
use super::Time;
use crate::Result;
use crate::backend::{KeyedState, ListCalls, StateCapture, StateValue, Timed, TimedCodec};
use crate::state::TtlConfig;
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use esker_format::{Key, KeyGroupRange, ValueCodec};
use std::sync::Arc;

/// A list of elements `E` per key `K` and namespace `N`, each of which expires by itself; the others
/// keep their order. Those that have expired are hidden at once; a read that finds half of a list so
/// writes the rest anew, and a compaction drops lists that have expired as a whole.
pub struct TtlListState<K, N, E> {
    pub(in super::super) lists: ListState<K, N, Timed<E>>,
    time: Time,
}

impl<K: Key, N: Key, E: StateValue> TtlListState<K, N, E> {
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(in super::super) fn new(
        place: (u32, KeyGroupRange),
        family: Arc<Family>,
        codec: impl ValueCodec<E> + 'static,
        (config, expiry): (TtlConfig, Arc<Expiry>),
    ) -> Result<Self> {
        let lists = ListState::new(place, family, TimedCodec(codec))?;
        Ok(Self { lists, time: Time::new(config, expiry) })
    }
}

/// Elements as of `time_ms`.
fn timed<E>(time_ms: i64, elements: impl IntoIterator<Item = E>) -> impl Iterator<Item = Timed<E>> {
    elements.into_iter().map(move |value| Timed { time_ms, value })
}

impl<K: Key, N: Key, E: StateValue> ListCalls<K, N, E> for TtlListState<K, N, E> {
    fn for_each(&mut self, key: &K, namespace: &N, mut f: impl FnMut(&E)) -> Result<()> {
        let clock = &self.time.clock;
        let (now_ms, shown) = (clock.now_ms(), clock.shows_expired());
        let mut all = self.lists.read(key, namespace)?;
        let (len, mut older) = (all.len(), false);
        for timed in &all {
            if shown || !clock.is_expired(timed.time_ms) {
                f(&timed.value);
            }
            older |= timed.time_ms != now_ms;
        }
        all.retain(|timed| !clock.is_expired(timed.time_ms));
        let (expired, renews) = (len - all.len(), older && clock.renews_on_read());
        if renews {
            all.iter_mut().for_each(|timed| timed.time_ms = now_ms);
        }
        // What is shown until it is cleaned up is cleaned up by who saw it.
        if renews || expired > 0 && (shown || 2 * expired >= len) {
            self.lists.update(key, namespace, all)?;
        }
        Ok(())
    }

    fn append(&mut self, key: &K, namespace: &N, element: E) -> Result<()> {
        self.append_all(key, namespace, [element])
    }

    fn append_all(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let timed = timed(self.time.clock.now_ms(), elements);
        self.lists.append_all(key, namespace, timed)
    }

    fn update(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let timed = timed(self.time.clock.now_ms(), elements);
        self.lists.update(key, namespace, timed)
    }

    fn clear(&mut self, key: &K, namespace: &N) -> Result<()> {
        self.lists.clear(key, namespace)
    }
}

impl<K: Key, N: Key, E: StateValue> KeyedState for TtlListState<K, N, E> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        Arc::new(self.time.capture(|| self.lists.capture()))
    }

    fn captured_at(&mut self, time_ms: i64) {
        self.time.captured_at(time_ms);
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.time.begin_restore(stored)?;
        self.lists.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        match self.time.clock.restored_list(entry)? {
            Some(live) => self.lists.apply(Entry { value: &live, ..entry }),
            None => self.lists.apply(entry),
        }
    }

    fn end_restore(&mut self) {
        self.time.clock.end_restore();
        self.lists.end_restore();
    }

    fn entries(&self) -> u64 {
        self.lists.entries()
    }

    fn set_time_ms(&mut self, now_ms: i64) {
        self.time.set_ms(now_ms);
    }
}
