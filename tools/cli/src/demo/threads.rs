//! The threads of the job's workers: restored, started, and joined by lanes.

use super::fate::Fate;
use super::guarantee::Guarantee;
use super::inbox::{Feed, inbox};
use super::lane::{LANES, Lane, Lanes, QUEUE_LEN};
use super::operators::Operator;
use super::subtask::{Place, Subtask, Told, Work};
use super::watch::Progress;
use super::writer::Writer;
use esker::backend::{Backend, BackendFactory};
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, StateInfo, TypeInfo};
use esker::snapshot::{Lineage, SnapshotSettings, find_operator};
use esker::{Result, Store, block_on};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

/// The inputs of an operator's subtasks, and what a manifest says of its keys and states.
type Started = (Vec<[Feed; LANES]>, (Option<TypeInfo>, Vec<StateInfo>));

/// What the threads of the job have in common.
pub(super) struct Threads {
    stores: (Store, Store),
    generation: u64,
    told: Sender<Told>,
    guarantee: Guarantee,
    fate: Arc<Fate>,
    progress: Arc<Progress>,
    workers: usize,
    writers: Vec<Vec<Sender<Work>>>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(super) fn new(
        stores: (Store, Store),
        generation: u64,
        told: Sender<Told>,
        guarantee: Guarantee,
        (fate, progress): (Arc<Fate>, Arc<Progress>),
    ) -> Self {
        let (workers, writers, handles) = (0, Vec::new(), Vec::new());
        Self { stores, generation, told, guarantee, fate, progress, workers, writers, handles }
    }

    /// The writer of each subtask of each operator, and all threads.
    pub(super) fn started(self) -> (Vec<Vec<Sender<Work>>>, Vec<JoinHandle<()>>) {
        (self.writers, self.handles)
    }

    /// Runs `body` on a thread of its own; an error of it ends the job.
    pub(super) fn spawn(&mut self, body: impl FnOnce() -> Result<()> + Send + 'static) {
        let told = self.told.clone();
        self.handles.push(std::thread::spawn(move || {
            if let Err(error) = body() {
                let _ = told.send(Told::Failed(error));
            }
        }));
    }

    /// Starts the writer of the source.
    pub(super) fn source(&mut self) -> Sender<Work> {
        let writer = self.writer(KeyGroupRange::ALL, Lineage::default(), (0, 0));
        self.writers.push(vec![writer.clone()]);
        writer
    }

    /// Restores and starts the subtasks of a keyed operator.
    pub(super) fn operator<F: BackendFactory, O: Operator + 'static>(
        &mut self,
        uid: &str,
        parallelism: u32,
        manifest: Option<&Manifest>,
        factory: &F,
        open: impl Fn(F::Backend) -> Result<O>,
    ) -> Result<Started> {
        let (mut inputs, mut writers, mut states) = (Vec::new(), Vec::new(), (None, Vec::new()));
        for subtask in 0..parallelism {
            let range = KeyGroupRange::of_subtask(subtask, parallelism)?;
            let settings = SnapshotSettings::default();
            let (mut operator, lineage) = match manifest {
                None => (open(factory.make(uid, range, None)?)?, Lineage::default()),
                Some(manifest) => {
                    let stored = find_operator(manifest, uid)?;
                    let mut operator = open(factory.make(uid, range, Some(stored))?)?;
                    let store = &self.stores.0;
                    let restored =
                        block_on(operator.backend().restore(store, manifest, &settings))?;
                    (operator, Lineage::new(restored.chain))
                }
            };
            states = (operator.backend().key().cloned(), operator.backend().infos());
            let writer = self.writer(range, lineage, (self.writers.len(), subtask as usize));
            writers.push(writer.clone());
            let (feeds, inbox) = inbox();
            inputs.push(feeds);
            let subtask = Subtask {
                number: self.workers,
                operator,
                inbox,
                guarantee: self.guarantee,
                writer,
                told: self.told.clone(),
                fate: Arc::clone(&self.fate),
                progress: Arc::clone(&self.progress),
            };
            self.workers += 1;
            self.spawn(move || subtask.run());
        }
        self.writers.push(writers);
        Ok((inputs, states))
    }

    /// Starts the lanes between the source and all subtasks.
    pub(super) fn lanes(
        &mut self,
        fleet: Vec<[Feed; LANES]>,
        carriers: Vec<[Feed; LANES]>,
    ) -> Lanes {
        let mut lanes: Vec<_> = (0..LANES)
            .map(|number| Lane { number, fleet: Vec::new(), carriers: Vec::new() })
            .collect();
        for feeds in fleet {
            lanes.iter_mut().zip(feeds).for_each(|(lane, feed)| lane.fleet.push(feed));
        }
        for feeds in carriers {
            lanes.iter_mut().zip(feeds).for_each(|(lane, feed)| lane.carriers.push(feed));
        }
        let ends = lanes.into_iter().map(|lane| {
            let (end, letters) = mpsc::sync_channel(QUEUE_LEN);
            self.spawn(move || lane.run(letters));
            end
        });
        Lanes(ends.collect())
    }

    fn writer(
        &mut self,
        range: KeyGroupRange,
        lineage: Lineage,
        (operator, subtask): (usize, usize),
    ) -> Sender<Work> {
        let (sender, work) = mpsc::channel();
        let (stores, generation) = (self.stores.clone(), self.generation);
        let place = Place { operator, subtask };
        let settings = SnapshotSettings { threads: 1, ..SnapshotSettings::default() };
        let writer = Writer { place, range, generation, lineage, stores, settings };
        let told = self.told.clone();
        self.handles.push(std::thread::spawn(move || writer.run(work, told)));
        sender
    }
}
