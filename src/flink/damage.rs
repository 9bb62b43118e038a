//! What of a snapshot cannot be read.

use crate::Error;

/// Something that cannot be read, and what is lost with it.
#[derive(Debug)]
pub struct FlinkDamage {
    /// The operator, by what it is called in [`FlinkOperator::label`](super::FlinkOperator::label).
    pub operator: String,
    /// The subtask that wrote it; none for what its coordinator did.
    pub subtask: Option<u32>,
    /// The state; none where it may be any of the operator.
    pub state: Option<String>,
    /// The first and the last of the key groups; none of operator state.
    pub key_groups: Option<(u16, u16)>,
    /// How many entries, where that is known.
    pub entries: Option<u64>,
    /// What is wrong, with file and offset. [`Unsupported`](crate::ErrorKind::Unsupported) and
    /// [`Incompatible`](crate::ErrorKind::Incompatible) are no damage, but what this esker does not read.
    pub error: Error,
}
