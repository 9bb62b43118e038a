//! Restoring a subtask: from the parts of however many subtasks there were, the key groups that it
//! owns now.
//!
//! Spans of blocks are fetched ahead on the caller's executor and verified and unpacked on threads of
//! their own; the caller applies them (`sweep`).

use super::SnapshotSettings;
use super::chain::{Chain, sum_stats};
use super::groups::Groups;
use super::lazy::Needed;
use super::manifest::read_parts;
use super::plan::{Estimates, counting, pruned};
use super::pool::Pool;
use super::source::{SPAN_LEN_BYTES as FETCH_LEN_BYTES, Source};
use super::sweep::{Sweep, Unpacked};
use crate::backend::KeyedState;
use crate::{Error, ErrorKind, Result, Store};
use esker_format::KeyGroupRange;
use esker_format::composite::CompositeKey;
use esker_format::manifest::{Manifest, Operator, SnapshotKind, StateInfo};
use esker_format::part::{Part, PartState, RunRef};
use esker_format::run::{BlockCursor, Op, StateStats};
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many indexes are fetched at once.
const OPEN_AT_ONCE: usize = 8;
/// About how many stored bytes are fetched in one. Of each run over the same key groups one span is
/// unpacked at a time.
const SPAN_LEN_BYTES: u64 = 256 << 10;

/// A state to restore, and what the manifest says of it.
pub struct Target<'a> {
    /// The state as it is stored; found by name in the operator's states.
    pub stored: StateInfo,
    /// An empty state with the id of `stored`.
    pub state: &'a mut dyn KeyedState,
}

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// What the next checkpoint can build on: the runs of all old subtasks, as far as they count for
    /// the new one. Empty for a savepoint, whose files are its owner's.
    pub chain: Chain,
    /// Entries applied, those that newer ones replaced included.
    pub entries: u64,
    /// Stored bytes read.
    pub read_len_bytes: u64,
    /// From the call to the last entry.
    pub time: Duration,
    /// For how long the snapshot's files are needed after it; none where they are not.
    pub needed: Option<Needed>,
}

/// The operator of a manifest.
///
/// # Errors
/// `Invalid` if there is none of that uid, naming those that there are.
pub fn find_operator<'a>(manifest: &'a Manifest, uid: &str) -> Result<&'a Operator> {
    manifest.operators.iter().find(|operator| operator.uid == uid).ok_or_else(|| {
        let known: Vec<_> = manifest.operators.iter().map(|operator| &operator.uid).collect();
        let message = format!("the snapshot has no operator {uid:?}; it has {known:?}");
        Error::new(ErrorKind::Invalid, message)
    })
}

