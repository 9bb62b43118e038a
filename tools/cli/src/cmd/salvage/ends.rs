//! Keys at the ends of lost ranges, as `dump` shows them.

use esker::format::manifest::{Operator, StateInfo, StateKind, TypeInfo};
use esker::format::{Key, decode_value};
use esker::processor::LostKey;
use serde::Serialize;
use serde_json::value::RawValue;

/// One end of a range.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct End {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_key: Option<Box<RawValue>>,
    /// Of a timer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<i64>,
    /// Of an element of operator state.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

impl End {
    pub(super) fn of(end: &LostKey, operator: &Operator, info: &StateInfo) -> Self {
        let mut told =
            Self { key: None, namespace: None, user_key: None, time: None, position: None };
        let user_key = end.user_key.as_deref();
        match info.kind {
            StateKind::OperatorBroadcast => {
                told.user_key = info.user_key.as_ref().map(|info| json(info, &end.key));
                return told;
            }
            kind if !kind.is_keyed() => {
                let position = end.key.first_chunk();
                told.position = position.map(|position| u64::from_be_bytes(*position));
                return told;
            }
            StateKind::TimerEvent | StateKind::TimerProcessing => {
                told.time = user_key.and_then(|time| i64::decode(time).ok());
            }
            _ => {
                let info = info.user_key.as_ref();
                told.user_key = info.zip(user_key).map(|(info, bytes)| json(info, bytes));
            }
        }
        told.key = operator.key.as_ref().map(|info| json(info, &end.key));
        told.namespace = info.namespace.as_ref().map(|info| json(info, &end.namespace));
        told
    }

    /// As a line has it: the parts that there are.
    pub(super) fn text(&self) -> String {
        let raw = [&self.key, &self.namespace, &self.user_key].into_iter().flatten();
        let raw = raw.map(|value| value.get().to_owned());
        let numbers = self.time.map(|time| time.to_string());
        let numbers = numbers.into_iter().chain(self.position.map(|at| at.to_string()));
        raw.chain(numbers).collect::<Vec<_>>().join(" ")
    }
}

/// The canonical JSON of a value; an object with its bytes in hex, where its codec is not one of esker's.
fn json(info: &TypeInfo, bytes: &[u8]) -> Box<RawValue> {
    let text = match decode_value(&info.codec, &info.schema, bytes) {
        Ok(value) => value.to_json(),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!(r#"{{"hex":"{hex}"}}"#)
        }
    };
    RawValue::from_string(text).unwrap_or_default()
}
