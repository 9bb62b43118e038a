//! What waits and what does not: the way of items through the queues, and when channels stop.

use super::Aligner;
use crate::engine::barrier::action::Action;
use crate::engine::barrier::queue::Item;
use crate::{Error, ErrorKind, Result};

impl<R: Clone> Aligner<R> {
    pub(super) fn check(&self) -> Result<()> {
        match &self.poisoned {
            Some(why) => Err(Error::new(ErrorKind::Poisoned, why.as_str())),
            None => Ok(()),
        }
    }

    /// Whether what `channel` brings has to wait.
    pub(super) fn waits_for(&self, channel: usize) -> Result<bool> {
        self.check()?;
        let invalid = |message| Err(Error::new(ErrorKind::Invalid, message));
        match self.channels.get(channel) {
            None => invalid(format!("channel={channel}: there are {}", self.channels.len())),
            Some(of) if of.ended => invalid(format!("channel={channel} has ended")),
            Some(of) => Ok(of.waits_for.is_some() || !of.queue.is_empty()),
        }
    }

    fn poison<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| {
            let why = format!("records that waited are lost, restore the subtask: {error}");
            self.poisoned = Some(why);
        })
    }

    pub(super) fn queue(&mut self, channel: usize, item: Item<R>) -> Result<()> {
        let Some(of) = self.channels.get_mut(channel) else { return Ok(()) };
        let is_record = matches!(item, Item::Record(..));
        let pushed = of.queue.push(item, &mut self.room);
        let waits_for = of.waits_for;
        let len_bytes = self.poison(pushed)?;
        let held = self.pending.iter_mut().find(|held| waits_for == Some(held.checkpoint));
        if let Some(held) = held.filter(|_| is_record) {
            held.buffered(len_bytes);
        }
        Ok(())
    }

    /// Hands out the oldest item of a channel; `false` if it waits or holds none.
    pub(super) fn advance(&mut self, channel: usize) -> Result<bool> {
        let Some(of) = self.channels.get_mut(channel) else { return Ok(false) };
        if of.waits_for.is_some() {
            return Ok(false);
        }
        let item = of.queue.pop(&mut self.room);
        match self.poison(item)? {
            Some(Item::Record(record, len_bytes)) => self.pass(channel, record, len_bytes),
            Some(Item::Barrier(checkpoint, at)) => self.aligned_at(channel, checkpoint, at),
            Some(Item::End) => self.over(channel),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Stops and resumes channels; `true` if there was nothing to do.
    pub(super) fn steady(&mut self) -> bool {
        let is_full = self.room.is_full();
        if is_full != self.was_full {
            self.was_full = is_full;
            self.unsteady = (0..self.channels.len()).collect();
        }
        for channel in std::mem::take(&mut self.unsteady) {
            let Some(of) = self.channels.get_mut(channel) else { continue };
            let stops = is_full && of.waits_for.is_some();
            if of.stopped != stops && !of.ended {
                of.stopped = stops;
                self.actions.push_back(match stops {
                    true => Action::Stop { channel },
                    false => Action::Resume { channel },
                });
            }
        }
        self.actions.is_empty()
    }
}
