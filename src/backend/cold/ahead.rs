//! Reading what is cold, batch after batch, away from the state.

use super::{Batch, Cold, Marks};
use crate::Result;
use crate::snapshot::ColdChain;
use esker_format::{KeyGroup, KeyGroupRange};
use std::sync::Arc;

/// About how many entries a batch holds, if key groups are not large.
const BATCH_ENTRIES: u64 = 4096;

/// The batches of what is cold of a state at some time.
pub(in crate::backend) struct Ahead {
    chain: Arc<ColdChain>,
    id: u32,
    cold: Marks,
    next: Option<KeyGroup>,
}

impl Ahead {
    pub(in crate::backend) fn new(cold: &Cold) -> Self {
        let next = Some(KeyGroup(cold.marks.range().first()));
        Self { chain: Arc::clone(&cold.chain), id: cold.id, cold: cold.marks.clone(), next }
    }
}

impl Iterator for Ahead {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let range = super::next(&self.chain, self.id, &self.cold, self.next?, BATCH_ENTRIES)?;
        self.next = following(range);
        Some(Batch::read(&self.chain, self.id, range))
    }
}

fn following(range: KeyGroupRange) -> Option<KeyGroup> {
    range.last().checked_add(1).map(KeyGroup)
}
