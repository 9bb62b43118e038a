//! Operator state: small, by subtask and not by key. Captured by a reference, written in full.
//!
//! In a run an element is a put in key group 0. Its key is its position (`u64` big-endian) in a list,
//! the encoded key in a broadcast state; the namespace is empty.

mod backend;
mod broadcast;
mod descriptors;
mod list;
mod redistribute;
#[cfg(test)]
mod tests;

pub use backend::{OperatorBackend, OperatorDescriptor};
pub use broadcast::BroadcastState;
pub use list::{OperatorListState, Redistribution};
pub use redistribute::{broadcast_source, split_round_robin};

use super::EntrySink;
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroup;
use esker_format::composite::CompositeKey;
use esker_format::manifest::StateInfo;
use esker_format::run::{Entry, Op};
use std::any::Any;
use std::sync::Arc;

/// The key group in which all operator state stands.
const GROUP: KeyGroup = KeyGroup(0);

/// Operator state of a subtask at one moment, one state or all; it never changes (I4), and can be
/// written on any thread.
pub trait OperatorCapture: Send + Sync {
    /// Ids of its states, ascending, with how many elements each holds.
    fn states(&self) -> Vec<(u32, u64)>;

    /// Writes all of it in run order: keys of key group 0, as SPEC.md says under "Part".
    ///
    /// # Errors
    /// `Invalid` if an element cannot be encoded, and the sink's own.
    fn write(&self, sink: &mut dyn EntrySink) -> Result<()>;
}

/// An operator state as its backend sees it, whatever its kind and types.
pub trait OperatorState: Any + Send {
    /// The state as it is now, by reference.
    fn capture_state(&self) -> Arc<dyn OperatorCapture>;

    /// Makes ready to [`apply`](Self::apply) the elements of the stored state `stored`.
    ///
    /// # Errors
    /// `Incompatible`, naming the difference, if they are of another type and cannot be migrated.
    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()>;

    /// Applies one element that `owner` held; elements come in order of owner and key. Of each, the
    /// state takes what falls to the new subtask.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no element of this state.
    fn apply(&mut self, entry: Entry<'_>, owner: u32, to: NewSubtask) -> Result<()>;

    /// Ends a restore.
    fn end_restore(&mut self);
}

/// A subtask that is being restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSubtask {
    /// Its index.
    pub subtask: u32,
    /// How many there are now.
    pub parallelism: u32,
    /// How many there were.
    pub old_parallelism: u32,
}

/// Hands a put of `value` under `key` to `sink`.
fn put(sink: &mut dyn EntrySink, state: u32, key: &[u8], value: &[u8]) -> Result<()> {
    let mut composite = Vec::with_capacity(key.len() + 16);
    CompositeKey::new(state, GROUP, key, &[], &[]).encode_into(&mut composite);
    sink.add(Entry { key: &composite, op: Op::Put, value })
}

/// The key of an entry of operator state `state`; `None` if it is another state's.
fn key_of<'a>(state: u32, entry: Entry<'a>) -> Result<Option<std::borrow::Cow<'a, [u8]>>> {
    let parts = CompositeKey::decode(entry.key)?;
    if parts.state != state {
        return Ok(None);
    }
    let is_element = entry.op == Op::Put
        && parts.group == GROUP
        && parts.namespace.is_empty()
        && parts.user_key.is_empty();
    if is_element {
        return Ok(Some(parts.key));
    }
    let message = format!(
        "no element of an operator state: {:?} in key group {}, namespace of {} bytes, user key \
         of {}",
        entry.op,
        parts.group.0,
        parts.namespace.len(),
        parts.user_key.len()
    );
    Err(Error::new(ErrorKind::Corrupt, message))
}
