//! The states of a snapshot in esker's own words: what a schema file says of a program.

use super::filter::FlinkFilter;
use super::inventory::FlinkStates;
use super::save::infos;
use super::snapshot::FlinkSnapshot;
use super::state::FlinkState;
use crate::Result;
use crate::format::schema_file::{OperatorSchema, SchemaFile, StateSchema};

impl FlinkSnapshot {
    /// What a schema file says of the snapshot once it is converted: keys and namespaces by esker's codec `ordered` where it has
    /// their types, all else by `bincode2`. What cannot be read is opaque.
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
                key: key.map(|key| infos::key(key)),
                states: states.iter().map(FlinkState::schema).collect(),
            }
        });
        SchemaFile { operators: operators.collect() }
    }
}

impl FlinkState {
    /// What a schema file says of it.
    pub fn schema(&self) -> StateSchema {
        infos::state_schema(self)
    }
}
