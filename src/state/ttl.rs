//! Descriptors of states whose entries expire.

use super::descriptor::Described;
use super::{
    AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor, ValueDescriptor,
};
use crate::Result;
use crate::backend::heap::{Aggregate, TtlConfig};
use crate::format::manifest::StateInfo;

/// Describes a state as `D` does, but for entries that expire.
///
/// ```
/// # use esker::backend::heap::{HeapBackend, TtlConfig};
/// # use esker::format::KeyGroupRange;
/// # use esker::state::ListDescriptor;
/// let mut backend = HeapBackend::new("carriers", KeyGroupRange::ALL);
/// let hour = TtlConfig::new(3_600_000);
/// let late = backend.open(ListDescriptor::<String, i64>::new("late").with_ttl(hour))?;
/// backend.state(late)?.append(&"UA".into(), &(), 15)?;
/// backend.set_time_ms(3_600_000);
/// assert!(backend.state(late)?.get(&"UA".into(), &())?.is_empty());
/// # Ok::<(), esker::Error>(())
/// ```
pub struct TtlDescriptor<D> {
    pub(crate) descriptor: D,
    pub(crate) config: TtlConfig,
}

impl<D: Described> Described for TtlDescriptor<D> {
    type Key = D::Key;

    fn name(&self) -> &str {
        self.descriptor.name()
    }

    fn info(&self, id: u32) -> Result<StateInfo> {
        Ok(StateInfo { ttl: Some(self.config.ttl()), ..self.descriptor.info(id)? })
    }
}

impl<K, V, N> ValueDescriptor<K, V, N> {
    /// The same, but values expire.
    pub fn with_ttl(self, config: TtlConfig) -> TtlDescriptor<Self> {
        TtlDescriptor { descriptor: self, config }
    }
}

impl<K, E, N> ListDescriptor<K, E, N> {
    /// The same, but each element expires.
    pub fn with_ttl(self, config: TtlConfig) -> TtlDescriptor<Self> {
        TtlDescriptor { descriptor: self, config }
    }
}

impl<K, UK, V, N> MapDescriptor<K, UK, V, N> {
    /// The same, but each entry of a map expires.
    pub fn with_ttl(self, config: TtlConfig) -> TtlDescriptor<Self> {
        TtlDescriptor { descriptor: self, config }
    }
}

impl<K, V, N> ReducingDescriptor<K, V, N> {
    /// The same, but values expire.
    pub fn with_ttl(self, config: TtlConfig) -> TtlDescriptor<Self> {
        TtlDescriptor { descriptor: self, config }
    }
}

impl<K, A: Aggregate, N> AggregatingDescriptor<K, A, N> {
    /// The same, but accumulators expire.
    pub fn with_ttl(self, config: TtlConfig) -> TtlDescriptor<Self> {
        TtlDescriptor { descriptor: self, config }
    }
}
