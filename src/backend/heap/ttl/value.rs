//! Value state with TTL.

use super::super::lazy::{self, lazily_over};
use super::super::table::Cursor;
use super::super::value::{ValueCapture, ValueState};
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

/// One value of type `V` per key `K` and namespace `N` that expires. The time is what
/// [`set_time_ms`](KeyedState::set_time_ms) last said; 0 at first. It never goes back.
///
/// ```
/// # use esker::backend::KeyedState;
/// # use esker::backend::heap::TtlValueState;
/// # use esker::format::{KeyGroupRange, Ordered};
/// # use esker::state::TtlConfig;
/// let hour = TtlConfig::new(3_600_000);
/// let mut gates = TtlValueState::<String, (), u32>::new(1, KeyGroupRange::ALL, Ordered, hour)?;
/// gates.update(&"UA".into(), &(), 7)?;
/// gates.set_time_ms(3_599_999);
/// assert_eq!(gates.get(&"UA".into(), &())?, Some(7));
/// gates.set_time_ms(3_600_000);
/// assert_eq!(gates.get(&"UA".into(), &())?, None);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TtlValueState<K: Key, N: Key, V> {
    values: ValueState<K, N, Timed<V>>,
    clock: Clock,
    /// What the cleaning looks at next.
    cursor: Cursor,
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> TtlValueState<K, N, V> {
    /// An empty state with numeric id `id` for the key groups in `range`; `codec` is that of the
    /// values alone.
    ///
    /// # Errors
    /// `Incompatible` if the type of key or namespace has no deterministic encoding.
    pub fn new(
        id: u32,
        range: KeyGroupRange,
        codec: impl ValueCodec<V> + 'static,
        config: TtlConfig,
    ) -> Result<Self> {
        let values = ValueState::new(id, range, TimedCodec(codec))?;
        Ok(Self { values, clock: Clock::new(config), cursor: Cursor::default() })
    }

    /// How many values there are, those included that have expired and are still there.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A copy of the value.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups.
    pub fn get(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.get_with(key, namespace, |value| value.cloned())
    }

    /// Lets `f` read the value in place. One that has expired is removed.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn get_with<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let clock = &self.clock;
        let is_expired = |timed: &Timed<V>| clock.is_expired(timed.time_ms);
        let shown = clock.shows_expired();
        let result = if clock.renews_on_read() {
            self.values.rmw(key, namespace, |slot| {
                let old = slot.take_if(|timed| is_expired(timed)).filter(|_| shown);
                match slot {
                    Some(timed) => {
                        timed.time_ms = clock.now_ms();
                        f(Some(&timed.value))
                    }
                    None => f(old.as_ref().map(|timed| &timed.value)),
                }
            })?
        } else {
            let mut expired = false;
            let result = self.values.get_with(key, namespace, |timed| {
                expired = timed.is_some_and(is_expired);
                f(timed.filter(|_| !expired || shown).map(|timed| &timed.value))
            })?;
            if expired {
                self.values.clear(key, namespace)?;
            }
            result
        };
        self.clean()?;
        Ok(result)
    }

    /// Sets the value and returns the one before, unless that had expired.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn update(&mut self, key: &K, namespace: &N, value: V) -> Result<Option<V>> {
        self.rmw(key, namespace, |slot| slot.replace(value))
    }

    /// Reads, changes, sets or removes the value in one look-up, which counts as a write. What has
    /// expired is not there.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn rmw<R>(
        &mut self,
        key: &K,
        namespace: &N,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> Result<R> {
        let clock = &self.clock;
        let result = self.values.rmw(key, namespace, |slot| clock.change(slot, f))?;
        self.clean()?;
        Ok(result)
    }

    /// Removes the value and returns it, unless it had expired.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn clear(&mut self, key: &K, namespace: &N) -> Result<Option<V>> {
        self.rmw(key, namespace, Option::take)
    }

    /// The state as it is now. Changes are counted from here for the next capture.
    pub fn capture(&mut self) -> TtlValueCapture<K, N, V> {
        let content = self.values.capture();
        TtlCapture { content, config: self.clock.config, time_ms: self.clock.now_ms() }
    }

    /// Looks at the next few entries, and removes those that have expired.
    fn clean(&mut self) -> Result<()> {
        let limit = self.clock.config.clean_entries_per_call;
        if limit == 0 {
            return Ok(());
        }
        let mut expired = Vec::new();
        self.values.visit(&mut self.cursor, limit, |key, namespace, timed| {
            if self.clock.is_expired(timed.time_ms) {
                expired.push((key.clone(), namespace.clone()));
            }
        });
        for (key, namespace) in expired {
            self.values.clear(&key, &namespace)?;
        }
        Ok(())
    }
}

impl<K: Key, N: Key, V: Clone + Send + Sync + 'static> KeyedState for TtlValueState<K, N, V> {
    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        let hot = Arc::new(self.capture());
        lazy::captured(self.cold(), hot)
    }

    lazily_over!(values);

    fn captured_at(&mut self, time_ms: i64) {
        self.clock.captured_at(time_ms);
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.clock.begin_restore(stored)?;
        self.values.begin_restore(stored)
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        KeyedState::apply(&mut self.values, self.clock.restored(entry))
    }

    fn end_restore(&mut self) {
        self.clock.end_restore();
        self.values.end_restore();
    }

    fn entries(&self) -> u64 {
        self.values.entries()
    }

    fn set_time_ms(&mut self, now_ms: i64) {
        self.clock.set_ms(now_ms);
    }
}

/// A value state with TTL at one moment.
pub type TtlValueCapture<K, N, V> = TtlCapture<ValueCapture<K, N, Timed<V>>>;
