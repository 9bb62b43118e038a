//! How snapshots are written and read. None of it is needed to read what was written.

use super::plan::FOLD_LEVELS;
use crate::{Error, ErrorKind, Result};
use esker_format::run::{BLOCK_LEN_BYTES_MAX, RunOptions};
use serde::{Deserialize, Serialize};

/// When the entries of a snapshot are brought into a backend that keeps them in memory. Others open files
/// as they are where they can, and make nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RestoreMode {
    /// All of them, before the restore ends.
    #[default]
    Eager,
    /// Those of a key group where it is asked for, and the others by and by, as
    /// [`hydrate`](crate::backend::Backend::hydrate) is called. The restore reads indexes alone, and
    /// damage of entries shows later, to whoever asks for them.
    Lazy,
}

/// How snapshots are written and read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SnapshotSettings {
    /// A run is cut at about this many bytes; small states are cut into smaller ones, so that a
    /// state of any size is written in some twentieth of its memory. A key group is never cut.
    pub file_len_bytes: u64,
    /// How many threads encode or decode.
    pub threads: usize,
    /// How many transfers of runs are under way at once.
    pub transfers_max: usize,
    /// How many bytes of full key groups an incremental checkpoint rewrites for each byte that
    /// changed; 0 for none.
    pub merge_factor: f64,
    /// Above this many runs over one key group, small ones are folded into one; at least 4, the
    /// fewest that are worth it.
    pub runs_max: usize,
    /// After this many checkpoints that did not complete, the next one is full.
    pub pending_max: usize,
    /// A block of a run is closed at this many bytes, before compression.
    pub block_len_bytes: usize,
    /// The zstd level of runs.
    pub zstd_level: i32,
    /// Bits of a run's filter for each key and namespace; 0 for none.
    pub filter_bits_per_key: u8,
    /// When entries are brought that are restored.
    pub restore: RestoreMode,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        let run = RunOptions::default();
        Self {
            file_len_bytes: 8 << 20,
            threads: 2,
            transfers_max: 2,
            merge_factor: 3.2,
            runs_max: 96,
            pending_max: 3,
            block_len_bytes: run.block_len_bytes,
            zstd_level: run.zstd_level,
            filter_bits_per_key: run.filter_bits_per_key,
            restore: RestoreMode::Eager,
        }
    }
}

impl SnapshotSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// `Invalid`, with the field named.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &str, why: &str| {
            let message = format!("setting snapshot.{field}: {why}");
            Err(Error::new(ErrorKind::Invalid, message))
        };
        if self.file_len_bytes == 0 || self.file_len_bytes > 1 << 30 {
            return refuse("file_len_bytes", "1 to 1 GiB");
        }
        if self.threads == 0 || self.threads > 256 {
            return refuse("threads", "1 to 256");
        }
        if self.transfers_max == 0 || self.transfers_max > 256 {
            return refuse("transfers_max", "1 to 256");
        }
        if !(0.0..=100.0).contains(&self.merge_factor) {
            return refuse("merge_factor", "0 to 100");
        }
        if self.runs_max < FOLD_LEVELS.0 {
            return refuse("runs_max", "at least 4");
        }
        if self.block_len_bytes == 0 || self.block_len_bytes > BLOCK_LEN_BYTES_MAX {
            return refuse("block_len_bytes", "1 byte to 256 MiB");
        }
        if !(-7..=22).contains(&self.zstd_level) {
            return refuse("zstd_level", "-7 to 22");
        }
        Ok(())
    }

    pub(super) fn run_options(&self) -> RunOptions {
        RunOptions {
            block_len_bytes: self.block_len_bytes,
            zstd_level: self.zstd_level,
            filter_bits_per_key: self.filter_bits_per_key,
        }
    }
}
