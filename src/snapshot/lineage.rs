//! From checkpoint to checkpoint of one subtask: what the next one builds on, and whose changes it
//! must write besides its own.

use super::chain::Chain;
use super::writer::Captures;
use std::collections::BTreeSet;

/// What a subtask's next checkpoint builds on.
///
/// A capture knows what changed since the one before it, whatever that was taken for. So a checkpoint
/// writes the changes of all captures since the one whose checkpoint completed last: those of checkpoints
/// that are in flight, were given up or failed, and of savepoints, are kept until a newer checkpoint
/// completes. Memory: what the kept captures hold. Numbers ascend from call to call.
#[derive(Default)]
pub struct Lineage {
    chain: Chain,
    /// All captures after that of `chain`, by their numbers.
    pending: Vec<(u64, Captures)>,
    in_flight: BTreeSet<u64>,
    /// The last capture there was.
    last: u64,
    /// Below this number no checkpoint is a basis: what changed after its capture is known no more.
    lost: u64,
    full: bool,
}

impl Lineage {
    /// A lineage that goes on from `chain`; from [`Chain::default`] its first checkpoint is full.
    pub fn new(chain: Chain) -> Self {
        Self { chain, ..Self::default() }
    }

    /// The chain of the last checkpoint that completed.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// How many captures wait for a checkpoint that completes.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Makes the next checkpoint a full one: kept captures are given up, and their memory. Also where someone
    /// else took a capture, so that what changed before it is known no more: of checkpoints that are in flight
    /// none is a basis then.
    pub fn fall_back(&mut self) {
        (self.full, self.lost) = (true, self.last.saturating_add(1));
        self.pending.clear();
    }

    /// Begins `checkpoint`, of `captures`: what to write, as [`PartInput`](super::PartInput) takes it. It is
    /// in flight until [`completed`](Self::completed) or [`aborted`](Self::aborted).
    pub fn begin(
        &mut self,
        checkpoint: u64,
        captures: Captures,
        pending_max: usize,
    ) -> (Vec<Captures>, Chain) {
        if self.pending.len() >= pending_max {
            self.fall_back();
        }
        let is_counted = captures.iter().all(|capture| capture.is_counted());
        if !is_counted {
            // Nobody will know what changed before them.
            self.fall_back();
        }
        self.begun(checkpoint);
        if self.full || self.chain.part.runs.is_empty() {
            self.full = true;
            self.forget_unneeded();
            self.in_flight.insert(checkpoint);
            if is_counted {
                self.pending.push((checkpoint, captures.clone()));
            }
            return (vec![captures], Chain::default());
        }
        self.in_flight.insert(checkpoint);
        self.pending.push((checkpoint, captures));
        (self.pending.iter().map(|(_, captures)| captures.clone()).collect(), self.chain.clone())
    }

    /// Begins a native checkpoint: what it builds on. Such a checkpoint is complete in itself.
    pub fn begin_native(&mut self, checkpoint: u64) -> Chain {
        self.begun(checkpoint);
        self.pending.clear();
        self.chain.clone()
    }

    /// Keeps captures that were taken for something else, a savepoint say: the next checkpoint knows
    /// what changed since them alone.
    pub fn set_aside(&mut self, number: u64, captures: Captures) {
        self.begun(number);
        if self.full || self.chain.part.runs.is_empty() {
            self.forget_unneeded();
        }
        let is_needed = !self.full && !self.chain.part.runs.is_empty();
        if is_needed || !self.in_flight.is_empty() {
            self.pending.push((number, captures));
        }
    }

    /// `checkpoint` is complete, and left `chain`. Older ones that were in flight are not any more.
    pub fn completed(&mut self, checkpoint: u64, chain: Chain) {
        self.in_flight.retain(|of| *of > checkpoint);
        self.pending.retain(|(of, _)| *of > checkpoint);
        if checkpoint >= self.lost {
            (self.chain, self.full) = (chain, false);
        }
    }

    /// `checkpoint` was given up.
    pub fn aborted(&mut self, checkpoint: u64) {
        self.in_flight.remove(&checkpoint);
    }

    fn begun(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    /// Where the next checkpoint is a full one, what was captured before it is needed only by those that are
    /// in flight: if one of them completes, the next is to write what changed since.
    fn forget_unneeded(&mut self) {
        match self.in_flight.first() {
            Some(first) => self.pending.retain(|(of, _)| of >= first),
            None => self.pending.clear(),
        }
    }
}
