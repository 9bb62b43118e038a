//! Timers in a column family, in order of time, key group, key and namespace.
//!
//! The next few to fire are in memory too. They are filled up by a scan that begins where the last one
//! ended: what fired before lies behind it, and its tombstones are passed over by nobody. What fired is
//! removed from the database some at a time, and before a capture, as one write costs more than a timer.

mod capture;
mod sorted;

use super::db::{Change, Family};
use super::keys::{ID_LEN_BYTES, Keys};
use crate::backend::{KeyedState, StateCapture, TimerCalls};
use crate::{Error, ErrorKind, Result};
use capture::TimerCapture;
use esker_format::composite::CompositeKey;
use esker_format::manifest::StateInfo;
use esker_format::run::{Entry, Op};
use esker_format::{Key, KeyGroupRange};
pub(super) use sorted::{group_of, write_sorted};
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

/// How many timers are read at once, and how many are kept in memory at most.
const HEAD_LEN: usize = if cfg!(test) { 4 } else { 256 };
const HEAD_LEN_MAX: usize = 4 * HEAD_LEN;
/// How many fired timers are removed at once.
const FIRED_LEN: usize = if cfg!(test) { 3 } else { 64 };
/// How long a time is, which a timer's key begins with: big-endian, its sign bit flipped.
const TIME_LEN_BYTES: usize = 8;

/// Timers of keys `K` and namespaces `N`: those of one time fire in order of key group, encoded key and
/// encoded namespace. Registering and deleting read nothing.
pub struct TimerState<K, N> {
    keys: Keys,
    family: Arc<Family>,
    /// The timers up to `known`, all of them.
    head: BTreeSet<Vec<u8>>,
    known: Known,
    /// Timers that fired and are in the database still, in order. They are within what is known.
    fired: Vec<Vec<u8>>,
    /// The database's key that was made last, and the composite key that was read last.
    key: Vec<u8>,
    composite: Vec<u8>,
    types: PhantomData<fn(K, N)>,
}

/// How far the head reaches.
enum Known {
    /// To this key, itself included.
    UpTo(Vec<u8>),
    /// There are no other timers.
    All,
}

impl<K: Key, N: Key> TimerState<K, N> {
    /// No timers, in an empty family.
    ///
    /// # Errors
    /// `Incompatible` if a key type has no deterministic encoding.
    pub(super) fn new((id, range): (u32, KeyGroupRange), family: Arc<Family>) -> Result<Self> {
        K::check()?;
        N::check()?;
        Ok(Self {
            keys: Keys::new(id, range),
            family,
            head: BTreeSet::new(),
            known: Known::All,
            fired: Vec::new(),
            key: Vec::new(),
            composite: Vec::new(),
            types: PhantomData,
        })
    }

