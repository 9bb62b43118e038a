//! Where values end that cannot be read, in a key group that holds other states behind them.
//!
//! Nothing says where a state ends but that what follows is another state, and so on to the end of the key group: every such end is
//! tried, and all of it must fit in one way alone.

use super::segment::{Candidate, Ways, Work, choose, unreadable};
use super::{HeapFormat, read_state};
use crate::{Input, Result};
use std::collections::HashMap;

/// States with such values in one key group; more are not tried.
const OPAQUE_STATES_MAX: usize = 8;

/// Where the values of each such state end.
type Borders = HashMap<u16, Vec<usize>>;

struct Solver<'s, 'h, 'a> {
    format: &'s HeapFormat<'h>,
    group: u16,
    /// The key group from the first entry of the first such state on.
    input: Input<'a>,
    candidates: HashMap<u16, Vec<Candidate>>,
    work: Work,
}

impl HeapFormat<'_> {
    /// Where the values of `state`, whose `count` entries begin where `input` stands, and those of states behind it end. `seen` are the
    /// states up to this one.
    pub(super) fn solve(
        &self,
        group: u16,
        state: u16,
        count: usize,
        input: &Input<'_>,
        seen: &[bool],
    ) -> Result<Borders> {
        let mut solver = Solver {
            format: self,
            group,
            input: input.clone(),
            candidates: HashMap::new(),
            work: Work::new(input),
        };
        let found = solver.opaque(state, count, input.clone(), &mut seen.to_vec(), 0)?;
        self.only(state, found)
    }
}

impl<'a> Solver<'_, '_, 'a> {
    /// The ways to read the entries of a state whose values cannot be read, and all that follows.
    fn opaque(
        &mut self,
        state: u16,
        count: usize,
        mut input: Input<'a>,
        seen: &mut [bool],
        depth: usize,
    ) -> Result<Ways<Borders>> {
        if depth >= OPAQUE_STATES_MAX {
            return Err(unreadable("too many states have values that cannot be read"));
        }
        if !self.candidates.contains_key(&state) {
            let found = self.format.candidates(self.group, state, &self.input, &mut self.work)?;
            self.candidates.insert(state, found);
        }
        let mut all = Ways { number: 0, way: None };
        let from = input.position();
        if self.from(state, from).first().is_none_or(|first| first.at() != from) {
            return Ok(all);
        }
        let last = seen.iter().all(|seen| *seen);
        loop {
            // A value takes a byte, and so does what is in front of it.
            input.skip(1);
            if last {
                input.skip(usize::MAX);
            }
            let after = self.states(input.clone(), seen, depth)?;
            if after.number > 0 {
                let own = self.own(state, count, from, input.position())?;
                all.number =
                    all.number.saturating_add(own.number.saturating_mul(after.number)).min(2);
                if let (Some(ends), Some(mut borders)) = (own.way, after.way) {
                    borders.insert(state, ends);
                    all.way = Some(borders);
                }
            }
            if input.is_empty() || all.number > 1 {
                return Ok(all);
            }
        }
    }

    fn from(&self, state: u16, position: usize) -> &[Candidate] {
        let candidates = self.candidates.get(&state).map(Vec::as_slice).unwrap_or_default();
        &candidates[candidates.partition_point(|candidate| candidate.at() < position)..]
    }

    fn own(
        &mut self,
        state: u16,
        count: usize,
        from: usize,
        end: usize,
    ) -> Result<Ways<Vec<usize>>> {
        let candidates = self.candidates.get(&state).map(Vec::as_slice).unwrap_or_default();
        let first = candidates.partition_point(|candidate| candidate.at() < from);
        choose(&candidates[first..], count, end, &mut self.work)
    }

    /// The ways to read what follows, from the front of a state up to the end of the key group.
    fn states(
        &mut self,
        mut input: Input<'a>,
        seen: &mut [bool],
        depth: usize,
    ) -> Result<Ways<Borders>> {
        let mut begun = Vec::new();
        let found = self.states_marking(&mut input, seen, &mut begun, depth);
        begun.into_iter().for_each(|state: u16| seen[usize::from(state)] = false);
        found
    }

    fn states_marking(
        &mut self,
        input: &mut Input<'a>,
        seen: &mut [bool],
        begun: &mut Vec<u16>,
        depth: usize,
    ) -> Result<Ways<Borders>> {
        let none = Ways { number: 0, way: None };
        loop {
            if input.is_empty() {
                self.work.spend(seen.len())?;
                let fits = seen.iter().all(|seen| *seen);
                return Ok(if fits { Ways { number: 1, way: Some(Borders::new()) } } else { none });
            }
            self.work.spend(1)?;
            let Ok((state, count)) = read_state(input, seen) else { return Ok(none) };
            seen[usize::from(state)] = true;
            begun.push(state);
            let Some(format) = self.format.state(state) else { return Ok(none) };
            if count > 0 && format.opaque().is_some() {
                return self.opaque(state, count, input.clone(), seen, depth + 1);
            }
            for _ in 0..count {
                // One that takes no bytes is looked at too.
                let mut cost = 1;
                let read = format.entry(input, None, &mut cost);
                self.work.spend(cost)?;
                if read.is_err() {
                    return Ok(none);
                }
            }
        }
    }
}
