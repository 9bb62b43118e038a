//! Offline work on snapshots: no job runs, none is changed.
//!
//! [`copy()`] makes of any snapshot one that stands alone, in a folder of its own; [`write_savepoint`]
//! makes one of sorted entries, whoever gives them.

mod copy;
mod plan;
mod target;
mod transfer;
mod write;

pub use crate::snapshot::{Count, EntrySource, SubtaskSource};
pub use copy::{Copied, copy};
pub use write::{OperatorSources, WrittenSavepoint, write_savepoint};
