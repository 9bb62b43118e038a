//! State on the heap, in copy-on-write versions.
mod address;
mod backend;
mod rows;
mod state;
pub mod table;
mod value;

pub use backend::{Handle, HeapBackend, HeapDescriptor};
pub use state::KeyedState;
pub use value::{ValueCapture, ValueState};
