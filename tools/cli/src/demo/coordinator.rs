//! The coordinator: begins checkpoints, gathers their parts, publishes and retires them.

use super::event::{CheckpointRow, Event, Taken};
use super::fate::Fate;
use super::guarantee::{Guarantee, Rows};
use super::operators::{CARRIERS, FLEET};
use super::subtask::{Barrier, Place, Told, Took, Work};
use super::watch::Progress;
use esker::checkpoint::{Job as Owner, Retention, read_log};
use esker::format::manifest::{Manifest, Operator as Stored, SnapshotKind};
use esker::snapshot::{
    NewOperator, WriteStats, WrittenManifest, WrittenPart, find_operator, write_manifest,
};
use esker::{Error, ErrorKind, Result, Store, block_on};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// From the beginning of one checkpoint to that of the next, if it is complete by then.
const INTERVAL: Duration = Duration::from_millis(200);
/// How many checkpoints are kept.
const RETAINED: NonZeroU32 = NonZeroU32::new(3).unwrap();
/// No wait for news is shorter.
const TICK: Duration = Duration::from_millis(1);
/// The job's name in manifests.
const NAME: &str = "flights";

/// A snapshot whose parts are being written.
pub(super) struct Open {
    barrier: Barrier,
    began: Instant,
    /// The longest that a subtask stood still, and that one lane's barrier waited for the other's.
    captured: Duration,
    aligned: Duration,
    /// Rows that came behind the barrier, by operator.
    early: BTreeMap<String, u64>,
    parts: Vec<Vec<Option<WrittenPart>>>,
}

/// How a life of the job ended: from the start of its workers until they are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The savepoint is written.
    Done,
    /// A worker was killed.
    Died,
}

pub(super) struct Coordinator<'a> {
    pub(super) owner: &'a mut Owner,
    pub(super) guarantee: Guarantee,
    pub(super) fate: Arc<Fate>,
    /// Of checkpoints, and of the savepoint.
    pub(super) stores: (Store, Store),
    /// The job's operators, without parts.
    pub(super) operators: Vec<Stored>,
    /// The manifest of the last completed checkpoint.
    pub(super) last: Option<Manifest>,
    /// Sends barriers into the stream.
    pub(super) barrier: Sender<Barrier>,
    /// The writer of each subtask of each operator.
    pub(super) writers: Vec<Vec<Sender<Work>>>,
    pub(super) progress: Arc<Progress>,
    pub(super) open: Option<Open>,
    /// The last number that was begun, in earlier lives too.
    pub(super) begun: &'a mut u64,
    /// Whether a checkpoint was given up since the last sweep.
    pub(super) unswept: bool,
}

