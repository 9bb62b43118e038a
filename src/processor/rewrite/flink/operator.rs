//! What is done to an operator of Flink's.

use super::counts::{Count, FlinkStateLeft};
use super::entries::Prepared;
use crate::flink::save::{Layout, NewOperator, infos};
use crate::flink::{FlinkOperator, FlinkSnapshot, FlinkState, FlinkStream};
use crate::format::manifest::{Manifest, Operator, SnapshotKind};
use crate::processor::rewrite::changes::{OperatorChanges, StateChange};
use crate::processor::rewrite::{OperatorPlan, RewritePlan, invalid};
use crate::{Error, ErrorKind, Result};
use esker_flink::header::{KeyedHeader, OperatorHeader, StateMeta};
use esker_flink::key_group::MAX_PARALLELISM_MAX;
use esker_flink::metadata::{Operator as Metadata, OperatorHandle, Subtask};
use esker_flink::{OperatorId, Serializer};
use std::sync::Arc;

/// The operators and states of `snapshot` as a manifest would have them, for plans, and what each operator has. States are numbered as
/// the layout has them.
///
/// # Errors
/// Those of [`FlinkSnapshot::layout`].
pub(super) fn described(snapshot: &FlinkSnapshot) -> Result<(Manifest, Vec<Layout>)> {
    let layouts = snapshot.operators().iter().map(|operator| snapshot.layout(operator));
    let layouts = layouts.collect::<Result<Vec<_>>>()?;
    let operators = snapshot.operators().iter().zip(&layouts);
    let operators = operators.map(|(operator, layout)| Operator {
        uid: operator.label.clone(),
        key: layout.keyed.as_ref().map(|header| infos::key(&header.key)),
        states: (0..).zip(&layout.states).map(|(id, state)| infos::state(id, state)).collect(),
        dropped: Vec::new(),
        parts: Vec::new(),
        extra: Default::default(),
    });
    let manifest = Manifest {
        job: String::new(),
        kind: SnapshotKind::Savepoint,
        checkpoint: snapshot.metadata().checkpoint_id.unsigned_abs(),
        generation: 0,
        operators: operators.collect(),
        extra: Default::default(),
    };
    Ok((manifest, layouts))
}

/// What is done to an operator.
pub(super) struct OperatorRewrite<'s> {
    pub(super) snapshot: &'s FlinkSnapshot,
    pub(super) operator: &'s FlinkOperator,
    /// What it is to be, without subtasks but those that had finished.
    target: Metadata,
    /// The headers of what it is to be.
    pub(super) keyed: Option<KeyedHeader>,
    pub(super) elements: Option<OperatorHeader>,
    raw: Vec<(u32, OperatorHandle, FlinkStream)>,
    /// Whether keys go to other key groups.
    pub(super) is_rehashed: bool,
    /// Whether its entries come in order of the key groups that they go to.
    pub(super) is_in_order: bool,
    /// Those of keyed state, and of operator state, as the source has them.
    pub(super) keyed_states: Vec<StateRewrite>,
    pub(super) element_states: Vec<StateRewrite>,
}

/// What is done to a state.
pub(super) struct StateRewrite {
    pub(super) name: String,
    /// Its place in the new header; none if it goes.
    pub(super) to: Option<u16>,
    pub(super) change: Option<Arc<StateChange>>,
    pub(super) before: Count,
    pub(super) left: Count,
}

