//! What the tests of all crates share: [`soak`], how many cases run and by which seed; [`tool`],
//! programs that may be missing; [`server`], object stores that a test starts; [`http`], a server that does what it
//! is told; [`flink`], the snapshots that real Flink wrote.

pub mod flink;
pub mod http;
pub mod server;
pub mod soak;
pub mod tool;
