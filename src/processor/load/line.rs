//! What lines and their entries say of themselves.

use crate::format::canonical::Line;
use crate::format::manifest::{Operator, StateKind};
use crate::format::{FormatError, list};
use crate::processor::rewrite::time;

/// When an entry of a state with TTL was last updated, of a list its latest element.
pub(super) fn latest_ms(kind: StateKind, value: &[u8]) -> Option<i64> {
    let time_ms = |bytes: &[u8]| time(bytes).ok().map(|(time_ms, _)| time_ms);
    match kind {
        StateKind::List => list::elements(value).filter_map(|element| time_ms(element.ok()?)).max(),
        _ => time_ms(value),
    }
}

/// What to say of an entry of no known state, of the operator `uid`.
pub(super) fn unknown(operators: &[Operator], uid: &str) -> String {
    match operators.iter().find(|operator| operator.uid == uid) {
        None => {
            let known: Vec<_> = operators.iter().map(|operator| &operator.uid).collect();
            format!("there is no such operator; they are {known:?}")
        }
        Some(operator) => {
            let known: Vec<_> = operator.states.iter().map(|state| &state.name).collect();
            format!("the operator has no such state; it has {known:?}")
        }
    }
}

/// Where in `text` the error is: that of a member knows its place in the member alone.
pub(super) fn place_of(error: &FormatError, text: &str, line: &Line<'_>) -> Option<usize> {
    let name = error.message.split(['.', '[', ':']).next().unwrap_or_default();
    let json = match name {
        "key" => line.key,
        "namespace" => line.namespace,
        "userKey" => line.user_key,
        "value" => line.value,
        "ttl" => line.ttl,
        _ => None,
    }?;
    let from = (json.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let at = usize::try_from(error.offset.unwrap_or(0)).ok()?;
    (from <= text.len()).then_some(from + at)
}
