//! From checkpoint to checkpoint of one subtask: what the next one builds on, and whose changes it
//! must write besides its own.

use super::chain::Chain;
use super::writer::Captures;

/// What a subtask's next checkpoint builds on.
///
/// A checkpoint that is aborted or fails leaves its capture behind: what changed between it and the
/// next capture is all that the next one knows of, so the next checkpoint writes both. Memory: what
/// the kept captures hold. One checkpoint of a subtask is written after the other.
#[derive(Default)]
pub struct Lineage {
    chain: Chain,
    pending: Vec<Captures>,
    full: bool,
}

impl Lineage {
    /// A lineage that goes on from `chain`; from [`Chain::default`] its first checkpoint is full.
    pub fn new(chain: Chain) -> Self {
        Self { chain, pending: Vec::new(), full: false }
    }

    /// The chain of the last checkpoint that completed.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// How many captures wait for a checkpoint that completes.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Makes the next checkpoint a full one: kept captures are given up, and their memory.
    pub fn fall_back(&mut self) {
        self.full = true;
        self.pending.clear();
    }

    /// Begins a checkpoint of `captures`: what to write, as [`PartInput`](super::PartInput) takes it.
    /// Whoever begins another one without [`completed`](Self::completed) has had a failure.
    pub fn begin(&mut self, captures: Captures, pending_max: usize) -> (Vec<Captures>, Chain) {
        if self.pending.len() >= pending_max {
            self.fall_back();
        }
        let counted = captures.iter().all(|capture| capture.is_counted());
        if self.full || self.chain.part.runs.is_empty() || !counted {
            // A full one needs nothing of what was before, but a failure of it would.
            self.full = true;
            self.pending.clear();
            return (vec![captures], Chain::default());
        }
        self.pending.push(captures);
        (self.pending.clone(), self.chain.clone())
    }

    /// Begins a native checkpoint: what it builds on. Such a checkpoint is complete in itself.
    pub fn begin_native(&mut self) -> Chain {
        self.pending.clear();
        self.chain.clone()
    }

    /// Keeps captures that were taken for something else, a savepoint say: the next checkpoint knows
    /// what changed since them alone.
    pub fn set_aside(&mut self, captures: Captures) {
        if !self.full && !self.chain.part.runs.is_empty() {
            self.pending.push(captures);
        }
    }

    /// The checkpoint that was begun last is complete, and left `chain`.
    pub fn completed(&mut self, chain: Chain) {
        (self.chain, self.full) = (chain, false);
        self.pending.clear();
    }
}
