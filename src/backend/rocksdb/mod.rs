//! RocksDB, for state larger than memory. Feature `rocksdb`.
//!
//! A backend has a database of its own in a local folder, a column family for each state. The folder
//! is never durable: there is no write-ahead log, what a crash leaves is cleared when the folder is
//! opened, and it goes with the backend. Durability is the checkpoint's.
//!
//! Keys are composite keys without the state's id, which is the column family's; values are those of
//! runs (SPEC.md, "Composite keys", "List values"), so that a capture is written as it is read. Timers
//! are in order of time.
//!
//! States know `db` and not the crate `rocksdb`, so that a swap stays cheap.

mod backend;
mod budget;
mod capture;
mod cells;
mod db;
mod entries;
mod error;
mod expiry;
mod filter;
mod folder;
mod keys;
mod list;
mod map;
mod native;
mod options;
mod reader;
mod timer;
mod ttl;
mod value;
mod version;

#[cfg(test)]
mod tests;

pub use backend::{RocksBackend, RocksBackends};
pub use budget::Budget;
#[cfg(feature = "metrics")]
pub(crate) use db::Figures;
pub use list::ListState;
pub use map::MapState;
pub use options::{Profile, RocksOptions};
pub use reader::NativeReader;
pub use timer::TimerState;
pub use ttl::{TtlListState, TtlMapState, TtlValueState};
pub use value::ValueState;
pub use version::version_of;
