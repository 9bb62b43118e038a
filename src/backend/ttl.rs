//! Time to live: values with the time of their last update, and the clock of a state that holds them.

mod clock;
mod codec;

pub(super) use clock::Clock;
#[cfg(feature = "rocksdb")]
pub(super) use codec::time_of;
pub use codec::{Timed, TimedCodec};
