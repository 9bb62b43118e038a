//! The frozen shape of version 1 of schema files. Kinds, types and TTL are written as in manifests of
//! version 1. Never changed once released: a new version gets structs of its own.

use crate::manifest::v1::{StateKind, Ttl, TypeInfo};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Unlike in manifests nothing unknown is kept: the file is written by hand, too, and a member that is
/// spelled wrong must not count as one that is not there.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SchemaFile {
    #[serde(rename = "esker-schema")]
    version: u32,
    operators: Vec<Operator>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Operator {
    uid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<TypeInfo>,
    states: Vec<State>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct State {
    name: String,
    kind: StateKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<Ttl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<TypeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_key: Option<TypeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<TypeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reads: Option<Reads>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reads {
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    defaults: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    strict: BTreeSet<String>,
}

/// Between the wire's forgiveness and the program's, which have the same fields.
macro_rules! reads {
    ($from:path => $to:path) => {
        impl From<$from> for $to {
            fn from(reads: $from) -> Self {
                let (defaults, aliases, strict) = (reads.defaults, reads.aliases, reads.strict);
                Self { defaults, aliases, strict }
            }
        }
    };
}

reads!(Reads => crate::schema::Reads);
reads!(crate::schema::Reads => Reads);

impl From<SchemaFile> for super::SchemaFile {
    fn from(wire: SchemaFile) -> Self {
        let operators = wire.operators.into_iter().map(|operator| super::OperatorSchema {
            uid: operator.uid,
            key: operator.key.map(Into::into),
            states: operator.states.into_iter().map(Into::into).collect(),
        });
        Self { operators: operators.collect() }
    }
}

impl From<super::SchemaFile> for SchemaFile {
    fn from(model: super::SchemaFile) -> Self {
        let operators = model.operators.into_iter().map(|operator| Operator {
            uid: operator.uid,
            key: operator.key.map(Into::into),
            states: operator.states.into_iter().map(Into::into).collect(),
        });
        Self { version: super::SCHEMA_FILE_VERSION, operators: operators.collect() }
    }
}

/// Between the wire's state and the program's, which have the same fields.
macro_rules! state {
    ($from:path => $to:path) => {
        impl From<$from> for $to {
            fn from(state: $from) -> Self {
                Self {
                    name: state.name,
                    kind: state.kind.into(),
                    ttl: state.ttl.map(Into::into),
                    namespace: state.namespace.map(Into::into),
                    user_key: state.user_key.map(Into::into),
                    value: state.value.map(Into::into),
                    reads: state.reads.map(Into::into),
                }
            }
        }
    };
}

state!(State => super::StateSchema);
state!(super::StateSchema => State);
