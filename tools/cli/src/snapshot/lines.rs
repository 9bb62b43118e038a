//! The canonical lines of a snapshot, one after the other: operators in the manifest's order, their
//! subtasks, and in each the order of runs. Memory: a span and a block of each run of one subtask.

use super::harm::Harm;
use super::native::Entries;
use esker::format::KeyGroupRange;
use esker::format::canonical::{Canonical, Expired};
use esker::format::manifest::{Operator, StateInfo, TypeInfo};
use esker::format::part::{Part, RunRef};
use esker::format::run::Entry;
use esker::processor::DiffFilter;
use esker::snapshot::{Lost, OpenSnapshot};
use esker::{Error, ErrorKind};
use std::collections::{BTreeMap, BTreeSet};

/// Which lines.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// Of this operator alone.
    pub(crate) operator: Option<String>,
    /// Of states of this name alone.
    pub(crate) state: Option<String>,
    /// Of these key groups alone; all, or there is no operator state either.
    pub(crate) range: KeyGroupRange,
    pub(crate) expired: Expired,
}

impl Default for Filter {
    fn default() -> Self {
        let (operator, state) = (None, None);
        Self { operator, state, range: KeyGroupRange::ALL, expired: Expired::Hidden }
    }
}

impl Filter {
    /// Whether `snapshot` has what is asked for.
    ///
    /// # Errors
    /// `Invalid`, naming what there is instead.
    pub(crate) fn check(&self, snapshot: &OpenSnapshot) -> Result<(), Error> {
        let operators = || snapshot.manifest.operators.iter();
        if let Some(uid) = &self.operator {
            esker::snapshot::find_operator(&snapshot.manifest, uid)?;
        }
        if operators()
            .filter(|operator| self.wants(operator))
            .any(|o| self.states(o).next().is_some())
            || self.state.is_none()
        {
            return Ok(());
        }
        let names = operators().filter(|operator| self.wants(operator)).flat_map(|o| &o.states);
        let names: BTreeSet<_> = names.map(|state| &state.name).collect();
        let state = self.state.as_deref().unwrap_or_default();
        let message = format!("the snapshot has no state {state:?}; it has {names:?}");
        Err(Error::new(ErrorKind::Invalid, message))
    }

    /// The states that lines can be of, each with the key type of its operator.
    pub(crate) fn states_of<'a>(
        &'a self,
        snapshot: &'a OpenSnapshot,
    ) -> impl Iterator<Item = (Option<&'a TypeInfo>, &'a StateInfo)> {
        let operators = snapshot.manifest.operators.iter();
        let wanted = operators.filter(|operator| self.wants(operator));
        wanted.flat_map(|o| self.states(o).map(|state| (o.key.as_ref(), state)))
    }

    fn wants(&self, operator: &Operator) -> bool {
        self.operator.as_ref().is_none_or(|uid| *uid == operator.uid)
    }

    fn states<'a>(&self, operator: &'a Operator) -> impl Iterator<Item = &'a StateInfo> {
        let name = self.state.clone();
        operator.states.iter().filter(move |state| name.as_ref().is_none_or(|n| *n == state.name))
    }

    /// The same of two snapshots.
    pub(crate) fn of_diff(&self) -> DiffFilter {
        let Self { operator, state, range, expired } = self.clone();
        DiffFilter { operator, state, range, expired }
    }

    /// Of what was found damaged, what was asked for.
    pub(crate) fn touched(&self, harm: &Harm) -> bool {
        harm.touches(|lost| {
            let groups = KeyGroupRange::new(lost.key_group_first, lost.key_group_last);
            self.operator.as_ref().is_none_or(|uid| *uid == lost.operator)
                && self.state.as_ref().is_none_or(|name| *name == lost.state)
                && groups.is_ok_and(|groups| groups.intersect(self.range).is_some())
        })
    }
}

/// Calls `each` with every line that `filter` asks for, and `progress` now and then with how many
/// entries were read since the last time. What is damaged is passed over and returned; where a newer
/// run is damaged, what older ones say of its key groups is what there is.
///
/// # Errors
/// Those of `each`, and the store's that are no damage.
pub(crate) fn each_line(
    snapshot: &OpenSnapshot,
    filter: &Filter,
    progress: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<Vec<Harm>, Error> {
    let mut harms = part_harms(snapshot);
    let operators = snapshot.manifest.operators.iter().zip(&snapshot.parts);
    for (operator, parts) in operators.filter(|(operator, _)| filter.wants(operator)) {
        for (subtask, part) in parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let mut work = Work { operator, part, filter, progress, each, harms: &mut harms };
            if let Some(range) = operator.range(subtask)?.intersect(filter.range) {
                work.keyed(&snapshot.store, operator.range(subtask)?, range)?;
            }
            if let Some(run) =
                part.operator_run.as_ref().filter(|_| filter.range == KeyGroupRange::ALL)
            {
                work.operator(&snapshot.store, run)?;
            }
        }
    }
    harms.retain(|harm| filter.touched(harm));
    Ok(harms)
}

