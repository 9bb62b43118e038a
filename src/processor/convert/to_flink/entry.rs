//! Entries of esker's in Flink's canonical form.

use crate::flink::save::values::{self, Form};
use crate::format::Value;
use crate::format::manifest::{StateInfo, StateKind};
use crate::processor::convert::types::FlinkType;
use crate::processor::rewrite::Fields;
use crate::{Error, ErrorKind, Result};
use esker_flink::Serializer;
use esker_flink::keys::{KeyFormat, KeyParts};

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
            let form = Form {
                kind: info.kind,
                has_ttl: info.ttl.is_some(),
                lacking: ErrorKind::Corrupt,
                put: &|value, out| put_value(state, value, out),
            };
            form.put(fields.value.as_ref(), fields.ttl.as_ref(), value)?;
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
