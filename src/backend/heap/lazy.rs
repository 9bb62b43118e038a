//! States that bring what a snapshot holds of them key group by key group, before they look there.
//!
//! A table that is cold somewhere is [closed](CowTable::set_open): it owns no key group, so that every call
//! ends up here, once for each, and brings what it is about to ask for. A state that is all there, as most
//! are, pays nothing for that: what refuses keys of other subtasks is the one comparison that there was.

use super::address::check_owned;
use super::table::{CowTable, TableKey};
use crate::backend::cold::{Batch, Cold, Step};
use crate::{Error, ErrorKind, Result};
use esker_format::run::Entry;
use esker_format::{KeyGroup, KeyGroupRange};

/// A state that can be cold in part.
pub(super) trait Lazy {
    /// The key groups that it owns.
    fn owned(&self) -> KeyGroupRange;

    /// What is cold of it; none where all is there.
    fn cold_mut(&mut self) -> &mut Option<Box<Cold>>;

    /// Whether calls go to the table without asking here before.
    fn set_open(&mut self, open: bool);

    /// What [`set_open`](Self::set_open) said last.
    fn is_open(&self) -> bool;

    /// Puts an entry of a key group that nobody has looked at. The state is open.
    fn put_cold(&mut self, entry: Entry<'_>) -> Result<()>;

    /// What was put of a key group counts as it did when it was captured: unchanged.
    fn brought(&mut self, group: KeyGroup);
}

/// Begins with everything cold.
pub(super) fn begin<S: Lazy>(state: &mut S, cold: Cold) {
    state.set_open(cold.is_done());
    *state.cold_mut() = (!cold.is_done()).then(|| Box::new(cold));
}

/// Sees to it that what there is of `group` is in the state's table.
///
/// # Errors
/// `Invalid` for a key group that is not owned; those of the files, which are asked again by the next call;
/// `Poisoned` if the state holds some of a key group.
#[cold]
#[inline(never)]
pub(super) fn touch<S: Lazy>(state: &mut S, group: KeyGroup) -> Result<()> {
    check_owned(state.owned(), group)?;
    check(state)?;
    let Some(cold) = state.cold_mut() else { return Ok(()) };
    if !cold.contains(group) {
        return Ok(());
    }
    let mut batch = cold.around(group)?;
    bring(state, &mut batch, usize::MAX).map(drop)
}

/// Puts about `entries_max` entries of a batch, whole key groups of those that are cold; returns how many.
///
/// # Errors
/// `Corrupt` if one is no entry of the state, which is broken then.
pub(super) fn bring<S: Lazy>(
    state: &mut S,
    batch: &mut Batch,
    entries_max: usize,
) -> Result<usize> {
    let Some(mut cold) = state.cold_mut().take() else {
        return Ok(batch.leave_all());
    };
    let mut guard = Closes { state, is_done: false };
    guard.state.set_open(true);
    let done = cold.take(batch, entries_max, &mut |step| match step {
        Step::Put(entry) => guard.state.put_cold(entry),
        Step::Brought(group) => {
            guard.state.brought(group);
            Ok(())
        }
    });
    guard.is_done = cold.is_done() && done.is_ok();
    if !guard.is_done {
        *guard.state.cold_mut() = Some(cold);
    }
    done
}

/// That no key group is there in part.
///
/// # Errors
/// `Poisoned` if one is.
pub(super) fn check<S: Lazy>(state: &mut S) -> Result<()> {
    if let Some(cold) = state.cold_mut() {
        return cold.check();
    }
    if state.is_open() {
        return Ok(());
    }
    let message = "the state was restored in part: it died while it brought a key group";
    Err(Error::new(ErrorKind::Poisoned, message))
}

/// Brings everything.
///
/// # Errors
/// As for [`touch`]. What was brought before is there.
pub(super) fn bring_all<S: Lazy>(state: &mut S) -> Result<()> {
    /// Entries that are read in one.
    const ENTRIES: u64 = 16_384;
    check(state)?;
    let mut group = KeyGroup(state.owned().first());
    while let Some(cold) = state.cold_mut() {
        let Some(range) = cold.next(group, ENTRIES) else { return Ok(()) };
        let mut batch = cold.read(range)?;
        bring(state, &mut batch, usize::MAX)?;
        group = KeyGroup(range.last());
    }
    Ok(())
}

/// Closes a state that is not all there, also where a user's code panics meanwhile: no call may take what
/// is missing for what is not there.
struct Closes<'a, S: Lazy> {
    state: &'a mut S,
    is_done: bool,
}

