//! What holds for every manifest, whoever writes or reads it.

use super::{Manifest, Operator, StateInfo, StateKind, TypeInfo};
use crate::key_group::KEY_GROUP_COUNT;
use crate::{FormatError, FormatErrorKind, Result};
use std::collections::BTreeSet;

pub(super) const WHAT: &str = "manifest";

pub(super) fn check(manifest: &Manifest, kind: FormatErrorKind) -> Result<()> {
    let refuse = |message: String| Err(FormatError::new(kind, WHAT, message));
    let pairs = manifest.operators.iter().zip(manifest.operators.iter().skip(1));
    for (before, operator) in pairs {
        if before.uid >= operator.uid {
            return refuse(format!("operators do not ascend by uid: operator={:?}", operator.uid));
        }
    }
    for operator in &manifest.operators {
        check_operator(operator)
            .or_else(|message| refuse(format!("{message}: operator={:?}", operator.uid)))?;
    }
    Ok(())
}

fn check_operator(operator: &Operator) -> std::result::Result<(), String> {
    let parts = operator.parts.len();
    if parts == 0 || parts > KEY_GROUP_COUNT as usize {
        return Err(format!("parts={parts}, there are 1 to {KEY_GROUP_COUNT}"));
    }
    check_types(&[&operator.key])?;
    let mut names = BTreeSet::new();
    let mut last = None;
    for state in &operator.states {
        let (id, name) = (state.id, &state.name);
        let of = |message: &str| Err(format!("{message}: state={name:?} id={id}"));
        if last.is_some_and(|last| last >= id) {
            return of("state ids do not ascend");
        }
        last = Some(id);
        if !names.insert(name) {
            return of("two states share a name");
        }
        if state.kind.is_keyed() && operator.key.is_none() {
            return of("keyed state, but the operator has no key type");
        }
        check_types(&[&state.namespace, &state.user_key, &state.value])
            .or_else(|message| of(&message))?;
        check_state(state).or_else(|message| of(&format!("kind={} {message}", state.kind)))?;
    }
    for (before, id) in operator.dropped.iter().zip(operator.dropped.iter().skip(1)) {
        if before >= id {
            return Err(format!("ids of dropped states do not ascend: id={id}"));
        }
    }
    let is_dropped = |state: &&StateInfo| operator.dropped.binary_search(&state.id).is_ok();
    match operator.states.iter().find(is_dropped) {
        Some(StateInfo { id, name, .. }) => {
            Err(format!("a state has the id of one that was dropped: state={name:?} id={id}"))
        }
        None => Ok(()),
    }
}

fn check_types(types: &[&Option<TypeInfo>]) -> std::result::Result<(), String> {
    let mut types = types.iter().filter_map(|info| info.as_ref());
    types.try_for_each(|info| info.schema.check_names()).map_err(|error| error.message)
}

/// Which types a state has, by its kind.
pub(crate) fn check_state(state: &StateInfo) -> std::result::Result<(), &'static str> {
    use StateKind::{
        Aggregating, List, Map, OperatorBroadcast, OperatorList, OperatorUnion, Reducing,
        TimerEvent, TimerProcessing, Value,
    };
    let (user_key, value, ttl) = match state.kind {
        Value | List | Reducing | Aggregating => (false, true, true),
        Map => (true, true, true),
        TimerEvent | TimerProcessing => (false, false, false),
        OperatorList | OperatorUnion => (false, true, false),
        OperatorBroadcast => (true, true, false),
    };
    if state.namespace.is_some() && !state.kind.is_keyed() {
        return Err("has no namespaces");
    }
    match (user_key, state.user_key.is_some()) {
        (true, false) => return Err("needs a user key type"),
        (false, true) => return Err("has no user keys"),
        _ => {}
    }
    match (value, state.value.is_some()) {
        (true, false) => return Err("needs a value type"),
        (false, true) => return Err("has no values"),
        _ => {}
    }
    if state.ttl.is_some() && !ttl { Err("has no TTL") } else { Ok(()) }
}
