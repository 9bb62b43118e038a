//! Row `restore.lazy`: how soon a state on local disk can be read, and what the first look at a key takes.

use crate::keys;
use crate::measure::median;
use crate::report::{Question, Report};
use crate::snapshot::subtask::{Subtask, UID, written};
use crate::tool::Folder;
use esker::backend::heap::{HeapBackend, ValueState};
use esker::backend::{Backend, Handle};
use esker::snapshot::{RestoreMode, SnapshotSettings, find_operator, read_manifest};
use esker::state::ValueDescriptor;
use esker::{Store, block_on};
use esker_format::record::Published;
use esker_format::{KeyGroupRange, Ordered};
use std::time::Instant;

const ENTRIES: usize = 10_000_000;
/// Keys that are looked at in a round: so few that most are the first of their key group.
const TOUCHES: usize = 5_000;

type Values = Handle<ValueState<u64, (), u64>>;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let (first, touch) = ("restore.lazy.10m.first-read", "restore.lazy.10m.touch-p99");
    if !report.wants(first) && !report.wants(touch) {
        return Ok(());
    }
    let rounds = report.rounds(9);
    let folder = Folder::new("lazy")?;
    let url = folder.join("job").to_string_lossy().into_owned();
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
    subtask.full_at(&url)?;
    let parts = vec![(subtask.lineage.chain().part.clone(), None)];
    let published = written(&subtask.store, subtask.checkpoint, parts)?.published;
    drop(subtask);

    let (mut opened_ms, mut p99_ms) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Keys are shuffled: each round looks at others.
        let mut asked = keys.iter().skip(round * TOUCHES).take(TOUCHES + 1);
        let started = Instant::now();
        let (mut backend, values) = restored(&url, &published)?;
        let missing = || "a key was not there".to_owned();
        let first = asked.next().ok_or_else(missing)?;
        get(&mut backend, values, *first)?.ok_or_else(missing)?;
        opened_ms.push(started.elapsed().as_secs_f64() * 1e3);
        let mut took = Vec::with_capacity(TOUCHES);
        for key in asked {
            let before = there(&mut backend, values)?;
            let started = Instant::now();
            let found = get(&mut backend, values, *key)?;
            let time = started.elapsed();
            found.ok_or_else(missing)?;
            if there(&mut backend, values)? > before {
                took.push(time.as_secs_f64() * 1e3);
            }
        }
        took.sort_unstable_by(f64::total_cmp);
        p99_ms.push(took.get(took.len() * 99 / 100).copied().unwrap_or(f64::NAN));
    }
    let question = |name| Question::less(name, "ms", 1.0, ENTRIES, rounds);
    report.limit(question(first), median(opened_ms), 200.0);
    report.limit(question(touch), median(p99_ms), 1.0);
    Ok(())
}

/// From a folder with a checkpoint to a backend that can be used.
fn restored(url: &str, published: &Published) -> Result<(HeapBackend, Values), String> {
    let text = |error: esker::Error| error.to_string();
    let store = Store::open(url).map_err(text)?;
    let (path, digest) = (&published.manifest_path, Some(published.manifest_digest));
    let manifest = block_on(read_manifest(&store, path, digest)).map_err(text)?;
    let stored = find_operator(&manifest, UID).map_err(text)?;
    let mut backend = HeapBackend::restoring(stored, KeyGroupRange::ALL);
    let values = ValueDescriptor::<u64, u64>::with_codec("counts", Ordered);
    let values = backend.open(values).map_err(text)?;
    let settings = SnapshotSettings { restore: RestoreMode::Lazy, ..SnapshotSettings::default() };
    block_on(backend.restore(&store, &manifest, &settings)).map_err(text)?;
    Ok((backend, values))
}

fn get(backend: &mut HeapBackend, values: Values, key: u64) -> Result<Option<u64>, String> {
    let values = backend.state(values).map_err(|error| error.to_string())?;
    values.get(&key, &()).map_err(|error| error.to_string())
}

/// How many values were brought.
fn there(backend: &mut HeapBackend, values: Values) -> Result<usize, String> {
    Ok(backend.state(values).map_err(|error| error.to_string())?.len())
}
