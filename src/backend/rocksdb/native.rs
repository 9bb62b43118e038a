//! Native checkpoints: the database as files, and back.

use super::RocksBackend;
use super::db::{Database, Family, Imported, Linked, Linking, Parent};
use super::keys::{ID_LEN_BYTES, bounds};
use super::timer::{composite_of, group_of};
use crate::backend::{KeyedState, KeyedStates, LocalFile, NativeCapture, NativeState};
use crate::format::KeyGroupRange;
use crate::format::manifest::{Manifest, Operator, SnapshotKind, StateInfo, StateKind};
use crate::format::part::Part;
use crate::format::run::{Entry, Op};
use crate::snapshot::{
    Chain, Restored, SnapshotSettings, fetch_native, find_operator, migrates, read_parts,
    restore_states,
};
use crate::store::{blocking, ended};
use crate::{Error, ErrorKind, Result, Store};
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// The database, as parts call it.
pub(super) const ENGINE: &str = "rocksdb";
const DATA: &str = ".sst";

/// A database at one moment; it never changes (I4), and its files go when it is dropped.
struct Capture {
    range: KeyGroupRange,
    timers: BTreeSet<u32>,
    states: Vec<NativeState>,
    linking: Arc<Linking>,
}

impl NativeCapture for Capture {
    fn engine(&self) -> &str {
        ENGINE
    }

    fn files(&self) -> Result<Vec<LocalFile>> {
        self.linking.get(|linked| files(linked, &self.timers, self.range))
    }

    fn states(&self) -> &[NativeState] {
        &self.states
    }
}

/// The database of `states` as it is now.
pub(super) fn capture(
    states: &mut KeyedStates,
    database: &mut Database,
) -> Result<Arc<dyn NativeCapture>> {
    let range = states.range();
    let timers: BTreeSet<u32> =
        states.infos().iter().filter(|info| is_timer(info)).map(|info| info.id).collect();
    let captured = states.capture()?;
    let states = captured.iter().map(|state| NativeState {
        id: state.id(),
        entries: state.entries(),
        earliest_timer_ms: state.earliest_timer_ms(),
        ttl_time_ms: state.ttl_time_ms(),
    });
    let states = states.collect();
    // What is captured does not expire before its files are there.
    let linking = database.link(captured)?;
    Ok(Arc::new(Capture { range, timers, states, linking }))
}

pub(super) fn is_timer(info: &StateInfo) -> bool {
    matches!(info.kind, StateKind::TimerEvent | StateKind::TimerProcessing)
}

