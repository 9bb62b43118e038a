//! How much a snapshot holds, from its manifest and parts alone.

use esker::format::manifest::{Operator, StateInfo, TypeInfo};
use esker::format::part::Part;
use esker::format::run::StateStats;
use esker::snapshot::OpenSnapshot;
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// An operator's part of a snapshot.
pub(crate) struct OperatorSizes<'a> {
    pub(crate) operator: &'a Operator,
    /// Runs that its parts name, each counted once.
    pub(crate) runs: usize,
    pub(crate) run_len_bytes: u64,
    pub(crate) states: Vec<StateSizes<'a>>,
}

/// A state's part of a snapshot, summed over subtasks.
pub(crate) struct StateSizes<'a> {
    pub(crate) info: &'a StateInfo,
    /// Values, list elements, map entries, timers or elements that are live.
    pub(crate) entries: u64,
    pub(crate) earliest_timer_ms: Option<i64>,
    /// Of all its runs, dead entries included.
    pub(crate) stats: StateStats,
}

/// The sizes of each operator, in the manifest's order; parts that cannot be read are left out.
pub(crate) fn sizes(snapshot: &OpenSnapshot) -> Vec<OperatorSizes<'_>> {
    let operators = snapshot.manifest.operators.iter().zip(&snapshot.parts);
    let sizes = operators.map(|(operator, parts)| {
        let parts = || parts.iter().flatten();
        let runs = parts().flat_map(|part| part.runs.iter().chain(&part.operator_run));
        let runs: BTreeMap<_, _> = runs.map(|run| (&run.file, run.len_bytes)).collect();
        let states = operator.states.iter().map(|info| state_sizes(info, parts()));
        OperatorSizes {
            operator,
            runs: runs.len(),
            run_len_bytes: runs.values().sum(),
            states: states.collect(),
        }
    });
    sizes.collect()
}

fn state_sizes<'a>(info: &'a StateInfo, parts: impl Iterator<Item = &'a Part>) -> StateSizes<'a> {
    let stats = StateStats::default();
    let mut sizes = StateSizes { info, entries: 0, earliest_timer_ms: None, stats };
    for state in parts.flat_map(|part| &part.states).filter(|state| state.id == info.id) {
        sizes.entries = sizes.entries.saturating_add(state.entries);
        let earliest = sizes.earliest_timer_ms.into_iter().chain(state.earliest_timer_ms);
        sizes.earliest_timer_ms = earliest.min();
        sizes.stats.merge(&state.stats);
    }
    sizes
}

/// A type, in the shape of the JSON output.
#[derive(Serialize)]
pub(crate) struct Type {
    codec: String,
    schema: Json,
}

impl Type {
    pub(crate) fn of(info: &TypeInfo) -> Self {
        let schema = serde_json::to_value(&info.schema).unwrap_or_default();
        Self { codec: info.codec.to_string(), schema }
    }

    /// The schema as text: the name of a plain type, JSON of others.
    pub(crate) fn text(info: Option<&TypeInfo>) -> String {
        match info.map(|info| Self::of(info).schema) {
            None => "-".to_owned(),
            Some(Json::String(name)) => name,
            Some(schema) => schema.to_string(),
        }
    }
}
