//! A chain: the part that the next checkpoint builds on, and what is known of its runs.

use super::groups::Groups;
use super::plan::{Estimates, counting};
use esker_format::Digest;
use esker_format::part::{Part, PartState, RunRef};
use esker_format::run::StateStats;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Counts per state of one run.
pub(super) type RunStats = Arc<BTreeMap<u32, StateStats>>;

/// The part that the next checkpoint of a subtask builds on, with what is known of its runs.
///
/// One without runs makes the next checkpoint a full one.
#[derive(Debug, Clone)]
pub struct Chain {
    /// The part.
    pub part: Part,
    pub(super) estimates: Estimates,
    pub(super) stats: HashMap<Digest, RunStats>,
}

impl Default for Chain {
    fn default() -> Self {
        let (runs, states, extra) = (Vec::new(), Vec::new(), Default::default());
        let part = Part { runs, operator_run: None, native: None, states, extra };
        Self { part, estimates: Estimates::default(), stats: HashMap::new() }
    }
}

impl Chain {
    /// The chain of a native checkpoint, whose database was restored as it is.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn of_native(part: Part) -> Self {
        Self { part, ..Self::default() }
    }

    /// What the next checkpoint's plan is made from.
    pub fn estimates(&self) -> Estimates {
        self.estimates
    }

    /// The greatest number of runs that any key group is restored from.
    pub fn depth(&self) -> usize {
        let counts = counting(&self.part.runs);
        let firsts = counts.iter().flat_map(|groups| groups.ranges()).map(|range| range.first());
        let depth = |group| {
            let holds = |groups: &&Groups| groups.contains(esker_format::KeyGroup(group));
            counts.iter().filter(holds).count()
        };
        firsts.map(depth).max().unwrap_or(0)
    }

    /// Bytes of all files that the part names.
    pub fn len_bytes(&self) -> u64 {
        self.part.files().map(|found| found.len_bytes).fold(0, u64::saturating_add)
    }
}

/// Sums the counts of `runs` into `states`; a run of which nothing is known is passed over.
pub(super) fn sum_stats<'a>(
    states: &mut [PartState],
    runs: impl Iterator<Item = &'a RunRef>,
    stats: &HashMap<Digest, RunStats>,
) {
    for found in runs.filter_map(|run| stats.get(&run.digest)) {
        for state in &mut *states {
            if let Some(found) = found.get(&state.id) {
                state.stats.merge(found);
            }
        }
    }
}
