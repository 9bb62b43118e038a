//! Canonical lines, of captures and of snapshots: two hold the same if and only if these are the same.

use esker::backend::{Backend, EntrySink};
use esker::format::KeyGroupRange;
use esker::format::canonical::{Canonical, Expired};
use esker::format::manifest::Manifest;
use esker::format::part::RunRef;
use esker::format::run::Entry;
use esker::snapshot::{Captures, ChainReader, read_part};
use esker::{Result, Store, block_on};
use std::collections::BTreeMap;

/// Turns entries into lines.
struct Lines<'a> {
    canonical: Canonical<'a>,
    lines: Vec<String>,
}

impl EntrySink for Lines<'_> {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let mut line = String::new();
        if self.canonical.write(entry, &mut line)? {
            self.lines.push(line);
        }
        Ok(())
    }
}

/// The lines of captures that `backend` gave, in the order in which they are written.
///
/// # Errors
/// Those of the captures; `Corrupt` for what is no entry of the state.
pub fn of_captures(backend: &impl Backend, captures: &Captures) -> Result<Vec<String>> {
    let (infos, mut lines) = (backend.infos(), Vec::new());
    for (info, capture) in infos.iter().zip(captures) {
        let mut canonical = Canonical::new(backend.uid(), backend.key(), info);
        canonical.at(capture.ttl_time_ms(), Expired::Hidden);
        let mut sink = Lines { canonical, lines };
        capture.write_full(KeyGroupRange::ALL, &mut sink)?;
        lines = sink.lines;
    }
    Ok(lines)
}

/// All lines of a snapshot, sorted. What every subtask holds alike stands there once. A savepoint has
/// them, and so have checkpoints of backends without files of their own.
///
/// # Panics
/// If it cannot be read.
pub fn of(store: &Store, manifest: &Manifest) -> Vec<String> {
    sorted(all(store, manifest))
}

/// As [`of`], in the snapshot's order, and as often as subtasks hold them.
///
/// # Panics
/// As for [`of`].
pub fn all(store: &Store, manifest: &Manifest) -> Vec<String> {
    let mut lines = Vec::new();
    for operator in &manifest.operators {
        for (subtask, part) in operator.parts.iter().enumerate() {
            let part = block_on(read_part(store, part)).unwrap();
            let canonical: BTreeMap<u32, Canonical<'_>> = operator
                .states
                .iter()
                .map(|info| {
                    let mut canonical = Canonical::new(&operator.uid, operator.key.as_ref(), info);
                    let known = part.states.iter().find(|state| state.id == info.id);
                    canonical.at(known.and_then(|state| state.ttl_time_ms), Expired::Hidden);
                    (info.id, canonical)
                })
                .collect();
            let mut read = |runs: &[RunRef], range: KeyGroupRange| {
                let chain = block_on(ChainReader::open(store, runs)).unwrap();
                let chain = chain.of_states(operator.states.iter().map(|info| info.id));
                let each = &mut |entry: Entry<'_>| {
                    let id = u32::from_be_bytes(*entry.key.first_chunk().unwrap());
                    let mut line = String::new();
                    if canonical[&id].write(entry, &mut line)? {
                        lines.push(line);
                    }
                    Ok(())
                };
                chain.merge(range, None, each).unwrap();
            };
            read(&part.runs, operator.range(subtask).unwrap());
            read(part.operator_run.as_slice(), KeyGroupRange::ALL);
        }
    }
    lines
}

/// `lines` in the order that they are compared in.
pub fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    let alike = |line: &str| line.contains("operator-union") || line.contains("operator-broadcast");
    lines.dedup_by(|a, b| a == b && alike(a));
    lines
}

/// The lines that are not in both, if any: `-` for those of `a` alone, `+` for those of `b` alone.
pub fn difference(a: &[String], b: &[String]) -> Vec<String> {
    let count = |lines: &[String]| {
        lines.iter().fold(BTreeMap::<String, i64>::new(), |mut counts, line| {
            *counts.entry(line.clone()).or_default() += 1;
            counts
        })
    };
    let mut counts = count(a);
    count(b).into_iter().for_each(|(line, n)| *counts.entry(line).or_default() -= n);
    let differ = counts.into_iter().filter(|(_, n)| *n != 0);
    differ.map(|(line, n)| format!("{}{line}", if n > 0 { '-' } else { '+' })).collect()
}
