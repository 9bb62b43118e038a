//! What differs between two snapshots, by what they hold and not by how it is stored.

mod database;
mod keyed;
mod loose;
mod metadata;
mod render;
#[cfg(test)]
mod tests;

pub use metadata::{Difference, TypeRole, What};

use crate::snapshot::{Damage, OpenSnapshot};
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::canonical::Expired;
use esker_format::manifest::{Operator, StateInfo, StateKind};
use esker_format::part::Part;
use std::collections::BTreeSet;

/// One of two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    const BOTH: [Self; 2] = [Self::A, Self::B];
}

/// What to compare.
#[derive(Debug, Clone)]
pub struct DiffFilter {
    /// This operator alone.
    pub operator: Option<String>,
    /// States of this name alone.
    pub state: Option<String>,
    /// These key groups alone; all, or there is no operator state either.
    pub range: KeyGroupRange,
    /// Whether what had expired at the time of its snapshot counts.
    pub expired: Expired,
}

impl Default for DiffFilter {
    fn default() -> Self {
        let (operator, state) = (None, None);
        Self { operator, state, range: KeyGroupRange::ALL, expired: Expired::Hidden }
    }
}

/// How a state of A compares with that of the same operator, name and kind in B. Entries are counted as
/// canonical lines: one per value, list, map entry, timer and element of operator state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDiff {
    /// The operator's uid.
    pub operator: String,
    /// The state's name.
    pub state: String,
    /// Its kind; a state whose kind is another one in B is two.
    pub kind: StateKind,
    /// Whether A has the state, and whether B does.
    pub stands_in: [bool; 2],
    /// Entries whose key, namespace and user key A alone holds; elements of operator state that it holds
    /// more often.
    pub only_in_a: u64,
    /// The same of B.
    pub only_in_b: u64,
    /// Entries under the same key, namespace and user key, with another value or time.
    pub changed: u64,
    /// Entries that were looked at and are the same: those of shared runs mostly are not.
    pub equal: u64,
    /// Key groups of which nothing was read, as both sides hold the same runs of them.
    pub shared_key_groups: u32,
}

impl StateDiff {
    fn new(operator: &str, [a, b]: [Option<&StateInfo>; 2]) -> Option<Self> {
        let info = a.or(b)?;
        Some(Self {
            operator: operator.to_owned(),
            state: info.name.clone(),
            kind: info.kind,
            stands_in: [a.is_some(), b.is_some()],
            only_in_a: 0,
            only_in_b: 0,
            changed: 0,
            equal: 0,
            shared_key_groups: 0,
        })
    }

    /// Whether no entry differs.
    pub fn is_same(&self) -> bool {
        self.only_in_a == 0 && self.only_in_b == 0 && self.changed == 0
    }

    fn alone(&mut self, side: Side) -> &mut u64 {
        match side {
            Side::A => &mut self.only_in_a,
            Side::B => &mut self.only_in_b,
        }
    }
}

/// Something that could not be read.
#[derive(Debug)]
pub struct DiffDamage {
    /// Of which snapshot; a run of both that is damaged is read, and named, once.
    pub side: Side,
    /// The uid of the operator that holds it.
    pub operator: String,
    /// Whether it is keyed state, or operator state.
    pub is_keyed: bool,
    /// What it is; ids of states are those of its snapshot.
    pub damage: Damage,
}

/// What [`diff()`] found.
#[derive(Debug, Default)]
pub struct Diff {
    /// Every state that was asked for, in order of uid and name.
    pub states: Vec<StateDiff>,
    /// What the manifests say differently of operators and states.
    pub metadata: Vec<Difference>,
    /// What could not be read; parts that could not be stand in [`OpenSnapshot::damage`].
    pub damage: Vec<DiffDamage>,
}

impl Diff {
    /// Whether nothing that was read differs.
    pub fn is_same(&self) -> bool {
        self.metadata.is_empty() && self.states.iter().all(StateDiff::is_same)
    }
}

/// Compares what two snapshots hold: operators by uid, states by name, entries by key, namespace and
/// user key. Parallelism, numeric ids of states, chains or full snapshots, the backend and the stores do not
/// matter. `each` is called with every canonical line that is not on the other side as well, that of A
/// before that of B where an entry changed; states in any order, key groups ascending.
///
/// It is what a comparison of all sorted lines would find, but that elements of union and broadcast state,
/// which every subtask holds, count once where the snapshots' parallelism differs.
///
/// Where both sides hold the same runs of some key groups, nothing of them is read. Where some are the
/// same, these are read in the blocks alone that keys of the others can lie in. Three things make it
/// read all blocks of a state, those of shared runs once: TTL, as other entries are expired at the time of
/// each snapshot, unless these are equal or `filter` shows what is expired; another type of values;
/// another numeric id. A state whose keys have another type on each side is sorted by lines, as operator
/// state is, in temporary files above 64 MiB. Of native checkpoints, databases are fetched into
/// temporary folders, unless both hold the same files of a state (feature `rocksdb`).
///
/// What is damaged is passed over and returned, so that what it held counts as being on the other
/// side alone; key groups of which a part cannot be read are not compared, nor are states that are
/// sorted, of an operator that lacks one. `progress` is told of key groups
/// that are done: 65,536 for each operator that is asked for, or those in the filter's range. Blocks the
/// thread while it reads. Memory: indexes within 32 MiB as stored, a span of at most 1 MiB and a block of
/// each run that counts for the key groups at hand.
///
/// # Errors
/// `Invalid`, naming what there is, if neither has what `filter` asks for; the stores' that are no
/// damage; those of `each`; `Retry` if the temporary folder fails.
#[tracing::instrument(skip_all, fields(a = a.manifest.checkpoint, b = b.manifest.checkpoint))]
pub fn diff(
    a: &OpenSnapshot,
    b: &OpenSnapshot,
    filter: &DiffFilter,
    progress: &mut dyn FnMut(u64),
    each: &mut dyn FnMut(Side, &str) -> Result<()>,
) -> Result<Diff> {
    let snapshots = [a, b];
    filter.check(snapshots)?;
    let manifests = snapshots.map(|snapshot| &snapshot.manifest);
    let metadata = metadata::differences(manifests, filter);
    let mut found = Diff { metadata, ..Diff::default() };
    for (uid, both) in metadata::operators(manifests, filter) {
        let of = |side: usize| both[side].map(|operator| OnSide::new(snapshots[side], operator));
        let sides = [of(0), of(1)];
        let mut work = Work { uid, sides, filter, each, damage: &mut found.damage };
        let (keyed, loose) = pairs(both, filter)?;
        let mut states = work.keyed(&keyed, progress)?;
        for pair in loose {
            states.extend(work.loose(pair)?);
        }
        states.sort_by(|a, b| (&a.state, a.stands_in[1]).cmp(&(&b.state, b.stands_in[1])));
        found.states.append(&mut states);
    }
    Ok(found)
}

