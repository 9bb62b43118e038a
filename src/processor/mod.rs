//! Offline work on snapshots: no job runs, none is changed.
//!
//! [`copy()`] makes of any snapshot one that stands alone, in a folder of its own; [`rewrite()`] makes
//! one that is changed, as a [`RewritePlan`] says; [`write_savepoint`] makes one of sorted entries, whoever
//! gives them.

mod bring;
mod copy;
mod plan;
mod rewrite;
mod target;
mod transfer;
mod write;

pub use crate::snapshot::{Count, EntrySource, SubtaskSource};
pub use bring::Transport;
pub use copy::{Copied, copy};
pub use rewrite::{
    OperatorPlan, Rehearsed, RewritePlan, Rewritten, StateLeft, StatePlan, rehearse, rewrite,
};
pub use write::{OperatorSources, WrittenSavepoint, write_savepoint};
