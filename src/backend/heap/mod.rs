//! State on the heap, in copy-on-write versions.
mod address;
mod backend;
mod list;
mod map;
mod rows;
mod state;
pub mod table;
#[cfg(test)]
mod testing;
mod value;

pub use backend::{Handle, HeapBackend, HeapDescriptor};
pub use list::{ListCapture, ListState, ListView};
pub use map::{MapCapture, MapIter, MapState, MapView};
pub use state::KeyedState;
pub use value::{ValueCapture, ValueState};
