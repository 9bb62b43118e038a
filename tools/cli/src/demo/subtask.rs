//! A subtask: a thread that holds its state.

use super::fate::Fate;
use super::flights::Flight;
use super::guarantee::Guarantee;
use super::inbox::Inbox;
use super::lane::LANES;
use super::operators::Operator;
use super::watch::Progress;
use esker::backend::{Backend, NativeCapture};
use esker::engine::barrier::{Action, Aligned, Aligner, Limits, Mode};
use esker::format::manifest::SnapshotKind;
use esker::snapshot::{Captures, OperatorCapture, WrittenPart};
use esker::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// What travels to a subtask, in band.
#[derive(Clone)]
pub(super) enum Order {
    Record(Record),
    Barrier(Barrier),
}

/// What barriers come before or behind of.
#[derive(Clone)]
pub(super) enum Record {
    /// How many rows were read before it, and itself.
    Row(u64, Arc<Flight>),
    Watermark(i64),
}

/// Splits the rows before a snapshot from those after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Barrier {
    pub(super) kind: SnapshotKind,
    pub(super) checkpoint: u64,
    /// How many rows were read before it: where a restore goes on.
    pub(super) rows: u64,
}

/// What a snapshot took at one subtask.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Took {
    /// The capture.
    pub(super) capture: Duration,
    /// From the first barrier to the last.
    pub(super) align: Duration,
    /// How many rows it holds that came behind the barrier.
    pub(super) early: u64,
}

/// What a writer is told.
pub(super) enum Work {
    /// The subtask has captured its state for a snapshot.
    Write { barrier: Barrier, captured: Captured, took: Took },
    /// The checkpoint that was written last is complete.
    Completed,
}

/// A subtask's state at a barrier.
pub(super) struct Captured {
    pub(super) keyed: Keyed,
    pub(super) operator: Option<Arc<dyn OperatorCapture>>,
}

/// A subtask's keyed state at a barrier.
pub(super) enum Keyed {
    Entries(Captures),
    /// Of a backend whose checkpoints are native.
    Native(Arc<dyn NativeCapture>),
}

/// Which subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Its operator's position in the job.
    pub(super) operator: usize,
    pub(super) subtask: usize,
}

/// What the coordinator hears.
pub(super) enum Told {
    /// A subtask's part of a snapshot is durable, or cannot be written.
    Written { place: Place, checkpoint: u64, part: Box<Result<WrittenPart>>, took: Took },
    /// The source has read the last row.
    LastRow(u64),
    /// A worker was killed.
    Died,
    /// A thread ended with an error.
    Failed(Error),
}

/// A worker: a subtask of a keyed operator.
pub(super) struct Subtask<O> {
    /// Among all workers.
    pub(super) number: usize,
    pub(super) operator: O,
    pub(super) inbox: Inbox,
    pub(super) guarantee: Guarantee,
    pub(super) writer: Sender<Work>,
    pub(super) told: Sender<Told>,
    pub(super) fate: Arc<Fate>,
    pub(super) progress: Arc<Progress>,
}

/// What a worker takes for the memory of a record that waits.
const RECORD_LEN_BYTES: u64 = size_of::<Flight>() as u64;

/// After so many orders a worker says again how many entries it holds.
const COUNT_EVERY: u64 = 512;

/// A snapshot whose barriers a worker waits for.
struct Aligning {
    barrier: Barrier,
    early: u64,
    captured: Option<(Keyed, Duration)>,
}

impl<O: Operator> Subtask<O> {
    /// Handles what comes until there is no more, or until it is killed.
    ///
    /// # Errors
    /// The backend's.
    pub(super) fn run(mut self) -> Result<()> {
        let mode = match self.guarantee {
            Guarantee::AtLeastOnce => Mode::AtLeastOnce,
            // Without checkpoints there is still the savepoint.
            Guarantee::ExactlyOnce | Guarantee::None => Mode::ExactlyOnce { timeout: None },
        };
        let mut aligner = Aligner::new(LANES, mode, Limits::default())?;
        let mut aligning = BTreeMap::<u64, Aligning>::new();
        let mut watermarks = [i64::MIN; LANES];
        let started = Instant::now();
        let mut entries = 0;
        for number in 0_u64.. {
            let Some((lane, order)) = self.inbox.take() else { break };
            if self.fate.is_doomed(self.number) {
                // Before others find that it is gone.
                let _ = self.told.send(Told::Died);
                break;
            }
            match order {
                Order::Record(record) => aligner.record(lane, record, RECORD_LEN_BYTES)?,
                Order::Barrier(barrier) => {
                    let new = Aligning { barrier, early: 0, captured: None };
                    aligning.entry(barrier.checkpoint).or_insert(new);
                    aligner.barrier(lane, barrier.checkpoint, started.elapsed())?;
                }
            }
            while let Some(action) = aligner.next_action()? {
                self.act(action, &mut aligning, &mut watermarks)?;
            }
            if number % COUNT_EVERY == 0 {
                let before = entries;
                entries = self.operator.backend().states().entries();
                self.progress.entries.fetch_add(entries.wrapping_sub(before), Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn act(
        &mut self,
        action: Action<Record>,
        aligning: &mut BTreeMap<u64, Aligning>,
        watermarks: &mut [i64; LANES],
    ) -> Result<()> {
        match action {
            Action::Process { record: Record::Row(number, flight), .. } => {
                for of in aligning.values_mut().filter(|of| of.captured.is_none()) {
                    of.early += u64::from(number >= of.barrier.rows);
                }
                self.operator.row(&flight)?;
            }
            Action::Process { channel, record: Record::Watermark(time_ms) } => {
                let before = watermarks.iter().min().copied();
                if let Some(of) = watermarks.get_mut(channel) {
                    *of = time_ms;
                }
                let all = watermarks.iter().min().copied();
                if let Some(time_ms) = all.filter(|_| all > before) {
                    self.operator.watermark(time_ms)?;
                }
            }
            Action::Capture { checkpoint } => {
                if let Some(of) = aligning.get_mut(&checkpoint) {
                    let started = Instant::now();
                    let keyed = self.capture(of.barrier)?;
                    of.captured = Some((keyed, started.elapsed()));
                }
            }
            Action::Aligned(Aligned { checkpoint, stats, .. }) => {
                let of = aligning.remove(&checkpoint);
                if let Some(Aligning { barrier, early, captured: Some((keyed, time)) }) = of {
                    let took = Took { capture: time, align: stats.time, early };
                    let captured = Captured { keyed, operator: None };
                    // The writer ends only with the job.
                    let _ = self.writer.send(Work::Write { barrier, captured, took });
                }
            }
            Action::Aborted { checkpoint, reason, .. } => {
                // Lanes bring every barrier, in order, and not so many at once.
                let message = format!("checkpoint={checkpoint} was aborted: {reason:?}");
                return Err(Error::new(ErrorKind::Poisoned, message));
            }
            Action::Stop { channel } => self.inbox.stop(channel, true),
            Action::Resume { channel } => self.inbox.stop(channel, false),
            Action::Ended { .. } => {}
        }
        Ok(())
    }

    fn capture(&mut self, barrier: Barrier) -> Result<Keyed> {
        let native = match barrier.kind {
            SnapshotKind::Checkpoint => self.operator.backend().capture_native()?,
            SnapshotKind::Savepoint => None,
        };
        Ok(match native {
            Some(native) => Keyed::Native(native),
            None => Keyed::Entries(self.operator.backend().capture()?),
        })
    }
}
