//! Canonical lines, in any order, to a savepoint: read by the types of another snapshot, sorted on disk,
//! written as any savepoint is.

mod input;
mod lines;
mod sources;
mod spool;

pub(crate) use input::{COLUMNS, Format, Input};
pub(crate) use lines::{Loader, Problem};
pub(crate) use sources::sources;
