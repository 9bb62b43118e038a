//! What a savepoint of esker's keeps of where it came from: members `flink` of its manifest, operators and states (SPEC.md,
//! "What came from Flink"). Whoever does not know them keeps them and goes by the rest.

use crate::flink::FlinkOperator;
use crate::format::record::Extra;
use crate::{Error, ErrorKind, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use esker_flink::header::StateMeta;
use esker_flink::{Input, Serializer};
use serde::{Deserialize, Serialize};

/// The name of the member.
const MEMBER: &str = "flink";

/// Of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfSnapshot {
    /// The version of the metadata, which tells Flink 1.x from 2.x.
    pub(super) metadata_version: u32,
}

/// Of an operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OfOperator {
    /// In hexadecimal.
    pub(super) id: String,
    pub(super) max_parallelism: u32,
    /// The serializer of its keys, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// The state of its coordinator, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) coordinator: Option<String>,
    /// Whether all of it had finished.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) finished: bool,
}

/// Of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfState {
    /// What the header of its stream says of it, in base64.
    meta: String,
}

impl OfSnapshot {
    pub(super) fn of(extra: &Extra) -> Option<Self> {
        found(extra)
    }

    /// # Errors
    /// None in practice.
    pub(super) fn put(&self, extra: &mut Extra) -> Result<()> {
        put(self, extra)
    }
}

impl OfOperator {
    pub(super) fn of(extra: &Extra) -> Option<Self> {
        found(extra)
    }

    /// # Errors
    /// None in practice.
    pub(super) fn put(&self, extra: &mut Extra) -> Result<()> {
        put(self, extra)
    }

    /// Whether `uid` is the id, and no uid.
    pub(super) fn is_called(&self, uid: &str) -> bool {
        self.id == uid
    }

    pub(super) fn new(operator: &FlinkOperator) -> Self {
        let (id, max_parallelism) = (operator.id.to_string(), operator.max_parallelism);
        Self { id, max_parallelism, ..Self::default() }
    }

    pub(super) fn key(&self) -> Option<Serializer> {
        let bytes = STANDARD.decode(self.key.as_ref()?).ok()?;
        let mut input = Input::new("serializer snapshot", &bytes);
        Serializer::read_wrapped(&mut input).ok().filter(|_| input.is_empty())
    }

    pub(super) fn set_key(&mut self, key: &Serializer) {
        let mut bytes = Vec::new();
        key.write_wrapped(&mut bytes);
        self.key = Some(STANDARD.encode(bytes));
    }

    pub(super) fn coordinator(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.coordinator.as_ref()?).ok()
    }

    pub(super) fn set_coordinator(&mut self, bytes: &[u8]) {
        self.coordinator = Some(STANDARD.encode(bytes));
    }
}

/// What is known of the state that has `extra`; nothing if that cannot be read.
pub(super) fn state(extra: &Extra) -> Option<StateMeta> {
    let OfState { meta } = found(extra)?;
    let bytes = STANDARD.decode(meta).ok()?;
    let mut input = Input::new("state", &bytes);
    StateMeta::read(&mut input).ok().filter(|_| input.is_empty())
}

/// # Errors
/// `Invalid` for a name that Java cannot write.
pub(super) fn put_state(meta: &StateMeta, extra: &mut Extra) -> Result<()> {
    let mut bytes = Vec::new();
    meta.write(&mut bytes)?;
    put(&OfState { meta: STANDARD.encode(bytes) }, extra)
}

fn found<T: for<'de> Deserialize<'de>>(extra: &Extra) -> Option<T> {
    serde_json::from_value(extra.get(MEMBER)?.clone()).ok()
}

fn put(value: &impl Serialize, extra: &mut Extra) -> Result<()> {
    let value = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
    extra.insert(MEMBER.to_owned(), value);
    Ok(())
}
