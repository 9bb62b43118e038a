//! Parts: what one subtask contributed to a snapshot (SPEC.md, "Part").
//!
//! A part is a sealed file of the kind `part`. It names the subtask's runs, oldest first, and says
//! for which key groups each of them counts; or, in a native checkpoint, the files of a database.

mod check;
mod native;
#[cfg(test)]
pub(crate) mod tests;
mod v1;
mod v1_stats;

pub use check::{BASE_RANGES_MAX, RUNS_MAX};
pub use native::{LOCAL_NAME_LEN_BYTES_MAX, NATIVE_FILES_MAX, Native, NativeFile};

use crate::record::Extra;
use crate::run::{IndexLocation, StateStats};
use crate::{Digest, FormatError, FormatErrorKind, KeyGroupRange, RelativeName, Result, frame};

/// The newest version of parts that this library reads, and the one that it writes.
pub const PART_VERSION: u32 = 1;
/// The kind of sealed file that a part is.
pub const PART_KIND: &str = "part";

/// What one subtask contributed to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The runs of keyed state, oldest first.
    ///
    /// What counts for a key group: of the runs whose `range` holds it, the newest whose `base`
    /// holds it and all newer ones; if none is a base for it, all of them.
    pub runs: Vec<RunRef>,
    /// The run of operator state, complete; its entries have the key group 0, and as key their
    /// position (u64 BE) in the subtask's list, or the encoded broadcast key.
    pub operator_run: Option<RunRef>,
    /// The keyed state as a database of its backend; there are no `runs` then.
    pub native: Option<Native>,
    /// What is known of each state that has entries, ids ascending.
    pub states: Vec<PartState>,
    /// Unknown fields.
    pub extra: Extra,
}

/// A file that a part names, whatever is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRef<'a> {
    /// The file, below the root of names.
    pub file: &'a RelativeName,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// The digest of all of it.
    pub digest: Digest,
}

/// A run, by name and digest, and the key groups that it counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRef {
    /// The file, below the root of names.
    pub file: RelativeName,
    /// The length of the file in bytes.
    pub len_bytes: u64,
    /// The digest of the whole file.
    pub digest: Digest,
    /// Where its index lies, with the index's digest.
    pub index: IndexLocation,
    /// The key groups that it counts for; what it holds of others does not.
    pub range: KeyGroupRange,
    /// Key groups within `range` for which it is complete: older runs do not count there. Ascending,
    /// neither overlapping nor adjacent.
    pub base: Vec<KeyGroupRange>,
    /// How many entries it holds.
    pub entries: u64,
}

/// What a part knows of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartState {
    /// The state's id.
    pub id: u32,
    /// How many values, list elements, map entries or timers were live.
    pub entries: u64,
    /// The earliest timer, in milliseconds.
    pub earliest_timer_ms: Option<i64>,
    /// The time, in milliseconds, at which entries with TTL were captured: what is expired by then
    /// does not count.
    pub ttl_time_ms: Option<i64>,
    /// The counts of all its runs, summed: dead entries and other parts' key groups included.
    pub stats: StateStats,
    /// Unknown fields.
    pub extra: Extra,
}

impl Part {
    /// Every file that the part names: runs, that of operator state, those of a database.
    pub fn files(&self) -> impl Iterator<Item = FileRef<'_>> {
        let run = |run: &RunRef| (run.len_bytes, run.digest);
        let native = self.native.iter().flat_map(|native| &native.files);
        let native = native.map(|file| (&file.file, (file.len_bytes, file.digest)));
        (self.runs.iter().chain(&self.operator_run))
            .map(move |found| (&found.file, run(found)))
            .chain(native)
            .map(|(file, (len_bytes, digest))| FileRef { file, len_bytes, digest })
    }

    /// The time of capture of the state `id`, if it has TTL and the part knows it.
    pub fn ttl_time_ms(&self, id: u32) -> Option<i64> {
        self.states.iter().find(|state| state.id == id)?.ttl_time_ms
    }

    /// The bytes of the part's file.
    ///
    /// # Errors
    /// `Invalid` if it is no part that [`decode`](Self::decode) would take.
    pub fn encode(&self) -> Result<Vec<u8>> {
        check::check(self, FormatErrorKind::Invalid)?;
        let json = serde_json::to_vec(&v1::Part::of(self)?)
            .map_err(|error| FormatError::invalid(check::WHAT, error.to_string()))?;
        Ok(frame::seal(PART_KIND, PART_VERSION, &json))
    }

    /// The part of a file's bytes.
    ///
    /// # Errors
    /// Those of [`frame::open`], and `Corrupt` if the JSON is no part: bases out of order or
    /// outside their run's range, an index outside its run, an operator run that is not complete,
    /// states out of order, a name that leaves its root.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (_version_1, json) = frame::open(PART_KIND, PART_VERSION, bytes)?;
        let wire: v1::Part = serde_json::from_slice(json)
            .map_err(|error| FormatError::corrupt(check::WHAT, error.to_string()))?;
        let part = wire.into_part()?;
        check::check(&part, FormatErrorKind::Corrupt)?;
        Ok(part)
    }
}
