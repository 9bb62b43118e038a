//! The library as a whole, from outside.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, helpers included"
)]

mod identity;
mod runtimes;
