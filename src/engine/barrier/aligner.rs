//! The state machine: facts in, actions out.

mod checkpoint;
mod flow;

use super::action::{AbortReason, Action, Limits, Mode};
use super::pending::Pending;
use super::queue::{Item, Queue, Room};
use super::spill::Spill;
use crate::format::ValueCodec;
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// No more cancellations of checkpoints that have not begun are remembered; of more the oldest is
/// forgotten, and a barrier of it begins the checkpoint, which the next one overtakes.
const CANCELLED_MAX: usize = 1024;

/// Aligns the barriers of one subtask's inputs. See the [module](super) for what that is.
///
/// Channels are numbered from 0; of each the engine gives records, barriers and the end in the order in
/// which they came. Checkpoints are known by their numbers, which grow. After each fact the engine does
/// what [`next_action`](Self::next_action) says until there is nothing to do.
///
/// Cost: of a record nothing but a place in a queue while no checkpoint waits for barriers; then a few
/// comparisons for each that does, and a copy of the record for each that it is in flight for. Of a
/// barrier as much as there are channels.
pub struct Aligner<R> {
    mode: Mode,
    limits: Limits,
    channels: Vec<Channel<R>>,
    /// Begun and neither aligned nor aborted, ascending. One that is not captured is the last of them,
    /// except where no channel waits anyway.
    pending: VecDeque<Pending<R>>,
    /// The newest checkpoint of which a barrier was seen.
    newest: Option<u64>,
    /// Cancelled ones that are newer than that.
    cancelled: BTreeSet<u64>,
    now: Duration,
    actions: VecDeque<Action<R>>,
    /// Channels that waited, do no more, and may hold items.
    released: VecDeque<usize>,
    /// Channels that may have to be stopped or resumed.
    unsteady: Vec<usize>,
    was_full: bool,
    pub(super) room: Room<R>,
    ignored_barriers: u64,
    poisoned: Option<String>,
}

struct Channel<R> {
    queue: Queue<R>,
    /// The last barrier that was handed out of the queue.
    last: Option<u64>,
    /// The checkpoint whose other barriers it waits for.
    waits_for: Option<u64>,
    stopped: bool,
    /// Whether it is said to have ended, and whether that was handed out.
    ended: bool,
    is_over: bool,
}

impl<R> Default for Channel<R> {
    fn default() -> Self {
        let (queue, last, waits_for) = (Queue::default(), None, None);
        Self { queue, last, waits_for, stopped: false, ended: false, is_over: false }
    }
}

