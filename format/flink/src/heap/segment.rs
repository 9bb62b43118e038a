//! Values that cannot be read: where they end, if what stands between them allows one answer alone.
//!
//! In front of each value stand its namespace and its key. They must be readable, and a key's hash must lead to the key group that it
//! lies in. Every position at which such a pair stands is a candidate for the begin of an entry; of the ways to choose as many of them
//! as there are entries, so that each value takes at least a byte, exactly one must fit.

use super::{HeapFormat, StateFormat};
use crate::key_group::key_group;
use crate::{FormatError, FormatErrorKind, Input, Result, Serializer};
use std::collections::HashMap;

/// How much is tried in a key group, or in a state that is compressed by itself: bytes and values looked at, and steps of the choice.
/// So much always, more for each of its bytes, and never above the last.
const WORK_ALWAYS: usize = 1 << 20;
const WORK_PER_BYTE: usize = 256;
const WORK_MAX: usize = 1 << 28;
/// Candidates in a key group; each takes 8 bytes of memory.
const CANDIDATES_MAX: usize = 1 << 20;
/// Entries of a state times candidates to spare; each takes a byte.
const CHOICES_MAX: usize = 1 << 24;

/// A position where an entry may begin, and where its value would.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    at: u32,
    value: u32,
}

impl Candidate {
    pub(super) fn at(self) -> usize {
        self.at as usize
    }

    fn value(self) -> usize {
        self.value as usize
    }
}

/// What may still be tried.
pub(super) struct Work {
    steps: usize,
    candidates: usize,
}

impl Work {
    pub(super) fn new(input: &Input<'_>) -> Self {
        let of_bytes = input.remaining().saturating_mul(WORK_PER_BYTE);
        let steps = of_bytes.saturating_add(WORK_ALWAYS).min(WORK_MAX);
        Self { steps, candidates: CANDIDATES_MAX }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<()> {
        self.steps = self.steps.checked_sub(steps).ok_or_else(too_much)?;
        Ok(())
    }

    fn candidate(&mut self, at: usize, value: usize) -> Result<Candidate> {
        self.candidates = self.candidates.checked_sub(1).ok_or_else(too_much)?;
        match (u32::try_from(at), u32::try_from(value)) {
            (Ok(at), Ok(value)) => Ok(Candidate { at, value }),
            _ => Err(too_much()),
        }
    }
}

fn too_much() -> FormatError {
    unreadable("too much would have to be tried to find where values end that cannot be read")
}

pub(super) fn unreadable(message: &str) -> FormatError {
    FormatError::new(FormatErrorKind::Incompatible, super::WHAT, message)
}

impl HeapFormat<'_> {
    /// Where the values of `state` end, all of whose `count` entries stand in `input`, up to its end.
    pub(super) fn segment(
        &self,
        group: u16,
        state: u16,
        count: usize,
        input: &Input<'_>,
    ) -> Result<HashMap<u16, Vec<usize>>> {
        let mut work = Work::new(input);
        let candidates = self.candidates(group, state, input, &mut work)?;
        let end = input.position() + input.remaining();
        let found = choose(&candidates, count, end, &mut work)?;
        let ends = self.only(state, found)?;
        Ok([(state, ends)].into())
    }

    /// The one way that was found, if there was one alone.
    pub(super) fn only<T>(&self, state: u16, mut found: Ways<T>) -> Result<T> {
        let class = self.state(state).and_then(StateFormat::opaque).unwrap_or_default();
        match (found.number, found.way.take()) {
            (1, Some(way)) => Ok(way),
            (0, _) => Err(unreadable(&format!(
                "values that {class} wrote: nothing fits what is around them"
            ))),
            _ => Err(unreadable(&format!(
                "values that {class} wrote: there are several ways to tell them apart"
            ))),
        }
    }

    /// Where entries of `state` may begin, from where `input` stands on, ascending.
    pub(super) fn candidates(
        &self,
        group: u16,
        state: u16,
        input: &Input<'_>,
        work: &mut Work,
    ) -> Result<Vec<Candidate>> {
        let Some(StateFormat::Entries { namespace, key, .. }) = self.state(state) else {
            return Ok(Vec::new());
        };
        let mut candidates = Vec::new();
        let mut input = input.clone();
        while !input.is_empty() {
            let at = input.position();
            let mut tried = input.clone();
            let mut cost = 4;
            let fits = self.pair_fits(group, namespace, key, &mut tried, &mut cost);
            work.spend(cost)?;
            if fits && !tried.is_empty() {
                candidates.push(work.candidate(at, tried.position())?);
            }
            input.skip(1);
        }
        Ok(candidates)
    }

