//! Keys that damage takes, and how new an entry must be to tell of them nevertheless.

use super::interval::{Interval, STATE_LEN_BYTES, prefix_len};
use crate::snapshot::groups::Groups;
use esker_format::KeyGroup;
use esker_format::run::RunFilter;
use std::sync::Arc;

/// How new something is: entries of the run number *r* of a chain, oldest first, are 2 *r* + 2 new, what
/// is lost lies between. Nothing at all is 0.
pub(super) type Level = u64;

/// How new the entries of a run are.
pub(super) fn of_run(rank: usize) -> Level {
    2 * rank as Level + 2
}

/// Keys of one state whose entries up to some level are not known.
#[derive(Debug, Clone)]
pub(super) struct Loss {
    pub(super) keys: Interval,
    /// Of the keys, those in these key groups alone.
    pub(super) groups: Arc<Groups>,
    /// Only newer entries decide a key.
    pub(super) level: Level,
    /// The state's id in the run, and the run's filter: what it denies was not lost.
    pub(super) state: u32,
    pub(super) filter: Option<Arc<RunFilter>>,
}

/// The losses of a state, as they are asked for by keys that ascend.
pub(super) struct LossCursor<'a> {
    /// In order of their first keys.
    ahead: std::vec::IntoIter<&'a Loss>,
    next: Option<&'a Loss>,
    active: Vec<&'a Loss>,
    full: Vec<u8>,
}

impl<'a> LossCursor<'a> {
    pub(super) fn new(mut losses: Vec<&'a Loss>) -> Self {
        losses.sort_by(|a, b| a.keys.from.cmp(&b.keys.from));
        let mut ahead = losses.into_iter();
        let next = ahead.next();
        Self { ahead, next, active: Vec::new(), full: Vec::new() }
    }

    /// Up to which level entries of `key` may be lost; none if they are all there. `key` is not below
    /// that of the last call.
    pub(super) fn level_at(&mut self, key: &[u8]) -> Option<Level> {
        while let Some(next) = self.next.filter(|next| next.keys.from.as_slice() <= key) {
            self.active.push(next);
            self.next = self.ahead.next();
        }
        if self.active.is_empty() {
            return None;
        }
        self.active.retain(|loss| loss.keys.to.as_ref().is_none_or(|to| key < to.as_slice()));
        let full = &mut self.full;
        let takes = |loss: &&&Loss| is_in(&loss.groups, key) && loss.takes(key, full);
        self.active.iter().filter(takes).map(|loss| loss.level).max()
    }
}

impl Loss {
    /// Whether the run can have held `key`; `full` is room to build it in.
    fn takes(&self, key: &[u8], full: &mut Vec<u8>) -> bool {
        let Some(filter) = &self.filter else { return true };
        full.clear();
        full.reserve(STATE_LEN_BYTES + key.len());
        full.extend_from_slice(&self.state.to_be_bytes());
        full.extend_from_slice(key);
        let prefix = prefix_len(full).and_then(|len| full.get(..len));
        prefix.is_none_or(|prefix| filter.may_contain(prefix))
    }
}

/// Whether a key, without its state, is in a set of key groups.
pub(super) fn is_in(groups: &Groups, key: &[u8]) -> bool {
    key.first_chunk().is_some_and(|group| groups.contains(KeyGroup(u16::from_be_bytes(*group))))
}
