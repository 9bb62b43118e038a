//! A keyed state as its backend sees it, whatever its kind and types.

use crate::backend::StateCapture;
use crate::backend::cold::{Batch, Cold};
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroup;
use esker_format::composite::CompositeKey;
use esker_format::manifest::StateInfo;
use esker_format::run::{Block, BlockCursor, Entry};
use std::any::Any;
use std::sync::Arc;

/// Decodes entries of runs of one state, on any thread, so that its owner has but to put them in.
pub trait EntryDecoder: Send + Sync {
    /// The entries of a block in those key groups that `counts` says yes to; none if the block holds
    /// entries of another state too.
    ///
    /// # Errors
    /// `Corrupt` if one is no entry of the state.
    fn decode(
        &self,
        block: &Block,
        counts: &mut dyn FnMut(KeyGroup) -> bool,
    ) -> Result<Option<DecodedEntries>>;
}

/// A block's entries are decoded ahead into so much memory in any case.
const DECODED_LEN_BYTES_MIN: usize = 64 << 10;
/// And into more if it is at most so many times the block's own bytes: other blocks stay as they are,
/// however many wait.
const GROWTH_MAX: usize = 16;

/// How much memory the entries of a block may take, decoded ahead.
pub(crate) fn decoded_len_bytes_max(block: &Block) -> usize {
    DECODED_LEN_BYTES_MIN.max(GROWTH_MAX.saturating_mul(block.len_bytes()))
}

