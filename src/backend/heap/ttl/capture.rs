//! Captures of states with TTL.

use crate::Result;
use crate::backend::Timed;
use crate::backend::heap::list::ListCapture;
use crate::backend::heap::map::MapCapture;
use crate::backend::heap::value::ValueCapture;
use crate::backend::{EntrySink, StateCapture};
use crate::state::TtlConfig;
use esker_format::{Key, KeyGroupRange};

/// A state with TTL at one moment; it never changes (I4).
pub struct TtlCapture<C> {
    pub(super) content: C,
    pub(super) config: TtlConfig,
    pub(super) time_ms: i64,
}

/// A capture whose values carry the time of their last update.
pub trait TimedCapture: StateCapture {
    /// Writes all of `range` whose time `is_live`.
    ///
    /// # Errors
    /// Those of the codec and of the sink.
    fn write_live(
        &self,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
        is_live: impl Fn(i64) -> bool,
    ) -> Result<()>;
}

macro_rules! timed {
    ($capture:ident<$($key:ident),*>) => {
        impl<$($key: Key,)* V: Clone + Send + Sync + 'static> TimedCapture
            for $capture<$($key,)* Timed<V>>
        {
            fn write_live(
                &self,
                range: KeyGroupRange,
                sink: &mut dyn EntrySink,
                is_live: impl Fn(i64) -> bool,
            ) -> Result<()> {
                self.write_where(range, sink, |timed| is_live(timed.time_ms))
            }
        }
    };
}
timed!(ValueCapture<K, N>);
timed!(ListCapture<K, N>);
timed!(MapCapture<K, N, U>);

impl<C: TimedCapture> StateCapture for TtlCapture<C> {
    fn id(&self) -> u32 {
        self.content.id()
    }

    fn entries(&self) -> u64 {
        self.content.entries()
    }

    fn ttl_time_ms(&self) -> Option<i64> {
        Some(self.time_ms)
    }

    fn write_full(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        if !self.config.clean_full_snapshots {
            return self.content.write_full(range, sink);
        }
        let is_live = |time_ms| !self.config.is_expired(time_ms, self.time_ms);
        self.content.write_live(range, sink, is_live)
    }

    fn write_changes(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.content.write_changes(range, sink)
    }
}
