//! Offline work on snapshots: no job runs, none is changed.
//!
//! [`copy()`] makes of any snapshot one that stands alone, in a folder of its own; [`rewrite()`] makes
//! one that is changed, as a [`RewritePlan`] says.

mod bring;
mod copy;
mod plan;
mod rewrite;
mod transfer;

pub use bring::{Count, Transport};
pub use copy::{Copied, copy};
pub use rewrite::{OperatorPlan, Rehearsed, RewritePlan, Rewritten, StatePlan, rehearse, rewrite};
