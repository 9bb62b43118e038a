//! Checkpoints of all subtasks: written beside their calls, then published, as engines do it.

use super::result::Checkpoint;
use esker::backend::{Backend, NativeCapture};
use esker::checkpoint::{Job as Owner, Retention};
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator, SnapshotKind};
use esker::snapshot::{
    Captures, Lineage, ManifestReferences, NewOperator, PartId, PartInput, SnapshotSettings,
    WriteStats, WrittenPart, find_operator, write_manifest, write_native_part, write_part,
};
use esker::{Error, ErrorKind, Result, Store, block_on};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The operator's uid.
pub(super) const UID: &str = "bench";
/// How many checkpoints are kept.
const RETAINED: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// A subtask's state at the moment of a checkpoint.
pub(super) struct Captured {
    state: State,
    /// What a manifest says of it.
    operator: Operator,
    began: Instant,
    ended: Instant,
}

enum State {
    Entries(Captures),
    /// Of a backend whose checkpoints are native.
    Native(Arc<dyn NativeCapture>),
}

/// Captures the state of a subtask; the part of a checkpoint for which its calls stand still.
///
/// # Errors
/// The backend's.
pub(super) fn capture(backend: &mut impl Backend) -> Result<Captured> {
    let began = Instant::now();
    let state = match backend.capture_native()? {
        Some(native) => State::Native(native),
        None => State::Entries(backend.capture()?),
    };
    let ended = Instant::now();
    let (key, states) = (backend.key().cloned(), backend.infos());
    let parts = Vec::new();
    let operator = Operator {
        uid: UID.into(),
        key,
        states,
        dropped: Vec::new(),
        parts,
        extra: Default::default(),
    };
    Ok(Captured { state, operator, began, ended })
}

impl Captured {
    /// When the capture began, and when it ended.
    pub(super) fn times(&self) -> (Instant, Instant) {
        (self.began, self.ended)
    }
}

/// Writes and publishes the checkpoints of a job with one operator.
pub(super) struct Writer {
    owner: Owner,
    ranges: Vec<KeyGroupRange>,
    lineages: Vec<Lineage>,
    settings: SnapshotSettings,
    last: Option<Manifest>,
    began: Instant,
}

impl Writer {
    /// Becomes the owner of the job at `store`'s root, whose subtasks own `ranges`.
    ///
    /// # Errors
    /// `Invalid` if there is a job already; the store's.
    pub(super) fn new(store: Store, ranges: Vec<KeyGroupRange>) -> Result<Self> {
        let owner = block_on(Owner::claim(store, Arc::new(ManifestReferences)))?;
        if owner.state().checkpoint_last() > 0 {
            let message = "there is a job already: choose another --store";
            let store = owner.store().to_string();
            return Err(Error::new(ErrorKind::Invalid, message).at_path(store));
        }
        let lineages = ranges.iter().map(|_| Lineage::default()).collect();
        let settings = SnapshotSettings::default();
        Ok(Self { owner, ranges, lineages, settings, last: None, began: Instant::now() })
    }