fn files(linked: &Linked, timers: &BTreeSet<u32>, range: KeyGroupRange) -> Result<Vec<LocalFile>> {
    let groups = |first: &[u8], last: &[u8]| {
        KeyGroupRange::new(group_of(first), group_of(last)).unwrap_or(range)
    };
    let known: BTreeMap<&str, (u32, KeyGroupRange)> = (linked.data.iter())
        .map(|file| match timers.contains(&file.state) {
            // In order of time.
            true => (file.name.as_str(), (file.state, range)),
            false => (file.name.as_str(), (file.state, groups(&file.first, &file.last))),
        })
        .collect();
    let unread = |error: std::io::Error| {
        Error::new(ErrorKind::Retry, "cannot list the files of a checkpoint")
            .with_source(error)
            .at_path(linked.dir().display().to_string())
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(linked.dir()).map_err(unread)? {
        let entry = entry.map_err(unread)?;
        let local = entry.file_name().to_string_lossy().into_owned();
        files.push(LocalFile {
            holds: known.get(local.as_str()).copied(),
            is_final: local.ends_with(DATA),
            len_bytes: entry.metadata().map_err(unread)?.len(),
            path: entry.path(),
            local,
        });
    }
    files.sort_unstable_by(|a, b| a.local.cmp(&b.local));
    Ok(files)
}

/// The part of a subtask of then, and its key groups.
type Old = (KeyGroupRange, Part);

/// Restores a backend: what is native by its files, what is not as any backend does.
pub(super) async fn restore(
    backend: &mut RocksBackend,
    store: &Store,
    manifest: &Manifest,
    settings: &SnapshotSettings,
) -> Result<Restored> {
    let done = restored(backend, store, manifest, settings).await;
    if let Err(error) = &done {
        backend.states.poison(format!("restore failed: {error}"));
    }
    done
}

async fn restored(
    backend: &mut RocksBackend,
    store: &Store,
    manifest: &Manifest,
    settings: &SnapshotSettings,
) -> Result<Restored> {
    let operator = find_operator(manifest, backend.states.uid())?;
    let (mut ranges, mut refs) = (Vec::new(), Vec::new());
    for (subtask, part) in operator.parts.iter().enumerate() {
        let owned = operator.range(subtask)?;
        if owned.intersect(backend.states.range()).is_some() {
            ranges.push(owned);
            refs.push(part.clone());
        }
    }
    let parts = read_parts(store, refs).await?;
    let old: Vec<Old> = ranges.into_iter().zip(parts).collect();
    if old.iter().any(|(_, part)| part.native.is_some()) {
        let mut restored = restore_native(backend, store, (operator, old), settings).await?;
        if manifest.kind == SnapshotKind::Savepoint {
            // Its files are its owner's: no checkpoint names them.
            restored.chain = Chain::default();
        }
        return Ok(restored);
    }
    backend.database.begin_imports(settings.threads);
    let restored = restore_states(&mut backend.states, store, manifest, settings).await;
    // Also where it failed: nothing goes on in the background then.
    let ended = backend.database.end_imports();
    let restored = restored?;
    ended.map(|()| restored)
}

async fn restore_native(
    backend: &mut RocksBackend,
    store: &Store,
    (operator, old): (&Operator, Vec<Old>),
    settings: &SnapshotSettings,
) -> Result<Restored> {
    let started = Instant::now();
    settings.check()?;
    let RocksBackend { states, database } = backend;
    let range = states.range();
    let mut parents: Vec<(KeyGroupRange, PathBuf)> = Vec::new();
    let (mut read_len_bytes, mut entries) = (0, 0);
    for (owned, part) in &old {
        let Some(native) = part.native.as_ref().filter(|native| native.engine == ENGINE) else {
            let engine = part.native.as_ref().map_or("runs", |native| &native.engine);
            let message = format!("some of the key groups are in {ENGINE}, some in {engine}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        let dir = database.inner_folder()?;
        fetch_native(store, native, &operator.states, &dir, settings).await?;
        read_len_bytes += native.files.iter().map(|file| file.len_bytes).sum::<u64>();
        entries += part.states.iter().map(|state| state.entries).sum::<u64>();
        parents.push((*owned, dir));
    }

    let times = old.iter().flat_map(|(_, part)| &part.states);
    let mut times_ms: BTreeMap<u32, i64> = BTreeMap::new();
    for (id, time_ms) in times.filter_map(|state| Some((state.id, state.ttl_time_ms?))) {
        let newest_ms = times_ms.entry(id).or_insert(time_ms);
        *newest_ms = time_ms.max(*newest_ms);
    }
    let mut pairs = states.stored_states()?;
    for (stored, _, state) in &mut pairs {
        if let Some(time_ms) = times_ms.get(&stored.id) {
            state.captured_at(*time_ms);
        }
        let begun = state.begin_restore(stored);
        begun.map_err(|error| error.of(format_args!("state={}", stored.name)))?;
    }
    let differs =
        |(stored, open, _): &(StateInfo, StateInfo, &mut dyn KeyedState)| migrates(stored, open);
    let mut chain = Chain::default();
    match (&parents[..], &mut old.into_iter().next()) {
        ([(owned, dir)], Some((_, part))) if *owned == range && !pairs.iter().any(differs) => {
            database.adopt(dir)?;
            chain = Chain::of_native(part.clone());
        }
        _ => {
            let (mut as_they_are, mut changed) = (Vec::new(), Vec::new());
            for pair in pairs.iter_mut() {
                let Some(family) = database.family_of(pair.0.id) else { continue };
                match differs(pair) {
                    // No timers: they have no values.
                    true => changed.push((family, &mut *pair.2)),
                    false => as_they_are.push((is_timer(&pair.0), family)),
                }
            }
            merge(database, parents, range, (as_they_are, changed), settings).await?;
        }
    }
    for (_, _, state) in &mut pairs {
        state.end_restore();
    }
    drop(pairs);
    states.restored();
    let time = started.elapsed();
    Ok(Restored { chain, entries, read_len_bytes, time, needed: None })
}

type AsTheyAre = Vec<(bool, Arc<Family>)>;
type Changed<'a> = Vec<(Arc<Family>, &'a mut dyn KeyedState)>;

/// Takes what `parents` hold of the key groups of `range` into the database: of families whose values
/// stay as they are by files, of others entry by entry.
async fn merge(
    database: &mut Database,
    parents: Vec<(KeyGroupRange, PathBuf)>,
    range: KeyGroupRange,
    (as_they_are, changed): (AsTheyAre, Changed<'_>),
    settings: &SnapshotSettings,
) -> Result<()> {
    let families = as_they_are.iter().map(|(_, family)| Arc::clone(family));
    let families: Vec<_> =
        families.chain(changed.iter().map(|(family, _)| Arc::clone(family))).collect();
    let mut opened = Vec::new();
    for (owned, dir) in parents {
        let Some(range) = owned.intersect(range) else { continue };
        let families = families.clone();
        let parent = blocking(move || Parent::open(&dir, &families)).await??;
        opened.push((range, Arc::new(parent)));
    }
    let mut works = Vec::new();
    for (is_timers, family) in &as_they_are {
        for (range, parent) in &opened {
            let (family, parent, range) = (Arc::clone(family), Arc::clone(parent), *range);
            works.push((*is_timers, family, parent, range, database.inner_folder()?));
        }
    }
    let made = stream::iter(works).map(|(is_timers, family, parent, range, dir)| async move {
        blocking(move || {
            let (from, to) = bounds(range);
            match is_timers {
                // In order of time: all are looked at.
                true => Imported::of(&parent, dir, family, (&[], &[]), |key| {
                    composite_of(key).is_some_and(|key| in_range(range, key))
                }),
                false => Imported::of(&parent, dir, family, (&from, &to), |_| true),
            }
        })
        .await?
    });
    for imported in ended(made, settings.threads).await? {
        imported.ingest()?;
    }
    database.begin_imports(settings.threads);
    for (family, state) in changed {
        for (range, parent) in &opened {
            let (from, to) = bounds(*range);
            let mut composite = family.id().to_be_bytes().to_vec();
            parent.for_each(family.id(), (&from, &to), |key, value| {
                composite.truncate(ID_LEN_BYTES);
                composite.extend_from_slice(key);
                state.apply(Entry { key: &composite, op: Op::Put, value })?;
                Ok(true)
            })?;
        }
    }
    database.end_imports()
}

fn in_range(range: KeyGroupRange, key: &[u8]) -> bool {
    range.contains(crate::format::KeyGroup(group_of(key)))
}
