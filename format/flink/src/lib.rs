//! Apache Flink's snapshots as bytes: no I/O, no async, no clock, no `unsafe`.
//!
//! `SPEC.md` beside this crate says what is read and written; each module names its section.
#![forbid(unsafe_code)]

pub mod canonical;
pub mod changelog;
pub mod channel;
mod entry;
pub mod header;
pub mod heap;
mod input;
mod java;
pub mod key_group;
pub mod keys;
pub mod metadata;
pub mod operator;
mod operator_id;
mod output;
pub mod raw_timers;
pub mod serializer;
pub mod snappy;
mod source;
#[cfg(test)]
mod testing;
pub mod text;

pub use entry::Entry;
pub use esker_format::{FormatError, FormatErrorKind, Result, Schema, Value};
pub use input::Input;
pub use key_group::KeyGroupRange;
pub use metadata::Metadata;
pub use operator_id::OperatorId;
pub use output::Output;
pub use serializer::Serializer;
pub use source::Source;
