//! One entry of Flink's, changed.

use super::operator::{OperatorRewrite, StateRewrite};
use crate::flink::save::values::{self, Form};
use crate::flink::save::{KeyedEntry, KeyedSink};
use crate::flink::{FlinkEntry, FlinkState, FlinkValue};
use crate::format::Value;
use crate::format::manifest::StateKind;
use crate::processor::rewrite::changes::StateChange;
use crate::processor::rewrite::fields::{Fields, Uses};
use crate::{Error, ErrorKind, Result};
use esker_flink::key_group::key_group;
use esker_flink::keys::{KeyFormat, KeyParts};
use esker_flink::{FormatError, Serializer};

type Read<T> = std::result::Result<T, FormatError>;

/// What entries are changed by.
pub(super) struct Changed<'o> {
    operator: &'o OperatorRewrite<'o>,
    /// How keys are put together, by the new header.
    formats: Vec<KeyFormat<'o>>,
}

/// Memory that entries use one after the other.
#[derive(Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    value: Vec<u8>,
    fields: Fields,
    /// The place of the last entry's state.
    last: usize,
    /// The last key that was hashed, and its new key group.
    hashed: Option<(Vec<u8>, u16)>,
}

impl<'o> Changed<'o> {
    /// # Errors
    /// `Incompatible` for timers that are not Flink's own.
    pub(super) fn new(operator: &'o OperatorRewrite<'o>) -> Result<Self> {
        let formats = operator
            .keyed
            .iter()
            .flat_map(|header| header.states.iter().map(move |state| KeyFormat::of(header, state)));
        Ok(Self { operator, formats: formats.collect::<Read<_>>()? })
    }

    /// Calls `each` with what is left of an entry.
    ///
    /// # Errors
    /// Those of `each`; naming operator, state and key, those of the changes, and what is wrong with the entry.
    pub(super) fn entry(
        &self,
        scratch: &mut Scratch,
        (state, entry): (&FlinkState, FlinkEntry<'_>),
        each: &mut KeyedSink<'_>,
    ) -> Result<()> {
        let Some(of) = scratch.find(&self.operator.keyed_states, &state.name) else {
            return Ok(());
        };
        let named = |error: Error| {
            let operator = &self.operator.operator.label;
            error.of(format_args!(
                "operator={operator} state={}{}",
                state.name,
                values::place(state, &entry)
            ))
        };
        let made = self.made(scratch, of, (state, entry)).map_err(named)?;
        let Some((to, key_group)) = made else { return Ok(()) };
        let Scratch { key, value, .. } = scratch;
        each(KeyedEntry { key_group, state: to, key, value })
    }

    /// Makes key and value of what is left of an entry; its state's place, and its key group.
    fn made(
        &self,
        scratch: &mut Scratch,
        of: &StateRewrite,
        (state, entry): (&FlinkState, FlinkEntry<'_>),
    ) -> Result<Option<(u16, u16)>> {
        let (count, len_bytes) = values::size(state, &entry)?;
        of.before.add(count, len_bytes);
        let format = of.to.and_then(|to| Some((to, self.formats.get(usize::from(to))?)));
        let Some((to, format)) = format else { return Ok(None) };
        let Scratch { key, value, fields, .. } = scratch;
        value.clear();
        let mut left = count;
        match of.change.as_deref() {
            None => values::put_canonical(state, entry.value, value)?,
            Some(change) => {
                read(state, &entry, change.uses(), fields)?;
                if !change.keeps(fields, None)? {
                    return Ok(None);
                }
                match change.changes_entries() {
                    true => left = put_changed(state, fields, value)?,
                    false => values::put_canonical(state, entry.value, value)?,
                }
            }
        }
        if state.kind == StateKind::List && value.is_empty() {
            // Of an empty list there is no entry.
            return Ok(None);
        }
        key.clear();
        let timestamp_ms = match entry.value {
            FlinkValue::Timer(time) => Some(time),
            _ => None,
        };
        let FlinkEntry { key: of_key, namespace, user_key, .. } = entry;
        format.put(&KeyParts { key: of_key, namespace, user_key, timestamp_ms }, key);
        let len_bytes = key.len() + value.len();
        let key_group = self.key_group(scratch, format.key(), &entry)?;
        of.left.add(left, len_bytes);
        Ok(Some((to, key_group)))
    }

    /// The key group that an entry goes to.
    fn key_group(
        &self,
        scratch: &mut Scratch,
        serializer: &Serializer,
        entry: &FlinkEntry<'_>,
    ) -> Result<u16> {
        if !self.operator.is_rehashed {
            return Ok(entry.key_group);
        }
        if let Some((key, group)) = &scratch.hashed
            && **key == *entry.key
        {
            return Ok(*group);
        }
        let hash = values::hash(serializer, entry.key)?;
        let before = key_group(hash, self.operator.operator.max_parallelism);
        if before != entry.key_group {
            let message = format!(
                "the key lies in key group {}, and by its hash it belongs into {before}: its class has a hash of its own, \
                 and the maximum parallelism stays as it is",
                entry.key_group
            );
            return Err(Error::new(ErrorKind::Incompatible, message));
        }
        let group = key_group(hash, self.operator.max_parallelism());
        scratch.hashed = Some((entry.key.to_vec(), group));
        Ok(group)
    }
}

impl Scratch {
    /// The state of this name.
    pub(super) fn find<'s>(
        &mut self,
        states: &'s [StateRewrite],
        name: &str,
    ) -> Option<&'s StateRewrite> {
        if states.get(self.last).is_none_or(|state| state.name != name) {
            self.last = states.iter().position(|state| state.name == name)?;
        }
        states.get(self.last)
    }

