//! esker beside its peers, and what the benches of single questions share with that.
//!
//! The binary `versus` asks the rows of the budget; the folder `criterion` the same operations one by
//! one, for whoever works on them.

mod candidates;
mod flink;
pub mod heap;
pub mod keys;
mod machine;
mod measure;
mod report;
mod restore;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(not(feature = "rocksdb"))]
#[path = "without_rocksdb.rs"]
mod rocksdb;
pub mod snapshot;
mod tool;
mod undo;
pub mod versus;
