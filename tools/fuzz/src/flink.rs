//! Flink's snapshots: metadata, streams, serializer snapshots and values.

mod changelog;
mod golden;
mod hostile;
mod keyed;
mod metadata;
mod operator;
mod raw_timers;
mod serializer;

pub(crate) use changelog::{changelog, changelog_seeds};
pub(crate) use keyed::{canonical, canonical_seeds, heap, heap_seeds};
pub(crate) use metadata::{metadata, metadata_seeds};
pub(crate) use operator::{operator, operator_seeds};
pub(crate) use raw_timers::{raw_timers, raw_timers_seeds};
pub(crate) use serializer::{serializer, serializer_seeds, value, value_seeds};
