//! A subtask: a thread that holds its state, and one beside it that writes its captures.

use super::flights::Flight;
use super::operators::Operator;
use esker::backend::{Backend, NativeCapture};
use esker::format::KeyGroupRange;
use esker::format::manifest::SnapshotKind;
use esker::snapshot::{
    Captures, Chain, Lineage, OperatorCapture, PartId, PartInput, SnapshotSettings, WrittenPart,
    write_native_part, write_part,
};
use esker::{Error, Result, Store, block_on};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// What travels to a subtask, in band.
pub(super) enum Order {
    Row(Arc<Flight>),
    Watermark(i64),
    Barrier(Barrier),
}

/// Splits the rows before a snapshot from those after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Barrier {
    pub(super) kind: SnapshotKind,
    pub(super) checkpoint: u64,
}

/// What a writer is told.
pub(super) enum Work {
    /// The subtask has captured its state for a snapshot, which took so long.
    Write { barrier: Barrier, captured: Captured, time: Duration },
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
    Written { place: Place, checkpoint: u64, part: Box<Result<WrittenPart>>, captured: Duration },
    /// The source has read the last row.
    LastRow(u64),
    /// A thread ended with an error.
    Failed(Error),
}

/// Handles rows until there are no more.
pub(super) fn run(
    mut operator: impl Operator,
    orders: Receiver<Order>,
    writer: Sender<Work>,
) -> Result<()> {
    for order in orders {
        match order {
            Order::Row(flight) => operator.row(&flight)?,
            Order::Watermark(time_ms) => operator.watermark(time_ms)?,
            Order::Barrier(barrier) => {
                let started = Instant::now();
                let native = match barrier.kind {
                    SnapshotKind::Checkpoint => operator.backend().capture_native()?,
                    SnapshotKind::Savepoint => None,
                };
                let keyed = match native {
                    Some(native) => Keyed::Native(native),
                    None => Keyed::Entries(operator.backend().capture()?),
                };
                let time = started.elapsed();
                let captured = Captured { keyed, operator: None };
                // The writer ends only with the job.
                let _ = writer.send(Work::Write { barrier, captured, time });
            }
        }
    }
    Ok(())
}

/// Writes the captures of one subtask.
pub(super) struct Writer {
    pub(super) place: Place,
    pub(super) range: KeyGroupRange,
    pub(super) generation: u64,
    pub(super) lineage: Lineage,
    /// Where checkpoints go, and where the savepoint goes.
    pub(super) stores: (Store, Store),
    pub(super) settings: SnapshotSettings,
}

impl Writer {
    /// Writes until the job ends.
    pub(super) fn run(mut self, work: Receiver<Work>, told: Sender<Told>) {
        let mut written: Option<(u64, Chain)> = None;
        for work in work {
            match work {
                Work::Write { barrier, captured, time } => {
                    let part = self.write(barrier, captured);
                    let chain = part.as_ref().ok().map(|part| part.chain.clone());
                    written = chain.map(|chain| (barrier.checkpoint, chain));
                    let (place, checkpoint) = (self.place, barrier.checkpoint);
                    let part = Box::new(part);
                    let written = Told::Written { place, checkpoint, part, captured: time };
                    if told.send(written).is_err() {
                        return;
                    }
                }
                Work::Completed => {
                    if let Some((checkpoint, chain)) = written.take() {
                        self.lineage.completed(checkpoint, chain);
                    }
                }
            }
        }
    }

    fn write(&mut self, barrier: Barrier, captured: Captured) -> Result<WrittenPart> {
        let Barrier { kind, checkpoint } = barrier;
        let store = match kind {
            SnapshotKind::Checkpoint => &self.stores.0,
            SnapshotKind::Savepoint => &self.stores.1,
        };
        let ((captures, chain), native) = match captured.keyed {
            Keyed::Entries(keyed) => match kind {
                SnapshotKind::Checkpoint => {
                    (self.lineage.begin(checkpoint, keyed, self.settings.pending_max), None)
                }
                SnapshotKind::Savepoint => ((vec![keyed], Chain::default()), None),
            },
            Keyed::Native(native) => {
                ((Vec::new(), self.lineage.begin_native(checkpoint)), Some(native))
            }
        };
        let id = PartId {
            kind,
            checkpoint,
            generation: self.generation,
            operator: self.place.operator as u32,
            subtask: self.place.subtask as u32,
        };
        let (range, operator) = (self.range, captured.operator);
        let input = PartInput { id, range, captures, operator, chain };
        match native {
            Some(native) => block_on(write_native_part(store, input, native, &self.settings)),
            None => block_on(write_part(store, input, &self.settings)),
        }
    }
}
