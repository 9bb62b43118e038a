//! Which state of a snapshot is looked at.

use super::snapshot::FlinkOperator;
use super::state::FlinkState;
use std::ops::Range;

/// Which state of a snapshot is looked at; all of it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlinkFilter {
    /// Of this operator alone, by what it is called in [`FlinkOperator::label`].
    pub operator: Option<String>,
    /// States of this name alone.
    pub state: Option<String>,
    /// These key groups alone, the first and the last; operator state is left out then.
    pub key_groups: Option<(u16, u16)>,
}

impl FlinkFilter {
    /// Whether state of this operator is asked for.
    pub fn wants_operator(&self, operator: &FlinkOperator) -> bool {
        self.operator.as_ref().is_none_or(|label| *label == operator.label)
    }

    /// Whether this state is, of an operator that is.
    pub fn wants_state(&self, state: &FlinkState) -> bool {
        self.state.as_ref().is_none_or(|name| *name == state.name)
    }

    /// What of `groups` is asked for; none if that is nothing. (No key groups stand for operator state.)
    pub(super) fn of_key_groups(&self, groups: Range<u16>) -> Option<Range<u16>> {
        let Some((first, last)) = self.key_groups else { return Some(groups) };
        let end = groups.end.min(last.saturating_add(1));
        Some(groups.start.max(first)..end).filter(|groups| !groups.is_empty())
    }
}
