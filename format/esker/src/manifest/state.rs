//! What a manifest says of one state.

use crate::record::Extra;
use crate::{CodecId, Schema};

/// The kinds of state, by the names that stand in manifests and dumps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StateKind {
    /// One value per key and namespace.
    Value,
    /// A list per key and namespace.
    List,
    /// A map per key and namespace.
    Map,
    /// A value that inputs of its own type are folded into.
    Reducing,
    /// An accumulator that inputs of another type are folded into.
    Aggregating,
    /// Event-time timers.
    TimerEvent,
    /// Processing-time timers.
    TimerProcessing,
    /// Elements that are dealt out one by one on rescale.
    OperatorList,
    /// Elements of which every subtask gets all on restore.
    OperatorUnion,
    /// The same map in every subtask.
    OperatorBroadcast,
}

impl StateKind {
    /// Whether the state is by key: it then has a key group per entry.
    pub const fn is_keyed(self) -> bool {
        !matches!(self, Self::OperatorList | Self::OperatorUnion | Self::OperatorBroadcast)
    }

    /// The name in manifests and dumps.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::List => "list",
            Self::Map => "map",
            Self::Reducing => "reducing",
            Self::Aggregating => "aggregating",
            Self::TimerEvent => "timer-event",
            Self::TimerProcessing => "timer-processing",
            Self::OperatorList => "operator-list",
            Self::OperatorUnion => "operator-union",
            Self::OperatorBroadcast => "operator-broadcast",
        }
    }
}

impl std::fmt::Display for StateKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A type as it is stored: the codec that makes its bytes, and its shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// The codec.
    pub codec: CodecId,
    /// The shape.
    pub schema: Schema,
}

impl std::fmt::Display for TypeInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by codec={}", self.schema, self.codec)
    }
}

/// When the time of an entry is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TtlUpdate {
    /// On every write.
    Write,
    /// On every write and read.
    ReadAndWrite,
}

/// How long entries live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ttl {
    /// Milliseconds from the last update until an entry expires; `None` where it is not known.
    pub duration_ms: Option<u64>,
    /// When the time is renewed.
    pub update: TtlUpdate,
}

/// One state of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateInfo {
    /// The numeric id in runs: unique within the operator.
    pub id: u32,
    /// The name in the state's descriptor: unique within the operator.
    pub name: String,
    /// The kind.
    pub kind: StateKind,
    /// The type of namespaces; `None` where there are none.
    pub namespace: Option<TypeInfo>,
    /// The type of user keys: of maps, and of the keys of broadcast state.
    pub user_key: Option<TypeInfo>,
    /// The type of values, list elements or accumulators; `None` for timers.
    pub value: Option<TypeInfo>,
    /// How long entries live; `None`: for ever. With TTL, each value and list element is preceded
    /// by the time of its last update.
    pub ttl: Option<Ttl>,
    /// Unknown fields.
    pub extra: Extra,
}
