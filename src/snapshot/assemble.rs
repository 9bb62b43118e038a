//! From written pieces to the part: which run counts where, and what was learned.

use super::chain::{Chain, RunStats, sum_stats};
use super::groups::Groups;
use super::plan::{Estimates, Plan, pruned};
use super::queue::Piece;
use super::writer::{WriteStats, WrittenPart};
use esker_format::part::{Part, PartState, RunRef};
use esker_format::{Digest, KeyGroupRange};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// A piece whose file, if it needs one, is durable.
pub(super) struct WrittenPiece {
    pub(super) piece: Piece,
    pub(super) run: Option<RunRef>,
}

/// What the numbers of layers mean.
#[derive(Clone, Copy)]
pub(super) struct Roles {
    /// Layers of changes, oldest first: those below this number. The last of them holds the slice.
    pub(super) changes: usize,
    pub(super) fold: Option<usize>,
    pub(super) operator: Option<usize>,
}

/// What was known before.
pub(super) struct Before {
    pub(super) chain: Chain,
    pub(super) plan: Plan,
    pub(super) estimates: Estimates,
    pub(super) range: KeyGroupRange,
    pub(super) states: Vec<PartState>,
    pub(super) merge_factor: f64,
}

/// The key groups that adjacent runs, taken together, are a base for.
pub(super) fn folded_base<'a>(runs: impl Iterator<Item = &'a RunRef>) -> Groups {
    Groups::of(runs.flat_map(|run| run.base.iter().copied()))
}

pub(super) fn assemble(before: Before, mut pieces: Vec<WrittenPiece>, roles: Roles) -> WrittenPart {
    pieces.sort_unstable_by_key(|written| (written.piece.layer, written.piece.range.first()));
    let (stats, estimates) = measure(&before, &pieces, roles);
    let Before { chain, plan, range, mut states, .. } = before;

    count(&mut states, &pieces);

    let mut known: HashMap<Digest, RunStats> = chain.stats;
    let mut names = BTreeSet::new();
    let mut layers: Vec<Vec<RunRef>> = vec![Vec::new(); roles.changes];
    let (mut folded, mut operator_run) = (Vec::new(), None);
    let folds = plan.fold.clone().and_then(|fold| chain.part.runs.get(fold));
    let folds_base = folded_base(folds.unwrap_or_default().iter());
    for WrittenPiece { piece, run } in pieces {
        let Some(mut run) = run else { continue };
        names.insert(run.file.clone());
        known.insert(run.digest, Arc::new(piece.run.summary.index.stats));
        if roles.operator == Some(piece.layer) {
            (run.range, run.base) = (KeyGroupRange::ALL, vec![KeyGroupRange::ALL]);
            operator_run = Some(run);
        } else if roles.fold == Some(piece.layer) {
            run.base = folds_base.within(run.range).into_ranges();
            folded.push(run);
        } else if let Some(layer) = layers.get_mut(piece.layer) {
            if piece.layer + 1 == roles.changes {
                run.base = plan.base.within(run.range).into_ranges();
            }
            layer.push(run);
        }
    }

    let mut runs = match plan.base == range.into() {
        true => Vec::new(),
        false => chain.part.runs,
    };
    if let Some(fold) = plan.fold.filter(|fold| fold.end <= runs.len()) {
        runs.splice(fold, folded);
    }
    runs.extend(layers.into_iter().flatten());
    let runs = pruned(runs);

    let all = || runs.iter().chain(&operator_run);
    states.retain(|state| {
        // The time of a state with TTL never goes back, though it may hold nothing now.
        state.entries > 0
            || state.ttl_time_ms.is_some()
            || all()
                .any(|run| known.get(&run.digest).is_none_or(|stats| stats.contains_key(&state.id)))
    });
    sum_stats(&mut states, all(), &known);
    let kept: BTreeSet<Digest> = all().map(|run| run.digest).collect();
    known.retain(|digest, _| kept.contains(digest));
    let extra = chain.part.extra;
    let part = Part { runs, operator_run, native: None, states, extra };
    let chain = Chain { part, estimates, stats: known };
    let stats = WriteStats { referenced_len_bytes: chain.len_bytes(), ..stats };
    WrittenPart { chain, names, stats }
}

/// Sets how many entries are live, and the earliest timer, where that was counted while they were
/// written: all were.
fn count(states: &mut [PartState], pieces: &[WrittenPiece]) {
    let mut live: BTreeMap<u32, (u64, Option<i64>)> = BTreeMap::new();
    for found in pieces.iter().flat_map(|written| &written.piece.run.live) {
        let (entries, earliest_ms) = live.entry(found.state).or_default();
        *entries += found.entries;
        *earliest_ms = (*earliest_ms).into_iter().chain(found.earliest_timer_ms).min();
    }
    for state in states {
        if let Some((entries, earliest_ms)) = live.get(&state.id) {
            state.entries = *entries;
            state.earliest_timer_ms = earliest_ms.or(state.earliest_timer_ms);
        }
    }
}

/// How much was written, and what that says of the next checkpoint.
fn measure(before: &Before, pieces: &[WrittenPiece], roles: Roles) -> (WriteStats, Estimates) {
    let mut stats = WriteStats::default();
    let mut newest = [0.0, 0.0];
    for WrittenPiece { piece, run } in pieces {
        let Some(run) = run else { continue };
        stats.written_len_bytes += run.len_bytes;
        if roles.fold == Some(piece.layer) {
            stats.folded_entries += run.entries;
        } else if roles.operator != Some(piece.layer) {
            stats.full_entries += piece.run.entries[0];
            stats.changed_entries += piece.run.entries[1];
            stats.changed_len_bytes += piece.run.len_bytes_of(1) as u64;
            if piece.layer + 1 == roles.changes {
                newest[0] += piece.run.len_bytes_of(0);
                newest[1] += piece.run.len_bytes_of(1);
            }
        }
    }
    let mut estimates = before.estimates;
    let (all, base) = (f64::from(before.range.count()), f64::from(before.plan.base.count()));
    if base > 0.0 {
        estimates.measured_full(newest[0], base / all);
    }
    if base < all {
        estimates.delta_len_bytes = newest[1] * all / (all - base);
    }
    // A slice pays all that was due, however large it came out; what changed is due next.
    if base > 0.0 {
        estimates.due_len_bytes = 0.0;
    }
    estimates.due_len_bytes += before.merge_factor * estimates.delta_len_bytes;
    (stats, estimates)
}
