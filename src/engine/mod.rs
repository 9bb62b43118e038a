//! What an engine needs to run its state on esker.
pub mod barrier;
mod coordinated;
mod described;
mod local;
mod owned;
#[cfg(feature = "timely")]
pub mod timely;

pub use coordinated::{
    Control, CoordinatedJob, End, Listener, OperatorPlan, Order, Share, SubtaskCheckpoints,
};
pub use local::LocalJob;
