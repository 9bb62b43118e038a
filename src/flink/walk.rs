//! Units of work, each some key groups of a subtask or its operator state, and the walk through the entries of one.

mod canonical;
mod changelog;
mod database;
mod heap;
mod operator;
mod timers;

pub(super) use heap::each_of_map;
pub(super) use timers::timer_states;

use super::changelog::cut;
use super::damage::FlinkDamage;
pub(super) use super::entry::Element;
use super::entry::Visitor;
use super::filter::FlinkFilter;
use super::header::KeyedStates;
use super::part::{Handle, Opened, Part, ends};
use super::snapshot::FlinkSnapshot;
use crate::{Error, ErrorKind, Result};
use esker_flink::keys::KeyFormat;
use esker_flink::metadata::{KeyGroupsHandle, KeyedHandle, Mode};
use std::collections::BTreeSet;
use std::ops::Range;

/// Key groups of one unit hold about this many bytes.
const UNIT_LEN_BYTES: u64 = 4 << 20;

/// Some key groups of a part, or its operator state.
pub(super) struct Unit {
    /// The part, by its place among those of the plan.
    pub(super) part: usize,
    pub(super) groups: Range<u16>,
    /// Whether it is the first of its part, which tells what is wrong with all of it.
    is_first: bool,
}

impl Unit {
    /// What it counts for when progress is told: its key groups.
    pub(super) fn steps(&self) -> u64 {
        self.groups.len().max(1) as u64
    }
}

/// All that there is to walk through, in the order of the output: operators as the metadata has them, their subtasks, and of
/// each its keyed state by key group, its timers that lie beside, and its operator state.
pub(super) struct Plan<'s> {
    pub(super) parts: Vec<Part<'s>>,
    pub(super) units: Vec<Unit>,
}

impl<'s> Plan<'s> {
    /// What of `snapshot` the filter asks for.
    pub(super) fn new(snapshot: &'s FlinkSnapshot, filter: &FlinkFilter) -> Self {
        Self::of(snapshot, filter, false)
    }

    /// The same with broadcast state of every subtask, all of which hold the same.
    pub(super) fn every_copy(snapshot: &'s FlinkSnapshot, filter: &FlinkFilter) -> Self {
        Self::of(snapshot, filter, true)
    }

    fn of(snapshot: &'s FlinkSnapshot, filter: &FlinkFilter, every_copy: bool) -> Self {
        let mut plan = Self { parts: Vec::new(), units: Vec::new() };
        let operators = snapshot.operators().iter().zip(&snapshot.metadata().operators);
        for (operator, stored) in operators.filter(|(operator, _)| filter.wants_operator(operator))
        {
            let mut subtasks: Vec<_> = stored.subtasks.iter().collect();
            subtasks.sort_by_key(|subtask| subtask.index);
            let mut broadcast = BTreeSet::new();
            for subtask in subtasks {
                let Some(state) = subtask.state.as_deref() else { continue };
                for handle in Handle::of(state) {
                    let mut part = Part::new(snapshot, operator, subtask.index, handle);
                    if let (Handle::Operator(handle), false) = (handle, every_copy) {
                        let states = handle.states.iter();
                        let copies = states.filter(|state| state.mode == Mode::Broadcast);
                        // Of the first subtask that has any of it.
                        part.left_out = copies
                            .filter(|state| !state.offsets.is_empty())
                            .filter(|state| !broadcast.insert(state.name.as_str()))
                            .map(|state| state.name.as_str())
                            .collect();
                    }
                    plan.add(part, filter);
                }
            }
        }
        plan
    }

    fn add(&mut self, part: Part<'s>, filter: &FlinkFilter) {
        let units = match part.handle {
            Handle::Operator(_) if filter.key_groups.is_some() => return,
            Handle::Operator(_) => std::iter::once(0..0).collect(),
            Handle::RawKeyed(handle, _) => by_len(handle),
            Handle::Keyed(KeyedHandle::KeyGroups(handle)) => by_len(handle),
            // Each reads all states of a database, and one piece of a log.
            Handle::Keyed(handle) => cut(handle.range().key_groups()).collect(),
        };
        let number = self.parts.len();
        let mut is_first = true;
        for groups in units {
            let Some(groups) = filter.of_key_groups(groups) else { continue };
            part.expect();
            self.units.push(Unit { part: number, groups, is_first });
            is_first = false;
        }
        self.parts.push(part);
    }
}

