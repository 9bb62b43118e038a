//! States whose entries expire: hidden once they are too old, dropped by reads that find them so and
//! by compactions.
//!
//! What reads and writes see is what the heap's states with TTL show. Compactions are in the stead of
//! its cleaning in turn, of which `clean_entries_per_call` says how much.

mod list;
mod map;
mod value;

pub use list::TtlListState;
pub use map::TtlMapState;
pub use value::TtlValueState;

use super::capture::Capture;
use super::expiry::Expiry;
use crate::Result;
use crate::backend::Timed;
use crate::backend::ttl::Clock;
use crate::state::TtlConfig;
use esker_format::manifest::StateInfo;
use std::sync::Arc;

/// What a read does to the value that it found.
enum Then {
    Nothing,
    /// It has expired.
    Remove,
    /// It is read, and lives from now on.
    Renew,
}

/// The clock of a state, and what compactions know of it.
struct Time {
    clock: Clock,
    expiry: Arc<Expiry>,
}

impl Time {
    fn new(config: TtlConfig, expiry: Arc<Expiry>) -> Self {
        Self { clock: Clock::new(config), expiry }
    }

    fn set_ms(&mut self, now_ms: i64) {
        self.clock.set_ms(now_ms);
        self.expiry.set_ms(self.clock.now_ms());
    }

    fn captured_at(&mut self, time_ms: i64) {
        self.clock.captured_at(time_ms);
        self.expiry.set_ms(self.clock.now_ms());
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.clock.begin_restore(stored)
    }

    /// What a read shows of what it `found`, and what becomes of that.
    fn seen<V>(&self, found: Option<Timed<V>>) -> (Option<Timed<V>>, Then) {
        let clock = &self.clock;
        match found {
            Some(timed) if clock.is_expired(timed.time_ms) => {
                (Some(timed).filter(|_| clock.shows_expired()), Then::Remove)
            }
            Some(timed) if clock.renews_on_read() && timed.time_ms != clock.now_ms() => {
                (Some(Timed { time_ms: clock.now_ms(), ..timed }), Then::Renew)
            }
            found => (found, Then::Nothing),
        }
    }

    fn capture(&self, content: impl FnOnce() -> Capture) -> Capture {
        let time_ms = self.clock.now_ms();
        // What compactions may drop is settled before the moment that is captured.
        let hold = self.expiry.hold(time_ms);
        content().of_ttl(self.clock.config, time_ms, hold)
    }
}
