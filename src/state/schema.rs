//! From descriptors to schema files, and from these to what a manifest says of states.

use super::descriptor::{Described, key_info};
use super::id::StateIds;
use crate::backend::operator::{OperatorBackend, OperatorDescriptor};
use crate::backend::{Backend, KeyedStates};
use crate::format::manifest::{StateInfo, TypeInfo};
use crate::format::schema_file::{OperatorSchema, SchemaFile, StateSchema};
use crate::{Error, ErrorKind, Result};

/// The states of a program, to be written to a schema file beside its source: `esker check SNAPSHOT --schema
/// FILE` then tells what becomes of a snapshot when the program restores it.
///
/// ```
/// # use esker::state::{ListDescriptor, OperatorListDescriptor, ProgramSchema, ValueDescriptor};
/// let mut schema = ProgramSchema::default();
/// schema.keyed("carriers", &ValueDescriptor::<String, u64>::new("flights"))?;
/// schema.keyed("carriers", &ListDescriptor::<String, i64>::new("delays"))?;
/// schema.operator("source", &OperatorListDescriptor::<u64>::split("offsets"))?;
/// let text = schema.file().to_text()?; // std::fs::write("esker-schema.json", text)?
/// assert!(text.contains(r#"{"codec": "ordered", "schema": "string"}"#));
/// # Ok::<(), esker::Error>(())
/// ```
///
/// A program that opens its states in one place need not name them again: a backend with all of them open, of
/// any kind and never restored, says the same by [`backend`](Self::backend), but for what descriptors know
/// alone: which fields have a default or other names, so that a check trusts in none but options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramSchema {
    file: SchemaFile,
}

impl ProgramSchema {
    /// Adds a keyed state of operator `uid`, with TTL or without.
    ///
    /// # Errors
    /// As when a backend opens it: `Incompatible` if a type cannot be traced, a key type has no
    /// deterministic encoding, or the operator's keys are of another type; `Invalid` if the operator has
    /// a state of this name.
    pub fn keyed<D: Described>(&mut self, uid: &str, descriptor: &D) -> Result<&mut Self> {
        let key = key_info::<D::Key>()?;
        let state = StateSchema::of(&descriptor.info(0)?);
        self.add(uid, Some(&key), vec![StateSchema { reads: descriptor.reads()?, ..state }])
    }

    /// Adds an operator state of operator `uid`.
    ///
    /// # Errors
    /// As for [`keyed`](Self::keyed).
    pub fn operator<D: OperatorDescriptor>(
        &mut self,
        uid: &str,
        descriptor: &D,
    ) -> Result<&mut Self> {
        let state = StateSchema::of(&descriptor.info(0)?);
        self.add(uid, None, vec![StateSchema { reads: descriptor.reads()?, ..state }])
    }

    /// Adds the states that are open in a backend, to its operator.
    ///
    /// # Errors
    /// As for [`keyed`](Self::keyed).
    pub fn backend<B: Backend>(&mut self, backend: &B) -> Result<&mut Self> {
        let states: &KeyedStates = backend.states();
        let infos = states.infos();
        self.add(states.uid(), states.key(), infos.iter().map(StateSchema::of).collect())
    }

    /// Adds the operator states that are open in a backend, to its operator.
    ///
    /// # Errors
    /// As for [`keyed`](Self::keyed).
    pub fn operator_backend(&mut self, backend: &OperatorBackend) -> Result<&mut Self> {
        self.add(backend.uid(), None, backend.infos().iter().map(StateSchema::of).collect())
    }

    /// What a file says of them.
    pub fn file(&self) -> &SchemaFile {
        &self.file
    }

    fn add(
        &mut self,
        uid: &str,
        key: Option<&TypeInfo>,
        states: Vec<StateSchema>,
    ) -> Result<&mut Self> {
        let operators = &mut self.file.operators;
        let at = operators.iter().position(|operator| operator.uid == uid);
        let mut operator = match at.map(|at| operators.swap_remove(at)) {
            Some(known) => known,
            None => OperatorSchema { uid: uid.to_owned(), key: None, states: Vec::new() },
        };
        let added = add_to(&mut operator, key, states);
        operators.push(operator);
        added.map(|()| self)
    }
}

