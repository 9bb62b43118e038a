//! Canonical lines, in any order, to a savepoint: read by the types of another snapshot or of a schema file, sorted on disk,
//! written as any savepoint is.

mod input;
mod lines;
mod origin;
mod sources;
mod spool;
mod template;

pub(crate) use input::{COLUMNS, Format, Read1};
pub(crate) use lines::{Loader, Problem};
pub(crate) use origin::{Ended, Origin};
pub(crate) use sources::sources;
pub(crate) use template::Template;
