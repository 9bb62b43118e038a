//! Where keyed state is held.
mod capture;
pub mod heap;
pub mod operator;

pub use capture::{EntrySink, StateCapture};
