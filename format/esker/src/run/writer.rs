//! Writing a run: entries in, bytes out in pieces, a summary for the part at the end.

use super::block::{BlockBuilder, Entry, shared_len};
use super::filter::{self, RunFilter};
use super::index::{BlockHandle, FilterLocation, RunIndex};
use super::stats::StateStats;
use super::{
    BLOCK_LEN_BYTES_MAX, HEADER_LEN_BYTES, KEY_LEN_BYTES_MAX, MAGIC, Op, VERSION, check_entry,
};
use crate::{Digest, FormatError, FormatErrorKind, Result};
use std::cmp::Ordering;

/// How a run is written. None of it is needed to read the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunOptions {
    /// A block is closed when its columns hold this many bytes, before compression; at most
    /// [`BLOCK_LEN_BYTES_MAX`].
    pub block_len_bytes: usize,
    /// The zstd level of columns.
    pub zstd_level: i32,
    /// Bits of the filter for each distinct key and namespace, 0 for no filter. At 8, about three of
    /// a hundred absent keys pass it. Until the run is finished the writer holds 8 bytes for each.
    pub filter_bits_per_key: u8,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { block_len_bytes: 64 << 10, zstd_level: 1, filter_bits_per_key: 8 }
    }
}

/// What a part must know of a finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSummary {
    /// Length of the file in bytes.
    pub len_bytes: u64,
    /// Digest of the whole file, by which it is named.
    pub digest: Digest,
    /// Where the index lies.
    pub index_offset: u64,
    /// Length of the index in bytes.
    pub index_len_bytes: u64,
    /// Digest of the index.
    pub index_digest: Digest,
    /// The index itself, with counts per state.
    pub index: RunIndex,
}

/// Writes a run in one pass. Memory: one block, the index, what was not taken yet, and the
/// filter's hashes.
pub struct RunWriter {
    options: RunOptions,
    out: Vec<u8>,
    taken_bytes: u64,
    hasher: blake3::Hasher,
    block: BlockBuilder,
    first_key: Vec<u8>,
    last: Option<(Vec<u8>, Op)>,
    index: RunIndex,
    /// The state of the last entry, whose counts are not in the index yet.
    counted: Option<(u32, StateStats)>,
    hashes: Vec<u64>,
}

impl RunWriter {
    /// A writer of one run.
    pub fn new(mut options: RunOptions) -> Self {
        options.block_len_bytes = options.block_len_bytes.min(BLOCK_LEN_BYTES_MAX);
        let mut out = Vec::with_capacity(HEADER_LEN_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        Self {
            options,
            out,
            taken_bytes: 0,
            hasher: blake3::Hasher::new(),
            block: BlockBuilder::default(),
            first_key: Vec::new(),
            last: None,
            index: RunIndex::default(),
            counted: None,
            hashes: Vec::new(),
        }
    }

    /// Adds the next entry.
    ///
    /// # Errors
    /// `Invalid` if its key is not above that of the entry before (but that a `Clear` may stand
    /// before another entry of its key), its key is no composite key, a `Delete` or `Clear` has a
    /// value, a `Clear` has a user key, its key is longer than [`KEY_LEN_BYTES_MAX`], or the entry does not
    /// fit into a block.
    pub fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let invalid = |message: String| Err(FormatError::invalid("run", message));
        let (state, prefix) = check_entry("run entry", entry)
            .map_err(|error| FormatError { kind: FormatErrorKind::Invalid, ..error })?;
        if entry.key.len() > KEY_LEN_BYTES_MAX {
            let len = entry.key.len();
            return invalid(format!("key of {len} bytes, the limit is {KEY_LEN_BYTES_MAX}"));
        }
        if entry.key.len() + entry.value.len() + 64 > BLOCK_LEN_BYTES_MAX {
            let len = entry.key.len() + entry.value.len();
            return invalid(format!("entry of {len} bytes, the limit is {BLOCK_LEN_BYTES_MAX}"));
        }
        let mut shared = 0;
        if let Some((key, op)) = &mut self.last {
            shared = shared_len(key, entry.key);
            // The first bytes that are not shared differ, or there are none.
            let ascends = match entry.key.get(shared).cmp(&key.get(shared)) {
                Ordering::Greater => true,
                Ordering::Equal => *op == Op::Clear && entry.op != Op::Clear,
                Ordering::Less => false,
            };
            if !ascends {
                return invalid(format!("key {:02x?} is not above {key:02x?}", entry.key));
            }
            key.truncate(shared);
            key.extend_from_slice(&entry.key[shared..]);
            *op = entry.op;
        } else {
            self.last = Some((entry.key.to_vec(), entry.op));
        }
        let would_be = self.block.len_bytes() + entry.key.len() + entry.value.len();
        let is_full =
            would_be > self.options.block_len_bytes || self.block.is_full_of_keys(entry.key.len());
        if self.block.entries > 0 && is_full {
            self.close_block()?;
        }
        if self.block.entries == 0 {
            self.first_key.clear();
            self.first_key.extend_from_slice(entry.key);
        }
        self.block.add(entry, shared);
        if self.options.filter_bits_per_key > 0 {
            // Entries that differ in their user key alone follow each other.
            let hash = filter::hash_of(prefix);
            if self.hashes.last() != Some(&hash) {
                self.hashes.push(hash);
            }
        }
        match &mut self.counted {
            Some((same, stats)) if *same == state => {
                stats.count(entry.op, entry.key, entry.value);
            }
            _ => self.count_next_state(state, entry),
        }
        Ok(())
    }

