//! One piece: the runs of both sides, merged at once.
//!
//! What differs are entries under keys that a run of one side alone has something to say about, itself
//! or by a clear. So runs of one side lead, and those that both have are moved to the keys that come
//! up, each time first to where a clear of them would stand.

use super::cursor::{Found, STATE_LEN_BYTES};
use super::heap::{Cursor, Heap, key_of};
use crate::snapshot::source::place;
use crate::{Error, ErrorKind, Result};
use esker_format::composite::CompositeKey;
use esker_format::run::Op;
use std::cmp::Reverse;

/// What both sides hold under one key; either may be nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Both<'a> {
    /// The composite key without the state.
    pub(crate) key: &'a [u8],
    pub(crate) values: [Option<&'a [u8]>; 2],
}

/// Cursors of both sides over one state, from piece to piece.
pub(super) struct Merge {
    pub(super) cursors: Vec<Option<Cursor>>,
    /// Of each cursor, how young it is on either side; none where it does not count.
    ranks: Vec<[Option<usize>; 2]>,
    /// Those of runs that one side alone has, or of all if every key counts.
    own: Heap,
    /// Those of runs that both have.
    shared: Heap,
    /// Of the latter, those whose entry was taken already.
    spent: Vec<bool>,
    key: Vec<u8>,
    /// What the keys begin with that runs of both sides were moved to.
    sought: Option<Vec<u8>>,
    /// What the keys begin with that were cleared last; on each side, by which run: it hides all that
    /// are older.
    cleared: Option<(Vec<u8>, [Option<usize>; 2])>,
    /// Whether a run of one side did.
    cleared_by_own: bool,
    members: Vec<(usize, bool)>,
    order: Vec<(Reverse<usize>, usize)>,
    buffers: [Vec<u8>; 2],
}

impl Merge {
    pub(super) fn new(cursors: usize) -> Self {
        Self {
            cursors: std::iter::repeat_with(|| None).take(cursors).collect(),
            ranks: vec![[None; 2]; cursors],
            own: Heap::default(),
            shared: Heap::default(),
            spent: vec![false; cursors],
            key: Vec::new(),
            sought: None,
            cleared: None,
            cleared_by_own: false,
            members: Vec::new(),
            order: Vec::new(),
            buffers: Default::default(),
        }
    }

    /// Begins a piece.
    pub(super) fn begin(&mut self) {
        self.own.clear();
        self.shared.clear();
        (self.sought, self.cleared, self.cleared_by_own) = (None, None, false);
    }

    /// Adds a cursor that has entered the piece.
    pub(super) fn add(&mut self, number: usize, ranks: [Option<usize>; 2], is_own: bool) {
        self.ranks[number] = ranks;
        self.spent[number] = false;
        let heap = if is_own { &mut self.own } else { &mut self.shared };
        heap.push(number, &self.cursors);
    }

    /// Whether no run of one side alone has an entry in the piece.
    pub(super) fn is_idle(&self) -> bool {
        self.own.top(&self.cursors).is_none()
    }