impl<S: Lazy> Drop for Closes<'_, S> {
    fn drop(&mut self) {
        self.state.set_open(self.is_done);
    }
}

/// Says that what a table holds of a key group did not change.
pub(super) fn settle<K: TableKey, V>(table: &mut CowTable<K, V>, group: KeyGroup) {
    if let Ok(range) = KeyGroupRange::new(group.0, group.0) {
        table.forget_changes(range);
    }
}

/// What of [`Lazy`] is the table's part, of a state that is a table.
macro_rules! of_table {
    () => {
        fn owned(&self) -> esker_format::KeyGroupRange {
            self.table.range()
        }

        fn cold_mut(&mut self) -> &mut Option<Box<$crate::backend::cold::Cold>> {
            &mut self.cold
        }

        fn set_open(&mut self, open: bool) {
            self.table.set_open(open);
        }

        fn is_open(&self) -> bool {
            self.table.is_open()
        }

        fn brought(&mut self, group: esker_format::KeyGroup) {
            $crate::backend::heap::lazy::settle(&mut self.table, group);
        }
    };
}
pub(super) use of_table;

/// The calls of [`KeyedState`](crate::backend::KeyedState) that are about what is cold, of a state that is
/// [`Lazy`] by itself.
macro_rules! lazily {
    ($stored:ident) => {
        fn begin_lazy(
            &mut self,
            stored: &esker_format::manifest::StateInfo,
            cold: $crate::backend::cold::Cold,
        ) -> $crate::Result<bool> {
            // To be told of what does not fit.
            self.$stored.begin_restore(stored)?;
            self.$stored.end_restore();
            $crate::backend::heap::lazy::begin(self, cold);
            Ok(true)
        }

        fn settle(&mut self) -> $crate::Result<()> {
            $crate::backend::heap::lazy::check(self)
        }

        $crate::backend::heap::lazy::lazily!();
    };
    () => {
        fn bring(
            &mut self,
            batch: &mut $crate::backend::cold::Batch,
            entries_max: usize,
        ) -> $crate::Result<usize> {
            $crate::backend::heap::lazy::bring(self, batch, entries_max)
        }

        fn cold(&self) -> Option<&$crate::backend::cold::Cold> {
            self.cold.as_deref()
        }
    };
}
pub(super) use lazily;

/// The same of a state with TTL, which knows when entries have expired, over one that holds them.
macro_rules! lazily_over {
    ($values:ident) => {
        fn begin_lazy(
            &mut self,
            stored: &esker_format::manifest::StateInfo,
            cold: $crate::backend::cold::Cold,
        ) -> $crate::Result<bool> {
            self.clock.begin_restore(stored)?;
            let clock = self.clock.clone();
            self.clock.end_restore();
            self.$values.begin_lazy(stored, cold.with_clock(clock))
        }

        fn settle(&mut self) -> $crate::Result<()> {
            self.$values.settle()
        }

        fn bring(
            &mut self,
            batch: &mut $crate::backend::cold::Batch,
            entries_max: usize,
        ) -> $crate::Result<usize> {
            self.$values.bring(batch, entries_max)
        }

        fn cold(&self) -> Option<&$crate::backend::cold::Cold> {
            self.$values.cold()
        }
    };
}
pub(super) use lazily_over;

/// A capture of what is there, with what is cold.
pub(super) fn captured(
    cold: Option<&Cold>,
    hot: std::sync::Arc<dyn crate::backend::StateCapture>,
) -> std::sync::Arc<dyn crate::backend::StateCapture> {
    match cold {
        Some(cold) => cold.capture(hot),
        None => hot,
    }
}
