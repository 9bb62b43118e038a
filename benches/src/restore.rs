//! Rows `restore.heap` and `rescale.heap`: from a snapshot in memory to a state; `restore.lazy`: from one on
//! disk. `restore.chain` is measured where its chain is written.

mod lazy;

use crate::heap::Peer;
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use crate::snapshot::subtask::{Subtask, manifest, restored};
use esker_format::{KeyGroup, KeyGroupRange};

const ENTRIES: usize = 10_000_000;

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    heap(report)?;
    rescale(report)?;
    lazy::run(report)
}

fn heap(report: &mut Report) -> Result<(), String> {
    let name = "restore.heap.10m";
    if !report.selects(name) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
    subtask.full()?;
    let full = subtask.manifest()?;
    let (store, range) = (subtask.store.clone(), subtask.range);
    drop(subtask);
    let pairs: Vec<(u64, u64)> = keys.into_iter().map(|key| (key, 1)).collect();
    let (a, b) = in_turn(
        rounds,
        &mut (),
        |(), _| restored(&store, &full, range).map_or(f64::NAN, |(time, _)| time),
        |(), _| {
            let mut built = Peer::<u64, u64>::default();
            seconds(|| built.extend(pairs.iter().copied()))
        },
    );
    let ops = ENTRIES as f64;
    let question = Question::speed(name, 0.5, ENTRIES, rounds);
    report.versus(question, ops / a, ops / b, "hashbrown from a decoded Vec");
    Ok(())
}

/// A snapshot of one operator at a parallelism.
fn at(
    parallelism: u32,
    keys: &[u64],
) -> Result<(esker::Store, esker_format::manifest::Manifest), String> {
    let store = esker::Store::open("memory://").map_err(|e| e.to_string())?;
    let mut parts = Vec::new();
    for number in 0..parallelism {
        let range = KeyGroupRange::of_subtask(number, parallelism).map_err(|e| e.to_string())?;
        let owned = |key: &&u64| range.contains(KeyGroup::of(&key.to_be_bytes()));
        let keys: Vec<u64> = keys.iter().filter(owned).copied().collect();
        let mut subtask = Subtask::new(range, &keys)?;
        subtask.store = store.clone();
        subtask.checkpoint = u64::from(number);
        subtask.checkpoint()?;
        parts.push((subtask.lineage.chain().part.clone(), None));
    }
    let manifest = manifest(&store, 9, parts)?;
    Ok((store, manifest))
}

fn rescale(report: &mut Report) -> Result<(), String> {
    let name = "rescale.heap.4->3.10m";
    if !report.wants(name) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let (store, of_one) = at(1, &keys)?;
    let (four, of_four) = at(4, &keys)?;
    drop(keys);
    let ranges: Vec<KeyGroupRange> =
        (0..3).filter_map(|number| KeyGroupRange::of_subtask(number, 3).ok()).collect();
    let (a, b) = in_turn(
        rounds,
        &mut (),
        |(), _| {
            let mut states = Vec::new();
            let mut total = 0.0;
            for range in &ranges {
                let Ok((time, state)) = restored(&four, &of_four, *range) else { return f64::NAN };
                total += time;
                states.push(state);
            }
            let restored: usize = states.iter().map(|state| state.len()).sum();
            if restored == ENTRIES { total } else { f64::NAN }
        },
        |(), _| restored(&store, &of_one, KeyGroupRange::ALL).map_or(f64::NAN, |(time, _)| time),
    );
    let question = Question::less(name, "s", 1.5, ENTRIES, rounds);
    report.versus(question, a, b, "restore.heap.10m; three subtasks one after the other");
    Ok(())
}
