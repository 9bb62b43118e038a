//! Canonical lines as rows of a Parquet file, and the way back.
//!
//! The columns are those of CSV, by the same names: `operator`, `state` and `kind` are text, each of the
//! others is JSON text, or numbers or booleans where every state that a file is of has such
//! (SPEC.md, "Canonical dump"). A null is what nothing is in CSV: JSON's null, or what a line does not have.

mod column;
mod contain;
mod footer;
mod pages;
mod read;
mod shape;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;
mod thrift;
mod write;

pub(crate) use read::Rows;
pub(crate) use shape::{Shape, shapes};
pub(crate) use write::Writer;

/// So many columns at the front are text, and never null: operator, state, kind.
const HEAD: usize = 3;
