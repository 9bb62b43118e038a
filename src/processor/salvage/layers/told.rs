//! What is told in the end: damage, what was lost with it, and what came of each state.

use super::{Layers, Open, PartAt, Which};
use crate::processor::WrittenSavepoint;
use crate::processor::salvage::report::{
    LostKey, LostRange, NotAsked, SalvageDamage, Salvaged, StateSalvaged,
};
use crate::snapshot::read_part;
use crate::snapshot::salvage::{Found, Surveyed};
use crate::{Error, ErrorKind, Result, Store};
use esker_format::composite::CompositeKey;
use esker_format::part::Part;
use std::collections::BTreeMap;
use std::sync::PoisonError;

impl Layers<'_> {
    /// Why a part cannot be read.
    pub(super) fn part_error(&self, (source, operator, subtask): PartAt) -> Error {
        let snapshot = self.snapshots.get(source);
        let before = snapshot.into_iter().flat_map(|snapshot| {
            let parts = snapshot.parts.iter().enumerate();
            let parts = parts.flat_map(|(at, parts)| {
                parts.iter().enumerate().map(move |(subtask, part)| ((at, subtask), part))
            });
            parts.filter(|(_, part)| part.is_none()).map(|(at, _)| at)
        });
        let place = before.into_iter().position(|at| at == (operator, subtask));
        let damage = place.and_then(|place| snapshot?.damage.get(place));
        match damage.map(|damage| &damage.error) {
            Some(error) => error.again(),
            None => Error::new(ErrorKind::Corrupt, "the part cannot be read"),
        }
    }

    /// Takes note of what a chain lost; `wanted` gives the wanted state's id by the chain's own. Returns the
    /// numbers of the lost ranges, by the wanted state.
    pub(super) fn tell(
        &mut self,
        source: usize,
        open: &Open,
        chain: &Surveyed,
        wanted: impl Fn(u32) -> Option<u32>,
    ) -> BTreeMap<u32, Vec<usize>> {
        let mut told: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let uid = self.operator((0, open.operator)).map(|operator| operator.uid.clone());
        let operator = uid.unwrap_or_default();
        for found in &chain.found {
            let damage = self.damaged(source, found);
            for range in &found.ranges {
                let state = wanted(range.state);
                let Some(info) = open.states.iter().find(|info| Some(info.id) == state) else {
                    continue;
                };
                told.entry(info.id).or_default().push(self.lost.len());
                self.lost.push(LostRange {
                    source,
                    damage,
                    operator: operator.clone(),
                    state: info.name.clone(),
                    kind: info.kind,
                    subtask: match open.which {
                        Which::Keyed => None,
                        Which::Of(subtask) => Some(subtask as u32),
                    },
                    groups: range.groups,
                    from: range.from.as_ref().and_then(|key| lost_key(key, false)),
                    to: range.to.as_ref().and_then(|(key, all)| lost_key(key, *all)),
                    older: None,
                });
            }
        }
        told
    }

    /// The number of a damage, which may be known from another subtask.
    fn damaged(&mut self, source: usize, found: &Found) -> usize {
        let text = found.error.to_string();
        let is_it = |known: &SalvageDamage| {
            known.source == source
                && known.error.to_string() == text
                && known.entries == found.entries
        };
        if let Some(known) = self.damage.iter().position(is_it) {
            return known;
        }
        let (error, entries) = (found.error.again(), found.entries);
        self.damage.push(SalvageDamage { source, error, entries });
        self.damage.len() - 1
    }

    /// The times of capture of a part's states with TTL; where it cannot be read, the latest that is known.
    pub(super) fn ttl_times_ms(&self, operator: usize, subtask: usize) -> BTreeMap<u32, i64> {
        let mut times = BTreeMap::new();
        let Some(first) = self.operator((0, operator)) else { return times };
        for info in first.states.iter().filter(|info| info.ttl.is_some()) {
            let own = self.part((0, operator, subtask));
            let known = match own {
                Some(part) => part.ttl_time_ms(info.id),
                None => self.snapshots.iter().find_map(|snapshot| {
                    let operators = &snapshot.manifest.operators;
                    let at = operators.iter().position(|other| other.uid == first.uid)?;
                    let states = &operators.get(at)?.states;
                    let id = states.iter().find(|other| other.name == info.name)?.id;
                    let parts = snapshot.parts.get(at)?.iter().flatten();
                    parts.filter_map(|part| part.ttl_time_ms(id)).max()
                }),
            };
            times.extend(known.map(|time_ms| (info.id, time_ms)));
        }
        times
    }

    /// What came of it, once all is written.
    ///
    /// # Errors
    /// The store's.
    pub(in crate::processor::salvage) async fn finish(
        self,
        written: WrittenSavepoint,
        target: &Store,
    ) -> Result<Salvaged> {
        let Self { snapshots, damage, lost, not_asked, counted, .. } = self;
        let mut states = Vec::new();
        let first = snapshots.first().into_iter();
        let operators = first.flat_map(|first| first.manifest.operators.iter().zip(&first.parts));
        for (number, (operator, parts)) in operators.enumerate() {
            let mut new = Vec::new();
            let of_it = written.manifest.operators.iter().find(|new| new.uid == operator.uid);
            for part in of_it.into_iter().flat_map(|operator| &operator.parts) {
                new.push(read_part(target, part).await?);
            }
            let entries = |part: &Part, id: u32| {
                let of_state = part.states.iter().find(|state| state.id == id);
                of_state.map_or(0, |state| state.entries)
            };
            for info in &operator.states {
                let before = parts.iter().map(|part| Some(entries(part.as_ref()?, info.id)));
                let mut salvaged = StateSalvaged {
                    operator: operator.uid.clone(),
                    state: info.name.clone(),
                    kind: info.kind,
                    before: before.sum(),
                    entries: new.iter().map(|part| entries(part, info.id)).sum(),
                    taken: BTreeMap::new(),
                    withheld: 0,
                };
                for (_, counted) in counted.iter().filter(|(of, _)| *of == number) {
                    let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(counts) = counted.get(&info.id) else { continue };
                    salvaged.withheld += counts.withheld;
                    for (source, keys) in &counts.taken {
                        *salvaged.taken.entry(*source).or_default() += keys;
                    }
                }
                states.push(salvaged);
            }
        }
        let not_asked = not_asked.into_iter();
        let not_asked = not_asked
            .map(|(source, operator, state, why)| NotAsked { source, operator, state, why })
            .collect();
        Ok(Salvaged { written, damage, lost, states, not_asked })
    }
}

/// An end of a range, out of a composite key without its state.
fn lost_key(key: &[u8], all: bool) -> Option<LostKey> {
    let full = [&[0; 4], key].concat();
    let parts = CompositeKey::decode(&full).ok()?;
    let user_key = (!all).then(|| parts.user_key.into_owned());
    let (key, namespace) = (parts.key.into_owned(), parts.namespace.into_owned());
    Some(LostKey { key, namespace, user_key })
}
