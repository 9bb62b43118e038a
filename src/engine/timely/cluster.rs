//! The processes of a job, and the connections between them.

use crate::{Error, ErrorKind, Result};
use std::any::Any;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};
use timely::communication::AllocatorBuilder;
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{Config, Hooks};

/// What every greeting begins with.
const GREETING: [u8; 8] = *b"esker-t1";
/// What a caller says once it is answered.
const CONFIRMED: u8 = 1;
/// Greeting, run, process.
const GREETING_LEN_BYTES: usize = 24;
/// How long a peer that connects has to say who it is.
const GREETING_TIME: Duration = Duration::from_secs(5);
/// From one try to reach a peer to the next.
const RETRY: Duration = Duration::from_millis(10);

/// Which process of a job this one is, and how many workers it has: a thread each. Every process has as many.
///
/// Processes connect pairwise over TCP, the later ones to the earlier ones. Nothing is encrypted, and who knows
/// the addresses and the number of the run is taken for a peer: keep them on a network that is trusted.
#[derive(Debug)]
pub struct Cluster {
    workers: usize,
    process: usize,
    addresses: Vec<String>,
    listener: Option<TcpListener>,
    run: u64,
    patience: Duration,
}

/// What timely builds its workers from, and what keeps their connections.
pub(super) type Connected = (Vec<AllocatorBuilder>, Box<dyn Any + Send>);

impl Cluster {
    /// One process with `workers` workers.
    pub fn local(workers: usize) -> Self {
        Self {
            workers,
            process: 0,
            addresses: Vec::new(),
            listener: None,
            run: 0,
            patience: Duration::from_secs(60),
        }
    }

    /// Process `process` of those at `addresses` (`host:port`), with `workers` workers each. It listens at its own
    /// address.
    pub fn process(process: usize, addresses: Vec<String>, workers: usize) -> Self {
        Self { process, addresses, ..Self::local(workers) }
    }

    /// Listens here instead of binding its own address: for who asks the system for a free port first.
    #[must_use]
    pub fn listening(self, listener: TcpListener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// The number of this start of the cluster, the same in every process: a process that is left of another one
    /// is not taken for a peer.
    #[must_use]
    pub fn of_run(self, run: u64) -> Self {
        Self { run, ..self }
    }

    /// How long it waits for the other processes; a minute, unless it is said.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How many workers all processes have together.
    pub fn peers(&self) -> usize {
        self.workers * self.addresses.len().max(1)
    }

    /// Whether worker 0 is in this process.
    pub(super) fn is_first(&self) -> bool {
        self.process == 0
    }

    /// Connects to all others.
    ///
    /// # Errors
    /// `Invalid` for what is no cluster; `Retry` if the address is taken or a peer does not come in time.
    pub(super) fn connect(self) -> Result<Connected> {
        let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, message));
        if self.workers == 0 || self.peers() > 1 << 16 {
            return invalid(format!("{} workers: a job has 1 to 65,536", self.peers()));
        }
        if self.addresses.len() < 2 {
            let config = match self.workers {
                1 => Config::Thread,
                workers => Config::Process(workers),
            };
            return config.try_build().map_err(|message| Error::new(ErrorKind::Retry, message));
        }
        if self.process >= self.addresses.len() {
            let (process, addresses) = (self.process, self.addresses.len());
            return invalid(format!("process {process} of {addresses}: they count from 0"));
        }
        let (process, workers) = (self.process, self.workers);
        let sockets = self.sockets()?;
        let hooks = Hooks::default();
        let (refill, spill) = (hooks.refill.clone(), hooks.spill.clone());
        let builders = ProcessBuilder::new_typed_vector(workers, refill, spill);
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Retry, "the connections cannot be used").with_source(error)
        };
        let (builders, guard) =
            initialize_networking_from_sockets(builders, sockets, process, workers, hooks)
                .map_err(failed)?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }

    /// A connection to each other process, in their order.
    fn sockets(self) -> Result<Vec<Option<TcpStream>>> {
        let Self { process, addresses, listener, run, patience, .. } = self;
        let until = Instant::now() + patience;
        let own = addresses.get(process).map(String::as_str).unwrap_or_default();
        let failed = |error: io::Error| {
            let message = format!("process {process} cannot listen at {own}: {error}");
            Error::new(ErrorKind::Retry, message)
        };
        let listener = listener.map_or_else(|| TcpListener::bind(own), Ok).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let mut sockets: Vec<Option<TcpStream>> = addresses.iter().map(|_| None).collect();
        loop {
            let mut is_idle = true;
            for (peer, address) in addresses.iter().enumerate().take(process) {
                if let Some(slot @ None) = sockets.get_mut(peer) {
                    *slot = call(address, run, process as u64);
                    is_idle &= slot.is_none();
                }
            }
            match listener.accept() {
                Ok((stream, _)) => {
                    is_idle = false;
                    let caller = answer(stream, run);
                    let caller = caller.filter(|(peer, _)| *peer > process as u64);
                    if let Some((peer, stream)) = caller
                        && let Some(slot) = sockets.get_mut(peer as usize)
                    {
                        *slot = Some(stream);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(failed(error)),
            }
            let mut missing =
                (0..).zip(&sockets).filter(|(peer, slot)| slot.is_none() && *peer != process);
            let Some((peer, _)) = missing.next() else { return Ok(sockets) };
            if Instant::now() >= until {
                let message = format!(
                    "process {peer} did not connect to process {process} within {patience:?}: start \
                     all processes, with the same addresses and the same run"
                );
                return Err(Error::new(ErrorKind::Retry, message));
            }
            if is_idle {
                sleep(RETRY);
            }
        }
    }
}

/// Calls a peer, which answers with the same number of the run; none if it does not.
fn call(address: &str, run: u64, process: u64) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(GREETING_TIME)).ok()?;
    stream.write_all(&greeting(run, process)).ok()?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer).ok()?;
    if answer != run.to_be_bytes() {
        return None;
    }
    // Who gave up waiting for the answer does not say this, and is not taken for one that is there.
    stream.write_all(&[CONFIRMED]).ok()?;
    stream.set_read_timeout(None).ok()?;
    Some(stream)
}

