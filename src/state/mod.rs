//! What a program says of its states: name, kind, types. Handles to them are a backend's.

mod aggregate;
mod descriptor;
mod id;
mod keyed;
mod operator;
mod schema;
mod ttl;

pub use aggregate::{Aggregate, MergeAggregate};
pub use descriptor::Described;
pub(crate) use descriptor::{check_stored, key_info};
pub(crate) use id::StateIds;
pub(crate) use keyed::Reduce;
pub use keyed::{
    AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, TimeDomain,
    TimerDescriptor, ValueDescriptor,
};
pub use operator::{BroadcastDescriptor, OperatorListDescriptor};
pub use schema::{ProgramSchema, state_infos};
pub use ttl::{TtlConfig, TtlDescriptor, TtlVisibility};
