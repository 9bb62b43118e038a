//! Operator state that is a list of elements: dealt out on restore, or all to all.

use super::{NewSubtask, OperatorCapture, OperatorState, key_of, put};
use crate::backend::EntrySink;
use crate::backend::stored::Stored;
use crate::{Error, ErrorKind, Result};
use esker_format::ValueCodec;
use esker_format::manifest::{StateInfo, StateKind};
use esker_format::run::Entry;
use std::sync::Arc;

/// Who gets the elements of a list on restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redistribution {
    /// They are dealt out one by one, in order of old subtask and position.
    Split,
    /// Every subtask gets all, in the same order.
    Union,
}

/// A list of elements of one subtask.
///
/// ```
/// # use esker::backend::operator::{OperatorListState, Redistribution};
/// # use esker::format::Ordered;
/// let mut offsets = OperatorListState::<(u32, u64)>::new(1, Redistribution::Split, Ordered);
/// offsets.add((0, 17));
/// let capture = offsets.capture();
/// offsets.update(vec![(0, 18)]);
/// assert_eq!(offsets.get(), [(0, 18)]);
/// # let _ = capture;
/// ```
pub struct OperatorListState<E> {
    id: u32,
    redistribution: Redistribution,
    elements: Arc<Vec<E>>,
    stored: Stored<E>,
    /// How many elements of older subtasks a restore has met.
    met: u64,
}

impl<E: Clone + Send + Sync + 'static> OperatorListState<E> {
    /// An empty list with numeric id `id`.
    pub fn new(
        id: u32,
        redistribution: Redistribution,
        codec: impl ValueCodec<E> + 'static,
    ) -> Self {
        let (elements, stored) = (Arc::new(Vec::new()), Stored::new(codec));
        Self { id, redistribution, elements, stored, met: 0 }
    }

    /// The kind of the state in manifests.
    pub fn kind(&self) -> StateKind {
        match self.redistribution {
            Redistribution::Split => StateKind::OperatorList,
            Redistribution::Union => StateKind::OperatorUnion,
        }
    }

    /// The elements.
    pub fn get(&self) -> &[E] {
        &self.elements
    }

    /// Adds an element behind the others. The first write after a capture that is still alive
    /// copies the list.
    pub fn add(&mut self, element: E) {
        Arc::make_mut(&mut self.elements).push(element);
    }

    /// Replaces all elements.
    pub fn update(&mut self, elements: Vec<E>) {
        self.elements = Arc::new(elements);
    }

    /// Removes all elements.
    pub fn clear(&mut self) {
        self.update(Vec::new());
    }

    /// The list as it is now, by reference.
    pub fn capture(&self) -> Arc<dyn OperatorCapture> {
        let (elements, codec) = (Arc::clone(&self.elements), self.stored.codec());
        Arc::new(ListCapture { id: self.id, elements, codec })
    }

    /// Makes ready to [`apply`](Self::apply) the entries of the stored state `stored`, of all old
    /// subtasks in order.
    ///
    /// # Errors
    /// `Incompatible`, naming the difference, if its elements are of another type and cannot be
    /// migrated.
    pub fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)?;
        self.clear();
        self.met = 0;
        Ok(())
    }

    /// Applies one entry; subtask `subtask` of `parallelism` takes what falls to it.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no entry of this state.
    pub fn apply(&mut self, entry: Entry<'_>, subtask: u32, parallelism: u32) -> Result<()> {
        let Some(key) = key_of(self.id, entry)? else { return Ok(()) };
        if key.len() != size_of::<u64>() {
            let message = format!("the position of an element has {} bytes, not 8", key.len());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let number = self.met;
        self.met += 1;
        let turn = number.checked_rem(parallelism.into());
        if self.redistribution == Redistribution::Union || turn == Some(subtask.into()) {
            let element = self.stored.decode(entry.value)?;
            self.add(element);
        }
        Ok(())
    }

    /// Ends a restore.
    pub fn end_restore(&mut self) {
        self.stored.end_restore();
        self.met = 0;
    }
}

impl<E: Clone + Send + Sync + 'static> OperatorState for OperatorListState<E> {
    fn capture_state(&self) -> Arc<dyn OperatorCapture> {
        self.capture()
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        OperatorListState::begin_restore(self, stored)
    }

    fn apply(&mut self, entry: Entry<'_>, _owner: u32, to: NewSubtask) -> Result<()> {
        OperatorListState::apply(self, entry, to.subtask, to.parallelism)
    }

    fn end_restore(&mut self) {
        OperatorListState::end_restore(self);
    }
}

struct ListCapture<E> {
    id: u32,
    elements: Arc<Vec<E>>,
    codec: Arc<dyn ValueCodec<E>>,
}

impl<E: Send + Sync> OperatorCapture for ListCapture<E> {
    fn states(&self) -> Vec<(u32, u64)> {
        vec![(self.id, self.elements.len() as u64)]
    }

    fn write(&self, sink: &mut dyn EntrySink) -> Result<()> {
        let mut value = Vec::new();
        for (position, element) in (0_u64..).zip(self.elements.iter()) {
            value.clear();
            self.codec.encode(element, &mut value)?;
            put(sink, self.id, &position.to_be_bytes(), &value)?;
        }
        Ok(())
    }
}
