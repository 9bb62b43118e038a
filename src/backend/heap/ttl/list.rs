//! List state with TTL: a time for each element.

use super::super::lazy::{self, lazily_over};
use super::super::list::{ListCapture, ListState, ListView};
use super::super::table::Cursor;
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

/// A list of elements `E` per key `K` and namespace `N`, each of which expires by itself; the others
/// keep their order. The time is what [`set_time_ms`](KeyedState::set_time_ms) last said; 0 at first.
/// It never goes back.
///
/// Elements that have expired are hidden at once, and dropped once they are half of their list, so
/// that a list that is appended to and expires at the other end is seldom rewritten.
///
/// ```
/// # use esker::backend::KeyedState;
/// # use esker::backend::heap::TtlListState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// # use esker::state::TtlConfig;
/// let hour = TtlConfig::new(3_600_000);
/// let mut late = TtlListState::<String, (), i64>::new(1, KeyGroupRange::ALL, Ordered, hour)?;
/// late.append(&"UA".into(), &(), 15)?;
/// late.set_time_ms(1_800_000);
/// late.append(&"UA".into(), &(), 40)?;
/// late.set_time_ms(3_600_000);
/// assert_eq!(late.get(&"UA".into(), &())?, [40]);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TtlListState<K: Key, N: Key, E> {
    lists: ListState<K, N, Timed<E>>,
    clock: Clock,
    /// What the cleaning looks at next.
    cursor: Cursor,
}

impl<K: Key, N: Key, E: Clone + Send + Sync + 'static> TtlListState<K, N, E> {
    /// An empty state with numeric id `id` for the key groups in `range`; `codec` is that of the
    /// elements alone.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(
        id: u32,
        range: KeyGroupRange,
        codec: impl ValueCodec<E> + 'static,
        config: TtlConfig,
    ) -> Result<Self> {
        let lists = ListState::new(id, range, TimedCodec(codec))?;
        Ok(Self { lists, clock: Clock::new(config), cursor: Cursor::default() })
    }

    /// How many lists there are, those included whose elements have all expired and are still there.
    pub fn lists(&self) -> usize {
        self.lists.lists()
    }

    /// A copy of the list, empty where there is none.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Vec<E>> {
        let mut all = Vec::new();
        self.for_each(key, namespace, |element| all.push(element.clone()))?;
        Ok(all)
    }

    /// Calls `f` with each element in place, in order.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn for_each(&mut self, key: &K, namespace: &N, mut f: impl FnMut(&E)) -> Result<()> {
        let (clock, shown) = (&self.clock, self.clock.shows_expired());
        let (mut expired, mut older) = (0, false);
        let len = self.lists.get_with(key, namespace, |list| {
            for timed in list.iter() {
                let is_expired = clock.is_expired(timed.time_ms);
                if shown || !is_expired {
                    f(&timed.value);
                }
                expired += usize::from(is_expired);
                older |= timed.time_ms != clock.now_ms();
            }
            list.len()
        })?;
        let renews = clock.renews_on_read() && older;
        // What is shown until it is cleaned up is cleaned up by who saw it.
        if expired > 0 && (shown || 2 * expired >= len) || renews {
            self.keep_live(key, namespace, renews)?;
        }
        self.clean()
    }

    /// Puts an element behind the others, whose times stay as they are.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn append(&mut self, key: &K, namespace: &N, element: E) -> Result<()> {
        self.append_all(key, namespace, [element])
    }

    /// Puts elements behind the others, whose times stay as they are.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn append_all(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let time_ms = self.clock.now_ms();
        let timed = elements.into_iter().map(|value| Timed { time_ms, value });
        self.lists.append_all(key, namespace, timed)?;
        self.clean()
    }

    /// Replaces all elements; by none, it clears the list.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn update(
        &mut self,
        key: &K,
        namespace: &N,
        elements: impl IntoIterator<Item = E>,
    ) -> Result<()> {
        let time_ms = self.clock.now_ms();
        let timed = elements.into_iter().map(|value| Timed { time_ms, value });
        self.lists.update(key, namespace, timed)?;
        self.clean()
    }

    /// Removes the list. Returns whether there was an element that had not expired.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<bool> {
        let clock = &self.clock;
        let is_live = |timed: &Timed<E>| !clock.is_expired(timed.time_ms);
        let live = self.lists.get_with(key, namespace, |list| list.iter().any(is_live))?;
        self.lists.clear(key, namespace)?;
        self.clean()?;
        Ok(live)
    }

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> TtlListCapture<K, N, E> {
        let content = self.lists.capture();
        TtlCapture { content, config: self.clock.config, time_ms: self.clock.now_ms() }
    }

    /// Drops the elements of a list that have expired, and renews the times of the others if asked.
    fn keep_live(&mut self, key: &K, namespace: &N, renew: bool) -> Result<()> {
        let clock = &self.clock;
        let live: Vec<_> = self.lists.get_with(key, namespace, |list| {
            let live = list.iter().filter(|timed| !clock.is_expired(timed.time_ms));
            let time_ms = |timed: &Timed<E>| if renew { clock.now_ms() } else { timed.time_ms };
            live.map(|timed| Timed { time_ms: time_ms(timed), value: timed.value.clone() })
                .collect()
        })?;
        self.lists.update(key, namespace, live)
    }

    /// Looks at the next few lists, and drops elements where half or more have expired. Elements
    /// stand in order of time as a rule, so the one in the middle tells.
    fn clean(&mut self) -> Result<()> {
        let limit = self.clock.config.clean_entries_per_call;
        if limit == 0 {
            return Ok(());
        }
        let mut found = Vec::new();
        let clock = &self.clock;
        self.lists.visit(&mut self.cursor, limit, |key, namespace, list: ListView<'_, _>| {
            let middle = list.get(list.len().saturating_sub(1) / 2);
            if middle.is_some_and(|timed: &Timed<E>| clock.is_expired(timed.time_ms)) {
                found.push((key.clone(), namespace.clone()));
            }
        });
        found.iter().try_for_each(|(key, namespace)| self.keep_live(key, namespace, false))
    }
}

impl<K: Key, N: Key, E: Clone + Send + Sync + 'static> KeyedState for TtlListState<K, N, E> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    lazily_over!(lists);

    fn captured_at(&mut self, time_ms: i64) {
        self.clock.captured_at(time_ms);
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.clock.begin_restore(stored)?;
        self.lists.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        match self.clock.restored_list(entry)? {
            Some(live) => KeyedState::apply(&mut self.lists, Entry { value: &live, ..entry }),
            None => KeyedState::apply(&mut self.lists, entry),
        }
    }

    fn end_restore(&mut self) {
        self.clock.end_restore();
        self.lists.end_restore();
    }

    fn entries(&self) -> u64 {
        self.lists.entries()
    }

    fn set_time_ms(&mut self, now_ms: i64) {
        self.clock.set_ms(now_ms);
    }
}

/// A list state with TTL at one moment.
pub type TtlListCapture<K, N, E> = TtlCapture<ListCapture<K, N, Timed<E>>>;

#[cfg(test)]
mod tests;
