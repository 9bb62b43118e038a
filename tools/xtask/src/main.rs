//! `cargo xtask`: the one entry point for people who work on esker.
fn main() {}
