//! The frozen shape of version 1 of manifests. Never changed once released: a new version gets
//! structs of its own.

use super::parts::{self, PartWriter};
use crate::record::Extra;
use crate::{CodecId, Result, Schema, dirs};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    job: String,
    kind: SnapshotKind,
    checkpoint: u64,
    generation: u64,
    dirs: Vec<String>,
    operators: Vec<Operator>,
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operator {
    uid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<TypeInfo>,
    states: Vec<StateInfo>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<u32>,
    parts: Vec<String>,
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateInfo {
    id: u32,
    name: String,
    kind: StateKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<TypeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_key: Option<TypeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<TypeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<Ttl>,
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TypeInfo {
    codec: CodecId,
    schema: Schema,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Ttl {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    update: TtlUpdate,
}

/// An enum of the wire, and its conversions from and to the program's enum of the same variants.
macro_rules! wire_enum {
    ($name:ident = $model:path { $($variant:ident),* $(,)? }) => {
        #[derive(Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub(crate) enum $name {
            $($variant,)*
        }

        impl From<$name> for $model {
            fn from(wire: $name) -> Self {
                match wire {
                    $($name::$variant => Self::$variant,)*
                }
            }
        }

        impl From<$model> for $name {
            fn from(model: $model) -> Self {
                match model {
                    $(<$model>::$variant => Self::$variant,)*
                }
            }
        }
    };
}

wire_enum!(SnapshotKind = super::SnapshotKind { Checkpoint, Savepoint });
wire_enum!(TtlUpdate = super::TtlUpdate { Write, ReadAndWrite });
wire_enum!(
    StateKind = super::StateKind {
        Value,
        List,
        Map,
        Reducing,
        Aggregating,
        TimerEvent,
        TimerProcessing,
        OperatorList,
        OperatorUnion,
        OperatorBroadcast,
    }
);

impl Manifest {
    pub(super) fn of(model: &super::Manifest) -> Result<Self> {
        let mut writer = PartWriter::new(
            model.checkpoint,
            model.operators.iter().flat_map(|operator| &operator.parts),
        );
        let operators = model.operators.iter().map(|operator| {
            let parts = operator.parts.iter().map(|part| writer.write(part));
            Ok(Operator {
                uid: operator.uid.clone(),
                key: operator.key.clone().map(Into::into),
                parts: parts.collect::<Result<_>>()?,
                states: operator.states.iter().cloned().map(Into::into).collect(),
                dropped: operator.dropped.clone(),
                extra: operator.extra.clone(),
            })
        });
        let operators = operators.collect::<Result<_>>()?;
        Ok(Self {
            job: model.job.clone(),
            kind: model.kind.into(),
            checkpoint: model.checkpoint,
            generation: model.generation,
            dirs: writer.dirs(),
            operators,
            extra: model.extra.clone(),
        })
    }

    pub(super) fn into_manifest(self) -> Result<super::Manifest> {
        dirs::check_table(&self.dirs)?;
        let operators = self.operators.into_iter().map(|operator| {
            let read = |part: &String| parts::read(part, &self.dirs, self.checkpoint);
            let parts = operator.parts.iter().map(read);
            Ok(super::Operator {
                uid: operator.uid,
                key: operator.key.map(Into::into),
                states: operator.states.into_iter().map(Into::into).collect(),
                dropped: operator.dropped,
                parts: parts.collect::<Result<_>>()?,
                extra: operator.extra,
            })
        });
        Ok(super::Manifest {
            job: self.job,
            kind: self.kind.into(),
            checkpoint: self.checkpoint,
            generation: self.generation,
            operators: operators.collect::<Result<_>>()?,
            extra: self.extra,
        })
    }
}

/// The conversions of a struct of the wire from and to the program's struct of the same fields.
macro_rules! same_fields {
    ($name:ident = $model:path { $($field:ident),* $(,)? } $(maps { $($held:ident),* $(,)? })?) => {
        impl From<$name> for $model {
            fn from(wire: $name) -> Self {
                Self { $($field: wire.$field.into(),)* $($($held: wire.$held.map(Into::into),)*)? }
            }
        }

        impl From<$model> for $name {
            fn from(model: $model) -> Self {
                Self { $($field: model.$field.into(),)* $($($held: model.$held.map(Into::into),)*)? }
            }
        }
    };
}

same_fields!(TypeInfo = super::TypeInfo { codec, schema });
same_fields!(Ttl = super::Ttl { duration_ms, update });
same_fields!(
    StateInfo = super::StateInfo { id, name, kind, extra } maps { namespace, user_key, value, ttl }
);
