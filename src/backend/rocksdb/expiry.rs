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

/// Files that nothing is merged into are looked at this often at most and at least, in seconds.
const PERIOD_S: (u64, u64) = (3_600, 30 * 86_400);

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

    /// How often files are merged for the sake of what has expired alone, in seconds: about as often as
    /// all entries are new, so that it costs a share of what is written anyway.
    pub(super) fn period_s(&self) -> u64 {
        (self.config.duration_ms / 1000).clamp(PERIOD_S.0, PERIOD_S.1)
    }

    /// It is `now_ms`.
    pub(super) fn set_ms(&self, now_ms: i64) {
        self.change(|times| times.now_ms = times.now_ms.max(now_ms));
    }

    /// What was not dropped yet and has not expired at `time_ms` stays for as long as what is
    /// returned lives; where full snapshots are to hold what has expired too, everything does.
    pub(super) fn hold(self: &Arc<Self>, time_ms: i64) -> Hold {
        let time_ms = if self.config.clean_full_snapshots { time_ms } else { i64::MIN };
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

    #[test]
    fn a_capture_of_what_has_expired_too_keeps_everything() {
        let config = TtlConfig { clean_full_snapshots: false, ..TtlConfig::new(10) };
        let expiry = Expiry::new(config);
        expiry.set_ms(100);
        let hold = expiry.hold(100);
        assert!(!expiry.may_drop(0));
        drop(hold);
        assert!(expiry.may_drop(90));
    }
}