fn add_to(
    operator: &mut OperatorSchema,
    key: Option<&TypeInfo>,
    states: Vec<StateSchema>,
) -> Result<()> {
    let uid = &operator.uid;
    if let (Some(known), Some(key)) = (&operator.key, key)
        && known != key
    {
        let (name, json) = (states.first().map_or("", |state| &state.name), TypeInfo::to_string);
        let message = format!(
            "operator={uid}: keys are {}, not {} as state={name} asks",
            json(known),
            json(key)
        );
        return Err(Error::new(ErrorKind::Incompatible, message));
    }
    if let Some(twice) = states.iter().find(|state| operator.state(&state.name).is_some()) {
        let message = format!("operator={uid}: state={} is there already", twice.name);
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    operator.key = operator.key.take().or_else(|| key.cloned());
    operator.states.extend(states);
    Ok(())
}

/// What a manifest says of the states of `operator`, ids ascending: with the ids that they get in a snapshot
/// that no other one came before.
pub fn state_infos(operator: &OperatorSchema) -> Vec<StateInfo> {
    let mut ids = StateIds::default();
    let id_of = |state: &StateSchema, ids: &mut StateIds| match state.kind.is_keyed() {
        true => ids.of(&state.name),
        false => ids.of_operator(&state.name),
    };
    let mut infos: Vec<StateInfo> =
        operator.states.iter().map(|state| state.info(id_of(state, &mut ids))).collect();
    infos.sort_unstable_by_key(|info| info.id);
    infos
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::heap::HeapBackend;
    use crate::format::KeyGroupRange;
    use crate::state::{OperatorListDescriptor, TimerDescriptor, TtlConfig, ValueDescriptor};

    #[test]
    fn descriptors_and_open_states_say_the_same() {
        let value = || ValueDescriptor::<u64, String>::new("value").with_ttl(TtlConfig::new(5));
        let timers = || TimerDescriptor::<u64, u32>::event("timers");
        let offsets = || OperatorListDescriptor::<i128>::union("offsets");
        let mut named = ProgramSchema::default();
        named.operator("op", &offsets()).unwrap();
        named.keyed("op", &value()).unwrap().keyed("op", &timers()).unwrap();

        let mut backend = HeapBackend::new("op", KeyGroupRange::ALL);
        backend.open(timers()).unwrap();
        backend.open(value()).unwrap();
        let mut operator = OperatorBackend::new("op");
        operator.open(offsets()).unwrap();
        let mut open = ProgramSchema::default();
        open.backend(&backend).unwrap().operator_backend(&operator).unwrap();
        let mut forgets = named.clone();
        let states = forgets.file.operators.iter_mut().flat_map(|operator| &mut operator.states);
        let forgiving = states.filter_map(|state| state.reads.take()).count();
        assert_eq!(forgiving, 2, "all but timers");
        assert_eq!(forgets.file().to_text().unwrap(), open.file().to_text().unwrap());

        // And what a load makes of the file is what the backends would write.
        let file = SchemaFile::parse(&open.file().to_text().unwrap()).unwrap();
        let infos = state_infos(&file.operators[0]);
        assert_eq!(infos, [backend.infos(), operator.infos()].concat());
    }

    #[test]
    fn what_no_backend_would_open_is_refused_and_changes_nothing() {
        let mut schema = ProgramSchema::default();
        schema.keyed("op", &ValueDescriptor::<u64, u8>::new("a")).unwrap();
        let before = schema.clone();
        let error = schema.keyed("op", &ValueDescriptor::<u32, u8>::new("b")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Incompatible);
        let said = r#"operator=op: keys are "u64" by codec=ordered, not "u32" by codec=ordered as state=b"#;
        assert!(error.to_string().contains(said), "{error}");
        let error = schema.keyed("op", &ValueDescriptor::<u64, u8>::new("a")).unwrap_err();
        assert!(error.to_string().contains("state=a is there already"), "{error}");
        assert_eq!(schema, before);
    }
}