/// Key groups in a row that hold some bytes together.
fn by_len(handle: &KeyGroupsHandle) -> Vec<Range<u16>> {
    let mut units: Vec<Range<u16>> = Vec::new();
    let mut start = None;
    for (group, offset) in handle.range.key_groups().zip(&handle.offsets) {
        let offset = u64::try_from(*offset).unwrap_or(0);
        match (units.last_mut(), start) {
            (Some(unit), Some(from)) if offset.saturating_sub(from) < UNIT_LEN_BYTES => {
                unit.end = group + 1;
            }
            _ => {
                units.push(group..group + 1);
                start = Some(offset);
            }
        }
    }
    units
}

/// A walk through a unit.
pub(super) struct Walk<'w> {
    pub(super) filter: &'w FlinkFilter,
    pub(super) visitor: &'w mut dyn Visitor,
    /// Takes what is wrong.
    pub(super) harm: &'w mut dyn FnMut(FlinkDamage),
}

impl Walk<'_> {
    /// Calls the visitor with every entry of `unit` that the filter asks for.
    ///
    /// # Errors
    /// Those of the visitor, and the stores' that are no damage.
    pub(super) fn unit(&mut self, plan: &Plan<'_>, unit: &Unit) -> Result<()> {
        let Some(part) = plan.parts.get(unit.part) else { return Ok(()) };
        let walked = match part.open() {
            Ok(opened) => self.opened(part, &opened, unit),
            Err(error) if is_passing(&error) => Err(error),
            Err(error) if unit.is_first => {
                (self.harm)(part.damage(error));
                Ok(())
            }
            Err(_) => Ok(()),
        };
        part.done();
        walked
    }

    fn opened(&mut self, part: &Part<'_>, opened: &Opened<'_>, unit: &Unit) -> Result<()> {
        match opened {
            Opened::Canonical(keyed) => {
                self.lost(part, unit, &keyed.states);
                self.canonical(part, keyed, unit.groups.clone())
            }
            Opened::Heap(keyed) => {
                self.lost(part, unit, &keyed.states);
                self.heap(part, keyed, unit.groups.clone())
            }
            Opened::Database { database, states } => {
                self.lost(part, unit, states);
                self.database(part, database, states, unit.groups.clone())
            }
            Opened::Changelog { bases, log } => self.changelog(part, (bases, log), unit),
            Opened::RawTimers { handle, stream, copies } => {
                self.timers(part, (handle, stream, copies), unit.groups.clone())
            }
            Opened::Operator { handle, stream, states } => {
                self.operator(part, (handle, stream), states)
            }
        }
    }

    /// Tells of states that the header announces and that cannot be read.
    fn lost(&mut self, part: &Part<'_>, unit: &Unit, states: &KeyedStates) {
        let Some(lost) = states.header.lost.as_ref().filter(|_| unit.is_first) else { return };
        let Handle::Keyed(handle) = part.handle else { return };
        let more = match lost.count {
            0 | 1 => String::new(),
            count => format!(" and the {} states behind it", count - 1),
        };
        let name = lost.first.as_deref().unwrap_or("a state");
        let message = format!("{name}{more} cannot be read: {}", lost.reason);
        let error = Error::new(ErrorKind::Unsupported, message).at_path(part.snapshot.path());
        self.harm(part, lost.first.clone(), ends(handle.range().key_groups()), error);
    }

    fn harm(
        &mut self,
        part: &Part<'_>,
        state: Option<String>,
        key_groups: Option<(u16, u16)>,
        error: Error,
    ) {
        (self.harm)(FlinkDamage {
            operator: part.operator.label.clone(),
            subtask: Some(part.subtask),
            state,
            key_groups,
            entries: None,
            error,
        });
    }
}

/// Whether what failed may work in a while: something other than damage.
pub(super) fn is_passing(error: &Error) -> bool {
    error.kind() == ErrorKind::Retry && !error.is_damage()
}

/// How composite keys of each state are put together, by id; none for a state that has no such keys.
fn formats(states: &KeyedStates) -> Vec<Option<KeyFormat<'_>>> {
    let header = &states.header;
    header.states.iter().map(|state| KeyFormat::of(header, state).ok()).collect()
}
