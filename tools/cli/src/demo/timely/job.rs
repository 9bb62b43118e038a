//! One process of the job on timely dataflow: a source on worker 0, two keyed operators on all.

use super::event::Event;
use crate::demo::flights::{Flight, Flights};
use crate::demo::job::BackendName;
use crate::demo::operators::{CARRIERS, Carriers, FLEET, Fleet, OFFSET, Operator, SOURCE};
use esker::backend::heap::HeapBackends;
use esker::backend::operator::{OperatorBackend, OperatorListState, Redistribution};
use esker::backend::{BackendFactory, Handle};
use esker::checkpoint::coordinator::{Cause, CoordinatorSettings, Kind, Subtask};
use esker::engine::timely::{Cluster, Flow, Keyed, Next, Outlet, Source, SourceOutlet, TimelyJob};
use esker::engine::{Control, End, Listener};
use esker::format::Ordered;
use esker::state::OperatorListDescriptor;
use esker::{Error, ErrorKind, Result, Settings, Store, block_on};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// From the beginning of one checkpoint to that of the next.
const INTERVAL_MS: u64 = 200;
/// How many checkpoints in a row may fail.
const TOLERATED: u32 = 20;
/// Rows that are read between barriers at most.
const BATCH: u64 = 128;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// How a process is to run; the parent's to say.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) process: u32,
    pub(super) workers: u32,
    /// Which start of the cluster this is.
    pub(super) run: u64,
    pub(super) input: Option<PathBuf>,
    /// The job's root.
    pub(super) dir: String,
    pub(super) savepoint: String,
    /// Rows per second.
    pub(super) rate: u64,
    pub(super) backend: BackendName,
    /// Where a backend that needs a disk keeps its state.
    pub(super) local: PathBuf,
}

/// Runs a process to the job's end. It says where it listens, and is told where all do.
///
/// # Errors
/// Whatever ended it before.
pub(in crate::demo) fn process(process: &str) -> std::result::Result<(), String> {
    let process: Process = serde_json::from_str(process).map_err(|error| error.to_string())?;
    let failed = |error: io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    Event::Listens(listener.local_addr().map_err(failed)?.to_string()).tell();
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(failed)?;
    let addresses = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    // Nobody is to run on without the one that started it.
    std::thread::spawn(|| {
        while io::stdin().read_line(&mut String::new()).is_ok_and(|read| read > 0) {}
        std::process::exit(3);
    });
    let cluster = Cluster::process(process.process as usize, addresses, process.workers as usize);
    let cluster = cluster.listening(listener).of_run(process.run);
    let done = match process.backend {
        BackendName::Heap => run(process, cluster, HeapBackends),
        BackendName::Rocksdb => run_on_rocksdb(process, cluster),
    };
    done.map_err(|error| error.to_string())
}

#[cfg(feature = "rocksdb")]
fn run_on_rocksdb(process: Process, cluster: Cluster) -> Result<()> {
    use esker::backend::rocksdb::{RocksBackends, RocksOptions};
    let local = process.local.join(process.process.to_string());
    let backends = RocksBackends::new(&local, RocksOptions::default())?;
    run(process, cluster, backends)
}

#[cfg(not(feature = "rocksdb"))]
fn run_on_rocksdb(_: Process, _: Cluster) -> Result<()> {
    Err(crate::demo::no_rocksdb())
}