    /// Whether a namespace and a key of the key group stand here.
    fn pair_fits(
        &self,
        group: u16,
        namespace: &Serializer,
        key: &Serializer,
        input: &mut Input<'_>,
        cost: &mut usize,
    ) -> bool {
        let start = input.position();
        // A namespace that is always the same bytes is worth much: one that would be written otherwise is none.
        if namespace.is_void_namespace() && !input.rest().starts_with(&[0]) {
            return false;
        }
        if namespace.skip_counting(&mut input.clone(), cost).is_err() {
            return false;
        }
        let Ok(value) = namespace.decode(input) else { return false };
        let mut again = Vec::new();
        if namespace.encode(&value, &mut again).is_err() || again != input.since(start) {
            return false;
        }
        let mut key_alone = input.clone();
        if key.skip_counting(input, cost).is_err() {
            return false;
        }
        match key.hash_bytes(&mut key_alone) {
            Ok(hash) => key_group(hash, self.max_parallelism) == group,
            // The class decides it: nothing can be said.
            Err(error) => error.kind == FormatErrorKind::Incompatible,
        }
    }
}

/// How many ways there are, counted up to 2, and one of them.
pub(super) struct Ways<T> {
    pub(super) number: u8,
    pub(super) way: Option<T>,
}

/// The ways to choose `count` of the candidates, the first one among them, so that each value takes a byte or more and the last ends at
/// `end`: where the values end.
pub(super) fn choose(
    candidates: &[Candidate],
    count: usize,
    end: usize,
    work: &mut Work,
) -> Result<Ways<Vec<usize>>> {
    let inside = candidates.partition_point(|candidate| candidate.at() < end);
    let candidates = &candidates[..inside];
    // Each entry takes a candidate of its own, so the one with number n is among `spare` + 1 from the nth on.
    let Some(spare) = candidates.len().checked_sub(count) else {
        return Ok(Ways { number: 0, way: None });
    };
    let choices = count.saturating_mul(spare + 1);
    if choices > CHOICES_MAX {
        return Err(too_much());
    }
    work.spend(choices)?;
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for number in 0..count {
        let row = match rows.last() {
            None => {
                let mut row = vec![0; spare + 1];
                row[0] = 1;
                row
            }
            Some(before) => next_row(&candidates[number - 1..], before, &candidates[number..]),
        };
        rows.push(row);
    }
    Ok(last_row(candidates, &rows, end))
}

/// In how many ways the entry that follows those of `before` can begin at each of its candidates.
fn next_row(from: &[Candidate], before: &[u8], to: &[Candidate]) -> Vec<u8> {
    // By where their values begin: candidates further on come to precede more and more of them.
    let mut order: Vec<usize> = (0..before.len()).filter(|at| before[*at] > 0).collect();
    order.sort_by_key(|at| from[*at].value());
    let mut preceding = order.into_iter().peekable();
    let mut ways = 0_u8;
    let row = to[..before.len()].iter().map(|candidate| {
        while let Some(at) = preceding.next_if(|at| from[*at].value() < candidate.at()) {
            ways = ways.saturating_add(before[at]).min(2);
        }
        ways
    });
    row.collect()
}

/// Counts the ways that end at `end`, and follows one of them back.
fn last_row(candidates: &[Candidate], rows: &[Vec<u8>], end: usize) -> Ways<Vec<usize>> {
    let mut number = 0_u8;
    let mut ends = vec![0; rows.len()];
    let mut border = end;
    for (place, row) in rows.iter().enumerate().rev() {
        let fitting = row
            .iter()
            .enumerate()
            .filter(|(at, ways)| **ways > 0 && candidates[place + at].value() < border);
        let mut total = 0_u8;
        let mut chosen = None;
        for (at, ways) in fitting {
            total = total.saturating_add(*ways).min(2);
            chosen = Some(place + at);
        }
        if place + 1 == rows.len() {
            number = total;
        }
        let Some(chosen) = chosen else { return Ways { number: 0, way: None } };
        ends[place] = border;
        border = candidates[chosen].at();
    }
    Ways { number, way: Some(ends) }
}
