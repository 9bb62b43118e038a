//! The elements of one list, and what was done to them since the last capture.

use super::chunks::Chunks;

/// `kept` of a list of which nothing is left that was there.
const REPLACED: u32 = u32::MAX;

/// The elements of one list. Full chunks are shared with captures; what a write to a shared list
/// copies is the last chunk, at most.
pub(super) struct Body<E> {
    tail: Vec<E>,
    full: Option<Box<Chunks<E>>>,
    /// The capture that will first see the newest change.
    epoch: u32,
    /// How many elements the list had before the first change of this epoch, if they are all there
    /// yet.
    kept: u32,
}

impl<E> Body<E> {
    /// Elements of a chunk: 4 KiB of them, 128 at most.
    pub(super) const CHUNK_ELEMENTS: usize = {
        let size = if size_of::<E>() == 0 { 1 } else { size_of::<E>() };
        match 4096 / size {
            0 => 1,
            1..128 => 4096 / size,
            _ => 128,
        }
    };

    /// An empty list that takes the place of whatever there was.
    pub(super) fn new(epoch: u32) -> Self {
        Self { tail: Vec::new(), full: None, epoch, kept: REPLACED }
    }

    /// Makes ready for a change in this epoch.
    #[inline]
    pub(super) fn begin(&mut self, epoch: u32) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.kept = u32::try_from(self.len()).unwrap_or(REPLACED);
        }
    }

    /// What changed in this epoch: elements before the first new one, 0 if all are new or count as
    /// such; `None` if nothing changed.
    pub(super) fn change(&self, epoch: u32) -> Option<Change> {
        match self.kept {
            _ if self.epoch != epoch => None,
            REPLACED => Some(Change::Replaced),
            kept => Some(Change::Appended(kept as usize)),
        }
    }

    fn full_chunks(&self) -> usize {
        self.full.as_ref().map_or(0, |full| full.count())
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.full_chunks() * Self::CHUNK_ELEMENTS + self.tail.len()
    }

    /// Puts an element behind the others.
    #[inline]
    pub(super) fn push(&mut self, element: E) {
        if self.tail.len() == Self::CHUNK_ELEMENTS {
            self.close_chunk();
        }
        self.tail.push(element);
    }

    #[cold]
    fn close_chunk(&mut self) {
        let chunk = std::mem::replace(&mut self.tail, Vec::with_capacity(Self::CHUNK_ELEMENTS));
        match &mut self.full {
            Some(full) => full.push(chunk),
            None => self.full = Some(Box::new(Chunks::one(chunk))),
        }
    }

    /// The chunk with this number; the tail is the last.
    fn chunk(&self, number: usize) -> Option<&[E]> {
        match &self.full {
            Some(full) if number < full.count() => Some(full.get(number)),
            _ => (number == self.full_chunks()).then_some(&self.tail),
        }
    }
}

/// What an epoch did to a list that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// All elements are new.
    Replaced,
    /// Those from here on are new.
    Appended(usize),
}

impl<E: Clone> Clone for Body<E> {
    #[cold]
    fn clone(&self) -> Self {
        // With room for the element that is the reason for the copy.
        let room = (self.tail.len() + 1).next_power_of_two().min(Self::CHUNK_ELEMENTS);
        let mut tail = Vec::with_capacity(room);
        tail.extend_from_slice(&self.tail);
        Self { tail, full: self.full.clone(), ..*self }
    }
}

/// The elements of a list, in place.
pub struct ListView<'a, E>(Option<&'a Body<E>>);

impl<E> Clone for ListView<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for ListView<'_, E> {}

impl<'a, E> ListView<'a, E> {
    #[inline]
    pub(super) fn new(body: Option<&'a Body<E>>) -> Self {
        Self(body)
    }

    /// How many elements there are.
    pub fn len(self) -> usize {
        self.0.map_or(0, Body::len)
    }

    /// Whether there is no element.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(self, index: usize) -> Option<&'a E> {
        let chunk = self.0?.chunk(index / Body::<E>::CHUNK_ELEMENTS)?;
        chunk.get(index % Body::<E>::CHUNK_ELEMENTS)
    }

    /// The elements, chunk by chunk: the fastest way over all of them.
    pub fn chunks(self) -> impl Iterator<Item = &'a [E]> {
        self.chunks_from(0)
    }

    fn chunks_from(self, first: usize) -> impl Iterator<Item = &'a [E]> {
        (first..).map_while(move |number| self.0?.chunk(number))
    }

    /// The elements, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a E> {
        self.chunks().flatten()
    }

    /// The elements from `index` on.
    pub(super) fn iter_from(self, index: usize) -> impl Iterator<Item = &'a E> {
        let skip = index % Body::<E>::CHUNK_ELEMENTS;
        self.chunks_from(index / Body::<E>::CHUNK_ELEMENTS).flatten().skip(skip)
    }
}

impl<E: Clone> ListView<'_, E> {
    /// Copies of all elements.
    pub fn to_vec(self) -> Vec<E> {
        let mut all = Vec::with_capacity(self.len());
        self.chunks().for_each(|chunk| all.extend_from_slice(chunk));
        all
    }
}