    /// Calls `each` with the value of what is left of an element of operator state.
    ///
    /// # Errors
    /// As for [`Changed::entry`].
    pub(super) fn element(
        &mut self,
        of: &StateRewrite,
        (state, user_key, value): (&FlinkState, Option<&[u8]>, &[u8]),
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(change) = of.change.as_deref() else { return each(value) };
        let Self { value: changed, fields, .. } = self;
        let mut made = || -> Result<bool> {
            let uses = change.uses();
            *fields = Fields::default();
            if let (true, Some(bytes)) = (uses.user_key, user_key) {
                fields.user_key = values::decoded(state.user_key.as_deref(), bytes)?;
            }
            if is_value_used(change) {
                fields.value = values::decoded(state.value.as_deref(), value)?;
            }
            if !change.keeps(fields, None)? {
                return Ok(false);
            }
            changed.clear();
            if change.changes_entries() {
                put_value(state, fields.value.as_ref(), changed)?;
            }
            Ok(true)
        };
        let stays = made().map_err(|error| error.of(format_args!("state={}", state.name)))?;
        match (stays, change.changes_entries()) {
            (false, _) => Ok(()),
            (true, true) => each(changed),
            (true, false) => each(value),
        }
    }
}

fn is_value_used(change: &StateChange) -> bool {
    change.uses().value || change.changes_entries()
}

/// Reads of an entry what is asked for.
fn read(state: &FlinkState, entry: &FlinkEntry<'_>, uses: Uses, fields: &mut Fields) -> Result<()> {
    *fields = Fields::default();
    if uses.key {
        fields.key = values::decoded(state.key.as_deref(), entry.key)?;
    }
    if uses.namespace {
        let namespace = state.namespace.as_deref().filter(|of| !of.is_void_namespace());
        fields.namespace = values::decoded(namespace, entry.namespace)?;
    }
    if let (true, Some(bytes)) = (uses.user_key, entry.user_key) {
        fields.user_key = values::decoded(state.user_key.as_deref(), bytes)?;
    }
    let value = values::value(state, entry.value, uses.value)?;
    (fields.value, fields.ttl, fields.is_list) =
        (value.value, value.ttl, state.kind == StateKind::List);
    Ok(())
}

/// Appends the value of a changed entry in canonical form; how many there are of it.
fn put_changed(state: &FlinkState, fields: &Fields, out: &mut Vec<u8>) -> Result<u64> {
    if matches!(state.kind, StateKind::TimerEvent | StateKind::TimerProcessing) {
        return Ok(1);
    }
    let form = Form {
        kind: state.kind,
        has_ttl: state.has_ttl,
        lacking: ErrorKind::Invalid,
        put: &|value, out| put_value(state, value, out),
    };
    form.put(fields.value.as_ref(), fields.ttl.as_ref(), out)
}

fn put_value(state: &FlinkState, value: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    let (Some(serializer), Some(value)) = (state.value.as_deref(), value) else {
        return Err(Error::new(ErrorKind::Invalid, "the entry has no value"));
    };
    Ok(serializer.encode(value, out)?)
}
