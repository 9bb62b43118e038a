//! The states of a snapshot in esker's own words: what a schema file says of a program.

use super::filter::FlinkFilter;
use super::inventory::FlinkStates;
use super::snapshot::FlinkSnapshot;
use super::state::FlinkState;
use crate::Result;
use crate::format::manifest::{Ttl, TtlUpdate, TypeInfo};
use crate::format::schema_file::{OperatorSchema, SchemaFile, StateSchema};
use crate::format::{CodecId, Schema};
use esker_flink::Serializer;
use std::sync::Arc;

impl FlinkSnapshot {
    /// What a schema file says of the snapshot once it is converted: keys and namespaces by esker's codec `ordered`, values by
    /// `bincode2`. What cannot be read is bytes.
    ///
    /// # Errors
    /// Those of [`states`](Self::states).
    pub fn schema_file(&self) -> Result<SchemaFile> {
        Ok(self.schema_of(&self.states(&FlinkFilter::default())?))
    }

    /// The same of `states`, which are this snapshot's.
    pub fn schema_of(&self, states: &FlinkStates) -> SchemaFile {
        let operators = self.operators().iter().zip(&states.operators);
        let operators = operators.filter(|(_, states)| !states.is_empty());
        let operators = operators.map(|(operator, states)| {
            let key = states.iter().find_map(|state| state.key.as_ref());
            OperatorSchema {
                uid: operator.label.clone(),
                key: key.map(|key| info(CodecId::ORDERED, key)),
                states: states.iter().map(FlinkState::schema).collect(),
            }
        });
        SchemaFile { operators: operators.collect() }
    }
}

impl FlinkState {
    /// What a schema file says of it.
    pub fn schema(&self) -> StateSchema {
        let namespace = self.namespace.as_ref().filter(|namespace| !namespace.is_void_namespace());
        StateSchema {
            name: self.name.clone(),
            kind: self.kind,
            namespace: namespace.map(|namespace| info(CodecId::ORDERED, namespace)),
            user_key: self.user_key.as_ref().map(|user_key| info(CodecId::ORDERED, user_key)),
            value: self.value.as_ref().map(|value| info(CodecId::BINCODE2, value)),
            ttl: self.has_ttl.then_some(Ttl { duration_ms: None, update: TtlUpdate::Write }),
            reads: None,
        }
    }
}

fn info(codec: CodecId, serializer: &Arc<Serializer>) -> TypeInfo {
    let schema = match serializer.opaque() {
        Some(_) => Schema::Bytes,
        None => serializer.schema(),
    };
    TypeInfo { codec, schema }
}
