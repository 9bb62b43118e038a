//! Entries of keyed state, in whichever form a backend wrote them.

use super::state::FlinkState;
use crate::Result;
use crate::format::manifest::StateKind;
use esker_flink::keys::KeyFormat;
use esker_flink::{FormatError, canonical};

/// An entry of keyed state, its parts told apart; all bytes are as its serializers wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlinkEntry<'a> {
    /// Its key group.
    pub key_group: u16,
    /// Its key.
    pub key: &'a [u8],
    /// Its namespace.
    pub namespace: &'a [u8],
    /// Of a map, the user's key.
    pub user_key: Option<&'a [u8]>,
    /// What is under it.
    pub value: FlinkValue<'a>,
}

/// What an entry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlinkValue<'a> {
    /// A value, of a map one of its values; with TTL its time (`i64`, milliseconds) stands before it.
    One(&'a [u8]),
    /// A map's value that is null.
    Null,
    /// The elements of a list with a comma between them.
    Joined(&'a [u8]),
    /// So many elements of a list, one after the other.
    Counted(usize, &'a [u8]),
    /// All of a list or map, which a serializer wrote that cannot be read: nothing tells its parts.
    Whole(&'a [u8]),
    /// A timer's time, in milliseconds.
    Timer(i64),
}

/// An entry as it lies in a file, its key group known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// Canonical, or of RocksDB: a composite key behind its key group, and the value.
    Composite { key: &'a [u8], value: &'a [u8] },
    /// Of the heap and others: told apart already.
    Parts { key: &'a [u8], namespace: &'a [u8], user_key: Option<&'a [u8]>, value: FlinkValue<'a> },
}

/// The state of an entry, and how its composite keys are put together, where there are any.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) state: &'a FlinkState,
    pub(super) format: Option<&'a KeyFormat<'a>>,
}

/// What is done with entries: they are written as lines, checked, counted.
pub(super) trait Visitor {
    /// Takes an entry of a state; `offset` is where it lies in its file, as far as that is known. What is wrong with the
    /// entry itself is kept by the visitor.
    ///
    /// # Errors
    /// Those of whoever wants the entries.
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, offset: u64) -> Result<()>;

    /// The same of an element of operator state.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry).
    fn element(&mut self, state: &FlinkState, element: Element<'_>, offset: u64) -> Result<()>;
}

/// An element of operator state, of broadcast state with its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) user_key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
}

impl<'a> Raw<'a> {
    /// The entry, its parts told apart.
    ///
    /// # Errors
    /// `Corrupt` if it is none of the state; `Incompatible` if a serializer that cannot be read leaves no way to tell.
    pub(super) fn parts(
        self,
        of: Of<'_>,
        key_group: u16,
    ) -> std::result::Result<FlinkEntry<'a>, FormatError> {
        let (key, bytes) = match self {
            Self::Parts { key, namespace, user_key, value } => {
                return Ok(FlinkEntry { key_group, key, namespace, user_key, value });
            }
            Self::Composite { key, value } => (key, value),
        };
        let format = of.format.ok_or_else(|| {
            FormatError::corrupt("key of an entry", "its state has no keys of this form")
        })?;
        let parts = format.split(key)?;
        let value = match (parts.timestamp_ms, of.state.kind) {
            (Some(time), _) => FlinkValue::Timer(time),
            (None, StateKind::List) => FlinkValue::Joined(bytes),
            (None, StateKind::Map) => {
                canonical::map_value(bytes)?.map_or(FlinkValue::Null, FlinkValue::One)
            }
            (None, _) => FlinkValue::One(bytes),
        };
        let (key, namespace, user_key) = (parts.key, parts.namespace, parts.user_key);
        Ok(FlinkEntry { key_group, key, namespace, user_key, value })
    }
}
