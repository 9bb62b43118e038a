//! What an engine needs to run its state on esker.
mod local;

pub use local::LocalJob;
