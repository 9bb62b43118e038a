//! The job itself, in a process of its own: a source, two keyed operators, a coordinator.
//!
//! The source sends rows, watermarks and barriers in band to every subtask. A barrier makes a
//! subtask capture its state; a writer beside it turns the capture into files while rows go on.

use super::coordinator::Coordinator;
use super::event::Event;
use super::flights::Flights;
use super::operators::{CARRIERS, Carriers, FLEET, Fleet, Operator, SOURCE};
use super::source::{Offset, Source};
use super::subtask::{self, Order, Place, Told, Work, Writer};
use super::watch::{Hold, Progress, watched};
use esker::backend::heap::HeapBackends;
use esker::backend::operator::OperatorBackend;
use esker::backend::{Backend, BackendFactory};
use esker::checkpoint::Job as Owner;
use esker::format::KeyGroupRange;
use esker::format::manifest::{Manifest, Operator as Stored, StateInfo, TypeInfo};
use esker::snapshot::{
    Lineage, ManifestReferences, SnapshotSettings, find_operator, read_manifest,
    read_operator_state,
};
use esker::{Result, Store, block_on};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread::JoinHandle;

/// How many records may wait for a subtask.
const QUEUE_LEN: usize = 1024;

/// How the job is to run; the parent's to say.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) input: Option<PathBuf>,
    /// The job's root.
    pub(super) dir: String,
    pub(super) savepoint: String,
    /// Rows per second.
    pub(super) rate: u64,
    /// Subtasks of each keyed operator.
    pub(super) parallelism: u32,
    pub(super) hold: Option<Hold>,
    pub(super) backend: BackendName,
    /// Where a backend that needs a disk keeps its state: what a killed process leaves is cleared by
    /// the next.
    pub(super) local: PathBuf,
}

/// What holds the keyed state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum BackendName {
    /// Memory, in copy-on-write versions
    Heap,
    /// RocksDB, on the local disk
    Rocksdb,
}

/// Runs the job from its last completed checkpoint to its end.
///
/// # Errors
/// Whatever ended it before.
pub(super) fn run(job: &str) -> std::result::Result<(), String> {
    let job: Job = serde_json::from_str(job).map_err(|error| error.to_string())?;
    let flights = Flights::open(job.input.as_deref())?;
    let done = match job.backend {
        BackendName::Heap => start(&job, flights, &HeapBackends),
        BackendName::Rocksdb => start_on_rocksdb(&job, flights),
    };
    done.map_err(|error| error.to_string())
}

#[cfg(feature = "rocksdb")]
fn start_on_rocksdb(job: &Job, flights: Flights) -> Result<()> {
    use esker::backend::rocksdb::{RocksBackends, RocksOptions};
    start(job, flights, &RocksBackends::new(&job.local, RocksOptions::default())?)
}

#[cfg(not(feature = "rocksdb"))]
fn start_on_rocksdb(_: &Job, _: Flights) -> Result<()> {
    Err(no_rocksdb())
}

/// The inputs of an operator's subtasks, and what a manifest says of its keys and states.
type Started = (Vec<SyncSender<Order>>, (Option<TypeInfo>, Vec<StateInfo>));

/// What the threads of the job have in common.
struct Threads {
    stores: (Store, Store),
    generation: u64,
    told: Sender<Told>,
    writers: Vec<Vec<Sender<Work>>>,
    handles: Vec<JoinHandle<()>>,
}

/// What a build without the feature says.
#[cfg(not(feature = "rocksdb"))]
pub(crate) fn no_rocksdb() -> esker::Error {
    let message = "this tool has no RocksDB: build it by `cargo xtask rocksdb`, which compiles RocksDB \
                   once, and then with `--features rocksdb`";
    esker::Error::new(esker::ErrorKind::Unsupported, message)
}

