//! Schema files: what states a program has, as text to keep beside its source (SPEC.md, "Schema file").
//!
//! A file says of operators and states what a manifest says of them, but for what is a snapshot's alone:
//! ids, parts, counts. It is JSON in one layout, so that a change of a type is a change of its lines.

mod check;
mod compare;
#[cfg(test)]
mod compare_tests;
mod layout;
#[cfg(test)]
mod tests;
mod v1;

pub use compare::{Stands, Verdict};

use crate::manifest::{Manifest, Operator, StateInfo, StateKind, Ttl, TypeInfo};
use crate::record::Extra;
use crate::schema::Reads;
use crate::{FormatError, FormatErrorKind, Result};
use serde::Deserialize;

/// The newest version of schema files that this library reads, and the one that it writes.
pub const SCHEMA_FILE_VERSION: u32 = 1;
/// A longer text is refused before it is parsed.
pub const SCHEMA_FILE_LEN_BYTES_MAX: usize = 64 << 20;

const WHAT: &str = "schema file";

/// The operators and states of a program or of a snapshot.
///
/// ```
/// # use esker_format::schema_file::SchemaFile;
/// let text = r#"{"esker-schema": 1, "operators": [{"uid": "airports", "states": [
///     {"name": "offsets", "kind": "operator-list", "value": {"codec": "bincode2", "schema": "u64"}}
/// ]}]}"#;
/// let file = SchemaFile::parse(text)?;
/// assert_eq!(file.operators[0].states[0].name, "offsets");
/// let error = SchemaFile::parse(&text.replace("uid", "uuid")).unwrap_err();
/// assert!(error.message.contains("uuid"));
/// # Ok::<(), esker_format::FormatError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaFile {
    /// The operators, in any order; no two share a uid.
    pub operators: Vec<OperatorSchema>,
}

/// What a schema file says of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSchema {
    /// The stable name by which its state is found.
    pub uid: String,
    /// The type of its keys; `None` for an operator without keyed state.
    pub key: Option<TypeInfo>,
    /// Its states, in any order; no two share a name.
    pub states: Vec<StateSchema>,
}

/// What a schema file says of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSchema {
    /// The name in the state's descriptor.
    pub name: String,
    /// The kind.
    pub kind: StateKind,
    /// The type of namespaces; `None` where there are none.
    pub namespace: Option<TypeInfo>,
    /// The type of user keys: of maps, and of the keys of broadcast state.
    pub user_key: Option<TypeInfo>,
    /// The type of values, list elements or accumulators; `None` for timers.
    pub value: Option<TypeInfo>,
    /// How long entries live; `None`: for ever.
    pub ttl: Option<Ttl>,
    /// What the program reads besides values of that shape; `None` where that is not known, as of a snapshot.
    pub reads: Option<Reads>,
}

impl SchemaFile {
    /// What a snapshot says of its operators.
    pub fn of(manifest: &Manifest) -> Self {
        Self { operators: manifest.operators.iter().map(OperatorSchema::of).collect() }
    }

    /// The file of a text, whatever its layout.
    ///
    /// # Errors
    /// `UnsupportedVersion` if it is newer than [`SCHEMA_FILE_VERSION`]; else `Invalid`, with the place:
    /// if it is longer than [`SCHEMA_FILE_LEN_BYTES_MAX`], no JSON of that shape, has a member that is not
    /// known, two operators, states, fields or variants of one name, a state whose types do not fit its
    /// kind, or a reference that nothing around it answers.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > SCHEMA_FILE_LEN_BYTES_MAX {
            let message = format!("{} bytes, at most {SCHEMA_FILE_LEN_BYTES_MAX}", text.len());
            return Err(FormatError::invalid(WHAT, message));
        }
        let invalid = |error: serde_json::Error| FormatError::invalid(WHAT, error.to_string());
        // The version is told first: what a newer one holds is not for this reader to judge.
        let Version { version } = serde_json::from_str(text).map_err(invalid)?;
        if version > u64::from(SCHEMA_FILE_VERSION) {
            let newest = SCHEMA_FILE_VERSION;
            let message = format!("version={version} is newer than the newest known={newest}");
            return Err(FormatError::new(FormatErrorKind::UnsupportedVersion, WHAT, message));
        }
        if version == 0 {
            return Err(FormatError::invalid(WHAT, "there is no version=0"));
        }
        let file: Self = serde_json::from_str::<v1::SchemaFile>(text).map_err(invalid)?.into();
        check::check(&file)?;
        Ok(file)
    }

    /// The text of the file: operators by uid and states by name, in ascending order, in one layout; equal
    /// files have equal texts. It ends with a newline.
    ///
    /// # Errors
    /// `Invalid` if [`parse`](Self::parse) would not take it.
    pub fn to_text(&self) -> Result<String> {
        Ok(layout::lay_out(&self.to_json()?))
    }

    /// The same without white space.
    ///
    /// # Errors
    /// As for [`to_text`](Self::to_text).
    pub fn to_json(&self) -> Result<String> {
        check::check(self)?;
        let mut sorted = self.clone();
        sorted.operators.sort_by(|a, b| a.uid.cmp(&b.uid));
        for operator in &mut sorted.operators {
            operator.states.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let json = serde_json::to_string(&v1::SchemaFile::from(sorted));
        json.map_err(|error| FormatError::invalid(WHAT, error.to_string()))
    }

    /// The operator called `uid`.
    pub fn operator(&self, uid: &str) -> Option<&OperatorSchema> {
        self.operators.iter().find(|operator| operator.uid == uid)
    }
}

impl OperatorSchema {
    /// What a snapshot says of an operator.
    pub fn of(operator: &Operator) -> Self {
        let Operator { uid, key, states, .. } = operator;
        let states = states.iter().map(StateSchema::of).collect();
        Self { uid: uid.clone(), key: key.clone(), states }
    }

    /// The state called `name`.
    pub fn state(&self, name: &str) -> Option<&StateSchema> {
        self.states.iter().find(|state| state.name == name)
    }
}

impl StateSchema {
    /// What a manifest says of a state, without its id.
    pub fn of(info: &StateInfo) -> Self {
        let StateInfo { name, kind, namespace, user_key, value, ttl, .. } = info.clone();
        Self { name, kind, namespace, user_key, value, ttl, reads: None }
    }

    /// What a manifest says of the state, with numeric id `id`.
    pub fn info(&self, id: u32) -> StateInfo {
        let Self { name, kind, namespace, user_key, value, ttl, .. } = self.clone();
        StateInfo { id, name, kind, namespace, user_key, value, ttl, extra: Extra::new() }
    }
}

/// The version alone, whatever else there is.
#[derive(Deserialize)]
#[serde(expecting = "an object with the member `esker-schema`")]
struct Version {
    #[serde(rename = "esker-schema")]
    version: u64,
}
