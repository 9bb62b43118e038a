//! Which states a snapshot has, from the headers of its streams.

use super::damage::FlinkDamage;
use super::filter::FlinkFilter;
use super::header::{KeyedStates, OperatorStates};
use super::ordered::ordered;
use super::part::{Part, PartStates};
use super::snapshot::FlinkSnapshot;
use super::state::FlinkState;
use super::walk::{Plan, is_passing};
use crate::{Error, ErrorKind, Result};
use esker_flink::header::{KeyedHeader, OperatorHeader};
use std::collections::BTreeSet;

/// The states of a snapshot.
#[derive(Debug, Default)]
pub struct FlinkStates {
    /// By the number of the operator, in the order of its first subtask's header; each state once, as the first header has it.
    pub operators: Vec<Vec<FlinkState>>,
    /// What each header says.
    pub headers: Vec<FlinkHeader>,
    /// Headers that cannot be read.
    pub damage: Vec<FlinkDamage>,
}

/// A header as it was read.
#[derive(Debug, Clone)]
pub struct FlinkHeader {
    /// The number of the operator.
    pub operator: usize,
    /// The subtask.
    pub subtask: u32,
    /// What it says.
    pub content: FlinkHeaderContent,
}

/// What a [`FlinkHeader`] says.
#[derive(Debug, Clone)]
pub enum FlinkHeaderContent {
    /// Of keyed state.
    Keyed(KeyedHeader),
    /// Of operator state.
    Operator(OperatorHeader),
}

impl FlinkSnapshot {
    /// The states that `filter` asks for, from the headers of their streams: one read for each stream that is not inside
    /// `_metadata`, on all processors. Of databases no file is fetched.
    ///
    /// # Errors
    /// The stores' that are no damage.
    pub fn states(&self, filter: &FlinkFilter) -> Result<FlinkStates> {
        let plan = Plan::new(self, &FlinkFilter { key_groups: None, ..filter.clone() });
        let mut found = FlinkStates {
            operators: vec![Vec::new(); self.operators().len()],
            ..FlinkStates::default()
        };
        let mut known = vec![BTreeSet::new(); self.operators().len()];
        let read = |part: &Part<'_>, give: &mut dyn FnMut(_) -> Result<()>| match part.states() {
            Err(error) if is_passing(&error) => Err(error),
            states => give((
                part.operator.number,
                part.subtask,
                states.map_err(|error| part.damage(error)),
            )),
        };
        ordered(&plan.parts, read, &mut |(operator, subtask, states)| {
            let (states, content) = match states {
                Ok(PartStates::Keyed(KeyedStates { states, header })) => {
                    found.damage.extend(lost(self, operator, subtask, &header));
                    (states, Some(FlinkHeaderContent::Keyed(header)))
                }
                Ok(PartStates::Timers(states)) => (states, None),
                Ok(PartStates::Operator(OperatorStates { states, header })) => {
                    (states, Some(FlinkHeaderContent::Operator(header)))
                }
                Err(damage) => {
                    found.damage.push(damage);
                    return Ok(());
                }
            };
            if let (Some(known), Some(all)) =
                (known.get_mut(operator), found.operators.get_mut(operator))
            {
                let wanted = states.into_iter().filter(|state| filter.wants_state(state));
                all.extend(wanted.filter(|state| known.insert(state.name.clone())));
            }
            let header = content.map(|content| FlinkHeader { operator, subtask, content });
            found.headers.extend(header);
            Ok(())
        })?;
        Ok(found)
    }

    /// That the snapshot has what `filter` asks for.
    ///
    /// # Errors
    /// `Invalid`, naming what there is instead; the stores'.
    pub fn check_filter(&self, filter: &FlinkFilter) -> Result<()> {
        if let Some(label) = &filter.operator {
            self.operator(label)?;
        }
        let Some(name) = &filter.state else { return Ok(()) };
        let all = self.states(&FlinkFilter { state: None, ..filter.clone() })?;
        let names = all.operators.iter().flatten().map(|state| &state.name);
        let names: BTreeSet<_> = names.collect();
        if names.contains(name) || !all.damage.is_empty() {
            return Ok(());
        }
        let message = format!("the snapshot has no state {name:?}; it has {names:?}");
        Err(Error::new(ErrorKind::Invalid, message))
    }
}

/// The damage of states that a header announces and that cannot be read.
fn lost(
    snapshot: &FlinkSnapshot,
    operator: usize,
    subtask: u32,
    header: &KeyedHeader,
) -> Option<FlinkDamage> {
    let lost = header.lost.as_ref()?;
    let operator = snapshot.operators().get(operator)?;
    let message = format!("{} states cannot be read: {}", lost.count, lost.reason);
    Some(FlinkDamage {
        operator: operator.label.clone(),
        subtask: Some(subtask),
        state: lost.first.clone(),
        key_groups: None,
        entries: None,
        error: Error::new(ErrorKind::Unsupported, message).at_path(snapshot.path()),
    })
}
