//! Offline work on snapshots: no job runs, none is changed.
//!
//! [`copy()`] makes of any snapshot one that stands alone, in a folder of its own; [`rewrite()`] makes
//! one that is changed, as a [`RewritePlan`] says; [`write_savepoint`] makes one of sorted entries, whoever
//! gives them, [`load`] one of entries in any order, typed or not, or of files; [`merge()`] makes one of several, and [`split()`] several of one; [`diff()`] tells what differs between
//! two; [`salvage()`] makes one of what is sound of a damaged one.

mod bring;
#[cfg(feature = "parquet")]
pub mod columnar;
mod convert;
mod copy;
mod diff;
pub mod load;
mod merge;
mod plan;
mod rewrite;
mod salvage;
mod sort;
mod spool;
mod target;
mod transfer;
mod write;

pub use crate::snapshot::{Count, EntrySource, SubtaskSource};
pub use bring::Transport;
pub use convert::{
    FlinkConverted, FlinkVersion, FromFlink, OpaqueState, ToFlink, from_flink, to_flink,
};
pub use copy::{Copied, copy};
pub use diff::{Diff, DiffDamage, DiffFilter, Difference, Side, StateDiff, TypeRole, What, diff};
pub use merge::{Clash, merge};
pub use rewrite::{
    AddFieldStep, EntryStep, FlinkRewritten, FlinkStateLeft, OperatorPlan, OperatorSplit,
    Rehearsed, RekeyStep, RewritePlan, Rewritten, SetStep, SplitPlan, StateLeft, StatePlan,
    TtlStep, Winner, flink_manifest, rehearse, rehearse_flink, rewrite, rewrite_flink, split,
};
pub use salvage::{LostKey, LostRange, NotAsked, SalvageDamage, Salvaged, StateSalvaged, salvage};
pub use sort::Sorter;
pub use spool::{Fold, Spool, Spooled};
pub use write::{OperatorSources, WrittenSavepoint, write_savepoint};
