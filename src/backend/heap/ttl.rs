//! Time to live: values with the time of their last update, hidden once they are too old.

mod capture;
mod clock;
mod codec;
mod descriptors;
mod list;
mod map;
mod value;

pub use capture::TtlCapture;
pub use codec::{Timed, TimedCodec};
pub use list::{TtlListCapture, TtlListState};
pub use map::{TtlMapCapture, TtlMapState};
pub use value::{TtlValueCapture, TtlValueState};

use esker_format::manifest::{Ttl, TtlUpdate};

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

#[cfg(test)]
mod tests;
