//! Rows `rocksdb.*`: state in RocksDB beside the crate `rocksdb` used by hand, with the same options, the
//! same layout of keys and values, and no write-ahead log on either side. The peer gets bytes and gives
//! bytes; esker gets keys and values. Each side has memory of its own, of the same size.

mod checkpoint;
mod list;
mod map;
pub(crate) mod memory;
mod native;
mod peer;
mod savepoint;
pub(crate) mod side;
mod timers;
mod value;

use crate::report::Report;

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    value::run(report)?;
    map::run(report)?;
    list::run(report)?;
    timers::run(report)?;
    checkpoint::run(report)?;
    native::run(report)?;
    savepoint::run(report)?;
    memory::run(report)
}
