//! Writing what one subtask contributes to a snapshot.

use super::SnapshotSettings;
use super::assemble::{Before, Roles, WrittenPiece, assemble, folded_base};
use super::chain::Chain;
use super::encode::Content;
use super::groups::Groups;
use super::merge::ChainReader;
use super::plan::{Plan, counting, plan};
use super::present::Present;
use super::queue::{Layer, Piece, Queue, StopOnDrop};
use crate::backend::StateCapture;
use crate::backend::operator::OperatorCapture;
use crate::store::{blocking, ended};
use crate::{Error, ErrorKind, Result, Store};
use bytes::Bytes;
use esker_format::manifest::SnapshotKind;
use esker_format::part::{PartState, RUNS_MAX, RunRef};
use esker_format::run::{IndexLocation, StateStats};
use esker_format::{Digest, KeyGroupRange, RelativeName};
use futures::{StreamExt, stream};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Small states are cut into about this many runs, which bounds the memory of writing them.
const PIECES_MIN: f64 = 48.0;
/// No run is planned to be smaller than this for the sake of memory.
const PIECE_LEN_BYTES_MIN: f64 = (1 << 20) as f64;

/// Above this many runs, as many small parts leave them to one, the next checkpoint is full: a part
/// has room for twice as many.
const CHAIN_RUNS_MAX: usize = RUNS_MAX / 2;
/// Of a state that is known to be large, no run is planned to be smaller than this part of it.
const PIECES_MAX: f64 = 1024.0;

/// The changes of a first incremental checkpoint are thought to be this part of the state, so that
/// those of a large one are written by all threads.
const FIRST_DELTA_PART: f64 = 64.0;

/// The keyed states of a subtask at one moment, ids ascending.
pub type Captures = Vec<Arc<dyn StateCapture>>;

/// Whose part of which snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartId {
    /// A checkpoint's runs are named below `shared/`, a savepoint's beside its manifest.
    pub kind: SnapshotKind,
    /// The checkpoint's number.
    pub checkpoint: u64,
    /// The writer's generation.
    pub generation: u64,
    /// The operator's position in the job: it tells names apart.
    pub operator: u32,
    /// The subtask.
    pub subtask: u32,
}

/// What one subtask has to write.
pub struct PartInput {
    /// Whose part it is.
    pub id: PartId,
    /// The key groups that the subtask owns.
    pub range: KeyGroupRange,
    /// Captures, oldest first: those of checkpoints that did not complete, whose changes no file
    /// holds, and as the last one that of this checkpoint.
    pub captures: Vec<Captures>,
    /// Operator state, if there is any.
    pub operator: Option<Arc<dyn OperatorCapture>>,
    /// What the checkpoint builds on; [`Chain::default`] for a full one.
    pub chain: Chain,
}

/// What was written.
#[derive(Debug)]
pub struct WrittenPart {
    /// The part, and what the next checkpoint builds on once this one is complete.
    pub chain: Chain,
    /// The files that were written, by name; only the part refers to them.
    pub names: BTreeSet<RelativeName>,
    /// How much it was.
    pub stats: WriteStats,
}

/// How much was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Entries of key groups in full.
    pub full_entries: u64,
    /// Entries that changed, removals included, in the other key groups.
    pub changed_entries: u64,
    /// Entries of runs that were folded.
    pub folded_entries: u64,
    /// Bytes of changes, among the bytes written; by their part of uncompressed bytes.
    pub changed_len_bytes: u64,
    /// Bytes of all files written.
    pub written_len_bytes: u64,
    /// Bytes of all files that the part refers to.
    pub referenced_len_bytes: u64,
    /// From the call to the last durable file.
    pub time: Duration,
}

/// Writes the part of one subtask: every file is durable when it returns (I1); the part itself is
/// written with the [manifest](super::write_manifest).
///
/// Entries are encoded on threads of their own, files are put on the caller's executor. Dropping the
/// call ends both and leaves at most files that nothing refers to; where it returns an error, no file
/// is still under way. Memory: for each thread and each
/// transfer one run, of at most [`file_len_bytes`](SnapshotSettings::file_len_bytes) and about a 48th
/// of the state, but for key groups that are larger.
///
/// # Errors
/// `Invalid` for wrong settings or input and values that cannot be encoded; the store's; `Corrupt` if
/// runs that are to be folded are damaged.
#[tracing::instrument(
    skip_all,
    fields(checkpoint = input.id.checkpoint, operator = input.id.operator, subtask = input.id.subtask)
)]
pub async fn write_part(
    store: &Store,
    input: PartInput,
    settings: &SnapshotSettings,
) -> Result<WrittenPart> {
    let id = input.id.clone();
    let written = write_runs(store, input, settings).await?;
    crate::metrics::part_written(&id, &written);
    Ok(written)
}

