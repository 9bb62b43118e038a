//! States and types of Flink's as a manifest of esker's describes them.

use crate::flink::FlinkState;
use crate::format::manifest::{StateInfo, Ttl, TtlUpdate, TypeInfo};
use crate::format::schema_file::StateSchema;
use crate::format::{CodecId, Ordered, Schema};
use esker_flink::Serializer;

/// The type of what `serializer` writes as keys, namespaces or user keys.
pub(crate) fn key(serializer: &Serializer) -> TypeInfo {
    let schema = schema(serializer);
    let codec = if Ordered::has(&schema) { CodecId::ORDERED } else { CodecId::BINCODE2 };
    TypeInfo { codec, schema }
}

/// The type of what `serializer` writes as values: opaque as a whole where some part of it is.
pub(crate) fn value(serializer: &Serializer) -> TypeInfo {
    TypeInfo { codec: CodecId::BINCODE2, schema: schema(serializer) }
}

fn schema(serializer: &Serializer) -> Schema {
    match serializer.opaque() {
        Some(class) => Schema::Opaque { name: class.into() },
        None => serializer.schema(),
    }
}

/// What a manifest says of `state`.
pub(crate) fn state(id: u32, state: &FlinkState) -> StateInfo {
    state_schema(state).info(id)
}

/// What a schema file says of `state`.
pub(crate) fn state_schema(state: &FlinkState) -> StateSchema {
    let namespace = state.namespace.as_deref().filter(|of| !of.is_void_namespace());
    StateSchema {
        name: state.name.clone(),
        kind: state.kind,
        namespace: namespace.map(key),
        user_key: state.user_key.as_deref().map(key),
        value: state.value.as_deref().map(value),
        // Flink does not write down how long entries live.
        ttl: state.has_ttl.then_some(Ttl { duration_ms: None, update: TtlUpdate::Write }),
        reads: None,
    }
}
