//! A write-heavy job: two keyed operators with states of five kinds, and a source that counts rows.

mod check;
mod content;
mod restore;
mod rows;
mod table;
mod tests;
mod write;

pub(crate) use check::{Models, check_files, check_names, unneeded, unreferenced, walk};
pub(crate) use restore::{Restored, restore};
pub(crate) use table::{Captured, Rows};
pub(crate) use write::{Writer, Written};

use esker::snapshot::SnapshotSettings;

/// The uid of the source, whose operator state is the number of rows read.
pub(crate) const SOURCE: &str = "rows";
/// The uids of the keyed operators; a row is of that one which its key, modulo 2, numbers.
pub(crate) const KEYED: [&str; 2] = ["even", "odd"];

/// Small files, so that there are many; few runs, so that they are folded.
pub(crate) fn settings() -> SnapshotSettings {
    SnapshotSettings {
        file_len_bytes: 16 << 10,
        block_len_bytes: 1 << 10,
        runs_max: 6,
        threads: 1,
        ..SnapshotSettings::default()
    }
}

/// The subtasks of each keyed operator: `parallelism` of the first, always one of the second.
pub(crate) fn parallelism_of(operator: usize, parallelism: u32) -> u32 {
    if operator == 0 { parallelism } else { 1 }
}
