//! Entries of esker's in Flink's canonical form.

use crate::flink::save::values;
use crate::format::Value;
use crate::format::manifest::{StateInfo, StateKind};
use crate::processor::convert::types::FlinkType;
use crate::processor::rewrite::Fields;
use crate::{Error, ErrorKind, Result};
use esker_flink::canonical::{put_list_element, put_map_value};
use esker_flink::keys::{KeyFormat, KeyParts};
use esker_flink::{Output, Serializer};

/// An entry in canonical form.
#[derive(Default)]
pub(super) struct Made {
    pub(super) hash: i32,
    pub(super) composite: Vec<u8>,
    pub(super) value: Vec<u8>,
    key: Vec<u8>,
    namespace: Vec<u8>,
    user_key: Vec<u8>,
}

impl Made {
    /// Makes the entry of `fields`; `false` if there is none, as of an empty list.
    pub(super) fn keyed(
        &mut self,
        of_key: &Serializer,
        format: &KeyFormat<'_>,
        (info, state): (&StateInfo, &FlinkType),
        fields: &Fields,
    ) -> Result<bool> {
        let Self { hash, composite, value, key, namespace, user_key } = self;
        [&mut *composite, value, key, namespace, user_key].into_iter().for_each(Vec::clear);
        put(Some(of_key), fields.key.as_ref(), key)?;
        *hash = values::hash(of_key, key)?;
        let unit = Value::Unit;
        let of_namespace = fields.namespace.as_ref().unwrap_or(&unit);
        put(state.namespace.as_ref(), Some(of_namespace), namespace)?;
        if let Some(of) = &fields.user_key {
            put(state.user_key.as_ref(), Some(of), user_key)?;
        }
        let timestamp_ms = match (&fields.value, state.value.is_none()) {
            (Some(Value::Signed(time)), true) => i64::try_from(*time).ok(),
            _ => None,
        };
        if timestamp_ms.is_none() {
            put_held(info, state, fields, value)?;
            if info.kind == StateKind::List && value.is_empty() {
                return Ok(false);
            }
        }
        let is_map = info.kind == StateKind::Map;
        let user_key = is_map.then_some(&**user_key);
        format.put(&KeyParts { key, namespace, user_key, timestamp_ms }, composite);
        Ok(true)
    }
}

/// Appends what an entry holds in canonical form.
fn put_held(info: &StateInfo, state: &FlinkType, fields: &Fields, out: &mut Vec<u8>) -> Result<()> {
    let has_ttl = info.ttl.is_some();
    match (&fields.value, info.kind) {
        (Some(Value::Seq(elements)), StateKind::List) => {
            let times = match &fields.ttl {
                Some(Value::Seq(times)) => &times[..],
                _ => &[],
            };
            let mut element = Vec::new();
            for (number, value) in elements.iter().enumerate() {
                element.clear();
                put_time(has_ttl, times.get(number), &mut element)?;
                put_value(state, Some(value), &mut element)?;
                put_list_element(&element, out);
            }
            Ok(())
        }
        (Some(Value::Option(None)), StateKind::Map) if !has_ttl => {
            put_map_value(None, out);
            Ok(())
        }
        (value, kind) => {
            if kind == StateKind::Map {
                put_map_value(Some(&[]), out);
            }
            put_time(has_ttl, fields.ttl.as_ref(), out)?;
            put_value(state, value.as_ref(), out)
        }
    }
}

fn put_time(has_ttl: bool, time: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    if !has_ttl {
        return Ok(());
    }
    let time = match time {
        Some(Value::Signed(time)) => i64::try_from(*time).ok(),
        _ => None,
    };
    let none = || Error::new(ErrorKind::Corrupt, "it has no time of its last update");
    out.put_i64(time.ok_or_else(none)?);
    Ok(())
}

pub(super) fn put_value(state: &FlinkType, value: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
    match value {
        // What nobody could read is there as it was.
        Some(Value::Bytes(bytes)) if state.is_opaque => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        value => put(state.value.as_ref(), value, out),
    }
}

pub(super) fn put(
    serializer: Option<&Serializer>,
    value: Option<&Value>,
    out: &mut Vec<u8>,
) -> Result<()> {
    match (serializer, value) {
        (Some(serializer), Some(value)) => Ok(serializer.encode(value, out)?),
        (None, _) => Ok(()),
        (Some(_), None) => Err(Error::new(ErrorKind::Corrupt, "the entry lacks a part")),
    }
}
