//! Rows `snapshot.chain` and `restore.chain`: 400 checkpoints of 1 % each, one run of them for both.

use super::subtask::{Subtask, restored};
use crate::keys;
use crate::measure::median;
use crate::report::{Question, Report};
use esker_format::KeyGroupRange;

const ENTRIES: usize = 1_000_000;
const CHECKPOINTS: usize = 400;
const RESTORED: u64 = 10;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    for law in ["uniform", "zipf"] {
        let written = format!("snapshot.chain.400x1pct.{law}");
        let restore = format!("restore.chain.{law}");
        if report.wants(&written) || report.wants(&restore) {
            chain(report, law, (&written, &restore))?;
        }
    }
    Ok(())
}

fn chain(report: &mut Report, law: &str, names: (&str, &str)) -> Result<(), String> {
    let rounds = report.rounds(9);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let count = ENTRIES / 100 * CHECKPOINTS;
    let drawn = if law == "zipf" { keys::zipf(&keys, count) } else { keys::uniform(&keys, count) };
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
    for key in &keys {
        let _ = subtask.state.update(key, &(), keys::mixed(*key) % ENTRIES as u64);
    }
    subtask.checkpoint()?;
    let full = subtask.manifest()?;
    let tried: Vec<u64> =
        (0..RESTORED).map(|n| keys::mixed(3 << 40 | n) % CHECKPOINTS as u64).collect();
    let (mut written, mut changed, mut worst) = (0, 0, (0.0, 0.0, 1.0));
    for (number, drawn) in drawn.chunks(ENTRIES / 100).enumerate() {
        for (at, key) in drawn.iter().enumerate() {
            let value = keys::mixed((number * drawn.len() + at) as u64) % ENTRIES as u64;
            let _ = subtask.state.update(key, &(), value);
        }
        let stats = subtask.checkpoint()?;
        written += stats.written_len_bytes;
        changed += stats.changed_len_bytes;
        if !tried.contains(&(number as u64)) || !report.wants(names.1) {
            continue;
        }
        let newest = subtask.manifest()?;
        let (mut ratios, mut times, mut of_full) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (base, _) = restored(&subtask.store, &full, subtask.range)?;
            let (time, state) = restored(&subtask.store, &newest, subtask.range)?;
            if state.len() != subtask.state.len() {
                return Err(format!("{} entries were restored", state.len()));
            }
            ratios.push(time / base);
            times.push(time);
            of_full.push(base);
        }
        let ratio = median(ratios);
        if ratio > worst.0 {
            worst = (ratio, median(times), median(of_full));
        }
    }
    let question = Question::less(names.0, "B", 4.5, ENTRIES, 1);
    report.versus(question, written as f64, changed as f64, "bytes of changes");
    if report.wants(names.1) {
        let question = Question::less(names.1, "s", 1.4, ENTRIES, rounds);
        report.versus(question, worst.1, worst.2, "restore of a full one; the worst of ten");
    }
    Ok(())
}
