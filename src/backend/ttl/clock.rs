//! The time of a state with TTL: what has expired now, and what had when a snapshot was captured.

use super::codec::{Timed, time_of};
use crate::state::{TtlConfig, TtlVisibility};
use crate::{Error, ErrorKind, Result};
use esker_format::list::{elements, put_encoded};
use esker_format::manifest::{StateInfo, TtlUpdate};
use esker_format::run::{Entry, Op};

/// The time of a state with TTL. It never goes back: what has expired may be gone, from memory or
/// from a file, and must not come back elsewhere.
#[derive(Debug, Clone)]
pub(in crate::backend) struct Clock {
    pub(in crate::backend) config: TtlConfig,
    now_ms: Option<i64>,
    /// When what is restored was captured.
    captured_ms: Option<i64>,
    /// How long entries lived there; `None` while nothing is restored.
    stored_duration_ms: Option<u64>,
}

impl Clock {
    pub(in crate::backend) fn new(config: TtlConfig) -> Self {
        Self { config, now_ms: None, captured_ms: None, stored_duration_ms: None }
    }

    /// What was last said; 0 at first.
    pub(in crate::backend) fn now_ms(&self) -> i64 {
        self.now_ms.unwrap_or(0)
    }

    pub(in crate::backend) fn set_ms(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(Some(now_ms));
    }

    pub(in crate::backend) fn is_expired(&self, time_ms: i64) -> bool {
        self.config.is_expired(time_ms, self.now_ms())
    }

    pub(in crate::backend) fn shows_expired(&self) -> bool {
        self.config.visibility == TtlVisibility::UntilCleanedUp
    }

    pub(in crate::backend) fn renews_on_read(&self) -> bool {
        self.config.update == TtlUpdate::ReadAndWrite
    }

    /// What is restored next was captured at `time_ms`.
    pub(in crate::backend) fn captured_at(&mut self, time_ms: i64) {
        self.captured_ms = Some(time_ms);
        self.set_ms(time_ms);
    }

    /// # Errors
    /// `Incompatible` if the state was stored without TTL.
    pub(in crate::backend) fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        let Some(ttl) = stored.ttl else {
            let message = "stored without TTL and asked for with TTL: its entries have no times";
            return Err(Error::new(ErrorKind::Incompatible, message));
        };
        self.stored_duration_ms = ttl.duration_ms;
        Ok(())
    }

    pub(in crate::backend) fn end_restore(&mut self) {
        (self.captured_ms, self.stored_duration_ms) = (None, None);
    }

    /// Whether what is being restored had expired when it was captured: by the duration of then, as
    /// dumps see it, whatever it is now. What is too short for a time is left to its decoder.
    pub(in crate::backend) fn had_expired(&self, timed: &[u8]) -> bool {
        let limits = self.captured_ms.zip(self.stored_duration_ms).zip(time_of(timed));
        limits.is_some_and(|((captured_ms, duration_ms), time_ms)| {
            TtlConfig::new(duration_ms).is_expired(time_ms, captured_ms)
        })
    }

    /// The entry to apply for one of a value or map: none is left of a put that had expired.
    pub(in crate::backend) fn restored<'a>(&self, entry: Entry<'a>) -> Entry<'a> {
        if entry.op == Op::Put && self.had_expired(entry.value) {
            return Entry { op: Op::Delete, value: &[], ..entry };
        }
        entry
    }

    /// What is left of the list in `entry` without the elements that had expired; `None` if that is
    /// all of it.
    ///
    /// # Errors
    /// `Corrupt` if it is no list.
    pub(in crate::backend) fn restored_list(&self, entry: Entry<'_>) -> Result<Option<Vec<u8>>> {
        let had_expired = |element: esker_format::Result<&[u8]>| {
            element.is_ok_and(|element| self.had_expired(element))
        };
        if !matches!(entry.op, Op::Put | Op::Append) || !elements(entry.value).any(had_expired) {
            return Ok(None);
        }
        let mut live = Vec::with_capacity(entry.value.len());
        for element in elements(entry.value) {
            let element = element?;
            if !self.had_expired(element) {
                put_encoded(&mut live, element);
            }
        }
        Ok(Some(live))
    }

    /// Lets `f` read, change, set or remove what is in `slot`, which counts as a write. What has
    /// expired is not there.
    #[inline]
    pub(in crate::backend) fn change<V, R>(
        &self,
        slot: &mut Option<Timed<V>>,
        f: impl FnOnce(&mut Option<V>) -> R,
    ) -> R {
        let live = slot.take().filter(|timed| !self.is_expired(timed.time_ms));
        let mut value = live.map(|timed| timed.value);
        let result = f(&mut value);
        *slot = value.map(|value| Timed { time_ms: self.now_ms(), value });
        result
    }
}
