//! Entries of Flink's, decoded one by one.

use crate::Result;
use crate::flink::save::values;
use crate::flink::{FlinkEntry, FlinkState, FlinkValue};
use crate::format::canonical::DynamicEntry;
use crate::format::manifest::{Operator, StateKind, TypeInfo};
use crate::format::{Schema, Value};
use crate::processor::convert::nulls::{has_stray, wrapped};
use crate::processor::load::Bootstrap;
use std::collections::BTreeSet;

/// A place that holds nulls: operator, state, what of it.
pub(super) type Place = (usize, String, Role);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Of all states of the operator alike.
    Key,
    Namespace,
    UserKey,
    Value,
}

/// Decodes entries, and keeps them until there is one that no type has a place for.
pub(super) struct Taker<'t> {
    pub(super) bootstrap: Bootstrap<'t>,
    pub(super) nulls: BTreeSet<Place>,
    pub(super) entry: DynamicEntry,
}

/// The operator's number, what it is converted to, and the state that an entry is of.
pub(super) type Of<'a> = (usize, &'a Operator, &'a FlinkState);

impl Taker<'_> {
    pub(super) fn entry(&mut self, of: Of<'_>, entry: &FlinkEntry<'_>) -> Result<()> {
        let (_, converted, state) = of;
        let info =
            converted.states.iter().find(|info| info.name == state.name && info.kind == state.kind);
        let Some(info) = info else { return Ok(()) };
        let key = values::decoded(state.key.as_deref(), entry.key)?;
        let key = self.fitted(of, Role::Key, converted.key.as_ref(), key);
        let namespace = match &info.namespace {
            Some(_) => values::decoded(state.namespace.as_deref(), entry.namespace)?,
            None => None,
        };
        let namespace = self.fitted(of, Role::Namespace, info.namespace.as_ref(), namespace);
        let user_key = match entry.user_key {
            Some(bytes) => values::decoded(state.user_key.as_deref(), bytes)?,
            None => None,
        };
        let user_key = self.fitted(of, Role::UserKey, info.user_key.as_ref(), user_key);
        let (value, ttl) = held(state, entry.value)?;
        let value = match value {
            Some(Value::Seq(elements)) if state.kind == StateKind::List => {
                let each = elements.into_iter().map(|element| {
                    let element = self.fitted(of, Role::Value, info.value.as_ref(), Some(element));
                    element.unwrap_or(Value::Unit)
                });
                Some(Value::Seq(each.collect()))
            }
            // Of a timer its time, which has no type of its own.
            value if info.value.is_none() => value,
            value => self.fitted(of, Role::Value, info.value.as_ref(), value),
        };
        self.entry.state.clone_from(&state.name);
        (self.entry.key, self.entry.namespace, self.entry.user_key) = (key, namespace, user_key);
        (self.entry.value, self.entry.ttl) = (value, ttl);
        self.keep()
    }

    pub(super) fn element(
        &mut self,
        of: Of<'_>,
        user_key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<()> {
        let (_, converted, state) = of;
        let info =
            converted.states.iter().find(|info| info.name == state.name && info.kind == state.kind);
        let Some(info) = info else { return Ok(()) };
        let user_key = match user_key {
            Some(bytes) => values::decoded(state.user_key.as_deref(), bytes)?,
            None => None,
        };
        let (value, _) = held(state, FlinkValue::One(value))?;
        self.entry.state.clone_from(&state.name);
        (self.entry.key, self.entry.namespace, self.entry.ttl) = (None, None, None);
        self.entry.user_key = self.fitted(of, Role::UserKey, info.user_key.as_ref(), user_key);
        self.entry.value = self.fitted(of, Role::Value, info.value.as_ref(), value);
        self.keep()
    }

    fn keep(&mut self) -> Result<()> {
        match self.nulls.is_empty() {
            true => self.bootstrap.add(&self.entry),
            // All of it is read again.
            false => Ok(()),
        }
    }

    /// `value` as one of its type; a null that it has no place for is noted.
    fn fitted(
        &mut self,
        (number, _, state): Of<'_>,
        role: Role,
        info: Option<&TypeInfo>,
        value: Option<Value>,
    ) -> Option<Value> {
        let (Some(info), Some(value)) = (info, value) else { return None };
        let value = match has_parts(&info.schema) {
            true => wrapped(value, &info.schema),
            false => value,
        };
        if has_stray(&value, &info.schema) {
            let name = if role == Role::Key { String::new() } else { state.name.clone() };
            self.nulls.insert((number, name, role));
        }
        Some(value)
    }
}

/// What an entry holds, and its times; as bytes where it cannot be read.
fn held(state: &FlinkState, value: FlinkValue<'_>) -> Result<(Option<Value>, Option<Value>)> {
    let is_opaque = state.value.as_deref().is_some_and(|value| value.opaque().is_some());
    if let (true, FlinkValue::One(bytes)) = (is_opaque, value) {
        let (time, bytes) = values::split_time(state, bytes)?;
        let ttl = time.map(|time| Value::Signed(time.into()));
        return Ok((Some(Value::Bytes(bytes.to_vec())), ttl));
    }
    let held = values::value(state, value, true)?;
    Ok((held.value, held.ttl))
}

/// Whether values of `schema` have parts, or may be null.
fn has_parts(schema: &Schema) -> bool {
    !matches!(
        schema,
        Schema::Bool
            | Schema::I8
            | Schema::I16
            | Schema::I32
            | Schema::I64
            | Schema::F32
            | Schema::F64
            | Schema::String
            | Schema::Bytes
    )
}