    #[cold]
    fn count_next_state(&mut self, state: u32, entry: Entry<'_>) {
        let mut stats = StateStats::default();
        stats.count(entry.op, entry.key, entry.value);
        self.index.stats.extend(self.counted.replace((state, stats)));
    }

    fn offset(&self) -> u64 {
        self.taken_bytes + self.out.len() as u64
    }

    fn close_block(&mut self) -> Result<()> {
        if self.block.entries == 0 {
            return Ok(());
        }
        let (offset, start, entries) = (self.offset(), self.out.len(), self.block.entries);
        self.block.finish_into(self.options.zstd_level, &mut self.out)?;
        let stored = &self.out[start..];
        self.index.blocks.push(BlockHandle {
            offset,
            len_bytes: stored.len() as u64,
            entries,
            digest: Digest::of(stored),
            first_key: std::mem::take(&mut self.first_key),
        });
        Ok(())
    }

    fn put_filter(&mut self) {
        if self.hashes.is_empty() {
            return;
        }
        let hashes = std::mem::take(&mut self.hashes);
        let filter = RunFilter::build(&hashes, self.options.filter_bits_per_key);
        let (offset, start) = (self.offset(), self.out.len());
        filter.encode_into(&mut self.out);
        let stored = &self.out[start..];
        let (len_bytes, digest) = (stored.len() as u64, Digest::of(stored));
        self.index.filter = Some(FilterLocation { offset, len_bytes, digest });
    }

    /// How many finished bytes wait to be taken.
    pub fn pending_bytes(&self) -> usize {
        self.out.len()
    }

    /// The bytes finished since the last call, in file order.
    pub fn take_output(&mut self) -> Vec<u8> {
        let out = std::mem::take(&mut self.out);
        self.hasher.update(&out);
        self.taken_bytes += out.len() as u64;
        out
    }

    /// Closes the run: the last bytes, and the summary.
    ///
    /// # Errors
    /// `Invalid` if compression fails.
    pub fn finish(mut self) -> Result<(Vec<u8>, RunSummary)> {
        self.close_block()?;
        self.index.stats.extend(self.counted.take());
        self.put_filter();
        let index_offset = self.offset();
        let index_bytes = self.index.encode();
        let index_digest = Digest::of(&index_bytes);
        self.out.extend_from_slice(&index_bytes);
        self.out.extend_from_slice(&index_offset.to_le_bytes());
        self.out.extend_from_slice(&(index_bytes.len() as u64).to_le_bytes());
        self.out.extend_from_slice(&index_digest.0);
        self.out.extend_from_slice(&VERSION.to_le_bytes());
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(&MAGIC);
        let out = self.take_output();
        let summary = RunSummary {
            len_bytes: self.taken_bytes,
            digest: Digest(*self.hasher.finalize().as_bytes()),
            index_offset,
            index_len_bytes: index_bytes.len() as u64,
            index_digest,
            index: self.index,
        };
        Ok((out, summary))
    }
}
