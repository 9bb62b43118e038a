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

/// Seconds of the slowest call during which the thread did not wait for a processor. (What a
/// hypervisor takes away cannot be seen from here; hence the median of rounds.)
fn slowest(keys: &[u64], mut insert: impl FnMut(u64)) -> f64 {
    let mut worst = 20_000;
    let mut waited = waited_ns();
    for key in keys {
        let start = Instant::now();
        insert(*key);
        let ns = start.elapsed().as_nanos() as u64;
        if ns > worst {
            let now = waited_ns();
            if now - waited < ns / 10 {
                worst = ns;
            }
            waited = now;
        }
    }
    worst as f64 * 1e-9
}
