//! Where keyed state is held: [`Backend`] is what all backends are, [`heap`] is one.
mod aggregating;
mod calls;
mod capture;
pub mod cold;
mod descriptors;
pub mod heap;
mod keyed;
mod native;
pub mod operator;
mod owned;
mod reducing;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
mod slots;
mod state;
mod states;
mod stored;
mod ttl;

pub use aggregating::AggregatingState;
pub use calls::{ListCalls, MapCalls, TimerCalls, ValueCalls};
pub use capture::{EntrySink, StateCapture};
pub use keyed::{Aggregating, Backend, BackendFactory, Descriptor, DynCodec, Reducing};
pub use native::{LocalFile, NativeCapture, NativeState};
pub use reducing::ReducingState;
pub use slots::Handle;
pub use state::{DecodedEntries, EntryDecoder, KeyedState, StateValue};
pub use states::{Admitted, KeyedStates};
pub use ttl::{Timed, TimedCodec};
