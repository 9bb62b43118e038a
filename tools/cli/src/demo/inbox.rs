//! What waits for a subtask: a bounded queue of each lane, taken from in the order in which things came,
//! but from no lane that is stopped.

use super::lane::LANES;
use super::subtask::Order;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How many orders of one lane may wait for a subtask.
const QUEUE_LEN: usize = 1024;

/// The queues of a subtask, and the end of each lane to it.
pub(super) fn inbox() -> ([Feed; LANES], Inbox) {
    let queues = Queues { feeds: LANES, is_open: true, ..Queues::default() };
    let shared = Arc::new(Shared { queues: Mutex::new(queues), changed: Condvar::new() });
    let feed = |lane| Feed { shared: Arc::clone(&shared), lane };
    (std::array::from_fn(feed), Inbox { shared, stopped: [false; LANES] })
}

#[derive(Default)]
struct Queues {
    /// Each order with its place among all that came.
    lanes: [VecDeque<(u64, Order)>; LANES],
    came: u64,
    /// Lanes that may still bring something.
    feeds: usize,
    /// Whether the subtask is there.
    is_open: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` is something.
    fn wait<T>(&self, mut ready: impl FnMut(&mut Queues) -> Option<T>) -> T {
        let mut queues = self.queues();
        loop {
            if let Some(done) = ready(&mut queues) {
                self.changed.notify_all();
                return done;
            }
            queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The end of a lane.
pub(super) struct Feed {
    shared: Arc<Shared>,
    lane: usize,
}

impl Feed {
    /// Waits for room; `false` if the subtask is gone.
    #[must_use]
    pub(super) fn send(&self, order: Order) -> bool {
        let mut order = Some(order);
        self.shared.wait(|queues| {
            if !queues.is_open {
                return Some(false);
            }
            let came = queues.came;
            let lane = queues.lanes.get_mut(self.lane).filter(|lane| lane.len() < QUEUE_LEN)?;
            lane.push_back((came, order.take()?));
            queues.came += 1;
            Some(true)
        })
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.queues().feeds -= 1;
        self.shared.changed.notify_all();
    }
}

/// Where a subtask takes its orders from.
pub(super) struct Inbox {
    shared: Arc<Shared>,
    stopped: [bool; LANES],
}

impl Inbox {
    /// Takes nothing from a lane, or takes from it again.
    pub(super) fn stop(&mut self, lane: usize, stops: bool) {
        if let Some(stopped) = self.stopped.get_mut(lane) {
            *stopped = stops;
        }
    }

    /// Waits for the next order, and where it comes from; `None` once there will be none.
    pub(super) fn take(&mut self) -> Option<(usize, Order)> {
        let stopped = self.stopped;
        self.shared.wait(|queues| {
            let open = queues.lanes.iter().zip(stopped).enumerate();
            let fronts = open.filter(|(_, (_, stopped))| !stopped);
            let first = fronts
                .filter_map(|(at, (lane, _))| lane.front().map(|(came, _)| (*came, at)))
                .min()
                .map(|(_, at)| at);
            match first {
                Some(at) => {
                    let (_, order) = queues.lanes.get_mut(at)?.pop_front()?;
                    Some(Some((at, order)))
                }
                None if queues.feeds == 0 => Some(None),
                None => None,
            }
        })
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut queues = self.shared.queues();
        queues.is_open = false;
        queues.lanes = Default::default();
        drop(queues);
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::subtask::Record;
    use super::*;

    fn mark(time_ms: i64) -> Order {
        Order::Record(Record::Watermark(time_ms))
    }

    fn taken(inbox: &mut Inbox) -> Option<(usize, i64)> {
        inbox.take().map(|(lane, order)| match order {
            Order::Record(Record::Watermark(time_ms)) => (lane, time_ms),
            _ => unreachable!(),
        })
    }

    #[test]
    fn orders_come_as_they_were_sent_but_for_those_of_a_stopped_lane() {
        let (feeds, mut inbox) = inbox();
        for (lane, time_ms) in [(1, 1), (0, 2), (1, 3), (0, 4)] {
            assert!(feeds[lane].send(mark(time_ms)));
        }
        assert_eq!(taken(&mut inbox), Some((1, 1)));
        inbox.stop(0, true);
        assert_eq!(taken(&mut inbox), Some((1, 3)));
        inbox.stop(0, false);
        drop(feeds);
        assert_eq!(taken(&mut inbox), Some((0, 2)));
        assert_eq!(taken(&mut inbox), Some((0, 4)));
        assert_eq!(taken(&mut inbox), None);
    }

    #[test]
    fn a_full_lane_waits_and_a_subtask_that_is_gone_takes_nothing() {
        let ([slow, fast], mut inbox) = inbox();
        let sender = std::thread::spawn(move || {
            (0..2 * QUEUE_LEN as i64).all(|time_ms| slow.send(mark(time_ms)))
        });
        for time_ms in 0..2 * QUEUE_LEN as i64 {
            assert_eq!(taken(&mut inbox), Some((0, time_ms)));
            assert!(inbox.shared.queues().lanes[0].len() <= QUEUE_LEN);
        }
        assert!(sender.join().unwrap());
        drop(inbox);
        assert!(!fast.send(mark(0)));
    }
}
