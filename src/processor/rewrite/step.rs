//! What is to be done to the entries of a state, one step after the other: `serde` data.

use super::from_toml;
use crate::Result;
use crate::format::manifest::TtlUpdate;
use crate::format::{CodecId, Schema};
use serde::{Deserialize, Serialize};

/// One step: it sees of an entry what the steps before it made. Its expressions have the names of a
/// [filter](super::RewritePlan::filter), and `now`, which is [`now_ms`](super::RewritePlan::now_ms).
///
/// ```
/// # use esker::processor::EntryStep;
/// let step = EntryStep::from_toml("set = { field = 'total.cents', to = 'it * 100' }")?;
/// assert!(matches!(step, EntryStep::Set(set) if set.field == "total.cents"));
/// let step = EntryStep::from_toml("ttl.duration_ms = 60_000")?;
/// assert!(matches!(step, EntryStep::Ttl(ttl) if ttl.last_update.is_none()));
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryStep {
    /// Keeps the entries for which this expression holds.
    Filter(String),
    /// Puts another value in the place of one, or of a part of it.
    Set(SetStep),
    /// Takes this field out of a struct, in the type of the state and in each value: the path of the field,
    /// as [`Place`](crate::format::schema::Place) says. Of a list it begins with `[]`.
    DeleteField(String),
    /// Puts a field into a struct, in the type of the state and in each value.
    AddField(AddFieldStep),
    /// Lets entries expire, or changes when they do.
    Ttl(TtlStep),
    /// Lets entries live for ever. What had expired at the capture is gone nevertheless.
    RemoveTtl {},
    /// Writes values by another codec of esker's, `ordered` or `bincode2`. Their type stays.
    Codec(CodecId),
}

/// Another value: the type stays, and what does not fit it ends the rewrite.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetStep {
    /// The part that is set, as [`Place`](crate::format::schema::Place) says; all of the value if it is
    /// empty. Of a list `[]` is each element.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is put there, by an expression that also has `it`, what is there.
    pub to: String,
}

/// A field that a struct gets, behind the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddFieldStep {
    /// The path of the struct, and the name of the field.
    pub field: String,
    /// Its type, as manifests have it: `"u64"`, `{ option = "string" }`.
    #[serde(rename = "type")]
    pub of: Schema,
    /// What it holds, by an expression that also has `it`, the struct.
    pub to: String,
}

/// How long entries live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TtlStep {
    /// Milliseconds from the last update until an entry expires. What has expired by it at the capture goes.
    pub duration_ms: u64,
    /// When the time is renewed; as before if not given, and on writes if there was no TTL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<TtlUpdate>,
    /// The time of the last update in milliseconds, by an expression: of a list one for all elements, or
    /// a list with one for each. Times stay as they are if it is not given; a state that had no TTL
    /// needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<String>,
}

/// Other keys for all keyed state of an operator, whose type of key is one. Entries go to the key groups of
/// their new keys, and so to other subtasks. It comes behind all filters and steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RekeyStep {
    /// The new key, by an expression that has the names of a step's, and `state`, the name of the state.
    pub to: String,
    /// The type of the new keys, as manifests have it; as before if not given. Primitives, strings, bytes and
    /// tuples of them are written by the codec `ordered`, others by `bincode2`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Schema>,
    /// Which of two entries stays that would have one key, namespace and user key; if it is not given, there
    /// must be none. Two timers of one key and time are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wins: Option<Winner>,
}

/// Which entry stays of those that would have one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Winner {
    /// That of the lowest old key, by its bytes: of the codec `ordered`, as keys sort.
    LowestKey,
    /// That of the highest old key.
    HighestKey,
}

impl EntryStep {
    /// The step that a TOML document has.
    ///
    /// # Errors
    /// `Invalid`, with the place in the document.
    pub fn from_toml(text: &str) -> Result<Self> {
        from_toml("step", text)
    }

    /// Its name in a plan.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filter(_) => "filter",
            Self::Set(_) => "set",
            Self::DeleteField(_) => "delete_field",
            Self::AddField(_) => "add_field",
            Self::Ttl(_) => "ttl",
            Self::RemoveTtl {} => "remove_ttl",
            Self::Codec(_) => "codec",
        }
    }
}
