//! The source: reads rows at a rate and sends them on, with watermarks and barriers between them.

use super::event::Event;
use super::flights::Flights;
use super::operators::OFFSET;
use super::subtask::{Barrier, Captured, Keyed, Order, Told, Work};
use super::watch::Progress;
use esker::backend::Handle;
use esker::backend::operator::{OperatorBackend, OperatorListState, Redistribution};
use esker::format::{Key, KeyGroup, Ordered};
use esker::state::OperatorListDescriptor;
use esker::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(20);

/// The source's operator state: the number of rows read.
pub(super) struct Offset {
    pub(super) backend: OperatorBackend,
    rows: Handle<OperatorListState<u64>>,
}

impl Offset {
    pub(super) fn open(mut backend: OperatorBackend) -> Result<Self> {
        let rows = OperatorListDescriptor::with_codec(OFFSET, Redistribution::Split, Ordered);
        Ok(Self { rows: backend.open(rows)?, backend })
    }

    /// Rows read; none before the first snapshot.
    pub(super) fn get(&mut self) -> Result<u64> {
        Ok(self.backend.state(self.rows)?.get().first().copied().unwrap_or(0))
    }

    fn set(&mut self, rows: u64) -> Result<()> {
        self.backend.state(self.rows)?.update(vec![rows]);
        Ok(())
    }
}

/// The one subtask of the source.
pub(super) struct Source {
    pub(super) flights: Flights,
    /// Rows read before.
    pub(super) offset: u64,
    /// The same as it stands in snapshots.
    pub(super) stored: Offset,
    /// Rows per second.
    pub(super) rate: u64,
    /// The subtasks of the operator keyed by aircraft, and of the one keyed by carrier.
    pub(super) fleet: Vec<SyncSender<Order>>,
    pub(super) carriers: Vec<SyncSender<Order>>,
    pub(super) barriers: Receiver<Barrier>,
    pub(super) writer: Sender<Work>,
    pub(super) told: Sender<Told>,
    pub(super) progress: Arc<Progress>,
}

impl Source {
    /// Reads to the end of the file, then sends barriers on until nobody asks for any.
    ///
    /// # Errors
    /// `Invalid` for a bad row, and if a subtask is gone.
    pub(super) fn run(mut self) -> Result<()> {
        let invalid = |message| Error::new(ErrorKind::Invalid, message);
        for _ in 0..self.offset {
            // They were read before; a file that has changed since is another file.
            if self.flights.next().is_none() {
                let message = format!("the file has fewer rows than were read, {}", self.offset);
                return Err(invalid(message));
            }
        }
        let (started, first) = (Instant::now(), self.offset);
        let mut tell_at = started;
        let mut watermark = i64::MIN;
        while let Some(flight) = self.flights.next() {
            let flight = Arc::new(flight.map_err(invalid)?);
            self.wait(started, first)?;
            if flight.time_ms > watermark {
                watermark = flight.time_ms;
                self.to_all(|| Order::Watermark(watermark))?;
            }
            if let Some(tailnum) = &flight.tailnum {
                send(route(&self.fleet, tailnum), Order::Row(Arc::clone(&flight)))?;
            }
            send(route(&self.carriers, &flight.carrier), Order::Row(Arc::clone(&flight)))?;
            self.offset += 1;
            self.progress.row.store(self.offset, Ordering::Relaxed);
            if Instant::now() >= tell_at {
                Event::Row(self.offset).tell();
                tell_at = Instant::now() + TELL_EVERY;
            }
        }
        Event::Row(self.offset).tell();
        let _ = self.told.send(Told::LastRow(self.offset));
        while let Ok(barrier) = self.barriers.recv() {
            self.barrier(barrier)?;
        }
        Ok(())
    }

    /// Sends the barriers that are asked for, until the next row is due.
    fn wait(&mut self, started: Instant, first: u64) -> Result<()> {
        let rows = (self.offset - first) as f64;
        let due = started + Duration::from_secs_f64(rows / self.rate as f64);
        loop {
            loop {
                match self.barriers.try_recv() {
                    Ok(barrier) => self.barrier(barrier)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        return Err(Error::new(ErrorKind::Poisoned, "the coordinator has ended"));
                    }
                }
            }
            match due.checked_duration_since(Instant::now()) {
                // Short of this the clock is not worth a sleep.
                Some(left) if left > Duration::from_micros(500) => {
                    std::thread::sleep(left.min(Duration::from_millis(5)));
                }
                _ => return Ok(()),
            }
        }
    }

    fn barrier(&mut self, barrier: Barrier) -> Result<()> {
        self.stored.set(self.offset)?;
        let operator = Some(self.stored.backend.capture()?);
        let captured = Captured { keyed: Keyed::Entries(Vec::new()), operator };
        let _ = self.writer.send(Work::Write { barrier, captured, time: Duration::ZERO });
        self.to_all(|| Order::Barrier(barrier))
    }

    fn to_all(&self, order: impl Fn() -> Order) -> Result<()> {
        self.fleet.iter().chain(&self.carriers).try_for_each(|to| send(Some(to), order()))
    }
}

/// The subtask that owns a key.
fn route<'a>(subtasks: &'a [SyncSender<Order>], key: &String) -> Option<&'a SyncSender<Order>> {
    let group = key.with_encoded(KeyGroup::of);
    subtasks.get(group.subtask(subtasks.len() as u32) as usize)
}

fn send(to: Option<&SyncSender<Order>>, order: Order) -> Result<()> {
    let sent = to.map(|to| to.send(order));
    match sent {
        Some(Ok(())) => Ok(()),
        _ => Err(Error::new(ErrorKind::Poisoned, "a subtask has ended")),
    }
}
