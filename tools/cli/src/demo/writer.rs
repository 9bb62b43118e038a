//! The thread beside a subtask that turns its captures into files.

use super::subtask::{Barrier, Captured, Keyed, Place, Told, Work};
use esker::format::KeyGroupRange;
use esker::format::manifest::SnapshotKind;
use esker::snapshot::{
    Chain, Lineage, PartId, PartInput, SnapshotSettings, WrittenPart, write_native_part, write_part,
};
use esker::{Result, Store, block_on};
use std::sync::mpsc::{Receiver, Sender};

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
                Work::Write { barrier, captured, took } => {
                    let part = self.write(barrier, captured);
                    let chain = part.as_ref().ok().map(|part| part.chain.clone());
                    written = chain.map(|chain| (barrier.checkpoint, chain));
                    let (place, checkpoint) = (self.place, barrier.checkpoint);
                    let part = Box::new(part);
                    let written = Told::Written { place, checkpoint, part, took };
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
        let Barrier { kind, checkpoint, .. } = barrier;
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
