//! A state at one moment, as the writer of snapshots sees it, whatever its kind and types.

use crate::Result;
use esker_format::KeyGroupRange;
use esker_format::run::{Entry, RunWriter};

/// Takes entries in run order: a run that is being written, or whoever else wants to see them.
pub trait EntrySink {
    /// Takes the next entry.
    ///
    /// # Errors
    /// `Invalid` if it does not come after the entries before it.
    fn add(&mut self, entry: Entry<'_>) -> Result<()>;
}

impl EntrySink for RunWriter {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        Ok(RunWriter::add(self, entry)?)
    }
}

/// A state at one moment; it never changes (I4), and can be written on any thread, by several
/// threads at once. Dropping it gives back the memory that it kept alive.
pub trait StateCapture: Send + Sync {
    /// The state's id in runs.
    fn id(&self) -> u32;

    /// How many values, list elements, map entries or timers are live; about as many where they are
    /// not [counted](Self::is_counted).
    fn entries(&self) -> u64;

    /// Whether it knows how many entries are live, and what changed. Where it does not, a part is
    /// written in full, and entries are counted on the way.
    fn is_counted(&self) -> bool {
        true
    }

    /// Whether it knows by now what [`entries`](Self::entries) says.
    fn is_prepared(&self) -> bool {
        true
    }

    /// Finds out how many entries are live. It blocks its thread while it reads.
    ///
    /// # Errors
    /// Those of what it reads.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// How many live entries one that [`write_full`](Self::write_full) writes stands for. Asked for
    /// what is not counted alone.
    fn entries_of(&self, entry: Entry<'_>) -> u64 {
        let _ = entry;
        1
    }

    /// The earliest timer, in milliseconds; `None` where there is none.
    fn earliest_timer_ms(&self) -> Option<i64> {
        None
    }

    /// The time at which entries with TTL were captured, in milliseconds.
    fn ttl_time_ms(&self) -> Option<i64> {
        None
    }

    /// Writes everything in the key groups of `range`, in run order.
    ///
    /// # Errors
    /// `Invalid` if a value cannot be encoded, and the sink's own.
    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()>;

    /// Writes what changed in the key groups of `range` between the capture before this one and
    /// this one, removals included, in run order: applied to what was there then, it gives what is
    /// here. Costs what changed, not what there is.
    ///
    /// # Errors
    /// As for [`write_full`](Self::write_full); `Unsupported` where it does not know.
    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()>;
}
