//! What the tests of all crates share: [`soak`], how many cases run and by which seed; [`tool`],
//! programs that may be missing.

pub mod soak;
pub mod tool;
