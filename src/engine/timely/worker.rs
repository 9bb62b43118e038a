//! A worker's life: it hears what the job begins from, builds its dataflow, and runs it until the job ends.

use super::desk::{Desk, Process};
use super::flow::Flow;
use super::owner::{self, Owner, ToAll};
use super::time::Time;
use super::wire::{Down, Up, WireError};
use crate::{Error, ErrorKind, Result};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};
use timely::worker::Worker;

/// No sleep is longer: whatever should wake a worker and does not costs this much.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// What builds a job's dataflow on each worker.
pub(super) type Build = dyn Fn(&Flow<'_>) -> Result<()> + Send + Sync;

/// Runs a worker to the job's end: the number of the savepoint that stopped it, if that was it.
///
/// # Errors
/// What ended the job, the same on every worker.
pub(super) fn run(
    worker: &mut Worker,
    process: &Arc<Process>,
    owner: &Mutex<Option<Owner>>,
    build: &Build,
) -> Result<Option<u64>> {
    let (index, peers) = (worker.index() as u32, worker.peers() as u32);
    let desk = Desk::new(Arc::clone(process), index, peers);
    let (to_owner, ups) = unbounded();
    let (sender, downs) = channel();
    let wakes = worker.dataflow::<u64, _, _>(|scope| words(scope, &desk, to_owner, downs));
    let mut thread = None;
    if index == 0
        && let Some(owner) = owner.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        let (process, to_all) = (Arc::clone(process), ToAll { sender, wakes });
        let spawned = std::thread::Builder::new().name("esker-owner".to_owned());
        let spawned = spawned.spawn(move || owner::run(owner, &process, ups, peers, &to_all));
        thread = Some(spawned.map_err(|error| {
            Error::new(ErrorKind::Retry, format!("cannot start a thread: {error}"))
        })?);
    } else {
        drop((sender, ups));
    }
    let _says = SaysThatItDied(process);
    let mut is_built = false;
    let end = loop {
        if let Some(end) = desk.stopped() {
            break end;
        }
        if process.has_died.load(Ordering::Relaxed) {
            break Err(Error::new(ErrorKind::Retry, "a worker of this process died"));
        }
        if !is_built && desk.has_begun() {
            is_built = true;
            let dataflow = worker.next_dataflow_index();
            let built =
                worker.dataflow::<Time, _, _>(|scope| build(&Flow::new(scope, Rc::clone(&desk))));
            match built {
                Ok(()) => desk.ready(),
                Err(error) => {
                    // The others say things about what was not built here.
                    worker.drop_dataflow(dataflow);
                    desk.fail(&error);
                }
            }
        }
        worker.step_or_park(Some(SLEEP_MAX));
    };
    for dataflow in worker.installed_dataflows() {
        worker.drop_dataflow(dataflow);
    }
    // Backends are not to be in use when the caller goes on.
    desk.join();
    if let Some(thread) = thread {
        let _ = thread.join();
    }
    end
}

/// Says so to the other workers of the process if this one panics: they would wait for it forever.
struct SaysThatItDied<'a>(&'a Process);

impl Drop for SaysThatItDied<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.has_died.store(true, Ordering::Relaxed);
        }
    }
}

/// The dataflow by which workers and owner speak: words for the owner to worker 0, words of the owner from there to
/// all. What wakes worker 0 when the owner has spoken.
fn words(
    scope: Scope<'_, u64>,
    desk: &Rc<Desk>,
    to_owner: UnboundedSender<(u32, Up)>,
    downs: Receiver<Down>,
) -> timely::scheduling::SyncActivator {
    let ups = said(scope, desk);
    ups.sink(Exchange::new(|_: &(u32, Up)| 0), "esker: to the owner", move |(input, _)| {
        input.for_each(|_, words| {
            // Once the owner has ended nobody listens.
            words.drain(..).for_each(|word| drop(to_owner.unbounded_send(word)));
        });
    });
    let (downs, wakes) = relayed(scope, desk, downs);
    let desk = Rc::clone(desk);
    let to = |(to, _): &(u32, Down)| u64::from(*to);
    downs.sink(Exchange::new(to), "esker: from the owner", move |(input, _)| {
        // In the order in which they were said.
        input.for_each(|_, words| words.drain(..).for_each(|(_, word)| desk.deliver(word)));
    });
    wakes
}

/// What this worker has to say to the owner.
fn said<'scope>(scope: Scope<'scope, u64>, desk: &Rc<Desk>) -> StreamVec<'scope, u64, (u32, Up)> {
    let desk = Rc::clone(desk);
    type Builder = CapacityContainerBuilder<Vec<(u32, Up)>>;
    source::<_, Builder, _, _>(scope, "esker: words", move |capability, info| {
        desk.wake_by(scope.worker().sync_activator_for(info.address.to_vec()));
        move |output| {
            let mut words = desk.heard();
            if !words.is_empty() {
                output.session(&capability).give_container(&mut words);
            }
        }
    })
}

/// What the owner says, once for each worker; and what wakes this operator.
fn relayed<'scope>(
    scope: Scope<'scope, u64>,
    desk: &Rc<Desk>,
    downs: Receiver<Down>,
) -> (StreamVec<'scope, u64, (u32, Down)>, timely::scheduling::SyncActivator) {
    let peers = desk.peers;
    let wakes = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&wakes);
    // On all other workers it says nothing.
    let mut is_open = desk.index == 0;
    type Builder = CapacityContainerBuilder<Vec<(u32, Down)>>;
    let stream = source::<_, Builder, _, _>(scope, "esker: relay", move |capability, info| {
        let activator = scope.worker().sync_activator_for(info.address.to_vec());
        *slot.borrow_mut() = Some(activator);
        move |output| {
            while is_open {
                let down = match downs.try_recv() {
                    Ok(down) => down,
                    Err(TryRecvError::Empty) => return,
                    Err(TryRecvError::Disconnected) => {
                        // It says how it ended first, unless it died.
                        let died = Error::new(ErrorKind::Poisoned, "the job's owner died");
                        Down::Stop(Err(WireError::from(&died)))
                    }
                };
                is_open = !matches!(down, Down::Stop(_));
                let mut words: Vec<_> = (0..peers).map(|to| (to, down.clone())).collect();
                output.session(&capability).give_container(&mut words);
            }
        }
    });
    let wakes = wakes.take();
    match wakes {
        Some(wakes) => (stream, wakes),
        // The operator was made, and with it that.
        None => (stream, scope.worker().sync_activator_for(Vec::new())),
    }
}
