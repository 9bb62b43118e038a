//! The source: reads rows at a rate and sends them on, with watermarks and barriers between them.

use super::event::Event;
use super::flights::Flights;
use super::guarantee::Rows;
use super::lane::Lanes;
use super::operators::OFFSET;
use super::position::Position;
use super::subtask::{Barrier, Captured, Keyed, Order, Record, Told, Took, Work};
use super::watch::Progress;
use esker::backend::Handle;
use esker::backend::operator::{OperatorBackend, OperatorListState, Redistribution};
use esker::format::Ordered;
use esker::state::OperatorListDescriptor;
use esker::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
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
    pub(super) lanes: Lanes,
    /// Where rows that were sent are never read again.
    pub(super) position: Option<Position>,
    pub(super) barriers: Receiver<Barrier>,
    pub(super) writer: Sender<Work>,
    pub(super) told: Sender<Told>,
    pub(super) progress: Arc<Progress>,
}

impl Source {
    /// Reads to the end of the file, then sends barriers on until nobody asks for any.
    ///
    /// # Errors
    /// `Invalid` for a bad row, `Poisoned` if a lane is gone.
    pub(super) fn run(mut self) -> Result<()> {
        self.pass_over()?;
        let (started, first) = (Instant::now(), self.offset);
        let mut tell_at = started;
        let mut watermark = i64::MIN;
        while let Some(flight) = self.flights.next() {
            let flight = Arc::new(flight.map_err(invalid)?);
            self.wait(started, first)?;
            if flight.time_ms > watermark {
                watermark = flight.time_ms;
                self.lanes.to_all(|| Order::Record(Record::Watermark(watermark)))?;
            }
            let number = self.offset;
            self.offset += 1;
            if let Some(position) = &mut self.position {
                position.set(self.offset).map_err(invalid)?;
            }
            self.lanes.row(number, flight)?;
            self.progress.row.store(self.offset, Ordering::Relaxed);
            if Instant::now() >= tell_at {
                self.tell_row();
                tell_at = Instant::now() + TELL_EVERY;
            }
        }
        self.tell_row();
        let _ = self.told.send(Told::LastRow(self.offset));
        while let Ok(barrier) = self.barriers.recv() {
            self.barrier(barrier)?;
        }
        Ok(())
    }

    /// Reads past the rows that were read before.
    fn pass_over(&mut self) -> Result<()> {
        let mut lost = Rows::default();
        for _ in 0..self.offset {
            let Some(flight) = self.flights.next() else {
                // A file that has changed since is another file.
                let message = format!("the file has fewer rows than were read, {}", self.offset);
                return Err(invalid(message));
            };
            let flight = flight.map_err(invalid)?;
            lost.add(Rows { carriers: 1, fleet: u64::from(flight.tailnum.is_some()) });
        }
        if self.position.is_some() {
            Event::Lost(lost).tell();
        }
        Ok(())
    }

    fn tell_row(&self) {
        let entries = self.progress.entries.load(Ordering::Relaxed);
        Event::Row { row: self.offset, entries }.tell();
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

    fn barrier(&mut self, asked: Barrier) -> Result<()> {
        self.stored.set(self.offset)?;
        let operator = Some(self.stored.backend.capture()?);
        let captured = Captured { keyed: Keyed::Entries(Vec::new()), operator };
        let barrier = Barrier { rows: self.offset, ..asked };
        let _ = self.writer.send(Work::Write { barrier, captured, took: Took::default() });
        self.lanes.to_all(|| Order::Barrier(barrier))
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
