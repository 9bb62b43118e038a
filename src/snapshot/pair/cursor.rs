//! A place in one run, of one state, that can be moved ahead without reading what lies between.

use super::ahead::{Ahead, Unpackers};
use crate::snapshot::groups::span as groups_between;
use crate::snapshot::merge::Damage;
use crate::snapshot::passed::PassedOver;
use crate::snapshot::source::{SPAN_LEN_BYTES, Source, Span, place, prefix};
use crate::{Error, Result};
use bytes::Bytes;
use esker_format::run::{BlockCursor, Entry, Op};
use esker_format::{FormatError, KeyGroupRange};

/// The bytes of a composite key that name the state.
pub(super) const STATE_LEN_BYTES: usize = 4;

/// Where a cursor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before an entry that was not looked for yet.
    Before,
    /// On an entry.
    Entry,
    /// No entry of the key groups at hand is left; it may be on one behind them.
    End,
}

/// A cursor over the entries of one state. What is damaged is passed over.
pub(super) struct RunCursor {
    source: Source,
    /// The side that it is read from.
    side: usize,
    state: u32,
    at: At,
    /// The block at hand, on an entry unless it was just unpacked.
    block: Option<BlockCursor>,
    /// The number of the block to unpack next, and of the one unpacked last.
    next: usize,
    unpacked: Option<usize>,
    fetched: Option<(Span, Bytes)>,
    /// What could not be fetched before its time: told once it is asked for.
    failed: Option<(Span, Error)>,
    /// Blocks before this one are fetched alone: some of them cannot be read.
    alone_before: usize,
    ahead: Ahead,
    /// The key that was sought last.
    sought: Vec<u8>,
    /// How many bytes were fetched in one; it grows as long as blocks follow each other.
    ahead_len_bytes: u64,
    /// The key groups at hand, and the end of the blocks that can hold them.
    range: KeyGroupRange,
    end: usize,
    /// Whether all entries of these are asked for.
    dense: bool,
}

impl RunCursor {
    /// A cursor over `state`, for which `unpackers` unpack; none if the run has no entry of it.
    pub(super) fn new(
        source: &Source,
        side: usize,
        state: u32,
        unpackers: &Unpackers,
    ) -> Option<Self> {
        source.reader().index().stats.contains_key(&state).then(|| Self {
            source: source.clone(),
            side,
            state,
            at: At::End,
            block: None,
            next: 0,
            unpacked: None,
            fetched: None,
            failed: None,
            alone_before: 0,
            ahead: Ahead::new(unpackers),
            sought: Vec::new(),
            ahead_len_bytes: 0,
            range: groups_between(0, 0),
            end: 0,
            dense: false,
        })
    }

    /// Goes on to the key groups of `range`, which are above all before. If they are `dense`, all of their
    /// entries will be asked for, and it stands on the first; otherwise nothing is read yet.
    pub(super) fn enter(
        &mut self,
        range: KeyGroupRange,
        dense: bool,
        found: &mut Found,
    ) -> Result<()> {
        let from = prefix(self.state, u32::from(range.first()));
        let to = prefix(self.state, u32::from(range.last()) + 1);
        let blocks = self.source.reader().index().blocks_between(&from, &to);
        (self.range, self.end, self.dense) = (range, blocks.end, dense);
        self.at = match &self.block {
            // On the entry behind the key groups before.
            Some(block) if block.entry().key >= from.as_slice() => self.judged(block.entry().key),
            _ => At::Before,
        };
        if self.at == At::Before && self.next <= blocks.start {
            self.skip_to(blocks.start);
        }
        if dense && self.at == At::Before { self.advance(found) } else { Ok(()) }
    }

    fn skip_to(&mut self, block: usize) {
        (self.at, self.block, self.next) = (At::Before, None, block);
    }

    /// Where it stands once the block is on an entry of `key`.
    fn judged(&self, key: &[u8]) -> At {
        match place(key) {
            Some((state, group)) if state == self.state && group.0 <= self.range.last() => {
                if group.0 < self.range.first() { At::Before } else { At::Entry }
            }
            Some((state, _)) if state < self.state => At::Before,
            _ => At::End,
        }
    }

