//! Blocks unpacked on other threads before they are asked for.

use crate::snapshot::pool::{Begun, Pool};
use crate::snapshot::source::{Source, Span};
use crate::{Result, block_on};
use bytes::Bytes;
use esker_format::run::Block;
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

/// So many blocks of a run are unpacked ahead: each takes some 100 KiB in most runs.
const BLOCKS_MAX: usize = 4;
/// And those of all runs together take so many bytes, but that one block is unpacked whatever it takes.
const LEN_BYTES_MAX: usize = 32 << 20;

/// Threads that unpack, one for each processor, once there is something to unpack; shared by all runs
/// of a merge.
#[derive(Clone)]
pub(super) struct Unpackers {
    pool: Arc<OnceLock<Option<Pool>>>,
    budget: Budget,
}

impl Default for Unpackers {
    fn default() -> Self {
        Self::within(LEN_BYTES_MAX)
    }
}

impl Unpackers {
    /// What is unpacked and not asked for yet takes `len_bytes_max` bytes at most, or is one block.
    pub(super) fn within(len_bytes_max: usize) -> Self {
        let budget = Budget { held: Arc::default(), max: len_bytes_max };
        Self { pool: Arc::default(), budget }
    }

    /// None where no thread can be had: blocks are unpacked by whoever asks for them then.
    fn pool(&self) -> Option<&Pool> {
        let threads = || available_parallelism().map_or(1, NonZero::get);
        self.pool.get_or_init(|| Pool::new(threads()).ok()).as_ref()
    }
}

/// Bytes that are held ahead, and how many may be.
#[derive(Clone)]
struct Budget {
    held: Arc<AtomicUsize>,
    max: usize,
}

impl Budget {
    /// `len_bytes` of it, unless others hold too much.
    fn reserve(&self, len_bytes: usize) -> Option<Reserved> {
        let fits = |held: usize| {
            let held_then = held.saturating_add(len_bytes);
            (held == 0 || held_then <= self.max).then_some(held_then)
        };
        let before = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        before.ok().map(|held| {
            let len_bytes = len_bytes.min(usize::MAX - held);
            Reserved { held: Arc::clone(&self.held), len_bytes }
        })
    }
}

/// A part of a budget, until it is dropped.
struct Reserved {
    held: Arc<AtomicUsize>,
    len_bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.held.fetch_sub(self.len_bytes, Ordering::Relaxed);
    }
}

/// The next blocks of one run.
pub(super) struct Ahead {
    unpackers: Unpackers,
    /// Their numbers, ascending without gaps.
    blocks: VecDeque<(usize, Begun<(Block, Reserved)>)>,
}

impl Ahead {
    pub(super) fn new(unpackers: &Unpackers) -> Self {
        Self { unpackers: unpackers.clone(), blocks: VecDeque::new() }
    }

    /// Block `number`, if it was begun; those before it are forgotten.
    pub(super) fn take(&mut self, number: usize) -> Option<Result<Block>> {
        while let Some((begun, block)) = self.blocks.pop_front() {
            if begun == number {
                return Some(block_on(block.end()).map(|(block, _)| block));
            }
            if begun > number {
                self.blocks.push_front((begun, block));
                return None;
            }
        }
        None
    }

    /// The number of the block to begin next, if `next` is asked for next; none if enough are under way.
    pub(super) fn wanted(&self, next: usize) -> Option<usize> {
        let wanted = self.blocks.back().map_or(next, |(last, _)| last + 1);
        (wanted < next + BLOCKS_MAX).then_some(wanted)
    }

    /// Begins block `number`, which `span` holds; false if there is no memory or thread for it.
    pub(super) fn begin(
        &mut self,
        source: &Source,
        number: usize,
        span: &Span,
        bytes: &Bytes,
    ) -> bool {
        let stored = source.stored(number, span, bytes);
        // One that cannot say takes nothing: it is damaged, and is not unpacked.
        let unpacked = Block::unpacked_len_bytes(stored).unwrap_or_default();
        let len_bytes = stored.len().saturating_add(unpacked);
        let Some(reserved) = self.unpackers.budget.reserve(len_bytes) else { return false };
        let (source, span, bytes) = (source.clone(), span.clone(), bytes.clone());
        let unpack = move || Ok((source.block(number, &span, &bytes)?, reserved));
        let begun = self.unpackers.pool().and_then(|pool| pool.begin(unpack).ok());
        let is_begun = begun.is_some();
        self.blocks.extend(begun.map(|begun| (number, begun)));
        is_begun
    }
}