/// Calls `f` with the entries of a block of state `id`, and whether `counts` says yes to their key groups,
/// until it says `false`; whether all entries are of that state, and it never did.
///
/// # Errors
/// `Corrupt` if block or keys cannot be read; those of `f`.
#[inline]
pub(crate) fn entries_of(
    block: &Block,
    id: u32,
    mut counts: impl FnMut(KeyGroup) -> bool,
    mut f: impl FnMut(&CompositeKey<'_>, Entry<'_>, bool) -> Result<bool>,
) -> Result<bool> {
    let mut known = None;
    let mut cursor = BlockCursor::new(block);
    while cursor.advance()? {
        let entry = cursor.entry();
        let (plain, escaped);
        // Each stays where it was made: moving what was just put together from narrower pieces stalls.
        let key = match CompositeKey::plain(entry.key) {
            Some(key) => {
                plain = key;
                &plain
            }
            None => {
                escaped = CompositeKey::decode(entry.key)?;
                &escaped
            }
        };
        if key.state != id {
            return Ok(false);
        }
        // Entries of a key group follow each other.
        let counts = match known {
            Some((same, counts)) if same == key.group => counts,
            _ => counts(key.group),
        };
        known = Some((key.group, counts));
        if !f(key, entry, counts)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Entries of one block.
pub struct DecodedEntries {
    /// The key group of each, ascending.
    pub groups: Vec<u16>,
    /// The entries, as the state knows them.
    pub entries: Box<dyn Any + Send>,
}

/// What a state can hold: a copy is what a capture keeps while the state goes on. Interior mutability
/// in it is a bug, as a capture would change with it (I4).
pub trait StateValue: Clone + Send + Sync + 'static {}

impl<V: Clone + Send + Sync + 'static> StateValue for V {}

/// A keyed state, in whatever backend.
pub trait KeyedState: Any + Send {
    /// Does what calls put off, so that it is in the capture that follows. Costs the same whatever the
    /// number of entries.
    ///
    /// # Errors
    /// As for the calls.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// The state as it is now, once it is [settled](Self::settle). Changes are counted from here for the
    /// next capture. Costs the same whatever the number of entries.
    fn capture_state(&mut self) -> Arc<dyn StateCapture>;

    /// What is restored next was captured at `time_ms`: entries that had expired by then are left
    /// out, and the time is set. Of no matter to states without TTL.
    fn captured_at(&mut self, _time_ms: i64) {}

    /// Makes ready to [`apply`](Self::apply) entries of the stored state `stored`, whose kind and
    /// key types are those of this state: where its value type differs, values are migrated.
    ///
    /// # Errors
    /// `Incompatible`, naming the difference, if that cannot be done.
    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()>;

    /// Applies one entry of a run of this state. Entries come oldest first; those of key groups not
    /// owned are passed over.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no entry of this state.
    fn apply(&mut self, entry: Entry<'_>) -> Result<()>;

    /// What decodes entries for [`apply_decoded`](Self::apply_decoded), from
    /// [`begin_restore`](Self::begin_restore) on; none where only [`apply`](Self::apply) is known.
    fn decoder(&self) -> Option<Arc<dyn EntryDecoder>> {
        None
    }

    /// Applies the next `count` entries that its [`decoder`](Self::decoder) left in `entries`.
    ///
    /// # Errors
    /// `Corrupt` if they are another state's.
    fn apply_decoded(&mut self, entries: &mut (dyn Any + Send), count: usize) -> Result<()> {
        let _ = (entries, count);
        Err(Error::new(ErrorKind::Corrupt, "the state decodes no entries"))
    }

    /// Ends a restore: what was applied does not count as changed.
    fn end_restore(&mut self);

    /// In the place of a restore: what is stored is left in the files, where `cold` reads it, and brought
    /// key group by key group. It does not count as changed. Returns whether the state can do that; where
    /// it can, values are of the stored type.
    ///
    /// # Errors
    /// As for [`begin_restore`](Self::begin_restore).
    fn begin_lazy(&mut self, stored: &StateInfo, cold: Cold) -> Result<bool> {
        let _ = (stored, cold);
        Ok(false)
    }

    /// Takes what it has not brought yet out of `batch`: whole key groups, until there are `entries_max`
    /// entries. Returns how many there were.
    ///
    /// # Errors
    /// `Corrupt` if one is no entry of the state; it can be used no more then.
    fn bring(&mut self, batch: &mut Batch, entries_max: usize) -> Result<usize> {
        let _ = entries_max;
        Ok(batch.leave_all())
    }

    /// What it has not brought yet; none where everything is there.
    fn cold(&self) -> Option<&Cold> {
        None
    }

    /// How many values, list elements, map entries or timers there are; about as many, and lists for
    /// their elements, where the backend would have to read them all to know.
    fn entries(&self) -> u64;

    /// The current time for TTL, in milliseconds; it never goes back. Of no matter to states without.
    fn set_time_ms(&mut self, _now_ms: i64) {}
}

/// Forwards [`KeyedState`] to the values that a state is built on.
macro_rules! keyed_by {
    ($values:ident) => {
        fn settle(&mut self) -> $crate::Result<()> {
            self.$values.settle()
        }

        fn capture_state(&mut self) -> std::sync::Arc<dyn $crate::backend::StateCapture> {
            self.$values.capture_state()
        }

        fn captured_at(&mut self, time_ms: i64) {
            self.$values.captured_at(time_ms);
        }

        fn begin_restore(
            &mut self,
            stored: &esker_format::manifest::StateInfo,
        ) -> $crate::Result<()> {
            self.$values.begin_restore(stored)
        }

        fn apply(&mut self, entry: esker_format::run::Entry<'_>) -> $crate::Result<()> {
            self.$values.apply(entry)
        }

        fn decoder(&self) -> Option<std::sync::Arc<dyn $crate::backend::EntryDecoder>> {
            self.$values.decoder()
        }

        fn apply_decoded(
            &mut self,
            entries: &mut (dyn std::any::Any + Send),
            count: usize,
        ) -> $crate::Result<()> {
            self.$values.apply_decoded(entries, count)
        }

        fn end_restore(&mut self) {
            self.$values.end_restore();
        }

        fn begin_lazy(
            &mut self,
            stored: &esker_format::manifest::StateInfo,
            cold: $crate::backend::cold::Cold,
        ) -> $crate::Result<bool> {
            self.$values.begin_lazy(stored, cold)
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

        fn entries(&self) -> u64 {
            self.$values.entries()
        }

        fn set_time_ms(&mut self, now_ms: i64) {
            self.$values.set_time_ms(now_ms);
        }
    };
}
pub(super) use keyed_by;
