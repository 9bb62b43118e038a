//! Numeric ids of states: what stands for a state's name in runs.

use crate::format::manifest::{Operator, StateInfo};
use std::collections::BTreeMap;

/// The ids of an operator's states: those of a snapshot, then hashes of names.
///
/// An id stays with its state for as long as any snapshot descends from the first that held it,
/// so that runs written before a rename, or before other states came or went, are still read. That of
/// a state that was dropped is no other's: its entries may still stand in runs.
#[derive(Debug, Default)]
pub(crate) struct StateIds {
    by_name: BTreeMap<String, u32>,
    /// Of states that were dropped, whose entries may still stand in runs; ascending.
    dropped: Vec<u32>,
}

impl StateIds {
    /// The ids that stand in a snapshot.
    pub(crate) fn stored(operator: &Operator) -> Self {
        let by_id = |state: &StateInfo| (state.name.clone(), state.id);
        let by_name = operator.states.iter().map(by_id).collect();
        Self { by_name, dropped: operator.dropped.clone() }
    }

    /// The ids of states that were dropped: nobody gets one, and the next manifest has them too.
    pub(crate) fn dropped(&self) -> &[u32] {
        &self.dropped
    }

    /// The id of the keyed state `name`, from now on taken.
    pub(crate) fn of(&mut self, name: &str) -> u32 {
        self.of_half(name, 0)
    }

    /// The same of an operator state. New ids of keyed states lie in the lower half, these in the
    /// upper one: the two backends of an operator need not know of each other.
    pub(crate) fn of_operator(&mut self, name: &str) -> u32 {
        self.of_half(name, UPPER_HALF)
    }

    fn of_half(&mut self, name: &str, half: u32) -> u32 {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let taken =
            |id: u32| self.by_name.values().any(|other| *other == id) || self.dropped.contains(&id);
        let in_half = |id: u32| id & !UPPER_HALF | half;
        let digest = crate::format::digest::Digest::of(name.as_bytes());
        let mut id = in_half(digest.0[..4].iter().fold(0, |id, byte| id << 8 | u32::from(*byte)));
        // Two names can meet in 31 bits; ids of a snapshot come first, so nothing stored moves.
        while taken(id) {
            id = in_half(id.wrapping_add(1));
        }
        self.by_name.insert(name.to_owned(), id);
        id
    }
}

/// The bit that the ids of operator states have.
const UPPER_HALF: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_distinct_and_taken_from_a_snapshot_first() {
        let mut ids = StateIds::default();
        let (a, b) = (ids.of("a"), ids.of("b"));
        assert_ne!(a, b);
        assert_eq!((ids.of("a"), StateIds::default().of("a")), (a, a));

        let operator = ids.of_operator("c");
        assert!(a < UPPER_HALF && b < UPPER_HALF && operator >= UPPER_HALF);

        // "b" was stored with the id that "a" would get.
        let mut ids = StateIds { by_name: [("b".to_owned(), a)].into(), dropped: vec![] };
        assert_eq!((ids.of("a"), ids.of("b")), (a + 1, a));

        // One of that name was dropped, and one of the next id.
        let mut ids = StateIds { dropped: vec![a, a + 1], ..StateIds::default() };
        assert_eq!((ids.of("a"), ids.dropped()), (a + 2, &[a, a + 1][..]));
    }
}
