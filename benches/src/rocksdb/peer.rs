//! The crate `rocksdb` as somebody would use it who needs no more than this.

use super::side::{BUDGET_LEN_BYTES, text};
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, LogLevel, MergeOperands,
    Options, ReadOptions, WriteBufferManager, WriteOptions,
};
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;

/// What the rows call it.
pub(super) const PEER: &str = "crate rocksdb, same options and layout";

/// A database with one column family, and options made once.
pub(super) struct Peer {
    pub(super) db: DB,
    pub(super) write: WriteOptions,
    pub(super) read: ReadOptions,
    folder: TempDir,
}

/// What its values are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    None,
    /// Operands behind each other.
    Lists,
}

impl Peer {
    /// An empty one, with the options that the database in `esker` has.
    ///
    /// # Errors
    /// If options differ, each of them.
    pub(super) fn new(esker: &Path, merge: Merge) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let db = DB::open(&options(merge)?, folder.path()).map_err(text)?;
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        check_same(&stored(esker)?, &stored(folder.path())?)?;
        Ok(Self { db, write, read: ReadOptions::default(), folder })
    }

    pub(super) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Writes what is in memory to files. A snapshot comes first, as it does in esker: once it is gone,
    /// the lowest level is merged anew, and reads are faster afterwards.
    pub(super) fn flush(&self) -> Result<(), String> {
        drop(self.db.snapshot());
        self.db.flush().map_err(text)
    }

    #[inline]
    pub(super) fn put(&self, key: &[u8], value: &[u8]) -> bool {
        self.db.put_opt(key, value, &self.write).is_ok()
    }

    /// The value of `key` as a number, read in place.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<u64> {
        let found = self.db.get_pinned_opt(key, &self.read).ok()??;
        found.first_chunk().copied().map(u64::from_be_bytes)
    }
}

/// Those of `RocksOptions::default`; that they are is checked whenever a database is opened.
fn options(merge: Merge) -> Result<Options, String> {
    let (mut options, mut blocks) = (Options::default(), BlockBasedOptions::default());
    options.create_if_missing(true);
    let jobs = std::thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, 8));
    options.set_max_background_jobs(jobs as i32);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_bottommost_compression_type(DBCompressionType::Zstd);
    options.set_arena_block_size(128 << 10);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(1);
    options.set_stats_dump_period_sec(0);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    blocks.set_block_size(16 << 10);
    blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // What esker gives RocksDB of a budget.
    let given_len_bytes = BUDGET_LEN_BYTES / 4 * 3;
    let cache = Cache::new_hyper_clock_cache(given_len_bytes, 0);
    blocks.set_block_cache(&cache);
    options.set_block_based_table_factory(&blocks);
    let mut options =
        options.get_options_from_string("avoid_flush_during_shutdown=true").map_err(text)?;
    options.set_atomic_flush(true);
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager_with_cache(
        given_len_bytes / 3,
        false,
        cache,
    ));
    if merge == Merge::Lists {
        options.set_merge_operator_associative("esker-list", concatenated);
    }
    Ok(options)
}

fn concatenated(_: &[u8], list: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let list = list.unwrap_or_default();
    let added: usize = operands.iter().map(<[u8]>::len).sum();
    let mut all = Vec::with_capacity(list.len() + added);
    all.extend_from_slice(list);
    operands.iter().for_each(|operand| all.extend_from_slice(operand));
    Some(all)
}

/// The options of the database in `dir` and of its state's column family, as RocksDB wrote them down.
fn stored(dir: &Path) -> Result<BTreeSet<String>, String> {
    let names = std::fs::read_dir(dir).map_err(text)?.filter_map(|entry| Some(entry.ok()?.path()));
    let of_options = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("OPTIONS-"))
    };
    let newest = names.filter(of_options).max().ok_or("RocksDB wrote no options")?;
    let all = std::fs::read_to_string(newest).map_err(text)?;
    let mut sections: Vec<(&str, BTreeSet<String>)> = Vec::new();
    for line in all.lines().map(str::trim) {
        match (line.starts_with('['), sections.last_mut()) {
            (true, _) => sections.push((line, BTreeSet::new())),
            (false, Some((name, lines))) if line.contains('=') => {
                let kind = name.split(['"', ' ']).next().unwrap_or_default();
                _ = lines.insert(format!("{kind} {line}"));
            }
            _ => {}
        }
    }
    // esker's state has a family of its own, and the default one holds nothing.
    let has_state = sections.iter().any(|(name, _)| name.contains("\"state-"));
    let counts = |name: &str| {
        let family = if has_state { "\"state-" } else { "\"default\"" };
        name.starts_with("[DBOptions") || name.contains(family)
    };
    Ok(sections.into_iter().filter(|(name, _)| counts(name)).flat_map(|(_, lines)| lines).collect())
}

fn check_same(esker: &BTreeSet<String>, peer: &BTreeSet<String>) -> Result<(), String> {
    let difference: Vec<&String> = esker.symmetric_difference(peer).collect();
    match difference.is_empty() && !esker.is_empty() {
        true => Ok(()),
        false => Err(format!("the peer has other options than esker: {difference:#?}")),
    }
}