    /// The measured part begins at `now`.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began = now;
    }

    /// Completes a checkpoint of what all subtasks captured, in their order; `busy`: beside their calls.
    ///
    /// # Errors
    /// The store's, and those of writing.
    pub(super) fn complete(&mut self, captured: Vec<Captured>, busy: bool) -> Result<Checkpoint> {
        let checkpoint = self.owner.state().checkpoint_last() + 1;
        self.owner.begin(checkpoint, self.last.as_ref().map(|last| last.checkpoint))?;
        let began = captured.iter().map(|captured| captured.began).min();
        let began = began.unwrap_or_else(Instant::now);
        let stood_still = captured.iter().map(|captured| captured.ended - captured.began);
        let stood_still = stood_still.max().unwrap_or(Duration::ZERO);
        let Some(operator) = captured.first().map(|captured| captured.operator.clone()) else {
            return Err(Error::new(ErrorKind::Invalid, "a checkpoint of no subtask"));
        };

        let parts = self.write(checkpoint, captured)?;
        let before = self.last.as_ref().and_then(|last| find_operator(last, UID).ok());
        let with_before = |(subtask, part): (usize, &WrittenPart)| {
            let before = before.and_then(|before| before.part_of(subtask, parts.len()));
            (part.chain.part.clone(), before.cloned())
        };
        let new = parts.iter().enumerate().map(with_before).collect();
        let manifest = Manifest {
            job: UID.into(),
            kind: SnapshotKind::Checkpoint,
            checkpoint,
            generation: self.owner.generation(),
            operators: Vec::new(),
            extra: Default::default(),
        };
        let new = vec![NewOperator { operator, parts: new }];
        let written = block_on(write_manifest(self.owner.store(), manifest, new))?;
        let manifest_bytes = written.written_len_bytes;
        block_on(self.owner.publish(written.published, written.references))?;
        let total = began.elapsed();

        self.last = Some(written.manifest);
        let sum = |of: fn(WriteStats) -> u64| parts.iter().map(|part| of(part.stats)).sum::<u64>();
        let written_bytes = sum(|stats| stats.written_len_bytes);
        let referenced_bytes = sum(|stats| stats.referenced_len_bytes);
        for (lineage, part) in self.lineages.iter_mut().zip(parts) {
            lineage.completed(checkpoint, part.chain);
        }
        Ok(Checkpoint {
            checkpoint,
            full: written_bytes == referenced_bytes,
            busy,
            at_seconds: began.saturating_duration_since(self.began).as_secs_f64(),
            capture_seconds: stood_still.as_secs_f64(),
            total_seconds: total.as_secs_f64(),
            written_bytes: written_bytes + manifest_bytes,
            referenced_bytes: referenced_bytes + manifest_bytes,
        })
    }

    /// Retires what is replaced; to be called once a checkpoint is complete, as its time is not the
    /// checkpoint's.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn clean_up(&mut self) -> Result<()> {
        block_on(self.owner.retain(&Retention::last(RETAINED)))
    }

    /// Writes the parts, all at once.
    fn write(&mut self, checkpoint: u64, captured: Vec<Captured>) -> Result<Vec<WrittenPart>> {
        let (store, generation) = (self.owner.store(), self.owner.generation());
        let settings = &self.settings;
        let subtasks = (0..).zip(captured).zip(&self.ranges).zip(&mut self.lineages);
        thread::scope(|scope| {
            let each = |(((subtask, captured), range), lineage): (((u32, Captured), _), &mut _)| {
                let range: &KeyGroupRange = range;
                let lineage: &mut Lineage = lineage;
                let ((captures, chain), native) = match captured.state {
                    State::Entries(keyed) => {
                        (lineage.begin(checkpoint, keyed, settings.pending_max), None)
                    }
                    State::Native(native) => {
                        ((Vec::new(), lineage.begin_native(checkpoint)), Some(native))
                    }
                };
                let kind = SnapshotKind::Checkpoint;
                let id = PartId { kind, checkpoint, generation, operator: 0, subtask };
                let input = PartInput { id, range: *range, captures, operator: None, chain };
                scope.spawn(move || match native {
                    Some(native) => block_on(write_native_part(store, input, native, settings)),
                    None => block_on(write_part(store, input, settings)),
                })
            };
            let writers: Vec<_> = subtasks.map(each).collect();
            let gone = |_| Err(Error::new(ErrorKind::Poisoned, "a writer's thread panicked"));
            writers.into_iter().map(|writer| writer.join().unwrap_or_else(gone)).collect()
        })
    }

    /// The last checkpoint, and where it is.
    pub(super) fn last(&self) -> Option<(&Store, &Manifest)> {
        self.last.as_ref().map(|last| (self.owner.store(), last))
    }

    /// How snapshots are written and read.
    pub(super) fn settings(&self) -> &SnapshotSettings {
        &self.settings
    }
}
