//! Snapshots of Flink's made savepoints of esker's, and the other way round.
//!
//! [`from_flink()`] decodes every entry by its serializer and writes it by esker's own codecs, so that a program of esker's can restore it and
//! every command can work on it. [`to_flink()`] makes a canonical savepoint of any snapshot of esker's, which the Flink that
//! it is made for restores into any backend. What a savepoint keeps of where it came from (SPEC.md, "What came from Flink") lets the way back lose nothing:
//! serializer snapshots, ids, the state of coordinators, values that nobody else can read.

mod from_flink;
mod nulls;
mod origin;
#[cfg(test)]
mod tests;
mod to_flink;
mod types;

pub use from_flink::{FlinkConverted, FromFlink, OpaqueState, from_flink};
pub use to_flink::{FlinkVersion, ToFlink, to_flink};
