//! State on the heap, in copy-on-write versions.
mod access;
mod address;
mod aggregating;
mod backend;
mod descriptors;
mod list;
mod map;
mod reducing;
mod rows;
mod state;
pub mod table;
#[cfg(test)]
mod testing;
mod timer;
mod ttl;
mod value;

pub use access::ValueAccess;
pub use aggregating::{Aggregate, AggregatingState, MergeAggregate};
pub use backend::{HeapBackend, HeapDescriptor};
pub use list::{ListCapture, ListState, ListView};
pub use map::{MapCapture, MapIter, MapState, MapView};
pub use reducing::ReducingState;
pub use state::{DecodedEntries, EntryDecoder, KeyedState};
pub use timer::{TimeDomain, TimerCapture, TimerState};
pub use ttl::{
    Timed, TimedCodec, TtlCapture, TtlConfig, TtlListCapture, TtlListState, TtlMapCapture,
    TtlMapState, TtlValueCapture, TtlValueState, TtlVisibility,
};
pub use value::{ValueCapture, ValueState};
