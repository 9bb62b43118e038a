//! What a checkpoint writes: pure functions of the runs there are (docs/decisions/0002).
//!
//! Besides what changed, each incremental checkpoint writes a slice of the key groups in full, from
//! the live capture, and goes on with the next slice where it ended. After one round no older run
//! counts anywhere, and nothing was read back. The idea is that of a cleaner which keeps pace with
//! the writer (log-structured file systems), its price known beforehand.

use super::SnapshotSettings;
use super::groups::Groups;
use esker_format::part::RunRef;
use esker_format::{KeyGroup, KeyGroupRange};
use std::ops::Range;

/// A slice leaves this part of the range to changes, by which the next slice is measured.
const SLICE_LEFT_PART: u32 = 16;
/// What an entry is thought to take, stored, before anything is known.
const ENTRY_LEN_BYTES: f64 = 12.0;
/// A slice is at least this part of the state: until so much is due, checkpoints write changes alone.
/// A round then has no more slices than that, and runs without one are cheap to fold.
const SLICES_MAX: f64 = 24.0;
/// How many levels are folded into one, at least and at most.
pub(super) const FOLD_LEVELS: (usize, usize) = (4, 16);

/// What a chain's sizes are thought to be, in stored bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Estimates {
    /// All key groups in full, as the state is now.
    pub full_len_bytes: f64,
    /// What one checkpoint changes, in all key groups.
    pub delta_len_bytes: f64,
    /// What is due to be written in full and was not yet.
    pub due_len_bytes: f64,
    /// How many entries were live when `full_len_bytes` was measured.
    pub entries: u64,
}

impl Estimates {
    /// What they are with `entries` live.
    pub(super) fn at(self, entries: u64) -> Self {
        let entry_len_bytes = match self.entries {
            0 => ENTRY_LEN_BYTES,
            known => self.full_len_bytes / known as f64,
        };
        Self { full_len_bytes: entry_len_bytes * entries as f64, entries, ..self }
    }

    /// What they are once `full_len_bytes` were measured in `part` of the key groups.
    pub(super) fn measured_full(&mut self, len_bytes: f64, part: f64) {
        // A slice says less the smaller it is.
        let weight = (4.0 * part).min(1.0);
        let measured = len_bytes / part;
        self.full_len_bytes = weight * measured + (1.0 - weight) * self.full_len_bytes;
    }
}

/// What to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The key groups to write in full; of the others, what changed.
    pub(super) base: Groups,
    /// The runs of the chain to fold into one, which are adjacent in age.
    pub(super) fold: Option<Range<usize>>,
}

/// The key groups that each run counts for: of those in its range, the ones that no newer run is a
/// base for.
pub(super) fn counting(runs: &[RunRef]) -> Vec<Groups> {
    let mut covered = Groups::default();
    let mut counts = vec![Groups::default(); runs.len()];
    for (run, counts) in runs.iter().zip(&mut counts).rev() {
        *counts = Groups::from(run.range).minus(&covered);
        covered = covered.union(&Groups::of(run.base.iter().copied()));
    }
    counts
}

/// For each run its level: 1 if its place in the chain is free, otherwise one above the highest older
/// run that it must stay behind. Runs of one level may stand in any order.
pub(super) fn levels(runs: &[RunRef], counts: &[Groups]) -> Vec<usize> {
    let sets = |run: &RunRef| (Groups::from(run.range), Groups::of(run.base.iter().copied()));
    let mut older: Vec<(&Groups, (Groups, Groups), usize)> = Vec::with_capacity(runs.len());
    for (run, counts) in runs.iter().zip(counts) {
        let (range, base) = sets(run);
        let mut below = 0;
        for (counts_older, (range_older, base_older), level) in older.iter().rev() {
            // An older run that came behind the base of a newer one would count there again, where
            // its range spans that base; a newer one before an older base would count no more.
            let is_bound = || {
                counts_older.overlaps(counts)
                    || range_older.overlaps(&base)
                    || base_older.overlaps(&range)
            };
            if *level > below && is_bound() {
                below = *level;
            }
        }
        older.push((counts, (range, base), below + 1));
    }
    older.into_iter().map(|(.., level)| level).collect()
}

