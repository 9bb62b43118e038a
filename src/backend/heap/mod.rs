//! State on the heap, in copy-on-write versions.
pub mod table;
mod value;

pub use value::{ValueCapture, ValueState};
