//! The job itself, in a process of its own: a source, two keyed operators, a coordinator.
//!
//! The source sends rows, watermarks and barriers in band, by two lanes, to every subtask. Barriers make a
//! subtask capture its state; a writer beside it turns the capture into files while rows go on.

use super::coordinator::{Coordinator, End};
use super::event::{Event, Taken};
use super::fate::{Fate, Hold};
use super::flights::Flights;
use super::guarantee::Guarantee;
use super::operators::{CARRIERS, Carriers, FLEET, Fleet, SOURCE};
use super::position::Position;
use super::source::{Offset, Source};
use super::threads::Threads;
use super::watch::{Progress, watched};
use esker::backend::BackendFactory;
use esker::backend::heap::HeapBackends;
use esker::backend::operator::OperatorBackend;
use esker::checkpoint::Job as Owner;
use esker::format::manifest::{Manifest, Operator as Stored, StateInfo, TypeInfo};
use esker::snapshot::{ManifestReferences, find_operator, read_manifest, read_operator_state};
use esker::{Error, ErrorKind, Result, Store, block_on};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

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
    pub(super) guarantee: Guarantee,
    /// A folder for what is not in checkpoints: the state of a backend that needs a disk, the position of
    /// a source that does not go back.
    pub(super) local: PathBuf,
    /// Which process of the job it is, from 0: each has a position of its own there, as the one before may
    /// not be dead yet.
    pub(super) process: usize,
}

impl Job {
    fn position(&self, process: usize) -> PathBuf {
        self.local.join(format!("position-{process}"))
    }
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
    let done = match job.backend {
        BackendName::Heap => start(&job, &HeapBackends),
        BackendName::Rocksdb => start_on_rocksdb(&job),
    };
    done.map_err(|error| error.to_string())
}

#[cfg(feature = "rocksdb")]
fn start_on_rocksdb(job: &Job) -> Result<()> {
    use esker::backend::rocksdb::{RocksBackends, RocksOptions};
    // What a killed process left there is cleared.
    start(job, &RocksBackends::new(job.local.join("state"), RocksOptions::default())?)
}

#[cfg(not(feature = "rocksdb"))]
fn start_on_rocksdb(_: &Job) -> Result<()> {
    Err(no_rocksdb())
}

/// What a build without the feature says.
#[cfg(not(feature = "rocksdb"))]
pub(crate) fn no_rocksdb() -> esker::Error {
    let message = "this tool has no RocksDB: build it by `cargo xtask rocksdb`, which compiles RocksDB \
                   once, and then with `--features rocksdb`";
    esker::Error::new(esker::ErrorKind::Unsupported, message)
}

fn start<F: BackendFactory>(job: &Job, factory: &F) -> Result<()> {
    let progress = Arc::new(Progress::default());
    let fate = Fate::new(job.parallelism, job.hold);
    fate.listen();
    let store = watched(Store::open(&job.dir)?, &fate, &progress);
    let stores = (store.clone(), Store::open(&job.savepoint)?);
    let owner = block_on(Owner::claim(store, Arc::new(ManifestReferences)))?;
    let generation = owner.generation();
    let mut lives = Lives { job, factory, progress, fate, stores, owner, begun: 0 };
    let mut position = lives.position(job.process.checked_sub(1))?;
    let done = loop {
        match lives.live(position) {
            Ok(End::Died) => position = lives.position(Some(job.process))?,
            Ok(End::Done) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    match done {
        Err(error) if error.kind() == ErrorKind::Fenced => {
            Event::Fenced { generation, why: error.to_string() }.tell();
            Ok(())
        }
        done => done,
    }
}

/// What outlives the workers of this process.
struct Lives<'a, F> {
    job: &'a Job,
    factory: &'a F,
    progress: Arc<Progress>,
    fate: Arc<Fate>,
    /// Of checkpoints, and of the savepoint.
    stores: (Store, Store),
    owner: Owner,
    begun: u64,
}

impl<F: BackendFactory> Lives<'_, F> {
    /// Where the source of that process was, if it is one that does not go back.
    fn position(&self, process: Option<usize>) -> Result<u64> {
        match (self.job.guarantee, process) {
            (Guarantee::None, Some(process)) => {
                Position::read(&self.job.position(process)).map_err(failed)
            }
            _ => Ok(0),
        }
    }

    /// The last completed checkpoint.
    fn last(&self) -> Result<Option<Manifest>> {
        let last = self.owner.state().retained().last_key_value().map(|(_, last)| last);
        let Some(last) = last else { return Ok(None) };
        let (path, digest) = (&last.manifest_path, Some(last.manifest_digest));
        block_on(read_manifest(&self.stores.0, path, digest)).map(Some)
    }

    /// Restores all workers from the last completed checkpoint, or begins anew, and runs them until one
    /// dies or the job ends. Where there are no checkpoints, the source begins at `position`.
    fn live(&mut self, position: u64) -> Result<End> {
        let swept = block_on(self.owner.sweep())?;
        let last = self.last()?;
        let parallelism = self.fate.reborn();
        self.progress.entries.store(0, Ordering::Relaxed);
        let flights = Flights::open(self.job.input.as_deref()).map_err(failed)?;

        let (told, heard) = mpsc::channel();
        let mut threads = Threads::new(
            self.stores.clone(),
            self.owner.generation(),
            told.clone(),
            self.job.guarantee,
            (Arc::clone(&self.fate), Arc::clone(&self.progress)),
        );
        let before = last.as_ref();
        let writer = threads.source();
        let mut offset = restored_offset(&self.stores.0, before)?;
        let (row, position) = match self.job.guarantee {
            Guarantee::None => {
                let path = self.job.position(self.job.process);
                (position, Some(Position::begin(&path, position).map_err(failed)?))
            }
            _ => (offset.get()?, None),
        };
        let (fleet, (fleet_key, fleet_states)) =
            threads.operator(FLEET, parallelism, before, self.factory, Fleet::open)?;
        let (carriers, (carriers_key, carriers_states)) =
            threads.operator(CARRIERS, parallelism, before, self.factory, Carriers::open)?;
        let operators = vec![
            stored(SOURCE, None, offset.backend.infos()),
            stored(FLEET, fleet_key, fleet_states),
            stored(CARRIERS, carriers_key, carriers_states),
        ];
        self.progress.row.store(row, Ordering::Relaxed);
        let checkpoint = before.map(|last| {
            let Manifest { checkpoint, generation, .. } = *last;
            Taken { checkpoint, generation }
        });
        let (generation, swept) =
            (self.owner.generation(), swept.file_count + swept.leftover_count);
        Event::Running { generation, checkpoint, row, swept, parallelism }.tell();

        let (barrier, barriers) = mpsc::channel();
        let source = Source {
            flights,
            offset: row,
            stored: offset,
            rate: self.job.rate,
            lanes: threads.lanes(fleet, carriers),
            position,
            barriers,
            writer,
            told,
            progress: Arc::clone(&self.progress),
        };
        threads.spawn(move || source.run());
        let (writers, handles) = threads.started();
        let coordinator = Coordinator {
            owner: &mut self.owner,
            guarantee: self.job.guarantee,
            fate: Arc::clone(&self.fate),
            stores: self.stores.clone(),
            operators,
            last,
            barrier,
            writers,
            progress: Arc::clone(&self.progress),
            open: None,
            begun: &mut self.begun,
            unswept: false,
        };
        let end = coordinator.run(&heard);
        // Without a coordinator the source ends, then all others. A backend is not to be in use when the
        // process ends, or when others take its place.
        for handle in handles {
            let _ = handle.join();
        }
        end
    }
}

fn failed(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
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
