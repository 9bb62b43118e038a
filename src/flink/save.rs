//! Canonical savepoints of Flink's, written: metadata of the version that every Flink from 1.14 to 2.3 reads, and beside it
//! a file for the keyed state of each subtask and one for its operator state. What is small lies inside the metadata.

mod elements;
mod keyed;
mod layout;
mod read;
mod sort;
mod spill;
mod target;

pub(crate) use layout::Layout;
pub(crate) use sort::{Sort, Sorted};

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
    /// What it holds.
    pub(crate) entries: Box<dyn OperatorEntries + 'a>,
}

/// Where the entries of an operator come from.
pub(crate) trait OperatorEntries {
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

/// What [`write`] did; files are `_metadata` and what it names.
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

/// Writes a savepoint to the root of `target`, which it has to itself: at last `_metadata`. Files are named by their
/// digests, and one that is there is not written again; so a call after one that failed, or died, writes what is left. Equal entries
/// give equal files.
///
/// Memory: some MiB. Each file is made in the system's temporary folder first. `progress` is told of entries that lie there.
///
/// # Errors
/// `Conflict` if `target` holds another snapshot or other files; `Invalid` for what Flink has no form for; those of the
/// entries; the stores'.
pub(crate) async fn write(
    target: &Store,
    (checkpoint, master_states): (i64, Vec<MasterState>),
    operators: Vec<NewOperator<'_>>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<FlinkWritten> {
    let mut target = Target::open(target).await?;
    let mut metadata = Metadata { master_states, ..Metadata::new(checkpoint) };
    let mut entries = 0;
    for new in operators {
        let (operator, added) = write_operator(&mut target, new, progress).await?;
        metadata.operators.push(operator);
        entries += added;
    }
    let (written, present) = target.finish(&metadata).await?;
    Ok(FlinkWritten { checkpoint, entries, written, present })
}

/// The operator with its subtasks, and how many entries it has.
async fn write_operator(
    target: &mut Target<'_>,
    new: NewOperator<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Operator, u64)> {
    let NewOperator { mut operator, keyed, elements, entries } = new;
    let (parallelism, max_parallelism) = (operator.parallelism, operator.max_parallelism);
    let mut count = 0;
    for index in 0..parallelism {
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
                let handle = handle(target.place(spilled).await?);
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
            let (spilled, states): (Spilled, _) = stream.finish()?;
            let stream = target.place(spilled).await?;
            let position = Default::default();
            state.operator = Some(OperatorHandle { position, states, folders: None, stream });
        }
        operator.subtasks.push(Subtask { index, state: Some(Box::new(state)) });
    }
    operator.subtasks.sort_by_key(|subtask| subtask.index);
    Ok((operator, count))
}