/// As [`write_part`], whose errors it has, but nobody is told.
pub(super) async fn write_runs(
    store: &Store,
    input: PartInput,
    settings: &SnapshotSettings,
) -> Result<WrittenPart> {
    let started = Instant::now();
    settings.check()?;
    check(&input)?;
    let PartInput { id, range, mut captures, operator, chain } = input;
    let last = captures.pop().unwrap_or_default();
    prepare(&last).await?;
    let runs = chain.part.runs.len();
    let full = runs == 0
        || runs > CHAIN_RUNS_MAX
        || captures.len() >= settings.pending_max.max(1)
        || last.iter().any(|capture| !capture.is_counted());
    let live: u64 = last.iter().map(|capture| capture.entries()).sum();
    let estimates = chain.estimates.at(live);
    let plan = match full {
        true => Plan { base: range.into(), fold: None },
        false => plan(&chain.part.runs, range, estimates, settings),
    };
    if plan.base == range.into() {
        // In full: what changed before does not matter.
        captures.clear();
    }
    let states = part_states(&last, operator.as_deref());
    let changes = captures.len() + 1;
    let groups = f64::from(range.count());
    let known = estimates.delta_len_bytes;
    let first = estimates.full_len_bytes / FIRST_DELTA_PART;
    let delta_len_bytes = if known > 0.0 { known } else { first };
    let per_group = (estimates.full_len_bytes / groups, delta_len_bytes / groups);
    let mut layers: Vec<Layer> = captures
        .into_iter()
        .map(|captures| (captures, Groups::default()))
        .chain([(last, plan.base.clone())])
        .map(|(captures, base)| {
            let content = Content::Captures { captures, base };
            Layer { content, range, group_len_bytes: per_group, whole: false }
        })
        .collect();
    let mut empty_bases = Vec::new();
    let fold = match plan.fold.clone() {
        Some(fold) => {
            // Nothing is older than the first run.
            if let (1.., Some(folded)) = (fold.start, chain.part.runs.get(fold.clone())) {
                empty_bases.push((layers.len(), folded_base(folded.iter())));
            }
            layers.push(fold_layer(store, &chain.part.runs, fold).await?);
            Some(layers.len() - 1)
        }
        None => None,
    };
    let operator = operator.map(|operator| {
        let content = Content::Operator(operator);
        layers.push(Layer { content, range, group_len_bytes: (0.0, 0.0), whole: true });
        layers.len() - 1
    });

    // Where a base holds nothing, an empty run says so, if there is anything older to hide.
    if plan.base != range.into() {
        empty_bases.push((changes - 1, plan.base.clone()));
    }
    let merge_factor = settings.merge_factor;
    let roles = Roles { changes, fold, operator };
    let before = Before { chain, plan, estimates, range, states, merge_factor };
    let files = Files { store: store.clone(), id, empty_bases, present: None, written: &|_| {} };
    let mut written = write_layers(files, layers, before, roles, settings).await?;
    written.stats.time = started.elapsed();
    Ok(written)
}

/// Encodes `layers` and puts their pieces; what they come to is `before` with them.
pub(super) async fn write_layers(
    files: Files<'_>,
    layers: Vec<Layer>,
    before: Before,
    roles: Roles,
    settings: &SnapshotSettings,
) -> Result<WrittenPart> {
    let full_len_bytes = before.estimates.full_len_bytes;
    let piece_len_bytes = (full_len_bytes / PIECES_MIN).max(PIECE_LEN_BYTES_MIN);
    let piece_len_bytes = piece_len_bytes.min(settings.file_len_bytes as f64);
    let piece_len_bytes = piece_len_bytes.max(full_len_bytes / PIECES_MAX) as usize;
    let (options, threads) = (settings.run_options(), settings.threads);
    let queue = Arc::new(Queue::new(layers, options, piece_len_bytes, threads));
    let _stop = StopOnDrop(Arc::clone(&queue));
    let pieces = files.write(&queue, settings).await?;
    Ok(assemble(before, pieces, roles))
}

/// Has captures find out what they hold, where they do not know yet.
async fn prepare(captures: &Captures) -> Result<()> {
    let unprepared = captures.iter().filter(|capture| !capture.is_prepared());
    let unprepared: Captures = unprepared.cloned().collect();
    if unprepared.is_empty() {
        return Ok(());
    }
    let prepare = move || unprepared.iter().try_for_each(|capture| capture.prepare());
    blocking(prepare).await?
}

fn check(input: &PartInput) -> Result<()> {
    let invalid = |message: &str| Err(Error::new(ErrorKind::Invalid, message));
    for captures in &input.captures {
        let pairs = captures.iter().zip(captures.iter().skip(1));
        if pairs.into_iter().any(|(before, after)| before.id() >= after.id()) {
            return invalid("captures of a part do not ascend by state id");
        }
    }
    let outside = |run: &&RunRef| run.range.intersect(input.range) != Some(run.range);
    match input.chain.part.runs.iter().find(outside) {
        Some(run) => {
            let message = "the chain has a run for key groups that the subtask does not own";
            Err(Error::new(ErrorKind::Invalid, message).at_path(run.file.as_str()))
        }
        None => Ok(()),
    }
}