    /// Calls `f` with what both sides hold under each key that can differ.
    pub(super) fn run(
        &mut self,
        found: &mut Found,
        f: &mut dyn FnMut(Both<'_>) -> Result<()>,
    ) -> Result<()> {
        loop {
            if self.cleared_by_own {
                self.settle(found)?;
            }
            let own = self.own.top(&self.cursors).map(|(_, key)| key);
            let cleared = self.cleared.as_ref().filter(|_| self.cleared_by_own);
            let shared = cleared.and_then(|(prefix, _)| {
                let key = self.shared.top(&self.cursors)?.1;
                key.starts_with(prefix).then_some(key)
            });
            let Some(next) = own.into_iter().chain(shared).min() else { return Ok(()) };
            self.key.clear();
            self.key.extend_from_slice(next);
            if self.shared.top(&self.cursors).is_some() {
                self.seek_shared(found)?;
            }
            self.take(found, f)?;
        }
    }

    /// Moves the runs of both sides to the key. Where they have something to say of all its user
    /// keys, the key becomes that of these.
    fn seek_shared(&mut self, found: &mut Found) -> Result<()> {
        let is_new = self.sought.as_ref().is_none_or(|sought| !self.key.starts_with(sought));
        if is_new {
            let full = [&[0; STATE_LEN_BYTES][..], &self.key].concat();
            let user_key = CompositeKey::decode(&full).map_or(0, |key| key.user_key.len());
            let prefix = self.key[..self.key.len() - user_key].to_vec();
            self.seek_to(&prefix, found)?;
            if self.shared.top(&self.cursors).is_some_and(|(_, key)| key == prefix) {
                self.key.truncate(prefix.len());
            }
            self.sought = Some(prefix);
        }
        let key = std::mem::take(&mut self.key);
        let sought = self.seek_to(&key, found);
        self.key = key;
        sought
    }

    fn seek_to(&mut self, key: &[u8], found: &mut Found) -> Result<()> {
        while let Some((number, _)) = self.shared.top(&self.cursors).filter(|(_, at)| *at < key) {
            self.shared.pop(&self.cursors);
            if let Some(Some(cursor)) = self.cursors.get_mut(number) {
                cursor.seek(key, found)?;
            }
            self.spent[number] = false;
            self.shared.push(number, &self.cursors);
        }
        Ok(())
    }

    /// Moves runs of both sides whose entry was taken to the next one: any may count now.
    fn settle(&mut self, found: &mut Found) -> Result<()> {
        while let Some((number, _)) =
            self.shared.top(&self.cursors).filter(|(number, _)| self.spent[*number])
        {
            self.shared.pop(&self.cursors);
            self.advance(number, found)?;
            self.spent[number] = false;
            self.shared.push(number, &self.cursors);
        }
        Ok(())
    }

    fn advance(&mut self, number: usize, found: &mut Found) -> Result<()> {
        match self.cursors.get_mut(number) {
            Some(Some(cursor)) => cursor.advance(found),
            _ => Ok(()),
        }
    }

    /// Takes all entries of the key.
    fn take(&mut self, found: &mut Found, f: &mut dyn FnMut(Both<'_>) -> Result<()>) -> Result<()> {
        if self.cleared.as_ref().is_some_and(|(prefix, _)| !self.key.starts_with(prefix)) {
            (self.cleared, self.cleared_by_own) = (None, false);
        }
        self.members.clear();
        for is_own in [true, false] {
            loop {
                let heap = if is_own { &mut self.own } else { &mut self.shared };
                let top = heap.top(&self.cursors).filter(|(_, key)| *key == self.key);
                let Some((number, _)) = top else { break };
                heap.pop(&self.cursors);
                let op = self.cursors[number].as_ref().map(|cursor| cursor.entry().op);
                if op == Some(Op::Clear) {
                    self.clear(number, is_own)?;
                    self.advance(number, found)?;
                    if key_of(&self.cursors, number) != Some(&self.key) {
                        let heap = if is_own { &mut self.own } else { &mut self.shared };
                        heap.push(number, &self.cursors);
                        continue;
                    }
                }
                self.members.push((number, is_own));
            }
        }
        self.give(f)?;
        while let Some((number, is_own)) = self.members.pop() {
            if is_own {
                self.advance(number, found)?;
                self.own.push(number, &self.cursors);
            } else {
                self.spent[number] = true;
                self.shared.push(number, &self.cursors);
            }
        }
        Ok(())
    }

    /// Notes that the run of a cursor clears the key.
    fn clear(&mut self, number: usize, is_own: bool) -> Result<()> {
        let full = [&[0; STATE_LEN_BYTES][..], &self.key].concat();
        if !CompositeKey::decode(&full)?.user_key.is_empty() || place(&full).is_none() {
            return Err(Error::new(ErrorKind::Corrupt, "a clear has a user key"));
        }
        let (_, by) = self.cleared.get_or_insert_with(|| (self.key.clone(), [None; 2]));
        for (by, rank) in by.iter_mut().zip(self.ranks[number]) {
            *by = (*by).max(rank);
        }
        self.cleared_by_own |= is_own;
        Ok(())
    }

    /// Calls `f` with what the entries of the key come to.
    fn give(&mut self, f: &mut dyn FnMut(Both<'_>) -> Result<()>) -> Result<()> {
        let Self { cursors, ranks, members, order, buffers, cleared, key, .. } = self;
        let [a, b] = buffers;
        let by = cleared.as_ref().map_or([None; 2], |(_, by)| *by);
        let mut values = [None; 2];
        for (side, buffer) in [a, b].into_iter().enumerate() {
            order.clear();
            let ranked =
                |(number, _): &(usize, bool)| Some((Reverse(ranks[*number][side]?), *number));
            order.extend(members.iter().filter_map(ranked));
            order.sort_unstable();
            values[side] = resolve(cursors, order, by[side], buffer);
        }
        if values == [None; 2] {
            return Ok(());
        }
        f(Both { key, values })
    }
}

/// What entries come to, given their ranks, the youngest first, those below `cleared` aside: the newest
/// put or delete, and what was appended behind it.
fn resolve<'b>(
    cursors: &'b [Option<Cursor>],
    order: &[(Reverse<usize>, usize)],
    cleared: Option<usize>,
    buffer: &'b mut Vec<u8>,
) -> Option<&'b [u8]> {
    let entry = |number: usize| cursors.get(number)?.as_ref().map(Cursor::entry);
    let visible = order.iter().take_while(|(rank, _)| Some(rank.0) >= cleared);
    let (mut count, mut has_base) = (0, false);
    for (_, number) in visible {
        match entry(*number)?.op {
            Op::Append => count += 1,
            Op::Put => (count, has_base) = (count + 1, true),
            Op::Delete | Op::Clear => has_base = true,
        }
        if has_base {
            break;
        }
    }
    match order.get(..count)? {
        [] => None,
        [(_, only)] => Some(entry(*only)?.value),
        many => {
            buffer.clear();
            for (_, number) in many.iter().rev() {
                buffer.extend_from_slice(entry(*number)?.value);
            }
            Some(buffer)
        }
    }
}