impl Coordinator<'_> {
    /// Takes checkpoints until the last row is read, and then a savepoint.
    ///
    /// # Errors
    /// If a thread of the job failed, the job is no longer this process's, or the savepoint fails.
    pub(super) fn run(mut self, heard: &Receiver<Told>) -> Result<End> {
        let end = self.live(heard);
        if let Some(open) = self.open.take() {
            self.owner.abandon(open.barrier.checkpoint);
        }
        end
    }

    fn live(&mut self, heard: &Receiver<Told>) -> Result<End> {
        let mut next = Instant::now() + INTERVAL;
        let mut last_row = None;
        loop {
            self.fate.stand_still();
            // A call that is to be held comes, however short the file is.
            let is_over = last_row.is_some() && !self.fate.awaits_call();
            if self.open.is_none() && is_over {
                // No record of the log keeps a savepoint from being written.
                self.check_owns()?;
                self.begin(SnapshotKind::Savepoint)?;
            } else if self.open.is_none() && Instant::now() >= next {
                next = Instant::now() + INTERVAL;
                match self.guarantee {
                    Guarantee::None => self.check_owns()?,
                    _ => self.begin(SnapshotKind::Checkpoint)?,
                }
            }
            let wait = next.saturating_duration_since(Instant::now()).max(TICK);
            match heard.recv_timeout(wait) {
                Ok(Told::LastRow(row)) => last_row = Some(row),
                Ok(Told::Failed(error)) => return Err(error),
                Ok(Told::Died) => return Ok(End::Died),
                Ok(Told::Written { place, checkpoint, part, took }) => {
                    // What it was told of comes before what it does not hear of any more.
                    self.fate.stand_still();
                    let Some(open) = self.written(place, checkpoint, *part, took)? else {
                        continue;
                    };
                    match open.barrier.kind {
                        SnapshotKind::Checkpoint => self.complete(open)?,
                        SnapshotKind::Savepoint => {
                            self.write_manifest(&open, &self.stores.1)?;
                            Event::Ended { row: last_row.unwrap_or_default() }.tell();
                            return Ok(End::Done);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(ErrorKind::Poisoned, "every thread has ended"));
                }
            }
        }
    }

    /// Sends a barrier on its way.
    fn begin(&mut self, kind: SnapshotKind) -> Result<()> {
        let last = self.owner.state().checkpoint_last().max(*self.begun);
        let checkpoint = last + 1;
        *self.begun = checkpoint;
        if kind == SnapshotKind::Checkpoint {
            self.owner.begin(checkpoint, self.last.as_ref().map(|last| last.checkpoint))?;
        }
        // The source knows how far it is.
        let barrier = Barrier { kind, checkpoint, rows: 0 };
        let parts = self.writers.iter().map(|writers| writers.iter().map(|_| None).collect());
        let (began, [captured, aligned]) = (Instant::now(), [Duration::ZERO; 2]);
        let (early, parts) = (BTreeMap::new(), parts.collect());
        self.open = Some(Open { barrier, began, captured, aligned, early, parts });
        Event::Begun(checkpoint).tell();
        // Where the source has ended, somebody has said why.
        let _ = self.barrier.send(barrier);
        Ok(())
    }

    /// That no other process owns the job.
    fn check_owns(&self) -> Result<()> {
        let newest = block_on(read_log(&self.stores.0))?.generation();
        if newest == self.owner.generation() {
            return Ok(());
        }
        let message = format!("generation={newest} owns the job by now");
        Err(Error::new(ErrorKind::Fenced, message))
    }

    /// Takes in a part; the snapshot, once it has all of them.
    fn written(
        &mut self,
        place: Place,
        checkpoint: u64,
        part: Result<WrittenPart>,
        took: Took,
    ) -> Result<Option<Open>> {
        let Some(mut open) = self.open.take_if(|open| open.barrier.checkpoint == checkpoint) else {
            // Of a checkpoint that was given up.
            return Ok(None);
        };
        match part {
            Ok(part) => {
                let parts = open.parts.get_mut(place.operator);
                if let Some(slot) = parts.and_then(|parts| parts.get_mut(place.subtask)) {
                    *slot = Some(part);
                }
                open.captured = open.captured.max(took.capture);
                open.aligned = open.aligned.max(took.align);
                if let Some(operator) = self.operators.get(place.operator) {
                    *open.early.entry(operator.uid.clone()).or_default() += took.early;
                }
                if open.parts.iter().flatten().all(Option::is_some) {
                    return Ok(Some(open));
                }
                self.open = Some(open);
            }
            Err(error) if open.barrier.kind == SnapshotKind::Savepoint => return Err(error),
            Err(error) => self.give_up(checkpoint, &error),
        }
        Ok(None)
    }

    fn give_up(&mut self, checkpoint: u64, error: &Error) {
        self.owner.abandon(checkpoint);
        self.unswept = true;
        Event::Aborted { checkpoint, why: error.to_string() }.tell();
    }

    /// Makes a snapshot of its parts.
    fn write_manifest(&self, open: &Open, store: &Store) -> Result<WrittenManifest> {
        let Barrier { kind, checkpoint, .. } = open.barrier;
        let manifest = Manifest {
            job: NAME.into(),
            kind,
            checkpoint,
            generation: self.owner.generation(),
            operators: Vec::new(),
            extra: Default::default(),
        };
        block_on(write_manifest(store, manifest, self.parts(open)))
    }

    fn parts(&self, open: &Open) -> Vec<NewOperator> {
        let pairs = self.operators.iter().zip(&open.parts);
        let operators = pairs.map(|(operator, parts)| {
            let last = self.last.as_ref().and_then(|last| find_operator(last, &operator.uid).ok());
            let of = |(subtask, part): (usize, &Option<WrittenPart>)| {
                let before = last.and_then(|last| last.part_of(subtask, parts.len()));
                part.as_ref().map(|part| (part.chain.part.clone(), before.cloned()))
            };
            let parts = parts.iter().enumerate().filter_map(of).collect();
            NewOperator { operator: operator.clone(), parts }
        });
        operators.collect()
    }

    /// Makes a checkpoint of its parts, and retires what it replaces.
    fn complete(&mut self, open: Open) -> Result<()> {
        let checkpoint = open.barrier.checkpoint;
        let taken = Taken { checkpoint, generation: self.owner.generation() };
        Event::Written { checkpoint: taken, early: early(&open) }.tell();
        match self.publish(&open) {
            Ok(manifest_len_bytes) => {
                for writer in self.writers.iter().flatten() {
                    // A writer ends only with the job.
                    let _ = writer.send(Work::Completed);
                }
                Event::Complete(row(&open, manifest_len_bytes)).tell();
            }
            Err(error) if error.kind() == ErrorKind::Fenced => return Err(error),
            Err(error) => {
                self.give_up(checkpoint, &error);
                return Ok(());
            }
        }
        match self.clean_up() {
            Err(error) if error.kind() != ErrorKind::Retry => Err(error),
            // What could not be deleted is deleted after the next one.
            _ => Ok(()),
        }
    }

    /// Retires what is no longer to be retained, and removes what given-up checkpoints left behind.
    fn clean_up(&mut self) -> Result<()> {
        block_on(self.owner.retain(&Retention::last(RETAINED)))?;
        if self.unswept {
            block_on(self.owner.sweep())?;
            self.unswept = false;
        }
        Ok(())
    }

    /// Publishes the checkpoint; returns the bytes of its manifest and parts.
    fn publish(&mut self, open: &Open) -> Result<u64> {
        let written = self.write_manifest(open, &self.stores.0)?;
        self.progress.publishing.store(true, Ordering::Relaxed);
        let done = block_on(self.owner.publish(written.published, written.references));
        self.progress.publishing.store(false, Ordering::Relaxed);
        done?;
        self.last = Some(written.manifest);
        Ok(written.written_len_bytes)
    }
}

