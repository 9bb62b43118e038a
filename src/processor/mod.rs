//! Offline work on snapshots: no job runs, none is changed.
//!
//! [`copy()`] makes of any snapshot one that stands alone, in a folder of its own; [`diff()`] tells what
//! differs between two.

mod copy;
mod diff;
mod plan;
mod sort;
mod transfer;

pub use copy::{Copied, Count, copy};
pub use diff::{Diff, DiffDamage, DiffFilter, Difference, Side, StateDiff, TypeRole, What, diff};
pub use sort::Sorter;
