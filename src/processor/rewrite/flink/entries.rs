//! The entries of an operator that are left, in the order in which they are written.

use super::entry::{Changed, Scratch};
use super::operator::OperatorRewrite;
use crate::Result;
use crate::flink::save::{ElementSink, KeyedSink, OperatorEntries, Sort, Sorted};
use crate::format::manifest::StateKind;
use esker_flink::key_group::KeyGroupRange;
use std::collections::BTreeMap;

/// Takes the subtask of an element and whether it is of broadcast state, the place of its state in the new header, user key and value.
type EachElement<'a> = dyn FnMut((u32, bool), u16, &[u8], &[u8]) -> Result<()> + 'a;

/// The entries of an operator, sorted where they do not come in order.
pub(super) struct Prepared<'o> {
    operator: &'o OperatorRewrite<'o>,
    keyed: Option<Sorted>,
    elements: Option<Sorted>,
}

impl<'o> Prepared<'o> {
    /// # Errors
    /// Those of reading, of the changes, and of the temporary folder.
    pub(super) fn new(operator: &'o OperatorRewrite<'o>) -> Result<Self> {
        let mut prepared = Self { operator, keyed: None, elements: None };
        if operator.keyed.is_some() && !operator.is_in_order {
            let mut sort = Sort::new()?;
            operator.keyed(operator.all()?, &mut |entry| sort.keyed(entry))?;
            prepared.keyed = Some(sort.finish()?);
        }
        if operator.elements.is_some() {
            prepared.elements = Some(operator.sorted_elements()?);
        }
        Ok(prepared)
    }
}

impl OperatorEntries for Prepared<'_> {
    fn keyed(&self, range: KeyGroupRange, each: &mut KeyedSink<'_>) -> Result<()> {
        match &self.keyed {
            Some(sorted) => sorted.keyed(range, each),
            None => self.operator.keyed(range, each),
        }
    }

    fn elements(&self, subtask: u32, each: &mut ElementSink<'_>) -> Result<()> {
        match &self.elements {
            Some(sorted) => sorted.elements(subtask, each),
            None => Ok(()),
        }
    }

    fn broadcast_len(&self, state: usize) -> u64 {
        self.elements.as_ref().map_or(0, |sorted| sorted.broadcast_len(state))
    }
}

impl OperatorRewrite<'_> {
    /// All key groups that the source has.
    fn all(&self) -> Result<KeyGroupRange> {
        let max_parallelism = self.operator.max_parallelism;
        Ok(KeyGroupRange::of_subtask(0, 1, max_parallelism)?)
    }

    /// Counts what there is and what is left.
    ///
    /// # Errors
    /// Those of reading and of the changes.
    pub(super) fn count(&self) -> Result<()> {
        if self.keyed.is_some() {
            self.keyed(self.all()?, &mut |_| Ok(()))?;
        }
        if self.elements.is_some() {
            self.each_element(&mut |_, _, _, _| Ok(()))?;
        }
        Ok(())
    }

    /// Calls `each` with what is left of the entries in `range` of the source's key groups.
    fn keyed(&self, range: KeyGroupRange, each: &mut KeyedSink<'_>) -> Result<()> {
        let changed = Changed::new(self)?;
        let mut scratch = Scratch::default();
        self.snapshot.each_entry(self.operator, range, &mut |state, entry| {
            changed.entry(&mut scratch, (state, entry), each)
        })
    }

    /// Calls `each` with what is left of operator state.
    fn each_element(&self, each: &mut EachElement<'_>) -> Result<()> {
        let mut scratch = Scratch::default();
        self.snapshot.each_element(self.operator, &mut |subtask, state, user_key, value| {
            let Some(of) = scratch.find(&self.element_states, &state.name) else { return Ok(()) };
            let len_bytes = user_key.map_or(0, <[u8]>::len) + value.len();
            of.before.add(1, len_bytes);
            let Some(to) = of.to else { return Ok(()) };
            let is_broadcast = state.kind == StateKind::OperatorBroadcast;
            scratch.element(of, (state, user_key, value), &mut |value| {
                of.left.add(1, user_key.map_or(0, <[u8]>::len) + value.len());
                each((subtask, is_broadcast), to, user_key.unwrap_or_default(), value)
            })
        })
    }

    /// The elements of all subtasks; dealt out anew, one by one, if there are to be more subtasks or fewer.
    fn sorted_elements(&self) -> Result<Sorted> {
        let mut sort = Sort::new()?;
        let mut dealt: BTreeMap<u16, u32> = BTreeMap::new();
        let parallelism = self.parallelism();
        let is_dealt = parallelism != self.operator.parallelism;
        self.each_element(&mut |(subtask, is_broadcast), state, user_key, value| {
            if is_broadcast {
                return sort.broadcast(state, user_key, value);
            }
            let mut subtask = subtask;
            if is_dealt {
                let next = dealt.entry(state).or_default();
                subtask = *next;
                *next = (subtask + 1) % parallelism.max(1);
            }
            sort.element(subtask, state, value)
        })?;
        sort.finish()
    }
}