/// The parts that could not be read, with whose they are.
pub(crate) fn part_harms(snapshot: &OpenSnapshot) -> Vec<Harm> {
    let operators = snapshot.manifest.operators.iter().zip(&snapshot.parts);
    let absent = operators.flat_map(|(operator, parts)| {
        parts.iter().filter(|part| part.is_none()).map(move |_| operator)
    });
    let named = absent.zip(&snapshot.damage);
    named.map(|(operator, damage)| Harm::of_damage(damage, operator, |_| true)).collect()
}

/// A line is counted as progress every so many entries.
const PROGRESS_ENTRIES: u64 = 1024;

struct Work<'a> {
    operator: &'a Operator,
    part: &'a Part,
    filter: &'a Filter,
    progress: &'a mut dyn FnMut(u64),
    each: &'a mut dyn FnMut(&str) -> Result<(), Error>,
    harms: &'a mut Vec<Harm>,
}

impl Work<'_> {
    /// Keyed state in the key groups of `range`; the part owns `owned`.
    fn keyed(
        &mut self,
        store: &esker::Store,
        owned: KeyGroupRange,
        range: KeyGroupRange,
    ) -> Result<(), Error> {
        let states: Vec<_> =
            self.filter.states(self.operator).filter(|info| info.kind.is_keyed()).collect();
        if states.is_empty() {
            return Ok(());
        }
        match Entries::open(store, (self.part, owned), &self.part.runs, states) {
            Ok(entries) => self.lines(entries, range, true),
            // What this build does not read is not there for it; the rest is.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                let keyed = |info: &StateInfo| info.kind.is_keyed();
                let lost = [Lost { state: None, range }];
                self.harms.push(Harm::of(&error).losing(self.operator, &lost, keyed));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn operator(&mut self, store: &esker::Store, run: &RunRef) -> Result<(), Error> {
        let entries = Entries::of_run(store, run, self.filter.states(self.operator))?;
        self.lines(entries, KeyGroupRange::ALL, false)
    }

    fn lines(
        &mut self,
        mut entries_of: Entries,
        range: KeyGroupRange,
        keyed: bool,
    ) -> Result<(), Error> {
        let states = self.filter.states(self.operator).filter(|info| info.kind.is_keyed() == keyed);
        let canonical: BTreeMap<u32, Canonical<'_>> = states
            .map(|info| {
                let mut canonical =
                    Canonical::new(&self.operator.uid, self.operator.key.as_ref(), info);
                canonical.at(self.part.ttl_time_ms(info.id), self.filter.expired);
                (info.id, canonical)
            })
            .collect();
        let one = self.filter.state.as_ref().and_then(|_| canonical.keys().next().copied());
        let mut line = String::new();
        let mut entries = 0;
        // By state: a value that its schema does not fit is as a rule not alone.
        let mut refused: BTreeMap<u32, (Error, u64)> = BTreeMap::new();
        if !canonical.is_empty() {
            entries_of.merge(range, one, &mut |entry: Entry<'_>| {
                entries += 1;
                if entries % PROGRESS_ENTRIES == 0 {
                    (self.progress)(PROGRESS_ENTRIES);
                }
                let Some((id, canonical)) =
                    state_of(entry.key).and_then(|id| canonical.get_key_value(&id))
                else {
                    return Ok(());
                };
                line.clear();
                match canonical.write(entry, &mut line) {
                    Ok(true) => (self.each)(&line),
                    Ok(false) => Ok(()),
                    Err(error) => {
                        refused.entry(*id).or_insert_with(|| (error.into(), 0)).1 += 1;
                        Ok(())
                    }
                }
            })?;
        }
        (self.progress)(entries % PROGRESS_ENTRIES);
        let found = entries_of.damage();
        let holds = |info: &StateInfo| info.kind.is_keyed() == keyed;
        let found = found.iter().map(|damage| Harm::of_damage(damage, self.operator, holds));
        self.harms.extend(found);
        for (id, (error, entries)) in refused {
            let harm = Harm { entries: Some(entries), ..Harm::of(&error) };
            self.harms.push(harm.losing(self.operator, &[Lost { state: Some(id), range }], holds));
        }
        Ok(())
    }
}

fn state_of(key: &[u8]) -> Option<u32> {
    key.first_chunk().map(|state| u32::from_be_bytes(*state))
}
