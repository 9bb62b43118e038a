//! The slowest single insert while a table grows to 10,000,000 entries.

use super::{PEER, Peer, state};
use crate::keys;
use crate::machine::waited_ns;
use crate::measure::in_turn;
use crate::report::{Better, Question, Report};
use esker_format::KeyGroupRange;
use std::time::Instant;

const ENTRIES: usize = 10_000_000;

pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    let name = "heap.worst-write.10m";
    if !report.wants(name) {
        return Ok(());
    }
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let rounds = report.rounds(5);
    state(KeyGroupRange::ALL)?;
    let (a, b) = in_turn(
        rounds,
        &mut (),
        |(), _| {
            let Ok(mut state) = state(KeyGroupRange::ALL) else { return f64::NAN };
            slowest(&keys, |key| _ = state.update(&key, &(), 1))
        },
        |(), _| {
            let mut peer = Peer::default();
            slowest(&keys, |key| _ = peer.insert(key, 1))
        },
    );
    let question = Question {
        name,
        unit: "ms",
        better: Better::Lower,
        target: 0.01,
        entries: ENTRIES,
        rounds,
    };
    report.versus(question, a * 1e3, b * 1e3, PEER);
    Ok(())
}

/// Seconds of the slowest call, less what the thread waited for a processor meanwhile. (What a
/// hypervisor takes away cannot be seen from here; hence the median of rounds.)
pub(crate) fn slowest(keys: &[u64], mut insert: impl FnMut(u64)) -> f64 {
    let mut worst = 0;
    let mut waited = waited_ns();
    let mut before = Instant::now();
    for key in keys {
        insert(*key);
        let now = Instant::now();
        let ns = now.duration_since(before).as_nanos() as u64;
        before = now;
        // A wait makes a call this slow, so that none is missed.
        if ns > 20_000 {
            let total = waited_ns();
            worst = worst.max(ns.saturating_sub(total - waited));
            waited = total;
            before = Instant::now();
        }
    }
    worst as f64 * 1e-9
}