impl<'s> OperatorRewrite<'s> {
    /// # Errors
    /// `Invalid` for parallelisms that cannot be; `Incompatible` and `Unsupported` for what cannot be written.
    pub(super) fn new(
        snapshot: &'s FlinkSnapshot,
        operator: &'s FlinkOperator,
        layout: Layout,
        (plan, of_operator): (&RewritePlan, &OperatorPlan),
        changes: Option<&OperatorChanges>,
    ) -> Result<Self> {
        let target = target(snapshot, operator, (plan, of_operator))?;
        let (mut keyed, mut elements) = (layout.keyed, layout.elements);
        let keyed_len = keyed.as_ref().map_or(0, |header| header.states.len());
        let mut states = Vec::new();
        let mut next = [0, 0];
        for (number, state) in layout.states.iter().enumerate() {
            let change = changes.and_then(|changes| changes.states.get(&(number as u32))).cloned();
            if let Some(change) = &change {
                check_readable(state, change)
                    .map_err(|error| error.of(format_args!("state={}", state.name)))?;
            }
            let is_dropped = of_operator.state.get(&state.name).is_some_and(|plan| plan.drop);
            let next = &mut next[usize::from(number >= keyed_len)];
            let to = (!is_dropped).then_some(*next);
            *next += u16::from(!is_dropped);
            let (name, before, left) = (state.name.clone(), Count::default(), Count::default());
            states.push(StateRewrite { name, to, change, before, left });
        }
        let element_states = states.split_off(keyed_len.min(states.len()));
        if let Some(header) = &mut keyed {
            left(&mut header.states, of_operator);
        }
        if let Some(header) = &mut elements {
            left(&mut header.lists, of_operator);
            left(&mut header.broadcasts, of_operator);
        }
        let keyed = keyed.filter(|header| !header.states.is_empty());
        let elements =
            elements.filter(|header| !header.lists.is_empty() || !header.broadcasts.is_empty());
        let lost = keyed.as_ref().and_then(|header| header.lost.as_ref());
        if let Some(lost) = lost.or(elements.as_ref().and_then(|header| header.lost.as_ref())) {
            let first = lost.first.as_deref().unwrap_or("a state");
            let message =
                format!("{first} and what follows it cannot be read, nor written: {}", lost.reason);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let is_rehashed = target.max_parallelism != operator.max_parallelism;
        let raw = raw(snapshot, operator, target.parallelism)?;
        Ok(Self {
            snapshot,
            operator,
            is_rehashed,
            is_in_order: layout.is_in_order && !is_rehashed,
            target,
            keyed,
            elements,
            raw,
            keyed_states: states,
            element_states,
        })
    }

    /// What is to be written, with these entries.
    ///
    /// # Errors
    /// None in practice.
    pub(super) fn new_operator<'e>(&self, entries: &'e Prepared<'_>) -> Result<NewOperator<'e>> {
        Ok(NewOperator {
            operator: self.target.clone(),
            keyed: self.keyed.clone(),
            elements: self.elements.clone(),
            raw: self.raw.clone(),
            entries,
        })
    }

    pub(super) fn parallelism(&self) -> u32 {
        self.target.parallelism
    }

    pub(super) fn max_parallelism(&self) -> u32 {
        self.target.max_parallelism
    }

    /// What there was of each state, and what is left.
    pub(super) fn left(&self) -> Vec<FlinkStateLeft> {
        let states = self.keyed_states.iter().chain(&self.element_states);
        let left = states.map(|state| FlinkStateLeft {
            operator: self.operator.label.clone(),
            state: state.name.clone(),
            before: state.before.get(),
            left: state.left.get(),
        });
        left.collect()
    }
}

/// What is left of the states of a header, by their new names.
fn left(states: &mut Vec<StateMeta>, plan: &OperatorPlan) {
    states.retain_mut(|meta| {
        let Some(plan) = plan.state.get(&meta.name) else { return true };
        if let Some(name) = &plan.rename {
            meta.name.clone_from(name);
        }
        !plan.drop
    });
}

/// What the operator is to be.
fn target(
    snapshot: &FlinkSnapshot,
    operator: &FlinkOperator,
    (plan, of_operator): (&RewritePlan, &OperatorPlan),
) -> Result<Metadata> {
    let max_parallelism = plan.max_parallelism.unwrap_or(operator.max_parallelism);
    let parallelism = plan.parallelism.unwrap_or(operator.parallelism);
    if !(1..=MAX_PARALLELISM_MAX).contains(&max_parallelism) {
        return invalid(format!(
            "max_parallelism={max_parallelism}: there are 1 to 32,768 key groups"
        ));
    }
    if parallelism == 0 || parallelism > max_parallelism {
        return invalid(format!(
            "parallelism={parallelism} and max_parallelism={max_parallelism}: each subtask has a key group at least: give both"
        ));
    }
    let id = of_operator.rename.as_ref().map_or(operator.id, |uid| OperatorId::of_uid(uid));
    let mut target = Metadata::new(id, parallelism, max_parallelism);
    snapshot.check_in_flight(operator)?;
    let Some(stored) = snapshot.metadata().operators.get(operator.number) else {
        return Ok(target);
    };
    (target.coordinator, target.finished) = (stored.coordinator.clone(), stored.finished);
    for subtask in &stored.subtasks {
        if subtask.state.is_some() {
            continue;
        }
        if parallelism != operator.parallelism {
            return invalid(format!(
                "subtask {} has finished, and others have not: its parallelism stays {}",
                subtask.index, operator.parallelism
            ));
        }
        target.subtasks.push(Subtask { index: subtask.index, state: None });
    }
    Ok(target)
}

/// Operator state that functions wrote as they liked.
fn raw(
    snapshot: &FlinkSnapshot,
    operator: &FlinkOperator,
    parallelism: u32,
) -> Result<Vec<(u32, OperatorHandle, FlinkStream)>> {
    let stored = snapshot.metadata().operators.get(operator.number);
    let mut raw = Vec::new();
    for subtask in stored.iter().flat_map(|stored| &stored.subtasks) {
        let handle = subtask.state.as_ref().and_then(|state| state.operator_raw.as_ref());
        let Some(handle) = handle.filter(|handle| !handle.is_empty()) else { continue };
        if parallelism != operator.parallelism {
            let message = "it has raw operator state, which only its program can deal out anew: its parallelism stays";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        raw.push((subtask.index, handle.clone(), snapshot.stream(&handle.stream)?));
    }
    Ok(raw)
}

/// That everything can be read of a state that its change looks at.
fn check_readable(state: &FlinkState, change: &StateChange) -> Result<()> {
    let uses = change.uses();
    let opaque = |of: &Option<Arc<Serializer>>, is_used: bool| {
        of.as_deref().filter(|_| is_used).and_then(Serializer::opaque).map(str::to_owned)
    };
    let parts = [
        ("keys", opaque(&state.key, uses.key)),
        ("namespaces", opaque(&state.namespace, uses.namespace)),
        ("user keys", opaque(&state.user_key, uses.user_key)),
        ("values", opaque(&state.value, uses.value || change.changes_entries())),
    ];
    match parts.into_iter().find_map(|(what, class)| Some((what, class?))) {
        None => Ok(()),
        Some((what, class)) => {
            let message = format!("its {what} cannot be read: {class} wrote them");
            Err(Error::new(ErrorKind::Incompatible, message))
        }
    }
}
