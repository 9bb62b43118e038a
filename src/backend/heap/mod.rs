//! State on the heap, in copy-on-write versions.
mod address;
mod backend;
mod calls;
mod hydration;
mod lazy;
mod list;
mod map;
mod rows;
pub mod table;
#[cfg(test)]
pub(super) mod testing;
mod timer;
mod ttl;
mod value;

pub use backend::{HeapBackend, HeapBackends};
pub use list::{ListCapture, ListState, ListView};
pub use map::{MapCapture, MapIter, MapState, MapView};
pub use timer::{TimerCapture, TimerState};
pub use ttl::{
    TtlCapture, TtlListCapture, TtlListState, TtlMapCapture, TtlMapState, TtlValueCapture,
    TtlValueState,
};
pub use value::{ValueCapture, ValueState};