/// Rows that come again after a restore.
fn early(open: &Open) -> Rows {
    let of = |uid| open.early.get(uid).copied().unwrap_or(0);
    Rows { carriers: of(CARRIERS), fleet: of(FLEET) }
}

fn row(open: &Open, manifest_len_bytes: u64) -> CheckpointRow {
    let stats = || open.parts.iter().flatten().flatten().map(|part| part.stats);
    let sum = |of: fn(WriteStats) -> u64| stats().map(of).sum::<u64>();
    let written = sum(|stats| stats.written_len_bytes);
    let referenced = sum(|stats| stats.referenced_len_bytes);
    let full = written == referenced;
    let changed = sum(|stats| stats.changed_entries);
    let mut parts = open.parts.iter().flatten().flatten();
    let native = parts.any(|part| part.chain.part.native.is_some());
    let entries = if full { sum(|stats| stats.full_entries) } else { changed };
    CheckpointRow {
        id: open.barrier.checkpoint,
        full,
        early: early(open),
        align_ms: open.aligned.as_millis() as u64,
        capture_us: open.captured.as_micros() as u64,
        write_ms: open.began.elapsed().as_millis() as u64,
        entries_changed: (!native).then_some(entries),
        bytes_written: written + manifest_len_bytes,
        bytes_referenced: referenced + manifest_len_bytes,
    }
}
