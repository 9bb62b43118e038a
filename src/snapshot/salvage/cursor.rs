//! A place among the sound entries of one state in one run.

use super::interval::STATE_LEN_BYTES;
use super::loss::{Level, is_in, of_run};
use crate::snapshot::groups::Groups;
use crate::snapshot::source::{Source, Span};
use crate::{Error, Result};
use bytes::Bytes;
use esker_format::run::{BlockCursor, Entry, Op};
use std::collections::VecDeque;

/// It stands on an entry, or at its end.
pub(super) struct RunCursor {
    source: Source,
    state: u32,
    groups: Groups,
    pub(super) level: Level,
    spans: VecDeque<Span>,
    fetched: Option<(Span, Bytes)>,
    block: Option<BlockCursor>,
}

impl RunCursor {
    /// A cursor over the entries of `state` in `groups`, on the first of them in the blocks of `spans`.
    ///
    /// # Errors
    /// The store's; `Corrupt` if a block is no more what it was.
    pub(super) fn new(
        source: &Source,
        (state, groups): (u32, Groups),
        rank: usize,
        spans: Vec<Span>,
    ) -> Result<Self> {
        let (source, level, spans) = (source.clone(), of_run(rank), spans.into());
        let mut cursor = Self { source, state, groups, level, spans, fetched: None, block: None };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The key of its entry, without the state; none at the end.
    #[inline]
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.block.as_ref().and_then(|block| block.entry().key.get(STATE_LEN_BYTES..))
    }

    /// Its entry; nothing at the end.
    #[inline]
    pub(super) fn entry(&self) -> Entry<'_> {
        const NONE: Entry<'static> = Entry { key: &[], op: Op::Delete, value: &[] };
        self.block.as_ref().map_or(NONE, BlockCursor::entry)
    }

    fn is_wanted(&self, key: &[u8]) -> bool {
        key.split_first_chunk::<STATE_LEN_BYTES>().is_some_and(|(state, rest)| {
            u32::from_be_bytes(*state) == self.state && is_in(&self.groups, rest)
        })
    }

    /// Goes to the next entry.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn advance(&mut self) -> Result<()> {
        loop {
            let Some(block) = &mut self.block else {
                if !self.unpack()? {
                    return Ok(());
                }
                continue;
            };
            let path = || self.source.run().file.as_str();
            match block.advance().map_err(|error| Error::from(error).at_path(path()))? {
                true => {
                    if self.block.as_ref().is_some_and(|block| self.is_wanted(block.entry().key)) {
                        return Ok(());
                    }
                }
                false => self.block = None,
            }
        }
    }

    /// Unpacks the next block; false if there is none.
    fn unpack(&mut self) -> Result<bool> {
        loop {
            if let Some((span, bytes)) = &mut self.fetched
                && let Some(number) = span.blocks.next()
            {
                self.block = Some(BlockCursor::new(self.source.block(number, span, bytes)?));
                return Ok(true);
            }
            let Some(span) = self.spans.pop_front() else { return Ok(false) };
            let bytes = self.source.fetch_now(&span)?;
            self.fetched = Some((span, bytes));
        }
    }
}
