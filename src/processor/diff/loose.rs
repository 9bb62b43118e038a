//! States that are compared as lines in any order: operator state, which parallelism deals out and
//! orders, and keyed state whose keys have another type on each side, and so other key groups.

use super::database::Database;
use super::render::Lines;
use super::{OnSide, Side, StateDiff, States, Work};
use crate::processor::Sorter;
use crate::snapshot::{ChainReader, Damage, Lost};
use crate::{Error, ErrorKind, Result, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::{StateInfo, StateKind};
use esker_format::part::{Part, RunRef};
use esker_format::run::Entry;
use std::io;

/// Between a line and its side; below all that a line holds.
const MARK: u8 = 1;

impl<'a> Work<'a, '_> {
    /// Compares one pair in the key groups of the filter; none if neither side has it.
    ///
    /// # Errors
    /// As for [`diff`](super::diff()).
    pub(super) fn loose(&mut self, pair: States<'a>) -> Result<Option<StateDiff>> {
        let Some(mut state) = StateDiff::new(self.uid, pair) else { return Ok(None) };
        // What a part held that is gone, nobody knows, and there are no key groups to tell by.
        let is_whole = |on: &OnSide<'_>| on.parts.iter().all(Option::is_some);
        if !self.sides.iter().flatten().all(is_whole) || self.holds_same(pair) {
            return Ok(Some(state));
        }
        let mut sorter = Sorter::new();
        let sides = self.sides.clone();
        for (side, (on, info)) in Side::BOTH.into_iter().zip(sides.iter().zip(pair)) {
            if let (Some(on), Some(info)) = (on, info) {
                self.sort(side, on, info, &mut sorter)?;
            }
        }
        let every_subtask =
            matches!(state.kind, StateKind::OperatorUnion | StateKind::OperatorBroadcast);
        let parallelism = sides.map(|on| on.map_or(0, |on| on.parts.len()));
        let once = every_subtask && parallelism[0] != parallelism[1];

        let (each, line, counts) = (&mut *self.each, Vec::new(), [0; 2]);
        let mut counted = Counted { each, state: &mut state, once, line, counts };
        let mut failed = None;
        let sorted = sorter.finish(&mut |line| {
            counted.add(line).map_err(|error| {
                failed = Some(error);
                io::Error::other("ended")
            })
        });
        match (failed, sorted) {
            (Some(error), _) => return Err(error),
            (None, Err(error)) => return Err(of_files(error)),
            (None, Ok(())) => counted.tell()?,
        }
        Ok(Some(state))
    }

    /// Whether both sides hold the same runs of an operator state that means the same in both.
    fn holds_same(&self, pair: States<'_>) -> bool {
        let ([Some(a), Some(b)], [Some(on_a), Some(on_b)]) = (pair, &self.sides) else {
            return false;
        };
        let runs = |on: &OnSide<'_>| {
            let run = |part: &Option<Part>| {
                let run = part.as_ref()?.operator_run.as_ref();
                Some(run.map(|run| (run.digest, run.index.digest)))
            };
            on.parts.iter().map(run).collect::<Option<Vec<_>>>()
        };
        let is_operator_state = !a.kind.is_keyed();
        let types =
            |info: &StateInfo| (info.id, info.user_key.clone(), info.value.clone(), info.ttl);
        let held = runs(on_a);
        is_operator_state && types(a) == types(b) && held.is_some() && held == runs(on_b)
    }

    /// Adds the lines of one side.
    fn sort(
        &mut self,
        side: Side,
        on: &OnSide<'a>,
        info: &'a StateInfo,
        sorter: &mut Sorter,
    ) -> Result<()> {
        let is_keyed = info.kind.is_keyed();
        for (owned, part) in on.ranged()? {
            let Some(part) = part else { continue };
            let wanted = owned.intersect(self.filter.range).filter(|_| is_keyed);
            let range = if is_keyed { wanted } else { Some(KeyGroupRange::ALL) };
            let Some(range) = range else { continue };
            let mut lines = Lines::new(on, info, part, self.filter.expired);
            let mut failed = None;
            let mut add = |entry: Entry<'_>| {
                let Some((id, key)) = entry.key.split_first_chunk() else { return Ok(()) };
                if u32::from_be_bytes(*id) != info.id {
                    return Ok(());
                }
                let Some(line) = lines.of(key, entry.value) else { return Ok(()) };
                let marked = format!("{line}{}{}", char::from(MARK), side as u8);
                sorter.add(&marked).map_err(|error| {
                    failed = Some(error);
                    Error::new(ErrorKind::Retry, "sorting ended")
                })
            };
            let read = self.read(on, (part, owned, range), info, &mut add);
            if let Some(error) = failed {
                return Err(of_files(error));
            }
            for damage in read?.into_iter().chain(lines.refused(range)) {
                self.damaged(side, is_keyed, damage);
            }
        }
        Ok(())
    }

    /// Calls `f` with the entries of a state in a part; returns what is damaged.
    fn read(
        &self,
        on: &OnSide<'a>,
        (part, owned, range): (&Part, KeyGroupRange, KeyGroupRange),
        info: &'a StateInfo,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<Vec<Damage>> {
        let store = &on.snapshot.store;
        let from_runs = |runs: &[RunRef], f: &mut dyn FnMut(Entry<'_>) -> Result<()>| {
            let chain = block_on(ChainReader::open_salvaging(store, runs))?;
            chain.merge(range, Some(info.id), f)?;
            Ok(chain.damage())
        };
        if !info.kind.is_keyed() {
            return from_runs(part.operator_run.as_slice(), f);
        }
        if part.native.is_none() {
            return from_runs(&part.runs, f);
        }
        match Database::open(store, part, owned, &[info]) {
            Ok((database, damage)) => {
                if let Some(rows) = database.rows() {
                    rows.merge(range, info.id, f)?;
                }
                Ok(damage)
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let lost = vec![Lost { state: Some(info.id), range: owned }];
                Ok(vec![Damage { error, entries: None, lost }])
            }
            Err(error) => Err(error),
        }
    }
}

fn of_files(error: io::Error) -> Error {
    let message = format!("the temporary folder, in which lines are sorted, fails: {error}");
    Error::new(ErrorKind::Retry, message).with_source(error)
}

/// Equal lines, which come one after the other, counted by side.
struct Counted<'c> {
    each: &'c mut dyn FnMut(Side, &str) -> Result<()>,
    state: &'c mut StateDiff,
    /// Whether a line counts once, however often it is there.
    once: bool,
    line: Vec<u8>,
    counts: [u64; 2],
}

impl Counted<'_> {
    /// Takes the next line, with its mark.
    fn add(&mut self, marked: &[u8]) -> Result<()> {
        let at = marked.iter().rposition(|byte| *byte == MARK).unwrap_or(marked.len());
        let (line, mark) = marked.split_at(at);
        if line != self.line {
            self.tell()?;
            self.line.clear();
            self.line.extend_from_slice(line);
        }
        let side = usize::from(mark.last() == Some(&b'1'));
        self.counts[side] = if self.once { 1 } else { self.counts[side] + 1 };
        Ok(())
    }

    /// Says which side holds the line more often, and begins anew.
    fn tell(&mut self) -> Result<()> {
        let [a, b] = std::mem::take(&mut self.counts);
        self.state.equal += a.min(b);
        let (side, more) = if a > b { (Side::A, a - b) } else { (Side::B, b - a) };
        *self.state.alone(side) += more;
        let line = String::from_utf8_lossy(&self.line);
        (0..more).try_for_each(|_| (self.each)(side, &line))
    }
}