impl DiffFilter {
    /// Whether either snapshot has what is asked for.
    fn check(&self, snapshots: [&OpenSnapshot; 2]) -> Result<()> {
        let manifests = snapshots.map(|snapshot| &snapshot.manifest);
        let operators = metadata::operators(manifests, self);
        let all = DiffFilter { operator: None, ..self.clone() };
        if let Some(uid) = self.operator.as_ref().filter(|_| operators.is_empty()) {
            let known: Vec<_> = metadata::operators(manifests, &all).into_keys().collect();
            let message = format!("neither snapshot has an operator {uid:?}; they have {known:?}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let Some(name) = &self.state else { return Ok(()) };
        if operators.values().any(|both| !metadata::states(*both, self).is_empty()) {
            return Ok(());
        }
        let all = DiffFilter { state: None, ..self.clone() };
        let states = operators.values().flat_map(|both| metadata::states(*both, &all).into_keys());
        let known: BTreeSet<_> = states.collect();
        let message = format!("neither snapshot has a state {name:?}; they have {known:?}");
        Err(Error::new(ErrorKind::Invalid, message))
    }
}

/// A state on both sides, or on one.
type States<'a> = [Option<&'a StateInfo>; 2];

/// The states that are compared key by key, and those that are compared as lines in any order.
fn pairs<'a>(
    operators: [Option<&'a Operator>; 2],
    filter: &DiffFilter,
) -> Result<(Vec<States<'a>>, Vec<States<'a>>)> {
    let keys = operators.map(|operator| operator.map(|operator| &operator.key));
    let (mut keyed, mut loose) = (Vec::new(), Vec::new());
    for both in metadata::states(operators, filter).into_values() {
        let split = match both {
            [Some(a), Some(b)] if a.kind != b.kind => vec![[Some(a), None], [None, Some(b)]],
            both => vec![both],
        };
        for pair in split {
            let is_keyed = pair.iter().flatten().all(|info| info.kind.is_keyed());
            let by_key = match pair {
                [Some(a), Some(b)] => {
                    keys[0] == keys[1] && (&a.namespace, &a.user_key) == (&b.namespace, &b.user_key)
                }
                _ => true,
            };
            // Operator state has no key groups.
            match is_keyed {
                true if by_key => keyed.push(pair),
                false if filter.range != KeyGroupRange::ALL => {}
                _ => loose.push(pair),
            }
        }
    }
    Ok((keyed, loose))
}

/// An operator of one snapshot.
#[derive(Clone)]
struct OnSide<'a> {
    snapshot: &'a OpenSnapshot,
    operator: &'a Operator,
    parts: &'a [Option<Part>],
}

impl<'a> OnSide<'a> {
    fn new(snapshot: &'a OpenSnapshot, operator: &'a Operator) -> Self {
        let at = snapshot.manifest.operators.iter().position(|other| other.uid == operator.uid);
        let parts = at.and_then(|at| snapshot.parts.get(at)).map_or(&[][..], Vec::as_slice);
        Self { snapshot, operator, parts }
    }

    /// The key groups of each part, and the part unless it could not be read.
    fn ranged(&self) -> Result<Vec<(KeyGroupRange, Option<&'a Part>)>> {
        let part = |(subtask, part): (usize, &'a Option<Part>)| {
            Ok((self.operator.range(subtask)?, part.as_ref()))
        };
        self.parts.iter().enumerate().map(part).collect()
    }
}

/// One operator, on both sides or on one.
struct Work<'a, 'f> {
    uid: &'a str,
    sides: [Option<OnSide<'a>>; 2],
    filter: &'f DiffFilter,
    each: &'f mut dyn FnMut(Side, &str) -> Result<()>,
    damage: &'f mut Vec<DiffDamage>,
}

impl Work<'_, '_> {
    fn damaged(&mut self, side: Side, is_keyed: bool, damage: Damage) {
        let operator = self.uid.to_owned();
        self.damage.push(DiffDamage { side, operator, is_keyed, damage });
    }
}