/// Answers who calls; which process it is, or none if it is no peer.
fn answer(mut stream: TcpStream, run: u64) -> Option<(u64, TcpStream)> {
    stream.set_nonblocking(false).ok()?;
    stream.set_nodelay(true).ok()?;
    stream.set_read_timeout(Some(GREETING_TIME)).ok()?;
    let mut said = [0; GREETING_LEN_BYTES];
    stream.read_exact(&mut said).ok()?;
    let (begin, process) = said.split_at(GREETING_LEN_BYTES - 8);
    let process = u64::from_be_bytes(process.try_into().ok()?);
    if begin != greeting(run, process).split_at(GREETING_LEN_BYTES - 8).0 {
        return None;
    }
    stream.write_all(&run.to_be_bytes()).ok()?;
    let mut confirmed = [0];
    stream.read_exact(&mut confirmed).ok()?;
    stream.set_read_timeout(None).ok()?;
    (confirmed == [CONFIRMED]).then_some((process, stream))
}

fn greeting(run: u64, process: u64) -> [u8; GREETING_LEN_BYTES] {
    let mut greeting = [0; GREETING_LEN_BYTES];
    let pieces = [GREETING, run.to_be_bytes(), process.to_be_bytes()];
    for (to, piece) in greeting.chunks_mut(8).zip(pieces) {
        to.copy_from_slice(&piece);
    }
    greeting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    #[test]
    fn processes_of_one_run_find_each_other_and_strangers_are_turned_away() {
        let (listeners, addresses): (Vec<_>, Vec<_>) = (0..3).map(|_| bound()).unzip();
        // Some that are not of this run come first: one that says nothing, one that babbles, one of another run.
        let silent = TcpStream::connect(&addresses[0]).unwrap();
        drop(silent);
        let mut babbles = TcpStream::connect(&addresses[0]).unwrap();
        babbles.write_all(&[0xff; 64]).unwrap();
        let mut stale = TcpStream::connect(&addresses[0]).unwrap();
        stale.write_all(&greeting(6, 1)).unwrap();
        // One of this run that has given up waiting by the time that it is answered.
        let mut gone = TcpStream::connect(&addresses[0]).unwrap();
        gone.write_all(&greeting(7, 2)).unwrap();
        drop(gone);
        let join = |(process, listener)| {
            let cluster = Cluster::process(process, addresses.clone(), 1);
            let cluster = cluster.listening(listener).of_run(7);
            std::thread::spawn(move || cluster.sockets().unwrap())
        };
        let threads: Vec<_> = listeners.into_iter().enumerate().map(join).collect();
        for (process, thread) in threads.into_iter().enumerate() {
            let sockets = thread.join().unwrap();
            let found: Vec<bool> = sockets.iter().map(Option::is_some).collect();
            let expected: Vec<bool> = (0..3).map(|peer| peer != process).collect();
            assert_eq!(found, expected);
        }
        let mut byte = [0];
        stale.set_read_timeout(Some(GREETING_TIME)).unwrap();
        assert_eq!(stale.read(&mut byte).unwrap_or(0), 0);
    }

    #[test]
    fn what_is_no_cluster_is_refused_and_a_missing_peer_is_named() {
        let refused = |cluster: Cluster| cluster.connect().err().unwrap();
        assert_eq!(refused(Cluster::local(0)).kind(), ErrorKind::Invalid);
        assert_eq!(refused(Cluster::local(65_537)).kind(), ErrorKind::Invalid);
        let addresses = vec!["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
        let error = refused(Cluster::process(2, addresses, 1));
        assert!(error.to_string().contains("process 2 of 2"), "{error}");
        let ((listener, first), (_, second)) = (bound(), bound());
        let alone = Cluster::process(0, vec![first, second], 1).listening(listener);
        let error = refused(alone.patience(Duration::from_millis(30)));
        assert_eq!(error.kind(), ErrorKind::Retry);
        assert!(error.to_string().contains("process 1 did not connect"), "{error}");
    }
}
