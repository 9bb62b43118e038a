//! What holds for every schema file, whoever writes or reads it.

use super::{OperatorSchema, SchemaFile, WHAT};
use crate::manifest::check_state;
use crate::manifest::{StateInfo, TypeInfo};
use crate::{FormatError, Result};
use std::collections::BTreeSet;

pub(super) fn check(file: &SchemaFile) -> Result<()> {
    let mut uids = BTreeSet::new();
    for operator in &file.operators {
        let of = |message: String| {
            FormatError::invalid(WHAT, format!("operator={}: {message}", operator.uid))
        };
        if !uids.insert(&operator.uid) {
            return Err(of("it is there twice".into()));
        }
        check_operator(operator).map_err(of)?;
    }
    Ok(())
}

fn check_operator(operator: &OperatorSchema) -> std::result::Result<(), String> {
    check_type("key", operator.key.as_ref())?;
    let mut names = BTreeSet::new();
    for state in &operator.states {
        let of = |message: String| format!("state={}: {message}", state.name);
        if !names.insert(&state.name) {
            return Err(of("it is there twice".into()));
        }
        let info: StateInfo = state.info(0);
        check_state(&info).map_err(|message| of(format!("kind={} {message}", state.kind)))?;
        if state.kind.is_keyed() && operator.key.is_none() {
            return Err(of("keyed state, but the operator has no key type".into()));
        }
        if state.reads.is_some() && state.value.is_none() {
            return Err(of("it reads no values, so that it forgives nothing (reads)".into()));
        }
        for (role, info) in
            [("namespace", &state.namespace), ("userKey", &state.user_key), ("value", &state.value)]
        {
            check_type(role, info.as_ref()).map_err(of)?;
        }
    }
    Ok(())
}

fn check_type(role: &str, info: Option<&TypeInfo>) -> std::result::Result<(), String> {
    let Some(TypeInfo { schema, .. }) = info else { return Ok(()) };
    let checked = schema.check_names().and_then(|()| schema.check_references());
    checked.map_err(|error| format!("{role}: {}", error.message))
}
