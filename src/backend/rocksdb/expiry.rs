//! What compactions may drop of a state with TTL.
//!
//! A compaction drops entries that a capture still sees: RocksDB's snapshots do not keep them from it.
//! So it goes by the time of the oldest capture there is, if any is older than what was last said: what
//! had expired then is gone from every capture, and what had not stays in all (I4). Times never go
//! back, hence nothing that is dropped now can be asked for by a later capture.

use crate::state::TtlConfig;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The time by which a state's entries may be dropped, which compactions read.
pub(super) struct Expiry {
    config: TtlConfig,
    /// Nothing has expired before anything was said.
    drop_ms: AtomicI64,
    times: Mutex<Times>,
}

struct Times {
    now_ms: i64,
    /// When captures were taken that are still there, and how many.
    captured_ms: BTreeMap<i64, usize>,
}

impl Expiry {
    pub(super) fn new(config: TtlConfig) -> Arc<Self> {
        let times = Mutex::new(Times { now_ms: i64::MIN, captured_ms: BTreeMap::new() });
        Arc::new(Self { config, drop_ms: AtomicI64::new(i64::MIN), times })
    }

    /// Whether what was last updated at `time_ms` may be dropped.
    pub(super) fn may_drop(&self, time_ms: i64) -> bool {
        let drop_ms = self.drop_ms.load(Ordering::Acquire);
        drop_ms != i64::MIN && self.config.is_expired(time_ms, drop_ms)
    }

    /// It is `now_ms`.
    pub(super) fn set_ms(&self, now_ms: i64) {
        self.change(|times| times.now_ms = times.now_ms.max(now_ms));
    }

    /// What was not dropped yet and has not expired at `time_ms` stays for as long as what is
    /// returned lives.
    pub(super) fn hold(self: &Arc<Self>, time_ms: i64) -> Hold {
        self.change(|times| *times.captured_ms.entry(time_ms).or_default() += 1);
        Hold { expiry: Arc::clone(self), time_ms }
    }

    fn change(&self, f: impl FnOnce(&mut Times)) {
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        f(&mut times);
        let oldest_ms = times.captured_ms.keys().next().copied();
        let drop_ms = oldest_ms.map_or(times.now_ms, |oldest_ms| oldest_ms.min(times.now_ms));
        self.drop_ms.store(drop_ms, Ordering::Release);
    }
}

/// Keeps what a capture sees.
pub(super) struct Hold {
    expiry: Arc<Expiry>,
    time_ms: i64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.expiry.change(|times| {
            if let Some(count) = times.captured_ms.get_mut(&self.time_ms) {
                *count -= 1;
                if *count == 0 {
                    times.captured_ms.remove(&self.time_ms);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_dropped_that_a_capture_sees() {
        let expiry = Expiry::new(TtlConfig::new(10));
        assert!(!expiry.may_drop(i64::MIN), "nothing was said");
        expiry.set_ms(10);
        assert!(expiry.may_drop(0) && !expiry.may_drop(1));
        let (first, second) = (expiry.hold(10), expiry.hold(10));
        expiry.set_ms(100);
        assert!(!expiry.may_drop(1));
        drop(first);
        assert!(!expiry.may_drop(1), "another capture of the same time");
        drop(second);
        assert!(expiry.may_drop(90) && !expiry.may_drop(91));
        expiry.set_ms(50);
        assert!(expiry.may_drop(90), "time goes back");
    }
}
