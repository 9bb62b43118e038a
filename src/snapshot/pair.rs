//! Two chains of runs side by side: what both hold under each key that can differ.
//!
//! Key groups fall into pieces in each of which the same runs count. Where they are the same on both
//! sides, nothing is read. Elsewhere the runs of one side alone are read, and of those that both have
//! the blocks in which one of their keys can lie: all of them in the worst case, where keys change
//! here and there. A run that both have is read once. Blocks that follow each other are unpacked by threads.
//!
//! Memory: the indexes of the runs of some pieces, within 16 MiB as stored unless one piece takes more;
//! a span and a block for each run that counts for the piece at hand; of blocks unpacked ahead 32 MiB for all
//! runs together, or one block that takes more.

mod ahead;
mod cursor;
mod heap;
mod merge;
mod pieces;
mod rows;
#[cfg(test)]
mod tests;

pub(crate) use merge::Both;
pub(crate) use rows::Rows;

use super::merge::{Damage, Lost, OPEN_AT_ONCE};
use super::source::Source;
use crate::{Result, Store, block_on};
use ahead::Unpackers;
use cursor::{Found, RunCursor};
use esker_format::KeyGroupRange;
use esker_format::part::RunRef;
use futures::{StreamExt, stream};
use heap::Cursor;
use merge::Merge;
use pieces::{Piece, Pieces};
use rows::RowCursor;
use std::collections::{HashMap, HashSet};
use std::thread::{Scope, scope};

/// What one side holds of some key groups.
#[derive(Clone, Copy)]
pub(crate) struct SideEntries<'a> {
    pub(crate) store: &'a Store,
    /// A chain, oldest first.
    pub(crate) runs: &'a [RunRef],
    /// What lies elsewhere; there are no runs then.
    pub(crate) rows: Option<&'a dyn Rows>,
}

/// A state on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Its ids; none where it is not there.
    pub(crate) states: [Option<u32>; 2],
    /// Whether entries that are the same to the byte are asked for as well.
    pub(crate) all: bool,
}

impl Pair {
    /// Whether the same entry of a run means the same on both sides.
    fn shares(&self) -> bool {
        self.states[0] == self.states[1]
    }
}

/// What comes of a merge.
pub(crate) trait PairSink {
    /// Takes what both sides hold under a key of pair `number`: all keys that differ, and some that do not.
    ///
    /// # Errors
    /// Its own; it ends the merge.
    fn both(&mut self, number: usize, both: Both<'_>) -> Result<()>;

    /// Takes note that of pair `number` both sides hold the same in `range`, of which nothing was read.
    fn same(&mut self, number: usize, range: KeyGroupRange);
}

/// A run's index.
enum Opened {
    NotYet,
    Open(Source),
    /// It is damaged.
    No,
}

/// Two chains, of which nothing was read yet.
pub(crate) struct PairReader<'a> {
    sides: [SideEntries<'a>; 2],
    pieces: Pieces<'a>,
    /// By number of run.
    opened: Vec<Opened>,
    found: Found,
    unpackers: Unpackers,
}

impl<'a> PairReader<'a> {
    /// The key groups of `range` on both sides.
    pub(crate) fn new(sides: [SideEntries<'a>; 2], range: KeyGroupRange) -> Self {
        let runs = sides.map(|side| side.runs);
        let is_whole = sides.iter().any(|side| side.rows.is_some());
        let pieces = Pieces::of(runs, range, is_whole);
        let opened = pieces.runs.iter().map(|_| Opened::NotYet).collect();
        let (found, unpackers) = (Found::default(), Unpackers::default());
        Self { sides, pieces, opened, found, unpackers }
    }

    /// Merges the states of `pairs` into `sink`: key groups ascending, a few at a time, and in these
    /// state after state. Blocks the thread while it reads. Returns what was damaged, of each side; that of a
    /// run of both stands with the first.
    ///
    /// # Errors
    /// Those of `sink`, and the stores' that are no damage.
    pub(crate) fn merge(
        mut self,
        pairs: &[Pair],
        sink: &mut dyn PairSink,
    ) -> Result<[Vec<Damage>; 2]> {
        let segments = self.pieces.segments();
        let pieces = std::mem::take(&mut self.pieces.pieces);
        for segment in segments {
            let Some(pieces) = pieces.get(segment) else { continue };
            self.close_but(pieces);
            for (number, pair) in pairs.iter().enumerate() {
                scope(|scope| self.segment(scope, pieces, (number, pair), sink))?;
            }
        }
        Ok(self.found.into_all())
    }

    /// Closes the runs that count in none of `pieces`.
    fn close_but(&mut self, pieces: &[Piece]) {
        let named: HashSet<usize> =
            pieces.iter().flat_map(|piece| &piece.runs).flatten().copied().collect();
        for (number, opened) in self.opened.iter_mut().enumerate() {
            if matches!(opened, Opened::Open(_)) && !named.contains(&number) {
                *opened = Opened::NotYet;
            }
        }
    }

    /// Whether both sides hold the same of `pair` in `piece`.
    fn is_same(&self, piece: &Piece, pair: &Pair) -> bool {
        let has_rows = self.sides.iter().any(|side| side.rows.is_some());
        pair.shares() && !pair.all && !has_rows && piece.is_same()
    }

    fn segment<'scope, 'p>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        pieces: &'p [Piece],
        (number, pair): (usize, &Pair),
        sink: &mut dyn PairSink,
    ) -> Result<()>
    where
        'a: 'scope,
    {
        let runs = self.pieces.runs.len();
        // A run that means another state on each side has a cursor for either.
        let mut merge = Merge::new(2 * runs + 2);
        let hull = hull(pieces);
        for (side, state) in pair.states.into_iter().enumerate() {
            let (Some(rows), Some(state), Some(hull)) = (self.sides[side].rows, state, hull) else {
                continue;
            };
            let cursor = RowCursor::new(scope, rows, hull, state)?;
            merge.cursors[2 * runs + side] = Some(Cursor::Rows(Box::new(cursor), hull));
        }
        // Where each run counts last: its cursor goes then.
        let named = |(at, piece): (usize, &'p Piece)| {
            piece.runs.iter().flatten().map(move |run| (*run, at))
        };
        let last: HashMap<usize, usize> = pieces.iter().enumerate().flat_map(named).collect();
        for (at, piece) in pieces.iter().enumerate() {
            match self.is_same(piece, pair) {
                true => sink.same(number, piece.range),
                false => {
                    self.piece(piece, pair, &mut merge, &mut |both| sink.both(number, both))?;
                }
            }
            let ended = piece.runs.iter().flatten().filter(|run| last.get(run) == Some(&at));
            for run in ended.copied() {
                (merge.cursors[run], merge.cursors[runs + run]) = (None, None);
            }
        }
        Ok(())
    }

