//! Apache Flink's snapshots: savepoints and checkpoints of any backend, read without Java and without the job's classes.
//!
//! A [`FlinkSnapshot`] is opened from its `_metadata`, wherever its files are now. The bytes are those of
//! [`esker_flink`].

mod changelog;
mod copy;
mod damage;
mod entry;
mod feed;
mod files;
mod filter;
mod get;
pub(crate) mod header;
mod inventory;
mod lines;
mod measure;
mod ordered;
mod output;
mod part;
mod place;
mod refusal;
#[cfg(not(feature = "rocksdb"))]
#[path = "no_rocksdb.rs"]
mod rocksdb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
pub(crate) mod save;
mod schema;
mod snapshot;
mod state;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod walk;

pub use copy::FlinkCopied;
pub use damage::FlinkDamage;
pub use entry::{FlinkEntry, FlinkValue};
pub use esker_flink as format;
pub use files::{FlinkBackend, FlinkInFlight, FlinkReferenced, FlinkSizes, FlinkUser};
pub use filter::FlinkFilter;
pub use get::{FlinkFound, FlinkQuery};
pub use inventory::{FlinkHeader, FlinkHeaderContent, FlinkStates};
pub use measure::{FlinkLarge, FlinkMeasure, FlinkMeasures};
pub use output::{FlinkContent, FlinkItem};
pub use place::FlinkFile;
pub use save::FlinkWritten;
pub use snapshot::{FlinkOperator, FlinkOptions, FlinkSnapshot, is_flink};
pub use state::FlinkState;
pub use stream::FlinkStream;
pub use verify::FlinkVerified;