/// The same chain without runs that count nowhere, each with the smallest range that still says
/// the same, by level, those of a level by key group.
pub(super) fn pruned(runs: Vec<RunRef>) -> Vec<RunRef> {
    let counts = counting(&runs);
    let kept: Vec<(Groups, RunRef)> = counts
        .into_iter()
        .zip(runs)
        .filter_map(|(counts, run)| {
            let range = counts.hull()?;
            let base = Groups::of(run.base.iter().copied()).within(range).into_ranges();
            Some((counts, RunRef { range, base, ..run }))
        })
        .collect();
    let (counts, taken): (Vec<Groups>, Vec<RunRef>) = kept.into_iter().unzip();
    let levels = levels(&taken, &counts);
    let mut order: Vec<usize> = (0..taken.len()).collect();
    order.sort_by_key(|at| {
        let (level, first) = (levels.get(*at), taken.get(*at).map(|run| run.range.first()));
        (level.copied(), first)
    });
    let mut taken: Vec<Option<RunRef>> = taken.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| taken.get_mut(at)?.take()).collect()
}

/// What the next checkpoint of the subtask that owns `range` writes, its chain being `runs`.
pub(super) fn plan(
    runs: &[RunRef],
    range: KeyGroupRange,
    estimates: Estimates,
    settings: &SnapshotSettings,
) -> Plan {
    if runs.is_empty() {
        return Plan { base: range.into(), fold: None };
    }
    let full = estimates.full_len_bytes.max(1.0);
    let part = estimates.due_len_bytes / full;
    let base = if part * SLICES_MAX < 1.0 {
        Groups::default()
    } else {
        let count = (part * f64::from(range.count())).ceil().max(0.0) as u32;
        slice(runs, range, count.min(range.count() - range.count() / SLICE_LEFT_PART))
    };

    let counts = counting(runs);
    let levels = levels(runs, &counts);
    if levels.iter().copied().max().unwrap_or(0) < settings.runs_max {
        return Plan { base, fold: None };
    }
    // The last level is full of work soon: fold where it is cheapest by level removed.
    let sizes = level_sizes(runs, &levels);
    let window = (FOLD_LEVELS.0..=FOLD_LEVELS.1.min(sizes.len()))
        .flat_map(|width| (0..=sizes.len() - width).map(move |first| first..first + width))
        .map(|window| (sizes.iter().take(window.end).skip(window.start).sum::<u64>(), window))
        .min_by(|(a, x), (b, y)| {
            let cost = |bytes: u64, window: &Range<usize>| bytes as f64 / (window.len() - 1) as f64;
            cost(*a, x).total_cmp(&cost(*b, y))
        });
    match window {
        Some((bytes, window)) if (bytes as f64) < full => {
            // Levels count from 1, and the chain is in their order.
            let first = levels.iter().position(|level| *level == window.start + 1);
            let end = levels.iter().rposition(|level| *level == window.end);
            match (first, end) {
                (Some(first), Some(end)) if levels.is_sorted() => {
                    Plan { base, fold: Some(first..end + 1) }
                }
                _ => Plan { base: range.into(), fold: None },
            }
        }
        _ => Plan { base: range.into(), fold: None },
    }
}

fn level_sizes(runs: &[RunRef], levels: &[usize]) -> Vec<u64> {
    let mut sizes = vec![0_u64; levels.iter().copied().max().unwrap_or(0)];
    for (run, level) in runs.iter().zip(levels) {
        if let Some(size) = sizes.get_mut(level - 1) {
            *size = size.saturating_add(run.len_bytes);
        }
    }
    sizes
}

/// The `count` key groups of `range` whose base is oldest; those without any come first.
fn slice(runs: &[RunRef], range: KeyGroupRange, count: u32) -> Groups {
    let mut left = Groups::from(range);
    let mut by_age: Vec<Groups> = Vec::new();
    for run in runs.iter().rev() {
        let base = Groups::of(run.base.iter().copied()).intersect(&left);
        left = left.minus(&base);
        by_age.push(base);
    }
    by_age.push(left);
    let mut slice = Groups::default();
    for groups in by_age.iter().rev() {
        let wanted = count - slice.count();
        if wanted == 0 {
            break;
        }
        slice = slice.union(&groups.take(wanted));
    }
    slice
}

/// Adjacent pieces of `range` in each of which there are about `piece_len_bytes`, where a key group
/// has `full` bytes if it is in `base` and `delta` bytes otherwise.
pub(super) fn first_piece(
    range: KeyGroupRange,
    base: &Groups,
    (full, delta): (f64, f64),
    piece_len_bytes: f64,
) -> KeyGroupRange {
    let mut bytes = 0.0;
    for group in range.first()..=range.last() {
        bytes += if base.contains(KeyGroup(group)) { full } else { delta };
        if bytes >= piece_len_bytes {
            return super::groups::span(range.first(), group);
        }
    }
    range
}