    /// The key of its entry without the state, nothing if that was not looked for yet; none at the end.
    #[inline]
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self.at {
            At::Entry => self.entry().key.get(STATE_LEN_BYTES..),
            At::Before => Some(&[]),
            At::End => None,
        }
    }

    /// Its entry.
    #[inline]
    pub(super) fn entry(&self) -> Entry<'_> {
        const NONE: Entry<'static> = Entry { key: &[], op: Op::Delete, value: &[] };
        self.block.as_ref().map_or(NONE, BlockCursor::entry)
    }

    /// Goes to the next entry.
    ///
    /// # Errors
    /// The store's that are no damage.
    pub(super) fn advance(&mut self, found: &mut Found) -> Result<()> {
        if self.at == At::End {
            return Ok(());
        }
        loop {
            let Some(block) = &mut self.block else {
                if self.next >= self.end {
                    self.at = At::End;
                    return Ok(());
                }
                self.unpack(found)?;
                continue;
            };
            match block.advance() {
                Ok(true) => {
                    let at = self.block.as_ref().map_or(At::End, |b| self.judged(b.entry().key));
                    self.at = at;
                    if at != At::Before {
                        return Ok(());
                    }
                }
                Ok(false) => self.block = None,
                Err(error) => {
                    self.block = None;
                    self.descends(error, found)?;
                }
            }
        }
    }

    /// Passes over what is left of a block whose keys do not ascend.
    fn descends(&self, error: FormatError, found: &mut Found) -> Result<()> {
        let number = self.next.saturating_sub(1);
        let error = Error::from(error).at_path(self.source.run().file.as_str());
        let (_, lost) = self.source.loss(number..number + 1);
        found.pass_over(self.side, Damage { error, entries: None, lost })
    }

    /// Goes to the first entry whose key, without the state, is not below `key`. Of the blocks between,
    /// none is read.
    ///
    /// # Errors
    /// The store's that are no damage.
    pub(super) fn seek(&mut self, key: &[u8], found: &mut Found) -> Result<()> {
        let is_below = |cursor: &Self| cursor.key().is_some_and(|at| at < key);
        if !is_below(self) {
            return Ok(());
        }
        let blocks = &self.source.reader().index().blocks;
        let first_key = |number: usize| {
            let block = blocks.get(number)?;
            block
                .first_key
                .get(STATE_LEN_BYTES..)
                .filter(|_| place(&block.first_key).is_some_and(|(state, _)| state == self.state))
        };
        // In the block at hand more often than not: the next one begins behind `key`.
        let is_here = self.block.is_some()
            && (self.next >= self.end || first_key(self.next).is_some_and(|first| first >= key));
        self.sought.clear();
        self.sought.extend_from_slice(&self.state.to_be_bytes());
        self.sought.extend_from_slice(key);
        if !is_here {
            let above = blocks.partition_point(|block| block.first_key < self.sought);
            // Of two entries of one key the first may end the block before.
            let holds = above.saturating_sub(1);
            if holds >= self.next {
                self.skip_to(holds);
            }
        }
        while is_below(self) {
            let Some(block) = &mut self.block else {
                self.advance(found)?;
                continue;
            };
            let sought = block.seek(&self.sought);
            match sought {
                Ok(true) => {
                    self.at = self.block.as_ref().map_or(At::End, |b| self.judged(b.entry().key));
                    if self.at == At::Before {
                        self.advance(found)?;
                    }
                }
                Ok(false) => (self.at, self.block) = (At::Before, None),
                Err(error) => {
                    (self.at, self.block) = (At::Before, None);
                    self.descends(error, found)?;
                }
            }
        }
        Ok(())
    }

    /// Unpacks the next block.
    fn unpack(&mut self, found: &mut Found) -> Result<()> {
        let number = self.next;
        self.next += 1;
        let block = match self.ahead.take(number) {
            Some(block) => block,
            None => {
                if let Err(error) = self.fetch(number) {
                    let (span, error) = *error;
                    self.next = span.blocks.end;
                    if error.is_unreadable() {
                        found.pass_unread(self.side, &self.source, span, error);
                        return Ok(());
                    }
                    let (entries, lost) = self.source.loss(span.blocks);
                    let damage = Damage { error, entries: Some(entries), lost };
                    return found.pass_over(self.side, damage);
                }
                let Some((span, bytes)) = &self.fetched else { return Ok(()) };
                self.source.block(number, span, bytes)
            }
        };
        let follows = self.unpacked.replace(number).is_some_and(|before| before + 1 == number);
        if follows || self.dense {
            self.look_ahead();
        }
        match block {
            Ok(block) => self.block = Some(BlockCursor::new(block)),
            Err(error) => {
                let (entries, lost) = self.source.loss(number..number + 1);
                let damage = Damage { error, entries: Some(entries), lost };
                return found.pass_over(self.side, damage);
            }
        }
        Ok(())
    }

    /// Sees to it that block `number` is fetched. What failed before fails once more, and is not tried again.
    fn fetch(&mut self, number: usize) -> std::result::Result<(), Box<(Span, Error)>> {
        if let Some(failed) = self.failed.take_if(|(span, _)| span.blocks.contains(&number)) {
            return Err(Box::new(failed));
        }
        loop {
            if self.fetched.as_ref().is_some_and(|(span, _)| span.blocks.contains(&number)) {
                return Ok(());
            }
            let span = self.span_from(number);
            match self.source.fetch_now(&span) {
                Ok(bytes) => self.fetched = Some((span, bytes)),
                // A sector that cannot be read takes the blocks that lie on it, and no others.
                Err(error) if error.is_unreadable() && span.blocks.len() > 1 => {
                    self.alone_before = span.blocks.end;
                }
                Err(error) => return Err(Box::new((span, error))),
            }
        }
    }

    /// Has the next blocks unpacked, while those of the key groups at hand are asked for one after the other.
    fn look_ahead(&mut self) {
        while let Some(number) = self.ahead.wanted(self.next).filter(|number| *number < self.end) {
            if self.failed.as_ref().is_some_and(|(span, _)| span.blocks.contains(&number)) {
                return;
            }
            // A span is fetched before its time only where long ones were asked for to their ends.
            let ends = self.fetched.as_ref().is_some_and(|(span, _)| span.blocks.end == number);
            if ends
                && self.ahead_len_bytes >= SPAN_LEN_BYTES
                && let Err(failed) = self.fetch(number)
            {
                self.failed = Some(*failed);
                return;
            }
            let fetched = self.fetched.as_ref().filter(|(span, _)| span.blocks.contains(&number));
            let Some((span, bytes)) = fetched else { return };
            if !self.ahead.begin(&self.source, number, span, bytes) {
                return;
            }
        }
    }

    /// The blocks from `number` on that are fetched in one: of key groups that are dense as many as a
    /// span takes; otherwise twice as many bytes as before where blocks follow each other, and one
    /// block where some were passed over.
    fn span_from(&mut self, number: usize) -> Span {
        let follows = self.fetched.as_ref().is_some_and(|(span, _)| span.blocks.end == number);
        if number < self.alone_before {
            let alone = self.source.spans_between([number], 0).pop();
            return alone.unwrap_or(Span { blocks: number..number + 1, bytes: 0..0 });
        }
        let blocks = &self.source.reader().index().blocks;
        self.ahead_len_bytes = match (self.dense, follows) {
            (true, _) => SPAN_LEN_BYTES,
            (false, true) => self.ahead_len_bytes.saturating_mul(2).min(SPAN_LEN_BYTES),
            (false, false) => 0,
        };
        let start = blocks.get(number).map_or(0, |block| block.offset);
        let mut span = Span { blocks: number..number, bytes: start..start };
        let within = blocks.iter().take(self.end.max(number + 1)).skip(number);
        for block in within {
            let end = block.offset.saturating_add(block.len_bytes);
            if !span.blocks.is_empty() && end - start > self.ahead_len_bytes {
                break;
            }
            (span.blocks.end, span.bytes.end) = (span.blocks.end + 1, end);
        }
        self.ahead_len_bytes = self.ahead_len_bytes.max(span.bytes.end - start);
        span
    }
}

/// What was found damaged, by the side that it was read from.
#[derive(Debug, Default)]
pub(super) struct Found([PassedOver; 2]);

impl Found {
    /// Keeps damage; any other error ends the merge.
    ///
    /// # Errors
    /// That of `damage`, if it is none.
    pub(super) fn pass_over(&mut self, side: usize, damage: Damage) -> Result<()> {
        if !damage.error.is_damage() {
            return Err(damage.error);
        }
        if let Some(kept) = self.0.get_mut(side) {
            kept.push(damage);
        }
        Ok(())
    }

    /// Keeps that a device cannot give back a span of `source`.
    fn pass_unread(&mut self, side: usize, source: &Source, span: Span, error: Error) {
        if let Some(kept) = self.0.get_mut(side) {
            kept.push_unread(source, span, error);
        }
    }

    pub(super) fn into_all(self) -> [Vec<Damage>; 2] {
        self.0.map(PassedOver::into_all)
    }
}
