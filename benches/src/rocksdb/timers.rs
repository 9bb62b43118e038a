//! Timers: 1,000,000 of them, about one a millisecond, registered in no order.

use super::peer::{Merge, Peer};
use super::side::{Bytes, Side, speed};
use crate::heap::timers::{STEP_MS, drawn};
use crate::measure::seconds;
use crate::report::Report;
use esker::backend::TimerCalls;
use esker::backend::rocksdb::TimerState;
use esker::state::TimerDescriptor;
use esker_format::Key;

type Timers = TimerState<u64, ()>;

const ENTRIES: usize = 1_000_000;
const TARGET: f64 = 0.8;
const PEER: &str = "crate rocksdb, keys ordered by time, an iterator per watermark";
/// A time as bytes in order.
const TIME_LEN_BYTES: usize = 8;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    if !report.wants("rocksdb.timers") {
        return Ok(());
    }
    let timers = drawn(ENTRIES);
    // Not the order that they were registered in.
    let mut others = timers.clone();
    others.sort_unstable_by_key(|(_, key)| *key);
    let (bytes, other_bytes) = (bytes(&timers), bytes(&others));
    for operation in ["register", "delete", "fire"] {
        let name = format!("rocksdb.timers.{operation}.1m");
        if !report.wants(&name) {
            continue;
        }
        let counts = (ENTRIES, ENTRIES, report.rounds(9));
        let esker = |(): &mut (), _| {
            let Ok(mut side) = Side::new(TimerDescriptor::<u64>::event("timers")) else {
                return f64::NAN;
            };
            let Ok(state) = side.state() else { return f64::NAN };
            let (mut is_done, mut time) = (true, seconds(|| register(state, &timers)));
            match operation {
                "register" => {}
                "delete" => time = seconds(|| is_done = delete(state, &others)),
                _ => time = seconds(|| is_done = fire(state) == ENTRIES),
            }
            let is_empty = matches!(state.peek(), Ok(None));
            if is_done && is_empty == (operation != "register") { time } else { f64::NAN }
        };
        let by_hand = |(): &mut (), _| {
            let opened = Side::new(TimerDescriptor::<u64>::event("timers"));
            let Ok(peer) = opened.and_then(|side| Peer::new(&side.dir(), Merge::None)) else {
                return f64::NAN;
            };
            let put = || bytes.iter().all(|key| peer.put(key, &[]));
            let (mut is_done, mut time) = (true, seconds(put));
            match operation {
                "register" => {}
                "delete" => time = seconds(|| is_done = delete_peer(&peer, &other_bytes)),
                _ => time = seconds(|| is_done = fire_peer(&peer) == ENTRIES),
            }
            if is_done { time } else { f64::NAN }
        };
        speed(report, (&name, TARGET, PEER), counts, &mut (), esker, by_hand)?;
    }
    Ok(())
}

/// The time, then the key: what the peer's database has.
fn bytes(timers: &[(i64, u64)]) -> Bytes {
    let keys: Vec<u64> = timers.iter().map(|(_, key)| *key).collect();
    let mut all = Bytes::default();
    for ((time_ms, _), key) in timers.iter().zip(Bytes::of(&keys).iter()) {
        let mut time = Vec::with_capacity(TIME_LEN_BYTES);
        time_ms.encode_into(&mut time);
        all.push(&time, key);
    }
    all
}

#[inline(never)]
fn register(state: &mut Timers, timers: &[(i64, u64)]) -> bool {
    timers.iter().all(|(time_ms, key)| state.register(*time_ms, key, &()).is_ok())
}

#[inline(never)]
fn delete(state: &mut Timers, timers: &[(i64, u64)]) -> bool {
    timers.iter().all(|(time_ms, key)| state.delete(*time_ms, key, &()).is_ok())
}

#[inline(never)]
fn delete_peer(peer: &Peer, timers: &Bytes) -> bool {
    timers.iter().all(|key| peer.db.delete_opt(key, &peer.write).is_ok())
}

/// Fires all timers, watermark by watermark, and says how many there were.
#[inline(never)]
fn fire(state: &mut Timers) -> usize {
    let mut fired = 0;
    for watermark_ms in (0..).step_by(STEP_MS as usize) {
        while let Ok(Some(timer)) = state.pop_due(watermark_ms) {
            std::hint::black_box(timer);
            fired += 1;
        }
        if !matches!(state.peek(), Ok(Some(_))) {
            break;
        }
    }
    fired
}

/// An iterator for each watermark, from where the last one ended; what fired is removed at once, as
/// its user may register it again.
#[inline(never)]
fn fire_peer(peer: &Peer) -> usize {
    let (mut fired, mut from) = (0, Vec::new());
    for watermark_ms in (0_i64..).step_by(STEP_MS as usize) {
        let mut entries = peer.db.raw_iterator();
        entries.seek(&from);
        while let Some(key) = entries.key() {
            let time = key.get(..TIME_LEN_BYTES).and_then(|time| i64::decode(time).ok());
            if time.is_none_or(|time_ms| time_ms > watermark_ms) {
                break;
            }
            std::hint::black_box(key);
            if peer.db.delete_opt(key, &peer.write).is_err() {
                return 0;
            }
            fired += 1;
            entries.next();
        }
        match entries.key() {
            Some(next) => next.clone_into(&mut from),
            None => break,
        }
    }
    fired
}
