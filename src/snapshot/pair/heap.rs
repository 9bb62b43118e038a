//! Cursors of either kind, and which of them has the least key.

use super::cursor::{Found, RunCursor};
use super::rows::RowCursor;
use crate::Result;
use esker_format::KeyGroupRange;
use esker_format::run::{Entry, Op};

/// A place among the entries of one state, from a run or from elsewhere.
pub(super) enum Cursor {
    Run(Box<RunCursor>),
    /// Rows, and the key groups at hand.
    Rows(Box<RowCursor>, KeyGroupRange),
}

impl Cursor {
    /// The key without the state, nothing where it was not looked for yet; none at the end.
    #[inline]
    pub(super) fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Run(run) => run.key(),
            Self::Rows(rows, range) => rows.key().filter(|key| {
                key.first_chunk().is_some_and(|group| u16::from_be_bytes(*group) <= range.last())
            }),
        }
    }

    #[inline]
    pub(super) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Run(run) => run.entry(),
            Self::Rows(rows, _) => Entry { key: &[], op: Op::Put, value: rows.value() },
        }
    }

    pub(super) fn advance(&mut self, found: &mut Found) -> Result<()> {
        match self {
            Self::Run(run) => run.advance(found),
            Self::Rows(rows, _) => rows.advance(),
        }
    }

    /// Goes on to the key groups of `range`, as [`RunCursor::enter`] does.
    pub(super) fn enter(
        &mut self,
        range: KeyGroupRange,
        dense: bool,
        found: &mut Found,
    ) -> Result<()> {
        match self {
            Self::Run(run) => run.enter(range, dense, found),
            Self::Rows(_, at_hand) => {
                *at_hand = range;
                Ok(())
            }
        }
    }

    pub(super) fn seek(&mut self, key: &[u8], found: &mut Found) -> Result<()> {
        match self {
            Self::Run(run) => run.seek(key, found),
            Self::Rows(rows, _) => {
                while rows.key().is_some_and(|at| at < key) {
                    rows.advance()?;
                }
                Ok(())
            }
        }
    }
}

/// Numbers of cursors that are not at their end, the least key on top.
#[derive(Debug, Default)]
pub(super) struct Heap(Vec<usize>);

/// The key that a cursor is on; none at its end.
#[inline]
pub(super) fn key_of(cursors: &[Option<Cursor>], number: usize) -> Option<&[u8]> {
    cursors.get(number)?.as_ref()?.key()
}

impl Heap {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The cursor on top, with its key.
    #[inline]
    pub(super) fn top<'c>(&self, cursors: &'c [Option<Cursor>]) -> Option<(usize, &'c [u8])> {
        let number = *self.0.first()?;
        Some((number, key_of(cursors, number)?))
    }

    /// Adds a cursor, unless it is at its end.
    pub(super) fn push(&mut self, number: usize, cursors: &[Option<Cursor>]) {
        if key_of(cursors, number).is_none() {
            return;
        }
        let mut at = self.0.len();
        self.0.push(number);
        while at > 0 {
            let above = (at - 1) / 2;
            if key_of(cursors, self.0[above]) <= key_of(cursors, self.0[at]) {
                return;
            }
            self.0.swap(at, above);
            at = above;
        }
    }

    pub(super) fn pop(&mut self, cursors: &[Option<Cursor>]) {
        if self.0.is_empty() {
            return;
        }
        self.0.swap_remove(0);
        let mut at = 0;
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.0.len()
                    && key_of(cursors, self.0[child]) < key_of(cursors, self.0[least])
                {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.0.swap(at, least);
            at = least;
        }
    }
}
