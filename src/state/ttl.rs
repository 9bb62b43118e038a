//! Descriptors of states whose entries expire.

use super::descriptor::Described;
use super::{
    Aggregate, AggregatingDescriptor, ListDescriptor, MapDescriptor, ReducingDescriptor,
    ValueDescriptor,
};
use crate::Result;
use crate::format::manifest::{StateInfo, Ttl, TtlUpdate};
use crate::format::schema::Reads;

/// Whether a read may see what has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TtlVisibility {
    /// Never.
    #[default]
    NeverExpired,
    /// Until it happens to be cleaned up; the read that sees it does so.
    UntilCleanedUp,
}

/// How long entries live, and how those that have expired go. Besides, they go when they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TtlConfig {
    /// Milliseconds from the last update until an entry expires.
    pub duration_ms: u64,
    /// When the time is renewed.
    pub update: TtlUpdate,
    /// Whether a read may see what has expired.
    pub visibility: TtlVisibility,
    /// Leaves out of full snapshots what has expired when they are captured.
    pub clean_full_snapshots: bool,
    /// Looks at this many other entries in each call, in turn, and removes those that have expired;
    /// 0 for none.
    pub clean_entries_per_call: usize,
}

impl TtlConfig {
    /// Entries live for `duration_ms` milliseconds from their last write, then are never seen; full
    /// snapshots are free of what has expired.
    pub const fn new(duration_ms: u64) -> Self {
        Self {
            duration_ms,
            update: TtlUpdate::Write,
            visibility: TtlVisibility::NeverExpired,
            clean_full_snapshots: true,
            clean_entries_per_call: 0,
        }
    }

    /// As manifests record it.
    pub const fn ttl(&self) -> Ttl {
        Ttl { duration_ms: Some(self.duration_ms), update: self.update }
    }

    /// Whether what was last updated at `time_ms` has expired at `now_ms`.
    #[inline]
    pub const fn is_expired(&self, time_ms: i64, now_ms: i64) -> bool {
        now_ms >= time_ms.saturating_add_unsigned(self.duration_ms)
    }
}

/// Describes a state as `D` does, but for entries that expire.
///
/// ```
/// # use esker::backend::Backend;
/// # use esker::backend::heap::HeapBackend;
/// # use esker::format::KeyGroupRange;
/// # use esker::state::{ListDescriptor, TtlConfig};
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

    fn reads(&self) -> Result<Option<Reads>> {
        self.descriptor.reads()
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
