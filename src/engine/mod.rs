//! What an engine needs to run its state on esker.
pub mod barrier;
mod local;

pub use local::LocalJob;
