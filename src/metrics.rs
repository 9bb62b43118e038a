//! What can be watched, through the `metrics` facade; without the feature `metrics`, nothing.
//!
//! | name | kind | labels | unit |
//! |---|---|---|---|
//! | `esker_state_entries` | gauge | operator, subtask, state | live entries at the last checkpoint |
//! | `esker_state_bytes` | gauge | operator, subtask, state | keys and values in the part's runs, unpacked |
//! | `esker_copied_bytes_total` | counter | | bytes of table pages that writes copied, as a capture holds them |
//! | `esker_part_written_bytes_total` | counter | operator, subtask | bytes |
//! | `esker_part_referenced_bytes` | gauge | operator, subtask | bytes |
//! | `esker_part_write_seconds` | histogram | operator, subtask | seconds |
//! | `esker_restored_entries_total` | counter | operator | entries applied, as a restore goes on |
//! | `esker_restore_read_bytes_total` | counter | operator | bytes |
//! | `esker_swept_bytes_total`, `esker_swept_files_total` | counter | | bytes, files that nothing needed |
//! | `esker_condemned_files` | gauge | | files to be deleted |
//! | `esker_checkpoints_total` | counter | kind (checkpoint, savepoint), outcome (completed, aborted) | snapshots that a coordinator ended |
//! | `esker_checkpoint_seconds` | histogram | kind, outcome | seconds from the trigger to the end |
//! | `esker_checkpoint_alignment_seconds` | histogram | kind, outcome | seconds, the longest of a subtask |
//!
//! Of the RocksDB backend, at each capture and whenever `RocksBackend::publish_metrics` is called; the labels are
//! the operator's uid and the key groups owned (`0-32767`):
//!
//! | name | kind | labels | unit |
//! |---|---|---|---|
//! | `esker_rocksdb_cache_bytes` | gauge | | bytes in the cache of the budget, write buffers included |
//! | `esker_rocksdb_write_buffer_bytes` | gauge | | bytes of write buffers within the budget |
//! | `esker_rocksdb_unwritten_bytes` | gauge | operator, groups | bytes in write buffers that no file holds |
//! | `esker_rocksdb_files` | gauge | operator, groups | current SST files |
//! | `esker_rocksdb_file_bytes` | gauge | operator, groups | bytes of SST files, those included that captures hold |
//! | `esker_rocksdb_pending_compaction_bytes` | gauge | operator, groups | bytes that compactions are behind, estimated |
//! | `esker_rocksdb_snapshots` | gauge | operator, groups | captures of single states that are still alive |
//! | `esker_rocksdb_writes_stopped` | gauge | operator, groups | 1 while writes wait for compactions or flushes, else 0 |
//! | `esker_rocksdb_cache_hits_total`, `esker_rocksdb_cache_misses_total` | counter | operator, groups | blocks; these and the next with `RocksOptions::with_statistics` alone |
//! | `esker_rocksdb_flushed_bytes_total` | counter | operator, groups | bytes that were written to make files of write buffers |
//! | `esker_rocksdb_compaction_read_bytes_total`, `esker_rocksdb_compaction_written_bytes_total` | counter | operator, groups | bytes |
//! | `esker_rocksdb_stalled_microseconds_total` | counter | operator, groups | microseconds that writes were held up |
//!
//! Counters begin at 0 with each backend. Where backends have several budgets, the gauges of the budget are those of the
//! one that was published last.
//!
//! The label `operator` is the operator's position in the job where its uid is not known.

#[cfg(feature = "metrics")]
mod facade {
    #[cfg(feature = "rocksdb")]
    use crate::backend::rocksdb::{Budget, Figures};
    use crate::checkpoint::coordinator::{CheckpointStats, Outcome};
    #[cfg(feature = "rocksdb")]
    use crate::format::KeyGroupRange;
    use crate::snapshot::{PartId, WrittenPart};

    /// A coordinator's checkpoint ended.
    pub(crate) fn checkpoint_ended(stats: &CheckpointStats) {
        let kind = if stats.kind.is_savepoint() { "savepoint" } else { "checkpoint" };
        let is_complete = stats.outcome == Outcome::Completed;
        let outcome = if is_complete { "completed" } else { "aborted" };
        let labels = [("kind", kind), ("outcome", outcome)];
        let seconds = |time_ms: u64| time_ms as f64 / 1000.0;
        metrics::counter!("esker_checkpoints_total", &labels).increment(1);
        let took = seconds(stats.duration_ms().unwrap_or_default());
        metrics::histogram!("esker_checkpoint_seconds", &labels).record(took);
        let alignment = seconds(stats.summed().alignment_ms);
        metrics::histogram!("esker_checkpoint_alignment_seconds", &labels).record(alignment);
    }

