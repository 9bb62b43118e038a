//! A keyed state as its backend sees it, whatever its kind and types.

use crate::Result;
use crate::backend::StateCapture;
use esker_format::manifest::StateInfo;
use esker_format::run::Entry;
use std::any::Any;
use std::sync::Arc;

/// A keyed state on the heap.
pub trait KeyedState: Any + Send {
    /// The state as it is now. Changes are counted from here for the next capture. Costs the same
    /// whatever the number of entries.
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

    /// Ends a restore: what was applied does not count as changed.
    fn end_restore(&mut self);

    /// How many values, list elements, map entries or timers there are.
    fn entries(&self) -> u64;

    /// The current time for TTL, in milliseconds; it never goes back. Of no matter to states without.
    fn set_time_ms(&mut self, _now_ms: i64) {}
}
