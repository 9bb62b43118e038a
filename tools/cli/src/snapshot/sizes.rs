//! How much a snapshot holds, from its manifest and parts; of an operator that was rescaled, from the
//! indexes of its runs too. No data is read.

use super::harm::Harm;
use esker::format::manifest::{Operator, StateInfo, TypeInfo};
use esker::format::part::{NativeFile, Part, RunRef};
use esker::format::run::{RunReader, StateStats};
use esker::snapshot::{Lost, OpenSnapshot};
use esker::{Error, ErrorKind, Store, block_on};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// An operator's part of a snapshot.
pub(crate) struct OperatorSizes<'a> {
    pub(crate) operator: &'a Operator,
    /// Runs, or files of a database, that its parts name; each counted once.
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
    /// Of all its runs, each counted once, dead entries included.
    pub(crate) stats: StateStats,
    /// Of the files of databases that hold it alone, each counted once; stored, hence compressed.
    pub(crate) file_len_bytes: u64,
}

/// The sizes of each operator, in the manifest's order, and what of it could not be told: parts that
/// cannot be read are left out, and where a run that several parts name cannot be, it counts for each.
pub(crate) fn sizes(snapshot: &OpenSnapshot) -> (Vec<OperatorSizes<'_>>, Vec<Harm>) {
    let mut harms = Vec::new();
    let operators = snapshot.manifest.operators.iter().zip(&snapshot.parts);
    let sizes = operators.map(|(operator, parts)| {
        let parts = || parts.iter().flatten();
        let named = || parts().flat_map(|part| part.runs.iter().chain(&part.operator_run));
        let runs: BTreeMap<_, _> = named().map(|run| (&run.file, run)).collect();
        // A part sums up the runs that it names; after a change of parallelism others name them too.
        let shared = named().count() > runs.len();
        let stats = shared.then(|| stats_of(&snapshot.store, runs.values()));
        let stats = stats.transpose().unwrap_or_else(|(run, error)| {
            let lost = [Lost { state: None, range: run.range }];
            harms.push(Harm::of(&error).losing(operator, &lost, |info| info.kind.is_keyed()));
            None
        });
        let states = operator.states.iter().map(|info| {
            let sizes = state_sizes(info, parts());
            match &stats {
                Some(stats) => {
                    let stats = stats.get(&info.id).cloned().unwrap_or_default();
                    StateSizes { stats, ..sizes }
                }
                None => sizes,
            }
        });
        let files: BTreeMap<_, _> =
            parts().flat_map(Part::files).map(|found| (found.file, found.len_bytes)).collect();
        OperatorSizes {
            operator,
            runs: files.len(),
            run_len_bytes: files.values().sum(),
            states: states.collect(),
        }
    });
    (sizes.collect(), harms)
}

type Stats = BTreeMap<u32, StateStats>;

/// The statistics of `runs` by state, from their indexes: one ranged read for each.
///
/// # Errors
/// The first run whose index cannot be read, and why.
fn stats_of<'a>(
    store: &Store,
    runs: impl Iterator<Item = &'a &'a RunRef>,
) -> Result<Stats, (&'a RunRef, Error)> {
    let mut sums = Stats::new();
    for run in runs {
        let index = index_stats(store, run).map_err(|error| (*run, error))?;
        index.iter().for_each(|(id, stats)| sums.entry(*id).or_default().merge(stats));
    }
    Ok(sums)
}

/// The statistics of a run by state, from its index, which is verified: one ranged read.
///
/// # Errors
/// The store's; `Corrupt`, naming the file, if it is missing or damaged.
pub(crate) fn index_stats(store: &Store, run: &RunRef) -> Result<Stats, Error> {
    let end = run.index.offset.saturating_add(run.index.len_bytes);
    let bytes = block_on(store.get_range(&run.file, run.index.offset..end))?;
    let missing = || Error::new(ErrorKind::Corrupt, "the file is missing");
    let opened = bytes.ok_or_else(missing).and_then(|bytes| {
        let reader = RunReader::open(run.index, &bytes)?;
        Ok(reader.index().stats.clone())
    });
    opened.map_err(|error| error.at_path(run.file.as_str()))
}

fn state_sizes<'a>(
    info: &'a StateInfo,
    parts: impl Iterator<Item = &'a Part> + Clone,
) -> StateSizes<'a> {
    let stats = StateStats::default();
    let mut sizes =
        StateSizes { info, entries: 0, earliest_timer_ms: None, stats, file_len_bytes: 0 };
    let natives = parts.clone().filter_map(|part| part.native.as_ref());
    let of_state = |file: &&NativeFile| file.holds.is_some_and(|(id, _)| id == info.id);
    let files = natives.flat_map(|native| &native.files).filter(of_state);
    let files: BTreeMap<_, _> = files.map(|file| (&file.file, file.len_bytes)).collect();
    sizes.file_len_bytes = files.values().sum();
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