fn run<F>(process: Process, cluster: Cluster, factory: F) -> Result<()>
where
    F: BackendFactory + Send + Sync + 'static,
{
    let checkpoints = CoordinatorSettings {
        interval_ms: INTERVAL_MS,
        tolerated_failures: TOLERATED,
        ..CoordinatorSettings::default()
    };
    let settings = Settings { checkpoints, ..Settings::default() };
    let savepoint = Store::open(&process.savepoint)?;
    let job = TimelyJob::new(Store::open(&process.dir)?, "flights", &settings).listen(Tells);
    let control = job.control();
    let (ends, ended) = channel();
    let stops = std::thread::spawn(move || stop(&ended, &control, &savepoint));
    let ends = Mutex::new(Some(ends));
    let end = job.run(cluster, move |flow| build(flow, &process, &factory, &ends))?;
    // Where the source was not in this process nobody was told, and none of its threads is left.
    let row = stops.join().ok().flatten();
    match (end, row) {
        (End::Stopped(_), Some(row)) => Event::Ended { row }.tell(),
        (End::Stopped(_), None) => {}
        (end, _) => {
            let message = format!("the job ended without a savepoint: {end:?}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    }
    Ok(())
}

/// Once the source has read the last row, a savepoint ends the job; the row.
fn stop(ended: &Receiver<u64>, control: &Control, savepoint: &Store) -> Option<u64> {
    let row = ended.recv().ok()?;
    loop {
        match block_on(control.stop(savepoint, false)) {
            Err(error) if error.kind() == ErrorKind::Retry => {}
            stopped => return stopped.ok().map(|_| row),
        }
    }
}

fn build<F: BackendFactory>(
    flow: &Flow<'_>,
    process: &Process,
    factory: &F,
    ends: &Mutex<Option<Sender<u64>>>,
) -> Result<()> {
    let checkpoint = flow.restored();
    let flights = flow.source(SOURCE, 1, |state, _| {
        let rows = OperatorListDescriptor::with_codec(OFFSET, Redistribution::Split, Ordered);
        let invalid = |message| Error::new(ErrorKind::Invalid, message);
        Ok(Rows {
            flights: Flights::open(process.input.as_deref()).map_err(invalid)?,
            state: state.open(rows)?,
            rate: process.rate,
            checkpoint,
            begun: None,
            told: Instant::now(),
            ends: ends.lock().ok().and_then(|mut ends| ends.take()),
        })
    })?;
    let with_tailnum = flights.clone().filter(|flight: &Flight| flight.tailnum.is_some());
    let tailnum = |flight: &Flight| flight.tailnum.clone().unwrap_or_default();
    with_tailnum.keyed(FLEET, tailnum, factory, |backend| Ok(Handles(Fleet::open(backend)?)))?;
    let carrier = |flight: &Flight| flight.carrier.clone();
    flights.keyed(CARRIERS, carrier, factory, |backend| Ok(Handles(Carriers::open(backend)?)))?;
    Ok(())
}

/// An operator of the demo as this engine has them.
struct Handles<O>(O);

impl<O: Operator + 'static> Keyed for Handles<O> {
    type Backend = O::Backend;
    type Input = Flight;
    type Output = ();

    fn backend(&mut self) -> &mut O::Backend {
        self.0.backend()
    }

    fn record(&mut self, flight: Flight, _: &mut Outlet<()>) -> Result<()> {
        self.0.row(&flight)
    }

    fn watermark(&mut self, time_ms: i64, _: &mut Outlet<()>) -> Result<()> {
        self.0.watermark(time_ms)
    }
}

/// The source: rows at a rate; its state is how many were read.
struct Rows {
    flights: Flights,
    state: Handle<OperatorListState<u64>>,
    /// Rows per second.
    rate: u64,
    checkpoint: Option<u64>,
    /// When it began, and at which row.
    begun: Option<(Instant, u64)>,
    told: Instant,
    /// Told of the last row.
    ends: Option<Sender<u64>>,
}

impl Source for Rows {
    type Item = Flight;

    fn read(
        &mut self,
        state: &mut OperatorBackend,
        out: &mut SourceOutlet<Flight>,
    ) -> Result<Next> {
        let invalid = |message| Error::new(ErrorKind::Invalid, message);
        let mut row = state.state(self.state)?.get().first().copied().unwrap_or(0);
        let (begun, first) = match self.begun {
            Some(begun) => begun,
            None => {
                // They were read before; a file that has changed since is another file.
                if row > 0 && self.flights.nth(row as usize - 1).is_none() {
                    return Err(invalid(format!("the file has fewer rows than were read, {row}")));
                }
                Event::Running { checkpoint: self.checkpoint, row }.tell();
                *self.begun.insert((Instant::now(), row))
            }
        };
        let due = first + (begun.elapsed().as_secs_f64() * self.rate as f64) as u64;
        let until = due.min(row + BATCH);
        let mut is_end = false;
        while row < until && !is_end {
            match self.flights.next() {
                Some(flight) => {
                    let flight = flight.map_err(invalid)?;
                    out.watermark(flight.time_ms);
                    out.emit(flight);
                    row += 1;
                }
                None => is_end = true,
            }
        }
        state.state(self.state)?.update(vec![row]);
        if is_end || self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            Event::Row(row).tell();
        }
        if is_end {
            // It stays, until the savepoint is there that ends the job.
            if let Some(ends) = self.ends.take() {
                let _ = ends.send(row);
            }
            return Ok(Next::After(TELL_EVERY));
        }
        Ok(if row < due { Next::Now } else { Next::After(Duration::from_millis(1)) })
    }
}

/// Tells the parent what becomes of checkpoints.
struct Tells;

impl Listener for Tells {
    fn completed(&mut self, checkpoint: u64, kind: Kind, _: &BTreeSet<Subtask>) {
        if kind == Kind::Checkpoint {
            Event::Complete(checkpoint).tell();
        }
    }

    fn aborted(&mut self, checkpoint: u64, cause: &Cause) {
        Event::Aborted { checkpoint, why: cause.to_string() }.tell();
    }
}
