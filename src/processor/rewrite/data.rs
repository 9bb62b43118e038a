//! Operators whose entries are looked at: their parts are written anew, each from its own runs.

use super::StateLeft;
use super::changes::{Changed, OperatorChanges};
use super::rekey::Rekeyed;
use crate::backend::EntrySink;
use crate::format::manifest::{Operator, SnapshotKind, StateKind};
use crate::format::part::Part;
use crate::format::run::{Entry, StateStats};
use crate::format::{KeyGroupRange, RelativeName, list};
use crate::processor::target::{check_names, conflict};
use crate::snapshot::{
    ChainReader, Count, EntrySource, MANIFEST_NAME, OpenSnapshot, PartId, Present,
    SnapshotSettings, SubtaskSource, in_target, write_sourced_part,
};
use crate::{Error, ErrorKind, Result, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The changes by the operators' new uids.
pub(super) type AllChanges = BTreeMap<String, OperatorChanges>;

/// The runs that were made.
#[derive(Default)]
pub(super) struct Made {
    pub(super) names: BTreeSet<RelativeName>,
    /// What the target held before, and what was put.
    present: Option<Present>,
    pub(super) left: Vec<StateLeft>,
}

impl Made {
    /// What was put, and what was there already.
    pub(super) fn counts(&self) -> (Count, Count) {
        self.present.as_ref().map(Present::counts).unwrap_or_default()
    }

    /// Deletes what was put, where no manifest is.
    pub(super) async fn take_back(&self, target: &Store) {
        if let Some(present) = &self.present {
            present.take_back(target).await;
        }
    }
}

/// That the entries of all operators with changes can be read.
///
/// # Errors
/// `Unsupported` for a database.
pub(super) fn check_runs(snapshot: &OpenSnapshot, changes: &AllChanges) -> Result<()> {
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        let native = parts.iter().flatten().find_map(|part| part.native.as_ref());
        if let Some(native) = native.filter(|_| changes.contains_key(&operator.uid)) {
            let message = format!(
                "operator={}: its state is a database of {}, whose names can be changed, and whose \
                 entries cannot: restore it, and take a savepoint",
                operator.uid, native.engine
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}

/// Writes the runs of all operators with changes to `target`, and puts the new parts in the place of the
/// old ones. `progress` is told of about how many bytes were read. If it fails, it deletes what it put.
///
/// # Errors
/// `Conflict` if something else is in `target`; those of reading, of expressions and of the stores.
pub(super) async fn write(
    snapshot: &mut OpenSnapshot,
    changes: &AllChanges,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Made> {
    let path = RelativeName::new(MANIFEST_NAME)?;
    let listed = target.list(None).await.map_err(|error| in_target(error, target, &path))?;
    let listed: BTreeMap<RelativeName, u64> = listed.into_iter().collect();
    check_names(listed.keys()).map_err(|message| conflict(target, message))?;
    let present = Present::of(target, listed).await?;
    match write_runs(snapshot, changes, (target, &present), settings, progress).await {
        Ok(made) => Ok(Made { present: Some(present), ..made }),
        Err(error) => {
            present.take_back(target).await;
            Err(error)
        }
    }
}

async fn write_runs(
    snapshot: &mut OpenSnapshot,
    changes: &AllChanges,
    to: (&Store, &Present),
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Made> {
    let mut made = Made::default();
    let (checkpoint, generation) = (snapshot.manifest.checkpoint, snapshot.manifest.generation);
    let operators = snapshot.manifest.operators.iter_mut().zip(&mut snapshot.parts);
    for (number, (operator, parts)) in (0..).zip(operators) {
        let Some(changes) = changes.get(&operator.uid) else { continue };
        let of = |error: Error| error.of(format_args!("operator={}", operator.uid));
        let rekeyed = rekeyed(&snapshot.store, operator, parts, changes).await.map_err(of)?;
        for (subtask, part) in parts.iter_mut().enumerate() {
            let Some(old) = part else { continue };
            let range = operator.range(subtask)?;
            let mut source = source(&snapshot.store, operator, old, changes).await?;
            if let Some((rekeyed, times_ms)) = &rekeyed {
                source.keyed = Some(Arc::clone(rekeyed));
                source.ttl_times_ms.extend(times_ms);
            }
            let (kind, subtask) = (SnapshotKind::Savepoint, subtask as u32);
            let id = PartId { kind, checkpoint, generation, operator: number, subtask };
            let told = Told::new(old);
            let told = |entries| progress(told.len_bytes(entries));
            let states = &operator.states;
            let written =
                write_sourced_part(to, (id, range), source, states, settings, &told).await;
            let of = |error: Error| error.of(format_args!("operator={}", operator.uid));
            let mut new = written.map_err(of)?.chain.part;
            new.extra.clone_from(&old.extra);
            for state in &mut new.states {
                let before = old.states.iter().find(|before| before.id == state.id);
                state.extra = before.map(|before| before.extra.clone()).unwrap_or_default();
            }
            made.names.extend(new.files().map(|found| found.file.clone()));
            *part = Some(new);
        }
        // No run of before is left.
        operator.dropped.clear();
        let of = |id: u32| {
            let states = parts.iter().flatten().flat_map(|part| &part.states);
            let bytes = |stats: &StateStats| stats.key_bytes.saturating_add(stats.value_bytes);
            states.filter(|state| state.id == id).fold((0, 0_u64), |(entries, sum), state| {
                (entries + state.entries, sum.saturating_add(bytes(&state.stats)))
            })
        };
        made.left.extend(changes.states.iter().map(|(id, change)| StateLeft::of(change, of(*id))));
    }
    Ok(made)
}

/// What [`write()`] would leave; all entries are read.
///
/// # Errors
/// Those of reading and of expressions.
pub(super) async fn count(snapshot: &OpenSnapshot, changes: &AllChanges) -> Result<Vec<StateLeft>> {
    let mut left = Vec::new();
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        let Some(changes) = changes.get(&operator.uid) else { continue };
        let kinds = operator.states.iter().map(|info| (info.id, info.kind)).collect();
        let mut counting = Counting { kinds, counts: BTreeMap::new() };
        let named = |error: Error| error.of(format_args!("operator={}", operator.uid));
        let rekeyed = rekeyed(&snapshot.store, operator, parts, changes).await.map_err(named)?;
        if let Some((rekeyed, _)) = &rekeyed {
            rekeyed.write(KeyGroupRange::ALL, &mut counting).map_err(named)?;
        }
        for (subtask, part) in parts.iter().enumerate() {
            let Some(part) = part else { continue };
            let sources = source(&snapshot.store, operator, part, changes).await?;
            if let Some(keyed) = sources.keyed {
                keyed.write(operator.range(subtask)?, &mut counting).map_err(named)?;
            }
            if let Some(unkeyed) = sources.operator {
                unkeyed.write(KeyGroupRange::ALL, &mut counting).map_err(named)?;
            }
        }
        let of = |id: &u32| counting.counts.get(id).copied().unwrap_or_default();
        left.extend(changes.states.iter().map(|(id, change)| StateLeft::of(change, of(id))));
    }
    Ok(left)
}

/// The keyed state of an operator that gets other keys, and the times of its capture by state: the latest of
/// all parts, as a restore takes them.
async fn rekeyed(
    store: &Store,
    operator: &Operator,
    parts: &[Option<Part>],
    changes: &OperatorChanges,
) -> Result<Option<(Arc<dyn EntrySource>, BTreeMap<u32, i64>)>> {
    let Some(rekey) = &changes.rekey else { return Ok(None) };
    let sorted = Rekeyed::of(store, operator, parts, changes, rekey).await?;
    let mut times = BTreeMap::new();
    for state in parts.iter().flatten().flat_map(|part| &part.states) {
        let change = changes.states.get(&state.id);
        if let Some(time_ms) = change.and_then(|change| change.ttl_time_ms(state.ttl_time_ms)) {
            let latest = times.entry(state.id).or_insert(time_ms);
            *latest = time_ms.max(*latest);
        }
    }
    Ok(Some((Arc::new(sorted), times)))
}

/// The entries that changes leave of a part, but for keyed state that gets other keys.
async fn source(
    store: &Store,
    operator: &Operator,
    part: &Part,
    changes: &OperatorChanges,
) -> Result<SubtaskSource> {
    let known = part.states.iter().filter_map(|state| Some((state.id, state.ttl_time_ms?)));
    let known_ms: BTreeMap<u32, i64> = known.collect();
    let open = async |runs: &[_]| -> Result<Option<Arc<dyn EntrySource>>> {
        if runs.is_empty() {
            return Ok(None);
        }
        let chain = ChainReader::open(store, runs).await?;
        let changed: Arc<dyn EntrySource> =
            Arc::new(Changed::new(chain, operator, changes, &known_ms));
        Ok(Some(changed))
    };
    let mut times = known_ms.clone();
    for (id, change) in &changes.states {
        let time_ms = change.ttl_time_ms(times.get(id).copied());
        times.extend(time_ms.map(|time_ms| (*id, time_ms)));
    }
    Ok(SubtaskSource {
        keyed: if changes.rekey.is_some() { None } else { open(&part.runs).await? },
        operator: open(part.operator_run.as_slice()).await?,
        ttl_times_ms: times,
    })
}

/// Bytes by entries, for who shows progress.
struct Told {
    entry_len_bytes: f64,
}

impl Told {
    fn new(part: &Part) -> Self {
        let bytes: u64 = part.files().map(|file| file.len_bytes).sum();
        let entries: u64 = part.runs.iter().chain(&part.operator_run).map(|run| run.entries).sum();
        Self { entry_len_bytes: bytes as f64 / entries.max(1) as f64 }
    }

    fn len_bytes(&self, entries: u64) -> u64 {
        (entries as f64 * self.entry_len_bytes) as u64
    }
}

/// Counts what it is given, as parts count it.
struct Counting {
    kinds: BTreeMap<u32, StateKind>,
    /// How many there are, and how many bytes they have.
    counts: BTreeMap<u32, (u64, u64)>,
}

impl EntrySink for Counting {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(id) = entry.key.first_chunk().map(|id| u32::from_be_bytes(*id)) else {
            return Ok(());
        };
        let (count, len_bytes) = self.counts.entry(id).or_default();
        *len_bytes += (entry.key.len() + entry.value.len()) as u64;
        *count += match self.kinds.get(&id) {
            Some(StateKind::List) => list::count(entry.value)?,
            _ => 1,
        };
        Ok(())
    }
}
