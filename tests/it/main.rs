//! The library as a whole, from outside: jobs that are killed, stores that fail.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

mod crash;
mod soak;
mod world;
