//! Rows `snapshot.full`, `snapshot.delta`: all of a state, and what changed of it.

use super::subtask::Subtask;
use crate::keys;
use crate::measure::{in_turn, seconds};
use crate::report::{Question, Report};
use esker_format::KeyGroupRange;

const ENTRIES: usize = 10_000_000;
const THREADS: usize = 2;
/// Pairs in a block of the straight pipeline: 64 KiB.
const BLOCK_PAIRS: usize = 4096;
/// 0.6 of the 17 bytes that Flink's heap writes for an entry of two longs.
const ENTRY_LEN_BYTES_MAX: f64 = 10.2;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    full(report)?;
    delta(report)?;
    entry_bytes(report)
}

fn full(report: &mut Report) -> Result<(), String> {
    let name = "snapshot.full.10m";
    if !report.selects(name) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
    let pairs: Vec<(u64, u64)> = keys.iter().map(|key| (*key, 1)).collect();
    let mut failed = None;
    let (a, b) = in_turn(
        rounds,
        &mut subtask,
        |subtask, _| match subtask.full() {
            Ok(stats) => stats.time.as_secs_f64(),
            Err(error) => {
                failed = Some(error);
                f64::NAN
            }
        },
        |_, _| {
            let mut pairs = pairs.clone();
            seconds(|| straight(&mut pairs))
        },
    );
    if let Some(error) = failed {
        return Err(error);
    }
    let ops = ENTRIES as f64;
    let question = Question::speed(name, 0.7, ENTRIES, rounds);
    report.versus(question, ops / a, ops / b, "sort, zstd -1, blake3 of a Vec; 2 threads");
    Ok(())
}

/// What any writer of sorted, packed and hashed files must do at least.
fn straight(pairs: &mut [(u64, u64)]) -> usize {
    let share = pairs.len().div_ceil(THREADS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = pairs
            .chunks_mut(share)
            .map(|pairs| {
                scope.spawn(move || {
                    pairs.sort_unstable();
                    let (mut raw, mut out) = (Vec::new(), Vec::new());
                    for block in pairs.chunks(BLOCK_PAIRS) {
                        raw.clear();
                        for (key, value) in block {
                            raw.extend_from_slice(&key.to_be_bytes());
                            raw.extend_from_slice(&value.to_be_bytes());
                        }
                        out.extend(zstd::bulk::compress(&raw, 1).unwrap_or_default());
                    }
                    std::hint::black_box(blake3::hash(&out));
                    out.len()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    })
}

fn delta(report: &mut Report) -> Result<(), String> {
    let name = "snapshot.delta.1pct.10m";
    if !report.wants(name) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
    subtask.settings.merge_factor = 0.0;
    let (mut failed, mut written, mut encoded) = (None, 0, 0);
    let (a, b) = in_turn(
        rounds,
        &mut subtask,
        |subtask, round| {
            // Changes of what the last full one holds, each key once.
            let from = round * ENTRIES / 100 % (ENTRIES - ENTRIES / 100);
            if let Err(error) = subtask.full() {
                failed = Some(error);
            }
            let before = subtask.encoded_len_bytes();
            for key in &keys[from..from + ENTRIES / 100] {
                let _ = subtask.state.update(key, &(), keys::mixed(*key));
            }
            match subtask.checkpoint() {
                Ok(stats) => {
                    written += stats.written_len_bytes;
                    encoded += subtask.encoded_len_bytes() - before;
                    stats.time.as_secs_f64()
                }
                Err(error) => {
                    failed = Some(error);
                    f64::NAN
                }
            }
        },
        |subtask, _| subtask.full().map_or(f64::NAN, |stats| stats.time.as_secs_f64()),
    );
    if let Some(error) = failed {
        return Err(error);
    }
    let bytes = Question::less("snapshot.delta.1pct.10m.bytes", "B", 1.2, ENTRIES, rounds);
    report.versus(bytes, written as f64, encoded as f64, "the changed entries, encoded");
    let time = Question::less("snapshot.delta.1pct.10m.time", "s", 0.04, ENTRIES, rounds);
    report.versus(time, a, b, "snapshot.full.10m");
    Ok(())
}

/// The input of Flink's rows: keys from 0 on, 2^20 values from splitmix64.
fn entry_bytes(report: &mut Report) -> Result<(), String> {
    let name = "snapshot.full.10m.entry-bytes";
    if report.wants(name) {
        let keys: Vec<u64> = (0..ENTRIES as u64).collect();
        let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
        for key in keys {
            let _ = subtask.state.update(&key, &(), keys::mixed(1 + key % (1 << 20)));
        }
        let bytes = subtask.full()?.written_len_bytes as f64 / ENTRIES as f64;
        let question = Question::less(name, "B/entry", 1.0, ENTRIES, 1);
        report.limit(question, bytes, ENTRY_LEN_BYTES_MAX);
    }
    Ok(())
}