/// Restores the key groups of `range` of operator `uid` into `targets`. States that no target asks
/// for are not read. `store` is where the manifest's names begin.
///
/// A restore that fails or is dropped leaves the targets half full: they are to be thrown away.
///
/// # Errors
/// The store's; `Corrupt`, naming file, state and key groups, for what is damaged or missing;
/// `Incompatible` if a stored state cannot be migrated to its target.
#[tracing::instrument(skip_all, fields(uid, checkpoint = manifest.checkpoint))]
pub async fn restore(
    store: &Store,
    manifest: &Manifest,
    uid: &str,
    range: KeyGroupRange,
    targets: &mut [Target<'_>],
    settings: &SnapshotSettings,
) -> Result<Restored> {
    let started = Instant::now();
    settings.check()?;
    let operator = find_operator(manifest, uid)?;
    let (times, part) = merged_part(store, operator, range).await?;
    let sources = open_sources(store, &part.runs).await?;

    for target in &mut *targets {
        let newest = part.states.iter().find(|state| state.id == target.stored.id);
        if let Some(time) = newest.and_then(|state| state.ttl_time_ms) {
            target.state.captured_at(time);
        }
        let name = &target.stored.name;
        let begun = target.state.begin_restore(&target.stored);
        begun.map_err(|error| error.of(format_args!("state={name}")))?;
    }
    let by_id: HashMap<u32, usize> =
        targets.iter().enumerate().map(|(at, target)| (target.stored.id, at)).collect();
    let (entries, read_len_bytes) =
        apply(&sources, range, targets, &by_id, &times, settings).await?;
    for target in &mut *targets {
        target.state.end_restore();
    }

    let chain = match manifest.kind {
        SnapshotKind::Checkpoint => chain_of(part, &sources, range),
        SnapshotKind::Savepoint => Chain::default(),
    };
    crate::metrics::restored(uid, entries, read_len_bytes);
    Ok(Restored { chain, entries, read_len_bytes, time: started.elapsed(), needed: None })
}

/// Times of capture of states with TTL by their ids, for the key groups of each old part, ascending.
pub(super) type CaptureTimes = Vec<(KeyGroupRange, HashMap<u32, i64>)>;

/// When the old parts that hold key groups of `range` were captured, and one part of their runs as
/// far as they count there.
pub(super) async fn merged_part(
    store: &Store,
    operator: &Operator,
    range: KeyGroupRange,
) -> Result<(CaptureTimes, Part)> {
    let (mut refs, mut shares) = (Vec::new(), Vec::new());
    for (subtask, part) in operator.parts.iter().enumerate() {
        let owned = operator.range(subtask)?;
        if let Some(share) = owned.intersect(range) {
            refs.push(part.clone());
            shares.push((share, f64::from(share.count()) / f64::from(owned.count())));
        }
    }
    let parts = read_parts(store, refs).await?;
    if let Some(native) = parts.iter().find_map(|part| part.native.as_ref()) {
        let message = format!(
            "operator={}: the snapshot holds a database of {}, which only that backend opens: \
             restore it there, or from a savepoint",
            operator.uid, native.engine
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    let mut runs = Vec::new();
    let mut states: BTreeMap<u32, PartState> = BTreeMap::new();
    for (part, (share, fraction)) in parts.iter().zip(&shares) {
        runs.extend(part.runs.iter().filter_map(|run| {
            let range = run.range.intersect(*share)?;
            let base = Groups::of(run.base.iter().copied()).within(range).into_ranges();
            Some(RunRef { range, base, ..run.clone() })
        }));
        for state in &part.states {
            let entries = (state.entries as f64 * fraction) as u64;
            let sum = states.entry(state.id).or_insert_with(|| PartState {
                entries: 0,
                stats: StateStats::default(),
                ..state.clone()
            });
            sum.entries += entries;
            sum.earliest_timer_ms = match (sum.earliest_timer_ms, state.earliest_timer_ms) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            sum.ttl_time_ms = sum.ttl_time_ms.max(state.ttl_time_ms);
        }
    }
    let times = parts.iter().zip(&shares).map(|(part, (share, _))| {
        let of_state = |state: &PartState| Some((state.id, state.ttl_time_ms?));
        (*share, part.states.iter().filter_map(of_state).collect())
    });
    let times = times.collect();
    let states = states.into_values().collect();
    let (runs, extra) = (pruned(runs), Default::default());
    let part = Part { runs, operator_run: None, native: None, states, extra };
    Ok((times, part))
}

pub(super) async fn open_sources(store: &Store, runs: &[RunRef]) -> Result<Vec<Arc<Source>>> {
    stream::iter(runs.iter().cloned().zip(counting(runs)))
        .map(|(run, counts)| async move { Source::open(store, &run, counts).await.map(Arc::new) })
        .buffered(OPEN_AT_ONCE)
        .try_collect()
        .await
}

/// Applies what counts of `sources`; returns how many entries, and how many stored bytes were read.
async fn apply(
    sources: &[Arc<Source>],
    range: KeyGroupRange,
    targets: &mut [Target<'_>],
    by_id: &HashMap<u32, usize>,
    times: &CaptureTimes,
    settings: &SnapshotSettings,
) -> Result<(u64, u64)> {
    let pool = &Pool::new(settings.threads)?;
    let wanted = |id| by_id.contains_key(&id);
    let decoder = |target: &Target<'_>| {
        let (id, name) = (target.stored.id, target.stored.name.clone());
        target.state.decoder().map(|decoder| (id, (name, decoder)))
    };
    let decoders: Arc<HashMap<u32, _>> = Arc::new(targets.iter().filter_map(decoder).collect());
    let decoders = &decoders;
    let mut spans = Vec::new();
    for (age, source) in sources.iter().enumerate() {
        let of_source = source.spans(range, wanted, SPAN_LEN_BYTES);
        spans.extend(of_source.into_iter().map(|span| (source.first_place(&span), age, span)));
    }
    spans.sort_by_key(|(first, age, _)| (*first, *age));
    let mut unpacked = stream::iter(spans)
        .map(|(first, age, span)| async move {
            let Some(source) = sources.get(age) else { return Ok((first, age, 0, Vec::new())) };
            let bytes = source.fetch(&span).await?;
            let len_bytes = bytes.len() as u64;
            let (from, decoders) = (Arc::clone(source), Arc::clone(decoders));
            let unpack = move || {
                let unpack = |number| {
                    let block = from.block(number, &span, &bytes)?;
                    let decoder = from.first_state(number).and_then(|id| {
                        let (name, decoder) = decoders.get(&id)?;
                        Some((id, name, &**decoder))
                    });
                    let Some((id, name, decoder)) = decoder else {
                        return Ok(Unpacked::Block(block));
                    };
                    let unpacked = Unpacked::new(block, (id, decoder), from.counts());
                    unpacked.map_err(|error| {
                        error.of(format_args!("state={name}")).at_path(from.run().file.as_str())
                    })
                };
                span.blocks.clone().map(unpack).collect::<Result<Vec<_>>>()
            };
            Ok::<_, Error>((first, age, len_bytes, pool.run(unpack).await?))
        })
        .buffered(settings.threads + settings.transfers_max);
    let mut sweep = Sweep::new(sources, range, by_id, times);
    let mut read_len_bytes = 0;
    while let Some((first, age, len_bytes, blocks)) = unpacked.try_next().await? {
        read_len_bytes += len_bytes;
        sweep.add(first, age, blocks, targets)?;
    }
    Ok((sweep.finish(targets)?, read_len_bytes))
}

/// The chain of `part`, whose runs are `sources`, with what is known of their sizes.
pub(super) fn chain_of(mut part: Part, sources: &[Arc<Source>], range: KeyGroupRange) -> Chain {
    let mut chain = Chain::default();
    let mut full_len_bytes = 0.0;
    for source in sources {
        let run = source.run();
        let share = f64::from(source.counts().count()) / f64::from(range.count());
        full_len_bytes += run.len_bytes as f64 * share.min(1.0);
        chain.stats.insert(run.digest, Arc::new(source.reader().index().stats.clone()));
    }
    sum_stats(&mut part.states, part.runs.iter(), &chain.stats);
    let entries = part.states.iter().map(|state| state.entries).sum();
    chain.estimates = Estimates { full_len_bytes, entries, ..Estimates::default() };
    chain.part = part;
    chain
}

/// One element of operator state, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorElement {
    /// The state's id.
    pub state: u32,
    /// The old subtask that it belonged to.
    pub subtask: u32,
    /// Its position, u64 BE, or the encoded broadcast key.
    pub key: Vec<u8>,
    /// Its encoded value.
    pub value: Vec<u8>,
}

/// The operator state of all old subtasks: in order of subtask, and within it of state and key.
///
/// # Errors
/// As for [`restore`].
pub async fn read_operator_state(
    store: &Store,
    operator: &Operator,
) -> Result<Vec<OperatorElement>> {
    let parts = read_parts(store, operator.parts.clone()).await?;
    let mut elements = Vec::new();
    for (subtask, part) in parts.iter().enumerate() {
        let Some(run) = &part.operator_run else { continue };
        let source = Source::open(store, run, KeyGroupRange::ALL.into()).await?;
        // What was dropped may still stand in it.
        let wanted = |id| operator.states.iter().any(|state| state.id == id);
        for span in source.spans(KeyGroupRange::ALL, wanted, FETCH_LEN_BYTES) {
            let bytes = source.fetch(&span).await?;
            for number in span.blocks.clone() {
                let mut cursor = BlockCursor::new(source.block(number, &span, &bytes)?);
                let at = |error| Error::from(error).at_path(run.file.as_str());
                while cursor.advance().map_err(at)? {
                    let entry = cursor.entry();
                    let key = CompositeKey::decode(entry.key).map_err(at)?;
                    if !wanted(key.state) {
                        continue;
                    }
                    if entry.op != Op::Put {
                        let message = format!("operator state holds no {:?} entries", entry.op);
                        let error = Error::new(ErrorKind::Corrupt, message);
                        return Err(error.at_path(run.file.as_str()));
                    }
                    elements.push(OperatorElement {
                        state: key.state,
                        subtask: subtask as u32,
                        key: key.key.into_owned(),
                        value: entry.value.to_vec(),
                    });
                }
            }
        }
    }
    Ok(elements)
}
