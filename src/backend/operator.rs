//! Operator state: small, by subtask and not by key. Captured by a reference, written in full.
//!
//! In a run an element is a put in key group 0. Its key is its position (`u64` big-endian) in a list,
//! the encoded key in a broadcast state; the namespace is empty.

mod broadcast;
mod list;
mod redistribute;
#[cfg(test)]
mod tests;

pub use broadcast::BroadcastState;
pub use list::{OperatorListState, Redistribution};
pub use redistribute::{broadcast_source, split_round_robin};

use super::EntrySink;
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroup;
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, Op};

/// The key group in which all operator state stands.
const GROUP: KeyGroup = KeyGroup(0);

/// An operator state at one moment; it never changes (I4), and can be written on any thread.
pub trait OperatorCapture: Send + Sync {
    /// The state's id in runs.
    fn id(&self) -> u32;

    /// How many elements or entries there are.
    fn entries(&self) -> u64;

    /// Writes everything, in run order.
    ///
    /// # Errors
    /// `Invalid` if a value cannot be encoded, and the sink's own.
    fn write(&self, sink: &mut dyn EntrySink) -> Result<()>;
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
