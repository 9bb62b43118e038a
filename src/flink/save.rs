//! Canonical savepoints of Flink's, written: metadata of the version that every Flink from 1.14 to 2.3 reads, and beside it
//! a file for the keyed state of each subtask and one for its operator state. What is small lies inside the metadata.

mod elements;
pub(crate) mod infos;
mod keyed;
mod layout;
mod read;
mod sort;
mod spill;
mod target;
pub(crate) mod values;

pub(crate) use layout::Layout;
pub(crate) use sort::{Sort, Sorted};

use super::FlinkStream;
use super::format::Metadata;
use super::format::header::{KeyedHeader, OperatorHeader};
use super::format::key_group::KeyGroupRange;
use super::format::metadata::{
    KeyedHandle, MasterState, Operator, OperatorHandle, Subtask, SubtaskState,
};
use crate::snapshot::Count;
use crate::{Result, Store};
use elements::ElementStream;
use keyed::KeyedStream;
use spill::Spilled;
use target::Target;

/// An operator of a savepoint to be written.
pub(crate) struct NewOperator<'a> {
    /// Id, parallelism, maximum parallelism and coordinator; it has no subtasks yet, but for those that had finished.
    pub(crate) operator: Operator,
    /// What keyed state it has.
    pub(crate) keyed: Option<KeyedHeader>,
    /// What operator state it has.
    pub(crate) elements: Option<OperatorHeader>,
    /// Operator state that functions wrote as they liked, by subtask: as it was.
    pub(crate) raw: Vec<(u32, OperatorHandle, FlinkStream)>,
    /// What it holds.
    pub(crate) entries: &'a dyn OperatorEntries,
}

/// Where the entries of an operator come from.
pub(crate) trait OperatorEntries: Sync {
    /// Calls `each` with the entries of keyed state in `range`, ascending by key group.
    ///
    /// # Errors
    /// Its own, and those of `each`.
    fn keyed(&self, range: KeyGroupRange, each: &mut KeyedSink<'_>) -> Result<()>;

    /// Calls `each` with the elements of operator state of a subtask, those of a state in a row and in their order.
    ///
    /// # Errors
    /// As for [`keyed`](Self::keyed).
    fn elements(&self, subtask: u32, each: &mut ElementSink<'_>) -> Result<()>;

    /// How many entries the broadcast state has that is this one of the header's.
    fn broadcast_len(&self, state: usize) -> u64;
}

/// Takes an entry of keyed state, all of it encoded.
pub(crate) type KeyedSink<'a> = dyn FnMut(KeyedEntry<'_>) -> Result<()> + 'a;
/// Takes an element of operator state, encoded.
pub(crate) type ElementSink<'a> = dyn FnMut(Element<'_>) -> Result<()> + 'a;

/// An entry of keyed state in canonical form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyedEntry<'a> {
    pub(crate) key_group: u16,
    /// The place of its state in the header.
    pub(crate) state: u16,
    /// All of its key behind the key group: [`KeyFormat::put`](super::format::keys::KeyFormat::put).
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// An element of operator state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Element<'a> {
    /// The place of its state in the header: lists, then broadcast states.
    pub(crate) state: u16,
    /// The key, of broadcast state.
    pub(crate) user_key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// What was written; files are `_metadata` and what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlinkWritten {
    /// The id of the savepoint.
    pub checkpoint: i64,
    /// How many entries of keyed state and elements of operator state it holds, broadcast state once.
    pub entries: u64,
    /// The files that this call wrote.
    pub written: Count,
    /// The files that were there already.
    pub present: Count,
}

/// Writes a savepoint to the root of a folder that it has to itself: operator by operator, and at last `_metadata`. Files are named by their
/// digests, and one that is there is not written again; so who comes after one that failed, or died, writes what is left. Equal
/// entries give equal files.
///
/// Memory: some MiB. Each file is made in the system's temporary folder first.
pub(crate) struct Writer<'t> {
    target: Target<'t>,
    metadata: Metadata,
    entries: u64,
}

impl<'t> Writer<'t> {
    /// # Errors
    /// `Conflict` if other files are in `target`; the store's.
    pub(crate) async fn new(
        target: &'t Store,
        checkpoint: i64,
        master_states: Vec<MasterState>,
    ) -> Result<Self> {
        let target = Target::open(target).await?;
        let metadata = Metadata { master_states, ..Metadata::new(checkpoint) };
        Ok(Self { target, metadata, entries: 0 })
    }

    /// Writes an operator. `progress` is told of entries that lie in the temporary folder.
    ///
    /// # Errors
    /// `Invalid` for what Flink has no form for; those of the entries; the stores'.
    pub(crate) async fn operator(
        &mut self,
        new: NewOperator<'_>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<()> {
        let (operator, added) = write_operator(&mut self.target, new, progress).await?;
        self.metadata.operators.push(operator);
        self.entries += added;
        Ok(())
    }

    /// Writes the metadata: there is a savepoint afterwards.
    ///
    /// # Errors
    /// `Conflict` if `target` holds another snapshot or other files; the store's.
    pub(crate) async fn finish(self) -> Result<FlinkWritten> {
        let (checkpoint, entries) = (self.metadata.checkpoint_id, self.entries);
        let (written, present) = self.target.finish(&self.metadata).await?;
        Ok(FlinkWritten { checkpoint, entries, written, present })
    }

    /// Deletes what was written, as far as that can be: nobody will go on with it.
    pub(crate) async fn take_back(self) {
        self.target.take_back().await;
    }
}

/// The operator with its subtasks, and how many entries it has.
async fn write_operator(
    target: &mut Target<'_>,
    new: NewOperator<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Operator, u64)> {
    let NewOperator { mut operator, keyed, elements, raw, entries } = new;
    let (parallelism, max_parallelism) = (operator.parallelism, operator.max_parallelism);
    let mut count = 0;
    // Of one that had finished as a whole there are no subtasks.
    let subtasks = if operator.finished { 0 } else { parallelism };
    for index in 0..subtasks {
        if operator.subtasks.iter().any(|subtask| subtask.index == index) {
            continue;
        }
        let mut state = SubtaskState::default();
        if let Some(header) = &keyed {
            let range = KeyGroupRange::of_subtask(index, parallelism, max_parallelism)?;
            let mut stream = KeyedStream::new(header, range, max_parallelism)?;
            entries.keyed(range, &mut |entry| {
                progress(1);
                stream.add(entry)
            })?;
            count += stream.entries();
            if let Some((spilled, handle)) = stream.finish()? {
                let handle = handle.of(target.place(spilled).await?);
                state.keyed = Some(KeyedHandle::KeyGroups(handle));
            }
        }
        if let Some(header) = &elements {
            let mut stream = ElementStream::new(header, &|state| entries.broadcast_len(state))?;
            entries.elements(index, &mut |element| {
                progress(1);
                stream.add(element)
            })?;
            count += stream.elements(index == 0);
            let (spilled, states) = stream.finish()?;
            let stream = target.place(spilled).await?;
            let position = Default::default();
            state.operator = Some(OperatorHandle { position, states, folders: None, stream });
        }
        if let Some((_, handle, stream)) = raw.iter().find(|(subtask, ..)| *subtask == index) {
            let stream = target.place(Spilled::copy(stream)?).await?;
            state.operator_raw = Some(OperatorHandle { folders: None, stream, ..handle.clone() });
        }
        operator.subtasks.push(Subtask { index, state: Some(Box::new(state)) });
    }
    operator.subtasks.sort_by_key(|subtask| subtask.index);
    Ok((operator, count))
}
