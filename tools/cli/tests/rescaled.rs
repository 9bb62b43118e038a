//! Snapshots of a job whose parallelism changed: several parts name the same run.
#![allow(clippy::unwrap_used, reason = "tests, helpers included")]

use esker::backend::Backend;
use esker::engine::LocalJob;
use esker::format::KeyGroupRange;
use esker::snapshot::open_snapshot;
use esker::state::{ListDescriptor, ValueDescriptor};
use esker::{Store, block_on};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const KEYS: u64 = 3000;

/// Exit code, JSON lines and standard error of `esker`.
fn esker(folder: &Path, args: &[&str]) -> (i32, Vec<Value>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let output = command.args(args).current_dir(folder).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap());
    let error = String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), lines.collect(), error)
}

/// Restores the job at `parallelism`, changes some keys, completes a checkpoint.
fn run(folder: &Path, parallelism: u32, changed: u64) {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let mut job = block_on(LocalJob::open(store, "flights")).unwrap();
    let mut backends = Vec::new();
    for index in 0..parallelism {
        let range = KeyGroupRange::of_subtask(index, parallelism).unwrap();
        let mut backend = job.backend("delays", range);
        let count = backend.open(ValueDescriptor::<u64, u64>::new("count")).unwrap();
        let late = backend.open(ListDescriptor::<u64, String>::new("late")).unwrap();
        block_on(job.restore(&mut backend)).unwrap();
        for key in (0..changed).filter(|key| {
            let group = esker::format::Key::with_encoded(key, esker::format::KeyGroup::of);
            range.contains(group)
        }) {
            backend.state(count).unwrap().update(&key, &(), key).unwrap();
            backend.state(late).unwrap().append(&key, &(), "x".repeat(key as usize % 50)).unwrap();
        }
        backends.push(backend);
    }
    block_on(job.checkpoint(&mut backends)).unwrap();
}

/// By state: entries, bytes of keys, bytes of values.
type Sums = BTreeMap<u64, [u64; 3]>;

/// What the distinct runs of the last checkpoint hold, from the runs themselves; how many there are,
/// and how often they are named.
fn held(folder: &Path) -> (Sums, usize, usize) {
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let job = block_on(LocalJob::open(store.clone(), "flights")).unwrap();
    let (checkpoint, manifest) = job.last().unwrap();
    let name = format!("chk-{checkpoint}-{}/_metadata", manifest.generation);
    let snapshot = block_on(open_snapshot(&store, &name.parse().unwrap())).unwrap();
    let named = snapshot.parts.iter().flatten().flatten().map(|part| part.runs.len()).sum();
    let mut sums = Sums::new();
    for run in snapshot.runs() {
        let (code, shown, error) = esker(folder, &["inspect", "--json", run.file.as_str()]);
        assert_eq!((code, error.as_str()), (0, ""));
        for state in shown[0]["run"]["states"].as_array().unwrap() {
            let sums = sums.entry(state["state"].as_u64().unwrap()).or_default();
            for (sum, field) in sums.iter_mut().zip(["entries", "keyBytes", "valueBytes"]) {
                *sum += state[field].as_u64().unwrap();
            }
        }
    }
    (sums, snapshot.runs().len(), named)
}

fn numbers<const N: usize>(object: &Value, fields: [&str; N]) -> [u64; N] {
    fields.map(|field| object[field].as_u64().unwrap())
}

#[test]
fn a_run_that_several_parts_name_counts_once_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, 2, KEYS);
    // Apart, across the old bounds, and together again: then one part names a run twice.
    for (parallelism, changed) in [(5, 90), (3, 60), (1, 30)] {
        run(folder, parallelism, changed);
        let (sums, runs, named) = held(folder);
        assert!(named > runs, "{named} names of {runs} runs");

        let (code, inspected, error) = esker(folder, &["inspect", "--json", "."]);
        assert_eq!((code, error.as_str()), (0, ""));
        let operator = &inspected[0]["snapshot"]["operators"][0];
        assert_eq!(operator["runs"].as_u64(), Some(runs as u64));
        let (code, du, error) = esker(folder, &["du", "--json", "."]);
        assert_eq!((code, error.as_str(), du.len()), (0, "", 2));
        for (state, du) in operator["states"].as_array().unwrap().iter().zip(&du) {
            let [entries, key_bytes, value_bytes] = sums[&state["id"].as_u64().unwrap()];
            let stored = numbers(du, ["storedEntries", "keyBytes", "valueBytes"]);
            assert_eq!(stored, [entries, key_bytes, value_bytes], "{parallelism}: {du}");
            assert_eq!(numbers(state, ["keyBytes", "valueBytes"]), [key_bytes, value_bytes]);
            let sum = |field: &str| -> u64 {
                du[field].as_array().unwrap().iter().map(|pair| pair[1].as_u64().unwrap()).sum()
            };
            let sums = ["keySizes", "valueSizes", "slices"].map(sum);
            assert_eq!(sums, [entries, entries, key_bytes + value_bytes], "{parallelism}: {du}");
            let largest = du["largest"].as_array().unwrap();
            assert_eq!(largest.len(), 8);
        }
        let (code, verified, error) = esker(folder, &["verify", "--deep", "--json", "."]);
        assert_eq!((code, error.as_str()), (0, ""), "{verified:?}");
    }
}

#[test]
fn a_shared_run_that_is_damaged_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(folder, 1, KEYS);
    run(folder, 2, 9);
    let store = Store::open(folder.to_str().unwrap()).unwrap();
    let job = block_on(LocalJob::open(store.clone(), "flights")).unwrap();
    let (checkpoint, manifest) = job.last().unwrap();
    let name = format!("chk-{checkpoint}-{}/_metadata", manifest.generation);
    let snapshot = block_on(open_snapshot(&store, &name.parse().unwrap())).unwrap();
    let run = snapshot.runs().into_iter().max_by_key(|run| run.len_bytes).unwrap();
    let mut bytes = std::fs::read(folder.join(run.file.as_str())).unwrap();
    bytes[run.index.offset as usize] ^= 1;
    std::fs::write(folder.join(run.file.as_str()), bytes).unwrap();
    for command in ["du", "inspect"] {
        let (code, shown, error) = esker(folder, &[command, "--json", "."]);
        assert_eq!((code, shown.is_empty()), (1, false));
        assert!(error.contains(run.file.as_str()) && error.contains("delays/count"), "{error}");
    }
}
