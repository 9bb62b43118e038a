//! What makes the hashes of a table its own.

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use foldhash::quality::RandomState;
use std::hash::BuildHasher;

/// A seed of this process alone: who chooses keys cannot know where they fall.
#[derive(Debug, Clone, Copy)]
pub struct Seed {
    own: u64,
    /// Kept here, as asking for it means a check each time that it was made.
    shared: &'static SharedSeed,
}

impl Seed {
    /// Another seed for each process and call; `id` is mixed in.
    pub fn of(id: u32) -> Self {
        Self { own: RandomState::default().hash_one(id), shared: SharedSeed::global_random() }
    }

    /// One seed for all of the process.
    #[inline]
    pub fn common() -> Self {
        Self { own: 0, shared: SharedSeed::global_random() }
    }

    /// The same seed each time.
    #[cfg(test)]
    pub(super) fn fixed(own: u64) -> Self {
        Self { own, shared: SharedSeed::global_fixed() }
    }

    /// A hasher under this seed.
    #[inline]
    pub fn hasher(&self) -> FoldHasher<'static> {
        // The seed is a hash itself, so hashbrown's own quick form of foldhash does.
        FoldHasher::with_seed(self.own, self.shared)
    }
}