fn part_states(last: &Captures, operator: Option<&dyn OperatorCapture>) -> Vec<PartState> {
    let state = |id, entries| PartState {
        id,
        entries,
        earliest_timer_ms: None,
        ttl_time_ms: None,
        stats: StateStats::default(),
        extra: Default::default(),
    };
    let keyed = last.iter().map(|capture| PartState {
        earliest_timer_ms: capture.earliest_timer_ms(),
        ttl_time_ms: capture.ttl_time_ms(),
        ..state(capture.id(), capture.entries())
    });
    let of_operator = operator.map(OperatorCapture::states).unwrap_or_default();
    let mut states: Vec<_> =
        keyed.chain(of_operator.into_iter().map(|(id, entries)| state(id, entries))).collect();
    states.sort_unstable_by_key(|state| state.id);
    states
}

/// A layer that folds the runs of `window` into one.
async fn fold_layer(store: &Store, runs: &[RunRef], window: Range<usize>) -> Result<Layer> {
    let folded: Vec<_> =
        runs.iter().cloned().zip(counting(runs)).take(window.end).skip(window.start).collect();
    let all = folded.iter().fold(Groups::default(), |all, (_, counts)| all.union(counts));
    let range = all.hull().unwrap_or(KeyGroupRange::ALL);
    let bytes: u64 = folded.iter().map(|(run, _)| run.len_bytes).sum();
    let complete = folded_base(folded.iter().map(|(run, _)| run));
    let chain = ChainReader::open_with(store, folded, complete, None).await?;
    let per_group = bytes as f64 / f64::from(range.count());
    let content = Content::Source { source: Arc::new(chain), kinds: None };
    Ok(Layer { content, range, group_len_bytes: (0.0, per_group), whole: false })
}

/// Names files and puts them.
pub(super) struct Files<'a> {
    pub(super) store: Store,
    pub(super) id: PartId,
    /// Layers, and key groups in which each is a base though it may hold nothing there.
    pub(super) empty_bases: Vec<(usize, Groups)>,
    /// What the store held before, where that spares puts: names are digests then.
    pub(super) present: Option<&'a Present>,
    /// Told of the entries of each durable run.
    pub(super) written: &'a (dyn Fn(u64) + Sync),
}

impl Files<'_> {
    async fn write(
        &self,
        queue: &Arc<Queue>,
        settings: &SnapshotSettings,
    ) -> Result<Vec<WrittenPiece>> {
        let mut pieces = queue.start(settings.threads)?;
        let puts = stream::poll_fn(|context| pieces.poll_recv(context)).enumerate().map(
            |(number, piece)| async move {
                match piece? {
                    Some(piece) => self.put(number, piece).await.map(Some),
                    None => Ok(None),
                }
            },
        );
        let written = ended(puts, settings.transfers_max).await?;
        let threads_ended = written.iter().filter(|piece| piece.is_none()).count();
        if threads_ended != settings.threads {
            // It had a capture alone: the backend is as it was.
            return Err(Error::new(ErrorKind::Retry, "a thread that encodes state died"));
        }
        Ok(written.into_iter().flatten().collect())
    }

    async fn put(&self, number: usize, mut piece: Piece) -> Result<WrittenPiece> {
        let summary = &piece.run.summary;
        let file = self.name(number, summary.digest)?;
        let index = IndexLocation {
            offset: summary.index_offset,
            len_bytes: summary.index_len_bytes,
            digest: summary.index_digest,
        };
        let (len_bytes, digest) = (summary.len_bytes, summary.digest);
        let entries = piece.run.entries.iter().sum();
        let bytes = std::mem::replace(&mut piece.run.bytes, Bytes::new());
        let range = piece.range;
        let mut bases = self.empty_bases.iter().filter(|(layer, _)| *layer == piece.layer);
        let hides = bases.any(|(_, base)| !base.within(range).is_empty());
        let run = (entries > 0 || hides).then(|| RunRef {
            file: file.clone(),
            len_bytes,
            digest,
            index,
            range,
            base: Vec::new(),
            entries,
        });
        if run.is_some() {
            match self.present {
                Some(present) => present.put(&self.store, &file, bytes).await?,
                None => self.store.put(&file, bytes).await?,
            }
            (self.written)(entries);
        }
        Ok(WrittenPiece { piece, run })
    }

    fn name(&self, number: usize, digest: Digest) -> Result<RelativeName> {
        let PartId { kind, checkpoint, generation, operator, subtask } = &self.id;
        Ok(RelativeName::new(match kind {
            SnapshotKind::Checkpoint => {
                format!(
                    "shared/{generation}/{checkpoint}-{operator}.{subtask}.{number}-{digest}.run"
                )
            }
            SnapshotKind::Savepoint => format!("{digest}.run"),
        })?)
    }
}
