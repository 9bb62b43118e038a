//! Where keyed state is held.
mod capture;
pub mod heap;
pub mod operator;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
mod slots;
mod stored;

pub use capture::{EntrySink, StateCapture};
pub use slots::Handle;