fn start<F: BackendFactory>(job: &Job, flights: Flights, factory: &F) -> Result<()> {
    let progress = Arc::new(Progress::default());
    let store = watched(Store::open(&job.dir)?, job.hold, Arc::clone(&progress));
    let mut owner = block_on(Owner::claim(store.clone(), Arc::new(ManifestReferences)))?;
    let swept = block_on(owner.sweep())?;
    let last = owner.state().retained().last_key_value().map(|(_, last)| last.clone());
    let manifest = match &last {
        Some(last) => {
            let (path, digest) = (&last.manifest_path, Some(last.manifest_digest));
            Some(block_on(read_manifest(&store, path, digest))?)
        }
        None => None,
    };

    let (told, heard) = mpsc::channel();
    let (stores, generation) = ((store.clone(), Store::open(&job.savepoint)?), owner.generation());
    let mut threads =
        Threads { stores, generation, told, writers: Vec::new(), handles: Vec::new() };
    let before = manifest.as_ref();
    let writer = threads.source();
    let mut offset = restored_offset(&store, before)?;
    let row = offset.get()?;
    let (fleet, fleet_states) =
        threads.operator(FLEET, job.parallelism, before, factory, Fleet::open)?;
    let (carriers, carriers_states) =
        threads.operator(CARRIERS, job.parallelism, before, factory, Carriers::open)?;
    let operators = vec![
        stored(SOURCE, None, offset.backend.infos()),
        stored(FLEET, fleet_states.0, fleet_states.1),
        stored(CARRIERS, carriers_states.0, carriers_states.1),
    ];
    progress.row.store(row, std::sync::atomic::Ordering::Relaxed);
    let checkpoint = last.as_ref().map(|last| last.checkpoint);
    let swept = swept.file_count + swept.leftover_count;
    Event::Running { generation, checkpoint, row, swept }.tell();

    let (barrier, barriers) = mpsc::channel();
    let source = Source {
        flights,
        offset: row,
        stored: offset,
        rate: job.rate,
        fleet,
        carriers,
        barriers,
        writer,
        told: threads.told.clone(),
        progress: Arc::clone(&progress),
    };
    threads.spawn(move || source.run());
    let handles = threads.handles;
    let coordinator = Coordinator {
        owner,
        stores: threads.stores,
        operators,
        last: manifest,
        barrier,
        writers: threads.writers,
        progress,
        open: None,
        begun: 0,
        unswept: false,
    };
    let done = coordinator.run(&heard);
    // Without a coordinator the source ends, then all others. A backend is not to be in use when the
    // process ends.
    for handle in handles {
        let _ = handle.join();
    }
    done
}

fn stored(uid: &str, key: Option<TypeInfo>, states: Vec<StateInfo>) -> Stored {
    Stored {
        uid: uid.into(),
        key,
        states,
        dropped: Vec::new(),
        parts: Vec::new(),
        extra: Default::default(),
    }
}

/// The source's state, from the last snapshot if there is one.
fn restored_offset(store: &Store, manifest: Option<&Manifest>) -> Result<Offset> {
    let Some(manifest) = manifest else { return Offset::open(OperatorBackend::new(SOURCE)) };
    let source = find_operator(manifest, SOURCE)?;
    let mut offset = Offset::open(OperatorBackend::restoring(source))?;
    let elements = block_on(read_operator_state(store, source))?;
    offset.backend.restore(&elements, 0, 1)?;
    Ok(offset)
}

impl Threads {
    /// Runs `body` on a thread of its own; an error of it ends the job.
    fn spawn(&mut self, body: impl FnOnce() -> Result<()> + Send + 'static) {
        let told = self.told.clone();
        self.handles.push(std::thread::spawn(move || {
            if let Err(error) = body() {
                let _ = told.send(Told::Failed(error));
            }
        }));
    }

    /// Starts the writer of the source.
    fn source(&mut self) -> Sender<Work> {
        let writer = self.writer(KeyGroupRange::ALL, Lineage::default(), (0, 0));
        self.writers.push(vec![writer.clone()]);
        writer
    }

    /// Restores and starts the subtasks of a keyed operator.
    fn operator<F: BackendFactory, O: Operator + 'static>(
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
            let (input, orders) = mpsc::sync_channel(QUEUE_LEN);
            inputs.push(input);
            self.spawn(move || subtask::run(operator, orders, writer));
        }
        self.writers.push(writers);
        Ok((inputs, states))
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