    /// Makes the database's key of a timer.
    fn make_key(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()> {
        self.keys.of_timer(time_ms, key, namespace, &mut self.key)
    }

    /// Whether the timer whose key was made is in the head, if it is there at all.
    fn is_known(&self) -> bool {
        match &self.known {
            Known::UpTo(last) => self.key <= *last,
            Known::All => true,
        }
    }

    fn insert(&mut self) -> Result<()> {
        let known = self.is_known();
        if known && self.head.contains(&self.key) {
            return Ok(());
        }
        // One that fired and comes again is not to be removed later.
        if known && self.fired.last().is_some_and(|last| self.key <= *last) {
            self.remove_fired()?;
        }
        // Nothing that fired is left where the head is cut, so that what is known may shrink.
        let is_full = known && self.head.len() >= HEAD_LEN_MAX;
        if is_full {
            self.remove_fired()?;
        }
        self.family.put(&self.key, &[])?;
        if known {
            self.head.insert(self.key.clone());
        }
        if is_full {
            self.cut();
        }
        Ok(())
    }

    /// Removes from the database what fired.
    fn remove_fired(&mut self) -> Result<()> {
        if !self.fired.is_empty() {
            self.family.delete_each(&self.fired)?;
            self.fired.clear();
        }
        Ok(())
    }

    /// Makes the head small: what is left out is in the database.
    fn cut(&mut self) {
        if let Some(first_out) = self.head.iter().nth(HEAD_LEN).cloned() {
            self.head.split_off(&first_out);
        }
        if let Some(last) = self.head.last() {
            self.known = Known::UpTo(last.clone());
        }
    }

    fn remove(&mut self) -> Result<()> {
        if self.is_known() && !self.head.contains(&self.key) {
            return Ok(());
        }
        self.family.delete(&self.key)?;
        self.head.remove(&self.key);
        Ok(())
    }

    /// Reads the next timers, if none is left in memory.
    fn fill(&mut self) -> Result<()> {
        let Known::UpTo(last) = &self.known else { return Ok(()) };
        if !self.head.is_empty() {
            return Ok(());
        }
        // What follows the last key comes after the same key with a zero behind it.
        let mut from = last.clone();
        from.push(0);
        let mut head = Vec::with_capacity(HEAD_LEN);
        self.family.for_each(&from, &[], |key, _| {
            head.push(key.to_vec());
            Ok(head.len() < HEAD_LEN)
        })?;
        self.head = head.into_iter().collect();
        self.known = match self.head.last() {
            Some(last) if self.head.len() >= HEAD_LEN => Known::UpTo(last.clone()),
            _ => Known::All,
        };
        Ok(())
    }

    /// The timer of a key of the database.
    fn decode(&mut self, key: &[u8]) -> Result<(i64, K, N)> {
        let (time, rest) = split(key)?;
        self.composite.clear();
        self.composite.resize(ID_LEN_BYTES, 0);
        self.composite.extend_from_slice(rest);
        let parts = CompositeKey::decode(&self.composite)?;
        Ok((i64::decode(time)?, K::decode(&parts.key)?, N::decode(&parts.namespace)?))
    }
}

/// The time in front of a timer's key, and the rest.
///
/// # Errors
/// `Corrupt` if it is too short for one.
fn split(key: &[u8]) -> Result<(&[u8], &[u8])> {
    let too_short = || Error::new(ErrorKind::Corrupt, "a timer's key has no time");
    key.split_at_checked(TIME_LEN_BYTES).ok_or_else(too_short)
}

/// What follows the time in a timer's key: a composite key without the state's id.
pub(super) fn composite_of(key: &[u8]) -> Option<&[u8]> {
    key.get(TIME_LEN_BYTES..)
}

impl<K: Key, N: Key> TimerCalls<K, N> for TimerState<K, N> {
    fn register(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()> {
        self.make_key(time_ms, key, namespace)?;
        self.insert()
    }

    fn delete(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<()> {
        self.make_key(time_ms, key, namespace)?;
        self.remove()
    }

    fn contains(&mut self, time_ms: i64, key: &K, namespace: &N) -> Result<bool> {
        self.make_key(time_ms, key, namespace)?;
        match self.is_known() {
            true => Ok(self.head.contains(&self.key)),
            false => self.family.get(&self.key, |value| value.is_some()),
        }
    }

    fn peek(&mut self) -> Result<Option<i64>> {
        self.fill()?;
        let Some(first) = self.head.first() else { return Ok(None) };
        Ok(Some(i64::decode(split(first)?.0)?))
    }

    fn pop_due(&mut self, time_ms: i64) -> Result<Option<(i64, K, N)>> {
        if self.peek()?.is_none_or(|first_ms| first_ms > time_ms) {
            return Ok(None);
        }
        // One that was registered behind what fired before begins anew, so that they stay in order.
        let is_behind = self.fired.last() > self.head.first();
        if self.fired.len() >= FIRED_LEN || is_behind {
            self.remove_fired()?;
        }
        let Some(first) = self.head.pop_first() else { return Ok(None) };
        match self.decode(&first) {
            Ok(timer) => {
                self.fired.push(first);
                Ok(Some(timer))
            }
            Err(error) => {
                self.head.insert(first);
                Err(error)
            }
        }
    }
}

impl<K: Key, N: Key> KeyedState for TimerState<K, N> {
    fn settle(&mut self) -> Result<()> {
        self.remove_fired()
    }

    fn capture_state(&mut self) -> Arc<dyn StateCapture> {
        // What cannot be read now cannot be written later either, and is said there.
        let earliest_ms = self.peek().ok().flatten();
        Arc::new(TimerCapture::new(self.keys.id(), &self.family, earliest_ms))
    }

    fn begin_restore(&mut self, _stored: &StateInfo) -> Result<()> {
        // Timers have no values.
        self.remove_fired()
    }

    fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(parts) = self.keys.applies::<K, N>(entry)? else { return Ok(()) };
        i64::decode(&parts.user_key)?;
        let time_at = entry.key.len() - parts.user_key.len();
        self.key.clear();
        self.key.extend_from_slice(&parts.user_key);
        self.key.extend_from_slice(entry.key.get(ID_LEN_BYTES..time_at).unwrap_or_default());
        match entry.op {
            // Those in memory are forgotten at the end.
            Op::Put if entry.value.is_empty() => self.family.restore(Change::Put, &self.key, &[]),
            Op::Delete => self.family.restore(Change::Delete, &self.key, &[]),
            op => {
                let message =
                    format!("no timer: {op:?} with a value of {} bytes", entry.value.len());
                Err(Error::new(ErrorKind::Corrupt, message))
            }
        }
    }

    fn end_restore(&mut self) {
        // The family may hold timers that nobody registered here.
        self.head.clear();
        self.known = Known::UpTo(Vec::new());
    }

    fn entries(&self) -> u64 {
        self.family.keys_estimate().saturating_sub(self.fired.len() as u64)
    }
}
