//! One limit to the memory of all databases of a process.

use rocksdb::{Cache, Options, WriteBufferManager};
use std::fmt;

/// Of what RocksDB is given, one part in this many is for write buffers.
const WRITE_PART: usize = 3;
/// Of the budget, one part in this many is not given to RocksDB: the allocator keeps more than is in
/// use, and flushes and compactions take what nobody charges.
const SLACK_PART: usize = 4;

/// Memory for blocks that were read and for what is not written to files yet, shared by all backends
/// that were made with it. A clone is the same budget.
///
/// RocksDB is given three quarters of it; the rest is for what it does not count. Index and filter
/// blocks are in the cache, and write buffers are charged to it. At the limit of write buffers the
/// largest is flushed; while that goes on, what is written meanwhile comes on top.
#[derive(Clone)]
pub struct Budget {
    len_bytes: usize,
    pub(super) cache: Cache,
    buffers: WriteBufferManager,
}

impl Budget {
    /// A budget of `len_bytes`, a quarter of it for write buffers at most.
    pub fn new(len_bytes: usize) -> Self {
        let given_len_bytes = len_bytes - len_bytes / SLACK_PART;
        let cache = Cache::new_hyper_clock_cache(given_len_bytes, 0);
        let write_len_bytes = given_len_bytes / WRITE_PART;
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(
            write_len_bytes,
            false,
            cache.clone(),
        );
        Self { len_bytes, cache, buffers }
    }

    /// The limit in bytes.
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// What is used now, in bytes: blocks, filters, indexes, and write buffers.
    pub fn used_len_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    /// What write buffers take of it, in bytes.
    pub fn buffers_len_bytes(&self) -> usize {
        self.buffers.get_usage()
    }

    /// Charges databases that are opened with `options`.
    pub(super) fn charge(&self, options: &mut Options) {
        options.set_write_buffer_manager(&self.buffers);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}
