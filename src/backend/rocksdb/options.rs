//! How databases are set up: a profile, then whatever the user knows better.

use super::Budget;
use crate::{Error, ErrorKind, Result};
use rocksdb::statistics::StatsLevel;
use rocksdb::{BlockBasedOptions, DBCompressionType, DataBlockIndexType, LogLevel, Options};
use std::thread;

/// What a budget is where none was given: 512 MiB.
const BUDGET_LEN_BYTES: usize = 512 << 20;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// What is in memory when a database is closed need not be written: its files are removed next.
const FIXED: &str = "avoid_flush_during_shutdown=true;";
/// Write buffers grow by this much.
const ARENA_BLOCK_LEN_BYTES: usize = 128 * KIB;

/// What a database is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// A local solid-state disk.
    #[default]
    Default,
    /// A spinning disk: larger blocks and files, read far ahead, so that there are fewer seeks.
    SpinningDisk,
    /// Much memory: larger write buffers, hence fewer and larger files, the newest not compressed.
    LargeMemory,
}

/// How the databases of backends are set up.
///
/// ```
/// # use esker::backend::rocksdb::{Budget, Profile, RocksOptions};
/// let options = RocksOptions::new(Budget::new(1 << 30))
///     .with_profile(Profile::LargeMemory)
///     .with_rocksdb("max_background_jobs=8;compression=kZSTD");
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct RocksOptions {
    budget: Budget,
    profile: Profile,
    rocksdb: String,
    statistics: bool,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self::new(Budget::new(BUDGET_LEN_BYTES))
    }
}

impl RocksOptions {
    /// The default profile, within `budget`.
    pub fn new(budget: Budget) -> Self {
        Self { budget, profile: Profile::default(), rocksdb: String::new(), statistics: false }
    }

    /// The same with another profile.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// The same with options of RocksDB in its own form, `name=value;…`, which come last. Wrong ones
    /// are refused when a database is opened.
    #[must_use]
    pub fn with_rocksdb(self, options: impl Into<String>) -> Self {
        Self { rocksdb: options.into(), ..self }
    }

    /// The same, and RocksDB counts what it does: look-ups in the cache, bytes flushed and compacted, time
    /// that writes were held up. Each becomes a metric (feature `metrics`). A call on state that is in memory
    /// takes 6 % (writes) to 10 % (reads) more instructions for it; other metrics cost calls nothing.
    #[must_use]
    pub fn with_statistics(self) -> Self {
        Self { statistics: true, ..self }
    }

    #[cfg(feature = "metrics")]
    pub(super) fn has_statistics(&self) -> bool {
        self.statistics
    }

    /// The memory that all backends made with these options share.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// As RocksDB has them, of the database and of each of its column families.
    ///
    /// # Errors
    /// `Invalid`, with what RocksDB says, if its own options are wrong.
    pub(super) fn build(&self) -> Result<Options> {
        let mut options = Options::default();
        let mut blocks = BlockBasedOptions::default();
        options.create_if_missing(true);
        let jobs = thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, 8));
        options.set_max_background_jobs(jobs as i32);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        // A state that holds little takes little: there may be many, of many backends.
        options.set_arena_block_size(ARENA_BLOCK_LEN_BYTES);
        options.set_log_level(LogLevel::Warn);
        options.set_keep_log_file_num(1);
        options.set_stats_dump_period_sec(0);
        blocks.set_bloom_filter(10.0, false);
        blocks.set_optimize_filters_for_memory(true);
        blocks.set_block_size(16 * KIB);
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        // Within the budget, but never out of it before data.
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        match self.profile {
            Profile::Default => {}
            Profile::SpinningDisk => {
                blocks.set_block_size(64 * KIB);
                options.set_target_file_size_base(256 * MIB as u64);
                options.set_max_bytes_for_level_base(1024 * MIB as u64);
                options.set_compaction_readahead_size(16 * MIB);
            }
            Profile::LargeMemory => {
                options.set_write_buffer_size(256 * MIB);
                // Keys that are not there are asked for often: by each first record of a key.
                options.set_memtable_whole_key_filtering(true);
                options.set_memtable_prefix_bloom_ratio(0.02);
                options.set_max_write_buffer_number(4);
                options.set_target_file_size_base(256 * MIB as u64);
                options.set_max_bytes_for_level_base(1024 * MIB as u64);
                let (none, lz4) = (DBCompressionType::None, DBCompressionType::Lz4);
                options.set_compression_per_level(&[none, none, lz4, lz4, lz4, lz4, lz4]);
            }
        }
        blocks.set_block_cache(&self.budget.cache);
        options.set_block_based_table_factory(&blocks);
        let own = format!("{FIXED}{}", self.rocksdb);
        let mut options = options.get_options_from_string(&own).map_err(|error| {
            let message = format!("options of RocksDB: {error}");
            Error::new(ErrorKind::Invalid, message).with_source(error)
        })?;
        // What is captured while calls go on rests on it.
        options.set_atomic_flush(true);
        self.budget.charge(&mut options);
        if self.statistics {
            options.enable_statistics();
            options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
        }
        Ok(options)
    }
}
