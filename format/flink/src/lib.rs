//! Apache Flink's snapshots as bytes: no I/O, no async, no clock, no `unsafe`.
//!
//! `SPEC.md` beside this crate says what is read and written; each module names its section.
#![forbid(unsafe_code)]

mod input;
pub mod key_group;
pub mod metadata;
mod operator_id;
mod output;
pub mod serializer;
pub mod text;

pub use esker_format::{FormatError, FormatErrorKind, Result, Schema, Value};
pub use input::Input;
pub use key_group::KeyGroupRange;
pub use metadata::Metadata;
pub use operator_id::OperatorId;
pub use output::Output;
pub use serializer::Serializer;
