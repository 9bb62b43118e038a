//! The two lanes between the source and the subtasks: rows of a key keep to one of them, watermarks and
//! barriers take both, and the second is the slower one. It is for them that barriers must be aligned.

use super::flights::Flight;
use super::inbox::Feed;
use super::subtask::{Order, Record};
use esker::format::{Key, KeyGroup};
use esker::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

/// How many lanes there are.
pub(super) const LANES: usize = 2;

/// How many letters may be under way in a lane.
pub(super) const QUEUE_LEN: usize = 16_384;

/// How long each lane takes.
const LAGS: [Duration; LANES] = [Duration::ZERO, Duration::from_millis(20)];

/// What the source sends.
pub(super) enum Letter {
    /// A row, and how many rows were read before it: to the subtasks that own its keys.
    Row(u64, Arc<Flight>),
    /// To every subtask.
    All(Order),
}

/// The source's end of all lanes.
pub(super) struct Lanes(pub(super) Vec<SyncSender<(Instant, Letter)>>);

impl Lanes {
    /// A row goes by the lane of its aircraft, so that those of one stay in order.
    ///
    /// # Errors
    /// `Poisoned` if the lane has ended, as for [`to_all`](Self::to_all).
    pub(super) fn row(&self, number: u64, flight: Arc<Flight>) -> Result<()> {
        let key = flight.tailnum.as_ref().unwrap_or(&flight.carrier);
        // The lowest bit says nothing about the subtask.
        let lane = usize::from(key.with_encoded(KeyGroup::of).0) % LANES;
        send(self.0.get(lane), Letter::Row(number, flight))
    }

    pub(super) fn to_all(&self, order: impl Fn() -> Order) -> Result<()> {
        self.0.iter().try_for_each(|lane| send(Some(lane), Letter::All(order())))
    }
}

fn send(lane: Option<&SyncSender<(Instant, Letter)>>, letter: Letter) -> Result<()> {
    match lane.map(|lane| lane.send((Instant::now(), letter))) {
        Some(Ok(())) => Ok(()),
        _ => Err(Error::new(ErrorKind::Poisoned, "a lane has ended")),
    }
}

/// A lane's ends at the subtasks of each keyed operator.
#[derive(Default)]
pub(super) struct Lane {
    /// Which lane.
    pub(super) number: usize,
    pub(super) fleet: Vec<Feed>,
    pub(super) carriers: Vec<Feed>,
}

impl Lane {
    /// Delivers letters, each when its time has come, until there are no more.
    ///
    /// # Errors
    /// `Poisoned` if a subtask is gone.
    pub(super) fn run(self, letters: Receiver<(Instant, Letter)>) -> Result<()> {
        let lag = LAGS.get(self.number).copied().unwrap_or_default();
        for (sent, letter) in letters {
            if let Some(left) = (sent + lag).checked_duration_since(Instant::now())
                // Short of this the clock is not worth a sleep.
                && left > Duration::from_micros(500)
            {
                std::thread::sleep(left);
            }
            self.deliver(letter)?;
        }
        Ok(())
    }

    fn deliver(&self, letter: Letter) -> Result<()> {
        match letter {
            Letter::Row(number, flight) => {
                let row = || Order::Record(Record::Row(number, Arc::clone(&flight)));
                if let Some(tailnum) = &flight.tailnum {
                    hand(route(&self.fleet, tailnum), row())?;
                }
                hand(route(&self.carriers, &flight.carrier), row())
            }
            Letter::All(order) => {
                let mut all = self.fleet.iter().chain(&self.carriers);
                all.try_for_each(|to| hand(Some(to), order.clone()))
            }
        }
    }
}

/// The subtask that owns a key.
fn route<'a>(subtasks: &'a [Feed], key: &String) -> Option<&'a Feed> {
    let group = key.with_encoded(KeyGroup::of);
    subtasks.get(group.subtask(subtasks.len() as u32) as usize)
}

fn hand(to: Option<&Feed>, order: Order) -> Result<()> {
    match to.is_some_and(|to| to.send(order)) {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Poisoned, "a subtask has ended")),
    }
}
