//! The library as a whole, from outside: identity, runtimes, jobs that are killed, stores that fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, helpers included"
)]

mod backends;
mod barrier;
mod conformance;
mod coordinated;
mod crash;
mod diff;
mod evolve;
#[cfg(all(feature = "rocksdb", target_os = "linux"))]
mod full;
mod golden;
mod identity;
mod lazy;
mod load;
#[cfg(feature = "expressions")]
mod merge;
mod race;
#[cfg(feature = "expressions")]
mod rewrite;
mod runtimes;
mod salvage;
mod stores;
#[cfg(feature = "expressions")]
mod timed;
mod world;
