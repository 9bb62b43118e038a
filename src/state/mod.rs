//! What a program says of its states: name, kind, types. Handles to them are a backend's.

mod descriptor;
mod id;
mod keyed;
mod operator;
mod ttl;

pub use descriptor::Described;
pub(crate) use descriptor::{check_stored, key_info};
pub(crate) use id::StateIds;
pub use keyed::{
    AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor,
    ValueDescriptor,
};
pub use operator::{BroadcastDescriptor, OperatorListDescriptor};
pub use ttl::TtlDescriptor;
