//! Steps that need no data: names and ids stand in manifest and parts alone.

use super::RewritePlan;
use crate::snapshot::OpenSnapshot;
use esker_format::manifest::StateInfo;
use esker_format::part::Part;
use std::collections::BTreeSet;

/// The snapshot as the plan, which fits it, makes it: its runs and databases are those of before.
pub(super) fn renamed(mut snapshot: OpenSnapshot, plan: &RewritePlan) -> OpenSnapshot {
    let operators = std::mem::take(&mut snapshot.manifest.operators);
    let parts = std::mem::take(&mut snapshot.parts);
    for (mut operator, mut parts) in operators.into_iter().zip(parts) {
        let plan = plan.of(&operator);
        if plan.drop {
            continue;
        }
        let mut dropped: BTreeSet<u32> = operator.dropped.iter().copied().collect();
        operator.states.retain_mut(|state| {
            let Some(plan) = plan.state.get(&state.name) else { return true };
            if plan.drop {
                dropped.insert(state.id);
            } else if let Some(name) = &plan.rename {
                state.name.clone_from(name);
            }
            !plan.drop
        });
        let has = |keyed| operator.states.iter().any(|info| info.kind.is_keyed() == keyed);
        let (keyed, unkeyed) = (has(true), has(false));
        for part in parts.iter_mut().flatten() {
            left(part, &operator.states, (keyed, unkeyed));
        }
        if !keyed {
            operator.key = None;
        }
        // Where no run is left, no id has entries.
        let holds = |part: &Part| part.files().next().is_some();
        operator.dropped = match parts.iter().flatten().any(holds) {
            true => dropped.into_iter().collect(),
            false => Vec::new(),
        };
        if let Some(uid) = &plan.rename {
            operator.uid.clone_from(uid);
        }
        snapshot.manifest.operators.push(operator);
        snapshot.parts.push(parts);
    }
    snapshot
}

/// Leaves of a part what it says of `states`; files only if it has states of their kind.
fn left(part: &mut Part, states: &[StateInfo], (keyed, unkeyed): (bool, bool)) {
    part.states.retain(|state| states.iter().any(|info| info.id == state.id));
    if !keyed {
        part.runs.clear();
        part.native = None;
    }
    if !unkeyed {
        part.operator_run = None;
    }
}
