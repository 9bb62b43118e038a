//! Nothing: `build.rs` does what there is to do.