impl<R: Clone> Aligner<R> {
    /// An aligner of `channels` inputs, none of which has brought anything.
    ///
    /// # Errors
    /// `Invalid` if there are none: a source captures when its coordinator says.
    pub fn new(channels: usize, mode: Mode, limits: Limits) -> Result<Self> {
        if channels == 0 {
            let message = "channels=0: a subtask without inputs has no barriers to align";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(Self {
            mode,
            channels: (0..channels).map(|_| Channel::default()).collect(),
            pending: VecDeque::new(),
            newest: None,
            cancelled: BTreeSet::new(),
            now: Duration::ZERO,
            actions: VecDeque::new(),
            released: VecDeque::new(),
            unsteady: Vec::new(),
            was_full: false,
            room: Room::new(limits.buffered_len_bytes_max, limits.spilled_len_bytes_max),
            limits,
            ignored_barriers: 0,
            poisoned: None,
        })
    }

    /// Spills what waits beyond [`Limits::buffered_len_bytes_max`] to a nameless file in `folder`, written by
    /// `codec`; besides, up to 64 KiB of each channel and 1 MiB of barriers are in memory. The file begins anew when all of it
    /// was read. Without this call the aligner does no I/O.
    #[must_use]
    pub fn spilling(
        mut self,
        folder: impl Into<PathBuf>,
        codec: impl ValueCodec<R> + 'static,
    ) -> Self {
        self.room.spill = Some(Spill::new(folder.into(), Arc::new(codec)));
        self
    }

    /// A channel brings a record, which takes `len_bytes` bytes in memory.
    ///
    /// # Errors
    /// `Invalid` if there is no such channel, or it has ended: nothing is taken. Of an aligner that spills:
    /// `Invalid` if the record cannot be encoded, `Retry` if the file cannot be written; the record
    /// is lost then, and every call fails with `Poisoned`.
    pub fn record(&mut self, channel: usize, record: R, len_bytes: u64) -> Result<()> {
        match self.waits_for(channel)? {
            false => self.pass(channel, record, len_bytes),
            true => self.queue(channel, Item::Record(record, len_bytes))?,
        }
        Ok(())
    }

    /// A channel brings the barrier of a checkpoint. One that is late, repeated or of an aborted checkpoint
    /// is [counted](Self::ignored_barriers) and nothing else. `now` is the time since a moment of the caller's
    /// choice; a time before one that was given counts as that one.
    ///
    /// # Errors
    /// As for [`record`](Self::record).
    pub fn barrier(&mut self, channel: usize, checkpoint: u64, now: Duration) -> Result<()> {
        let waits = self.waits_for(channel)?;
        self.tick(now);
        // The channel may be free by now, but what it holds comes first.
        match waits {
            false => self.aligned_at(channel, checkpoint, self.now),
            true => self.queue(channel, Item::Barrier(checkpoint, self.now))?,
        }
        Ok(())
    }

    /// A barrier has arrived that records of the same channel stand in front of, which the engine has not
    /// given yet: an [unaligned](Mode::Unaligned) checkpoint begins, and the time for one that becomes
    /// so begins to run, unless channels hold barriers of older ones. The barrier itself is given when its
    /// turn comes. In other modes nothing happens.
    ///
    /// # Errors
    /// `Invalid` if there is no such channel, or it has ended; `Poisoned`.
    pub fn announce(&mut self, channel: usize, checkpoint: u64, now: Duration) -> Result<()> {
        self.waits_for(channel)?;
        self.tick(now);
        let counts = match self.mode {
            Mode::Unaligned => true,
            Mode::ExactlyOnce { timeout } => {
                let holds_none = self.channels.iter().all(|of| of.queue.is_empty());
                timeout.is_some() && holds_none && self.aligning().is_none()
            }
            Mode::AtLeastOnce => false,
        };
        if counts && self.newest < Some(checkpoint) && !self.cancelled.contains(&checkpoint) {
            self.begin(checkpoint, self.now);
            self.time_out();
        }
        Ok(())
    }

    /// A checkpoint comes to nothing, be it that a channel brought the news or the coordinator: it is
    /// aborted if it has begun, and begins no more if it has not. One that is aligned already is not
    /// concerned.
    ///
    /// # Errors
    /// `Poisoned`.
    pub fn cancel(&mut self, checkpoint: u64) -> Result<()> {
        self.check()?;
        if self.pending.iter().any(|pending| pending.checkpoint == checkpoint) {
            self.abort(checkpoint, AbortReason::Cancelled);
        } else if self.newest < Some(checkpoint) && self.cancelled.insert(checkpoint) {
            if self.cancelled.len() > CANCELLED_MAX {
                self.cancelled.pop_first();
            }
            let reason = AbortReason::Cancelled;
            self.actions.push_back(Action::Aborted { checkpoint, reason, captured: false });
        }
        Ok(())
    }

    /// A channel has ended: it counts as if it had brought every barrier. Once all have, no checkpoint begins
    /// here any more: the subtask is finished, and its coordinator knows what that means.
    ///
    /// # Errors
    /// As for [`record`](Self::record).
    pub fn end(&mut self, channel: usize, now: Duration) -> Result<()> {
        let waits = self.waits_for(channel)?;
        self.tick(now);
        if let Some(of) = self.channels.get_mut(channel) {
            (of.ended, of.stopped) = (true, false);
        }
        match waits {
            false => self.over(channel),
            true => self.queue(channel, Item::End)?,
        }
        Ok(())
    }

    /// It is `now`: a checkpoint that aligns for too long becomes an unaligned one.
    pub fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.time_out();
    }

    /// When [`tick`](Self::tick) is to be called at the latest, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        let Mode::ExactlyOnce { timeout: Some(timeout) } = self.mode else { return None };
        self.aligning().map(|pending| pending.since.saturating_add(timeout))
    }

    /// What the engine is to do next; `None`: wait for the next fact.
    ///
    /// # Errors
    /// Of an aligner that spills: `Retry` if the file cannot be read, `Corrupt` if it does not hold what was
    /// written. Every call fails with `Poisoned` then.
    pub fn next_action(&mut self) -> Result<Option<Action<R>>> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Ok(Some(action));
            }
            self.check()?;
            if let Some(channel) = self.released.front().copied() {
                if !self.advance(channel)? {
                    self.released.pop_front();
                }
            } else if self.steady() {
                return Ok(None);
            }
        }
    }

    /// How many bytes of records and barriers wait in memory.
    pub fn buffered_len_bytes(&self) -> u64 {
        self.room.memory_len_bytes
    }

    /// How many bytes the file takes that records are spilled to, and those on their way there.
    pub fn spilled_len_bytes(&self) -> u64 {
        self.room.spilled_len_bytes()
    }

    /// The checkpoints that wait for barriers, ascending.
    pub fn pending(&self) -> impl Iterator<Item = u64> {
        self.pending.iter().map(|pending| pending.checkpoint)
    }

    /// How many barriers were late, repeated or of aborted checkpoints.
    pub fn ignored_barriers(&self) -> u64 {
        self.ignored_barriers
    }
}
