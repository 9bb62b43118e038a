//! Where keyed state is held.
mod capture;
pub mod heap;

pub use capture::{EntrySink, StateCapture};