    fn piece(
        &mut self,
        piece: &Piece,
        pair: &Pair,
        merge: &mut Merge,
        f: &mut dyn FnMut(Both<'_>) -> Result<()>,
    ) -> Result<()> {
        merge.begin();
        let runs = self.pieces.runs.len();
        let is_shared = |side: usize, at: usize| {
            pair.shares() && piece.shared.iter().any(|pair| pair[side] == at)
        };
        let mut own: Vec<(usize, usize, [Option<usize>; 2])> = Vec::new();
        for side in [0, 1].into_iter().filter(|side| pair.states[*side].is_some()) {
            let ages = piece.runs[side].iter().enumerate();
            own.extend(ages.filter(|(at, _)| !is_shared(side, *at)).map(|(at, run)| {
                (side, *run, if side == 0 { [Some(at), None] } else { [None, Some(at)] })
            }));
        }
        let shared = piece
            .shared
            .iter()
            .filter(|_| pair.shares())
            .filter_map(|[a, b]| Some((0, *piece.runs[0].get(*a)?, [Some(*a), Some(*b)])));
        let mut shared: Vec<_> = shared.collect();
        if pair.all {
            own.append(&mut shared);
        }
        let enter = |reader: &mut Self, merge: &mut Merge, cursors: &[_], is_own: bool| {
            let numbers: Vec<usize> = cursors.iter().map(|(_, run, _)| *run).collect();
            reader.open(&numbers)?;
            for (side, run, ranks) in cursors {
                let (side, run): (usize, usize) = (*side, *run);
                let slot = if side == 1 { runs + run } else { run };
                let Some(state) = pair.states[side] else { continue };
                let Opened::Open(source) = &reader.opened[run] else { continue };
                if merge.cursors[slot].is_none() {
                    let from = reader.pieces.runs[run].side;
                    let cursor = RunCursor::new(source, from, state, &reader.unpackers);
                    merge.cursors[slot] = cursor.map(|cursor| Cursor::Run(Box::new(cursor)));
                }
                if let Some(cursor) = &mut merge.cursors[slot] {
                    cursor.enter(piece.range, is_own, &mut reader.found)?;
                    merge.add(slot, *ranks, is_own);
                }
            }
            Ok::<_, crate::Error>(())
        };
        enter(self, merge, &own, true)?;
        for (side, ranks) in [[Some(0), None], [None, Some(0)]].into_iter().enumerate() {
            if let Some(cursor) = &mut merge.cursors[2 * runs + side] {
                cursor.enter(piece.range, true, &mut self.found)?;
                merge.add(2 * runs + side, ranks, true);
            }
        }
        if !merge.is_idle() {
            enter(self, merge, &shared, false)?;
        }
        merge.run(&mut self.found, f)
    }

    /// Opens runs by their indexes, those that are not open yet.
    fn open(&mut self, numbers: &[usize]) -> Result<()> {
        let due = numbers.iter().filter(|run| matches!(self.opened[**run], Opened::NotYet));
        let due: Vec<usize> = due.copied().collect();
        let (runs, sides) = (&self.pieces.runs, &self.sides);
        let opened = stream::iter(due)
            .map(|number| async move {
                let distinct = &runs[number];
                let store = sides[distinct.side].store;
                (number, Source::open(store, distinct.run, KeyGroupRange::ALL.into()).await)
            })
            .buffered(OPEN_AT_ONCE)
            .collect::<Vec<_>>();
        for (number, source) in block_on(async { Ok(opened.await) })? {
            self.opened[number] = match source {
                Ok(source) => Opened::Open(source),
                Err(error) => {
                    let distinct = &self.pieces.runs[number];
                    let lost = vec![Lost { state: None, range: distinct.run.range }];
                    let damage = Damage { error, entries: Some(distinct.run.entries), lost };
                    self.found.pass_over(distinct.side, damage)?;
                    Opened::No
                }
            };
        }
        Ok(())
    }
}

fn hull(pieces: &[Piece]) -> Option<KeyGroupRange> {
    let (first, last) = (pieces.first()?.range, pieces.last()?.range);
    Some(super::groups::span(first.first(), last.last()))
}
