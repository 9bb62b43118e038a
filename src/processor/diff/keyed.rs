//! Keyed state, key by key: parts of both sides by the key groups that they share.

use super::database::{self, Database};
use super::render::{Lines, are_twins};
use super::{Side, StateDiff, States, Work};
use crate::snapshot::pair::{Both, Pair, PairReader, PairSink, SideEntries};
use crate::snapshot::{Damage, Lost};
use crate::{ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::part::Part;

/// Key groups that one part of each side holds.
struct Share<'a> {
    range: KeyGroupRange,
    /// Whose parts they are: the number, its key groups, and the part if it could be read.
    parts: [Option<(usize, KeyGroupRange, Option<&'a Part>)>; 2],
}

/// The databases that are open, with the number of the part.
type Databases = [Option<(usize, Option<Database>)>; 2];

impl<'a> Work<'a, '_> {
    /// Compares `pairs` in the key groups of the filter.
    ///
    /// # Errors
    /// As for [`diff`](super::diff()).
    pub(super) fn keyed(
        &mut self,
        pairs: &[States<'a>],
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<StateDiff>> {
        let states = pairs.iter().filter_map(|pair| StateDiff::new(self.uid, *pair));
        let mut states: Vec<StateDiff> = states.collect();
        let mut databases = Databases::default();
        for share in self.shares()? {
            if !pairs.is_empty() {
                self.share(&share, pairs, &mut states, &mut databases)?;
            }
            progress(share.range.count().into());
        }
        Ok(states)
    }

    /// The key groups of the filter, by the parts that hold them.
    fn shares(&self) -> Result<Vec<Share<'a>>> {
        let mut firsts = vec![u32::from(self.filter.range.first())];
        let mut sides = Vec::new();
        for side in &self.sides {
            let ranged = side.as_ref().map(|side| side.ranged()).transpose()?.unwrap_or_default();
            let within =
                ranged.iter().filter(|(range, _)| self.filter.range.contains(first(*range)));
            firsts.extend(within.map(|(range, _)| u32::from(range.first())));
            sides.push(ranged);
        }
        firsts.sort_unstable();
        firsts.dedup();
        let ends = firsts.iter().skip(1).copied();
        let ends = ends.chain([u32::from(self.filter.range.last()) + 1]);
        let shares = firsts.iter().zip(ends).map(|(first, end)| {
            let range = KeyGroupRange::new(*first as u16, (end - 1) as u16)?;
            let part = |side: usize| {
                let ranged = sides.get(side)?;
                let at = ranged.iter().position(|(owned, _)| owned.intersect(range).is_some())?;
                ranged.get(at).map(|(owned, part)| (at, *owned, *part))
            };
            Ok(Share { range, parts: [part(0), part(1)] })
        });
        shares.collect()
    }

    fn share(
        &mut self,
        share: &Share<'a>,
        pairs: &[States<'a>],
        states: &mut [StateDiff],
        databases: &mut Databases,
    ) -> Result<()> {
        // What a part held that is gone, nobody knows.
        if share.parts.iter().flatten().any(|(.., part)| part.is_none()) {
            return Ok(());
        }
        let parts = share.parts.map(|part| part.and_then(|(.., part)| part));
        let on = [self.sides[0].clone(), self.sides[1].clone()];
        let mut compared = Vec::new();
        for (number, states_of) in pairs.iter().enumerate() {
            let sides = [on[0].as_ref(), on[1].as_ref()];
            let are_twins = are_twins(*states_of, sides, parts, self.filter.expired);
            if are_twins && database::are_same(parts, *states_of) {
                states[number].shared_key_groups += share.range.count();
                continue;
            }
            let line = |side: usize| {
                let (on, info, part) = (sides[side]?, states_of[side]?, parts[side]?);
                Some(Lines::new(on, info, part, self.filter.expired))
            };
            let ids = states_of.map(|info| info.map(|info| info.id));
            let pair = Pair { states: ids, all: !are_twins };
            compared.push((number, pair, [line(0), line(1)]));
        }
        if compared.is_empty() {
            return Ok(());
        }
        for (side, at) in share.parts.iter().enumerate() {
            // A part that has other key groups too is asked for other states there.
            let is_last = at.is_some_and(|(_, owned, _)| {
                owned.intersect(self.filter.range) == Some(share.range)
            });
            let numbers = compared.iter().map(|(number, ..)| *number);
            let infos: Vec<_> = match is_last {
                true => numbers.filter_map(|number| pairs[number][side]).collect(),
                false => pairs.iter().filter_map(|pair| pair[side]).collect(),
            };
            if !self.open(Side::BOTH[side], *at, &infos, &mut databases[side])? {
                return Ok(());
            }
        }
        let entries = |side: usize| {
            // Where there is nothing, it is read from wherever.
            let store = on[side].as_ref().or(on[1 - side].as_ref()).map(|on| &on.snapshot.store)?;
            let runs = parts[side].map_or(&[][..], |part| &part.runs);
            let rows = databases[side].as_ref().and_then(|(_, found)| found.as_ref()?.rows());
            Some(SideEntries { store, runs, rows })
        };
        let (Some(a), Some(b)) = (entries(0), entries(1)) else { return Ok(()) };
        let ids: Vec<Pair> = compared.iter().map(|(_, pair, _)| *pair).collect();
        let mut sink = Compare { compared, states, each: &mut *self.each };
        let damage = PairReader::new([a, b], share.range).merge(&ids, &mut sink)?;
        let refused: Vec<_> = sink
            .compared
            .into_iter()
            .flat_map(|(.., lines)| Side::BOTH.into_iter().zip(lines))
            .filter_map(|(side, lines)| Some((side, lines?.refused(share.range)?)))
            .collect();
        for (side, damage) in Side::BOTH.into_iter().zip(damage) {
            damage.into_iter().for_each(|damage| self.damaged(side, true, damage));
        }
        refused.into_iter().for_each(|(side, damage)| self.damaged(side, true, damage));
        Ok(())
    }

    /// Opens the database of a part, if it has one and it is not open; false if it cannot be read.
    fn open(
        &mut self,
        side: Side,
        at: Option<(usize, KeyGroupRange, Option<&'a Part>)>,
        infos: &[&'a esker_format::manifest::StateInfo],
        open: &mut Option<(usize, Option<Database>)>,
    ) -> Result<bool> {
        let Some((number, owned, Some(part))) = at else {
            *open = None;
            return Ok(true);
        };
        if part.native.is_none() {
            *open = None;
            return Ok(true);
        }
        if let Some((_, database)) = open.as_ref().filter(|(of, _)| *of == number) {
            return Ok(database.is_some());
        }
        // One folder goes before the next one comes.
        *open = None;
        let Some(on) = self.sides[side as usize].clone() else { return Ok(true) };
        match Database::open(&on.snapshot.store, part, owned, infos) {
            Ok((database, damage)) => {
                damage.into_iter().for_each(|damage| self.damaged(side, true, damage));
                *open = Some((number, Some(database)));
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let lost = vec![Lost { state: None, range: owned }];
                self.damaged(side, true, Damage { error, entries: None, lost });
                *open = Some((number, None));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

fn first(range: KeyGroupRange) -> esker_format::KeyGroup {
    esker_format::KeyGroup(range.first())
}

/// Compares what comes up, and counts it.
struct Compare<'a, 's> {
    /// The number of the state, and its lines on each side.
    compared: Vec<(usize, Pair, [Option<Lines<'a>>; 2])>,
    states: &'s mut [StateDiff],
    each: &'s mut dyn FnMut(Side, &str) -> Result<()>,
}

impl PairSink for Compare<'_, '_> {
    fn both(&mut self, number: usize, both: Both<'_>) -> Result<()> {
        let Both { key, values } = both;
        let Some((at, pair, [lines_a, lines_b])) = self.compared.get_mut(number) else {
            return Ok(());
        };
        let Some(state) = self.states.get_mut(*at) else { return Ok(()) };
        if !pair.all && values[0] == values[1] {
            state.equal += 1;
            return Ok(());
        }
        let a = values[0].and_then(|value| lines_a.as_mut()?.of(key, value));
        let b = values[1].and_then(|value| lines_b.as_mut()?.of(key, value));
        match (a, b) {
            (None, None) => return Ok(()),
            (Some(_), None) => state.only_in_a += 1,
            (None, Some(_)) => state.only_in_b += 1,
            (Some(a), Some(b)) if a == b => {
                state.equal += 1;
                return Ok(());
            }
            (Some(_), Some(_)) => state.changed += 1,
        }
        a.map_or(Ok(()), |line| (self.each)(Side::A, line))?;
        b.map_or(Ok(()), |line| (self.each)(Side::B, line))
    }

    fn same(&mut self, number: usize, range: KeyGroupRange) {
        let state = self.compared.get(number).and_then(|(at, ..)| self.states.get_mut(*at));
        if let Some(state) = state {
            state.shared_key_groups += range.count();
        }
    }
}
