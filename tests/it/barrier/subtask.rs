//! A subtask of the small engine: it keeps what it saw, and both its captures.

use super::job::SOURCES;
use esker::backend::heap::{HeapBackend, ListState};
use esker::backend::{Backend, Handle};
use esker::engine::barrier::{Action, Aligner, InFlight, Limits, Mode};
use esker::snapshot::{Captures, Chain, Lineage};
use esker::state::ListDescriptor;
use std::collections::{BTreeMap, VecDeque};

/// Its source, and its number there.
pub(super) type Value = (u64, u64);
type Lists = Handle<ListState<u64, (), Value>>;

#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    Record(u64, Value),
    Barrier(u64),
}

pub(super) struct Subtask {
    pub(super) aligner: Aligner<(u64, Value)>,
    pub(super) state: HeapBackend,
    pub(super) lists: Lists,
    pub(super) in_flight: InFlight<HeapBackend, u64, Value>,
    /// Of the state, and of the records in flight.
    pub(super) lineages: [Lineage; 2],
    pub(super) captured: BTreeMap<u64, Captures>,
    pub(super) aligned: BTreeMap<u64, Captures>,
    pub(super) stopped: [bool; SOURCES],
    /// What each source has sent that has not been taken.
    pub(super) network: [VecDeque<Event>; SOURCES],
}

impl Subtask {
    pub(super) fn open(
        state: HeapBackend,
        in_flight: HeapBackend,
        mode: Mode,
        limits: Limits,
    ) -> Self {
        let mut state = state;
        Self {
            aligner: Aligner::new(SOURCES, mode, limits).unwrap(),
            lists: state.open(ListDescriptor::new("records")).unwrap(),
            state,
            in_flight: InFlight::new(in_flight).unwrap(),
            lineages: Default::default(),
            captured: BTreeMap::new(),
            aligned: BTreeMap::new(),
            stopped: [false; SOURCES],
            network: Default::default(),
        }
    }

    pub(super) fn process(&mut self, (key, value): (u64, Value)) {
        self.state.state(self.lists).unwrap().append(&key, &(), value).unwrap();
    }

    /// Does what the aligner says; the checkpoints that were aborted.
    pub(super) fn act(&mut self) -> Vec<u64> {
        let mut aborted = Vec::new();
        while let Some(action) = self.aligner.next_action().unwrap() {
            match action {
                Action::Process { record, .. } => self.process(record),
                Action::Capture { checkpoint } => {
                    self.captured.insert(checkpoint, self.state.capture().unwrap());
                }
                Action::Aligned(aligned) => {
                    let records = aligned.in_flight.into_iter().map(|(_, record)| record);
                    let captures = self.in_flight.capture(records).unwrap();
                    self.aligned.insert(aligned.checkpoint, captures);
                }
                Action::Aborted { checkpoint, .. } => aborted.push(checkpoint),
                Action::Stop { channel } => self.stopped[channel] = true,
                Action::Resume { channel } => self.stopped[channel] = false,
                Action::Ended { .. } => {}
            }
        }
        aborted
    }

    /// What the next checkpoint of both is made of: captures of checkpoints that came to nothing hold
    /// changes that no file has.
    pub(super) fn begin(&mut self, checkpoint: u64) -> [(Vec<Captures>, Chain); 2] {
        let of_both = [&mut self.captured, &mut self.aligned];
        let mut begun = of_both.into_iter().zip(&mut self.lineages).map(|(taken, lineage)| {
            let newer = taken.split_off(&(checkpoint + 1));
            let captures = taken.remove(&checkpoint).unwrap();
            for (number, old) in std::mem::replace(taken, newer) {
                lineage.set_aside(number, old);
            }
            lineage.begin(checkpoint, captures, 4)
        });
        [begun.next().unwrap(), begun.next().unwrap()]
    }
}
