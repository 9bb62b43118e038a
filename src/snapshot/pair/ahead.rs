//! Blocks unpacked on other threads before they are asked for.

use crate::snapshot::pool::{Begun, Pool};
use crate::snapshot::source::{Source, Span};
use crate::{Result, block_on};
use bytes::Bytes;
use esker_format::run::Block;
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

/// So many blocks of a run are unpacked ahead: each takes some 100 KiB in most runs, and many runs may be read
/// side by side.
const BLOCKS_MAX: usize = 4;

/// Threads that unpack, one for each processor, once there is something to unpack; shared by all runs
/// of a merge.
#[derive(Clone, Default)]
pub(super) struct Unpackers(Arc<OnceLock<Option<Pool>>>);

impl Unpackers {
    /// None where no thread can be had: blocks are unpacked by whoever asks for them then.
    fn pool(&self) -> Option<&Pool> {
        let threads = || available_parallelism().map_or(1, NonZero::get);
        self.0.get_or_init(|| Pool::new(threads()).ok()).as_ref()
    }
}

/// The next blocks of one run.
#[derive(Default)]
pub(super) struct Ahead {
    unpackers: Unpackers,
    /// Their numbers, ascending without gaps.
    blocks: VecDeque<(usize, Begun<Block>)>,
}

impl Ahead {
    pub(super) fn new(unpackers: &Unpackers) -> Self {
        Self { unpackers: unpackers.clone(), blocks: VecDeque::new() }
    }

    /// Block `number`, if it was begun; those before it are forgotten.
    pub(super) fn take(&mut self, number: usize) -> Option<Result<Block>> {
        while let Some((begun, block)) = self.blocks.pop_front() {
            if begun == number {
                return Some(block_on(block.end()));
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

    /// Begins block `number`, which `span` holds; false if there is no thread for it.
    pub(super) fn begin(
        &mut self,
        source: &Source,
        number: usize,
        span: &Span,
        bytes: &Bytes,
    ) -> bool {
        let (source, span, bytes) = (source.clone(), span.clone(), bytes.clone());
        let unpack = move || source.block(number, &span, &bytes);
        let begun = self.unpackers.pool().and_then(|pool| pool.begin(unpack).ok());
        let is_begun = begun.is_some();
        self.blocks.extend(begun.map(|begun| (number, begun)));
        is_begun
    }
}