    /// A part was written.
    pub(crate) fn part_written(id: &PartId, written: &WrittenPart) {
        let (operator, subtask) = (id.operator.to_string(), id.subtask.to_string());
        for state in &written.chain.part.states {
            let labels = [
                ("operator", operator.clone()),
                ("subtask", subtask.clone()),
                ("state", state.id.to_string()),
            ];
            metrics::gauge!("esker_state_entries", &labels).set(state.entries as f64);
            let bytes = state.stats.key_bytes + state.stats.value_bytes;
            metrics::gauge!("esker_state_bytes", &labels).set(bytes as f64);
        }
        let labels = [("operator", operator), ("subtask", subtask)];
        let stats = &written.stats;
        metrics::counter!("esker_part_written_bytes_total", &labels)
            .increment(stats.written_len_bytes);
        metrics::gauge!("esker_part_referenced_bytes", &labels)
            .set(stats.referenced_len_bytes as f64);
        metrics::histogram!("esker_part_write_seconds", &labels).record(stats.time.as_secs_f64());
    }

    /// A write copied a page that a capture holds.
    pub(crate) fn copied(len_bytes: usize) {
        metrics::counter!("esker_copied_bytes_total").increment(len_bytes as u64);
    }

    /// A restore went on by so much.
    pub(crate) fn restored(uid: &str, entries: u64, read_len_bytes: u64) {
        let labels = [("operator", uid.to_owned())];
        metrics::counter!("esker_restored_entries_total", &labels).increment(entries);
        metrics::counter!("esker_restore_read_bytes_total", &labels).increment(read_len_bytes);
    }

    /// A sweep removed files.
    pub(crate) fn swept(file_count: u64, len_bytes: u64) {
        metrics::counter!("esker_swept_files_total").increment(file_count);
        metrics::counter!("esker_swept_bytes_total").increment(len_bytes);
    }

    /// A database of operator `uid` as it is now.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn rocksdb(uid: &str, range: KeyGroupRange, figures: &Figures) {
        let groups = format!("{}-{}", range.first(), range.last());
        let labels = [("operator", uid.to_owned()), ("groups", groups)];
        let gauge = |name: &'static str, value: u64| {
            metrics::gauge!(name, &labels).set(value as f64);
        };
        gauge("esker_rocksdb_unwritten_bytes", figures.unwritten_len_bytes);
        gauge("esker_rocksdb_files", figures.files);
        gauge("esker_rocksdb_file_bytes", figures.file_len_bytes);
        gauge("esker_rocksdb_pending_compaction_bytes", figures.pending_compaction_len_bytes);
        gauge("esker_rocksdb_snapshots", figures.snapshots);
        gauge("esker_rocksdb_writes_stopped", figures.is_stopped.into());
        let Some(counts) = &figures.counts else { return };
        let counter = |name: &'static str, value: u64| {
            metrics::counter!(name, &labels).absolute(value);
        };
        counter("esker_rocksdb_cache_hits_total", counts.cache_hits);
        counter("esker_rocksdb_cache_misses_total", counts.cache_misses);
        counter("esker_rocksdb_flushed_bytes_total", counts.flushed_len_bytes);
        counter("esker_rocksdb_compaction_read_bytes_total", counts.compaction_read_len_bytes);
        counter(
            "esker_rocksdb_compaction_written_bytes_total",
            counts.compaction_written_len_bytes,
        );
        counter("esker_rocksdb_stalled_microseconds_total", counts.stalled_us);
    }

    /// What RocksDB takes of a budget now.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn rocksdb_budget(budget: &Budget) {
        metrics::gauge!("esker_rocksdb_cache_bytes").set(budget.used_len_bytes() as f64);
        metrics::gauge!("esker_rocksdb_write_buffer_bytes").set(budget.buffers_len_bytes() as f64);
    }

    /// So many files are condemned.
    pub(crate) fn condemned(file_count: usize) {
        metrics::gauge!("esker_condemned_files").set(file_count as f64);
    }
}

#[cfg(not(feature = "metrics"))]
mod facade {
    use crate::checkpoint::coordinator::CheckpointStats;
    use crate::snapshot::{PartId, WrittenPart};

    pub(crate) fn checkpoint_ended(_stats: &CheckpointStats) {}

    pub(crate) fn part_written(_id: &PartId, _written: &WrittenPart) {}

    pub(crate) fn copied(_len_bytes: usize) {}

    pub(crate) fn restored(_uid: &str, _entries: u64, _read_len_bytes: u64) {}

    pub(crate) fn swept(_file_count: u64, _len_bytes: u64) {}

    pub(crate) fn condemned(_file_count: usize) {}
}

pub(crate) use facade::{checkpoint_ended, condemned, copied, part_written, restored, swept};
#[cfg(all(feature = "metrics", feature = "rocksdb"))]
pub(crate) use facade::{rocksdb, rocksdb_budget};

#[cfg(all(test, feature = "metrics"))]
mod tests;
