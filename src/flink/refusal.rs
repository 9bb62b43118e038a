//! Entries of a unit that cannot be read, counted by state.

use super::damage::FlinkDamage;
use super::state::FlinkState;
use super::walk::{Plan, Unit};
use crate::Error;
use esker_flink::FormatError;
use std::collections::BTreeMap;

/// What is wrong with the entries of a unit, by state: a value that its serializer does not fit is as a rule not alone.
#[derive(Default)]
pub(super) struct Refusals(BTreeMap<String, Refusal>);

struct Refusal {
    first: FormatError,
    entries: u64,
    key_groups: (u16, u16),
}

impl Refusals {
    pub(super) fn add(&mut self, state: &FlinkState, key_group: u16, error: FormatError) {
        if let Some(refusal) = self.0.get_mut(&state.name) {
            refusal.entries += 1;
            let (first, last) = refusal.key_groups;
            refusal.key_groups = (first.min(key_group), last.max(key_group));
            return;
        }
        let key_groups = (key_group, key_group);
        self.0.insert(state.name.clone(), Refusal { first: error, entries: 1, key_groups });
    }

    /// All of it, as damage of `unit`.
    pub(super) fn into_damage(
        self,
        plan: &Plan<'_>,
        unit: &Unit,
    ) -> impl Iterator<Item = FlinkDamage> {
        let part = plan.parts.get(unit.part);
        let path = part.and_then(super::part::Part::path);
        // Entries of a database or a log lie in several files: the snapshot's stands for them, and no offset.
        let is_one_file = path.is_some();
        let path = path.or_else(|| part.map(|part| part.snapshot.path().to_owned()));
        let operator = part.map(|part| part.operator.label.clone()).unwrap_or_default();
        let (subtask, is_keyed) = (part.map(|part| part.subtask), !unit.groups.is_empty());
        self.0.into_iter().map(move |(state, refusal)| {
            let FormatError { offset, .. } = refusal.first;
            let offset = offset.filter(|_| is_one_file);
            let error = Error::from(FormatError { offset, ..refusal.first });
            FlinkDamage {
                operator: operator.clone(),
                subtask,
                state: Some(state),
                key_groups: Some(refusal.key_groups).filter(|_| is_keyed),
                entries: Some(refusal.entries),
                error: match &path {
                    Some(path) => error.at_path(path),
                    None => error,
                },
            }
        })
    }
}
