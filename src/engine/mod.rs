//! What an engine needs to run its state on esker.
pub mod barrier;
mod coordinated;
mod described;
mod local;
mod owned;
#[cfg(feature = "timely")]
pub mod timely;
mod two_phase;

pub use coordinated::{
    Control, CoordinatedJob, End, Listener, OperatorPlan, Order, Share, SubtaskCheckpoints,
};
pub use local::LocalJob;
pub use owned::Ownership;
pub use two_phase::{Transactions, TwoPhaseCommit};
