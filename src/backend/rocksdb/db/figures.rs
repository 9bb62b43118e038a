//! What RocksDB says of a database.

use super::super::Budget;
use super::Database;
use rocksdb::properties::{
    CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_PENDING_COMPACTION_BYTES, IS_WRITE_STOPPED, NUM_SNAPSHOTS,
    PropName, PropertyName, TOTAL_SST_FILES_SIZE, num_files_at_level,
};
use rocksdb::statistics::Ticker;

/// A database now. What RocksDB does not say is 0.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Bytes that are in memory alone.
    pub(crate) unwritten_len_bytes: u64,
    /// Data files, those included that only a snapshot still reads.
    pub(crate) file_len_bytes: u64,
    /// Data files that are current.
    pub(crate) files: u64,
    /// About how many bytes compactions are behind.
    pub(crate) pending_compaction_len_bytes: u64,
    pub(crate) snapshots: u64,
    pub(crate) is_stopped: bool,
    /// If statistics are on.
    pub(crate) counts: Option<Counts>,
}

/// Since the database was made.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) cache_hits: u64,
    pub(crate) cache_misses: u64,
    pub(crate) flushed_len_bytes: u64,
    pub(crate) compaction_read_len_bytes: u64,
    pub(crate) compaction_written_len_bytes: u64,
    pub(crate) stalled_us: u64,
}

/// How many levels a database has.
const LEVELS: usize = 7;

impl Database {
    /// Costs no I/O: some microseconds for each state.
    pub(in super::super) fn figures(&self) -> Figures {
        let (open, names) = (&self.open, (0..LEVELS).map(num_files_at_level));
        let levels: Vec<PropertyName> = names.collect();
        let whole = |name: &PropName| open.db.property_int_value(name).ok().flatten().unwrap_or(0);
        let mut figures = Figures {
            snapshots: whole(NUM_SNAPSHOTS),
            is_stopped: whole(IS_WRITE_STOPPED) > 0,
            counts: self.made_with.has_statistics().then(|| self.counts()),
            ..Figures::default()
        };
        for (open, family) in self.families.iter().filter_map(|family| family.parts().ok()) {
            let of = |name: &PropName| {
                open.db.property_int_value_cf(family, name).ok().flatten().unwrap_or(0)
            };
            figures.unwritten_len_bytes += of(CUR_SIZE_ALL_MEM_TABLES);
            figures.file_len_bytes += of(TOTAL_SST_FILES_SIZE);
            figures.pending_compaction_len_bytes += of(ESTIMATE_PENDING_COMPACTION_BYTES);
            figures.files += levels.iter().map(|level| of(level)).sum::<u64>();
        }
        figures
    }

    /// The memory that it shares.
    pub(in super::super) fn budget(&self) -> &Budget {
        self.made_with.budget()
    }

    fn counts(&self) -> Counts {
        let count = |ticker| self.options.get_ticker_count(ticker);
        Counts {
            cache_hits: count(Ticker::BlockCacheHit),
            cache_misses: count(Ticker::BlockCacheMiss),
            flushed_len_bytes: count(Ticker::FlushWriteBytes),
            compaction_read_len_bytes: count(Ticker::CompactReadBytes),
            compaction_written_len_bytes: count(Ticker::CompactWriteBytes),
            stalled_us: count(Ticker::StallMicros),
        }
    }
}
