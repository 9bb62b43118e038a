//! Offline work on snapshots: no job runs, none is changed.
//!
//! [`copy()`] makes of any snapshot one that stands alone, in a folder of its own.

mod copy;
mod plan;
mod transfer;

pub use copy::{Copied, Count, copy};
