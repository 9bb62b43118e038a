//! Entries of keyed state and elements of operator state, in whichever form a backend wrote them.

use super::state::FlinkState;
use crate::Result;
use crate::format::manifest::StateKind;
use esker_flink::{FormatError, Input};

/// The bit that makes bytes of a timer's time sort as times do.
const SIGN: i64 = i64::MIN;
/// Stands between the elements of a list in canonical form.
pub(super) const DELIMITER: u8 = b',';

/// An entry of keyed state, its parts told apart; all bytes are as its serializers wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlinkEntry<'a> {
    /// Its key group.
    pub key_group: u16,
    /// Its key. All bytes of key, namespace and user key together where the key's serializer is opaque and nothing
    /// tells where it ends: the others are empty then.
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
    /// A timer's time, in milliseconds.
    Timer(i64),
}

/// An entry as it lies in a file, its key group known.
#[derive(Debug, Clone, Copy)]
pub(super) enum Raw<'a> {
    /// Canonical, or of RocksDB: a composite key behind its key group, and the value.
    Composite { key: &'a [u8], value: &'a [u8] },
    /// Of the heap and others: told apart already.
    Parts(FlinkEntry<'a>),
}

/// What is done with entries: they are written as lines, checked, counted.
pub(super) trait Visitor {
    /// Takes an entry of `state`; `offset` is where it lies in its file, as far as that is known.
    ///
    /// # Errors
    /// Those of whoever wants the entries: damage is kept by the visitor.
    fn entry(
        &mut self,
        state: &FlinkState,
        key_group: u16,
        raw: Raw<'_>,
        offset: u64,
    ) -> Result<()>;
}

impl<'a> Raw<'a> {
    /// Its parts, as far as they can be told.
    ///
    /// # Errors
    /// `Corrupt` if the key is none of the state.
    pub(super) fn parts(
        self,
        state: &FlinkState,
        key_group: u16,
        offset: u64,
    ) -> std::result::Result<FlinkEntry<'a>, FormatError> {
        let (key, value) = match self {
            Self::Parts(entry) => return Ok(entry),
            Self::Composite { key, value } => (key, value),
        };
        let mut input = Input::new("key", key).based_at(offset);
        let mut entry = FlinkEntry {
            key_group,
            key,
            namespace: &[],
            user_key: None,
            value: FlinkValue::One(value),
        };
        if state.is_timer() {
            entry.value = FlinkValue::Timer(input.i64()? ^ SIGN);
            entry.key = input.rest();
        }
        if state.has_opaque_place() {
            state.split_opaque(&mut entry);
            return entry.of_kind(state, value, offset);
        }
        entry.key = state.take_key(&mut input)?;
        entry.namespace = state.take_namespace(&mut input)?;
        if state.kind == StateKind::Map {
            entry.user_key = Some(input.rest());
        } else {
            input.end()?;
        }
        entry.of_kind(state, value, offset)
    }
}

impl<'a> FlinkEntry<'a> {
    /// The same, with what the value is by the kind of `state`.
    fn of_kind(
        mut self,
        state: &FlinkState,
        value: &'a [u8],
        offset: u64,
    ) -> std::result::Result<Self, FormatError> {
        match state.kind {
            StateKind::List => self.value = FlinkValue::Joined(value),
            StateKind::Map => self.value = map_value(value, offset)?,
            _ => {}
        }
        Ok(self)
    }
}

/// A map's value behind the flag that says whether it is null.
pub(super) fn map_value(
    bytes: &[u8],
    offset: u64,
) -> std::result::Result<FlinkValue<'_>, FormatError> {
    match bytes.split_first() {
        Some((0, value)) => Ok(FlinkValue::One(value)),
        Some(_) => Ok(FlinkValue::Null),
        None => {
            let message = "a map's value lacks the flag that says whether it is null";
            Err(FormatError::corrupt("value", message).at(offset))
        }
    }
}

/// A timer's time as it lies in a canonical key.
pub(super) fn timer_time(input: &mut Input<'_>) -> std::result::Result<i64, FormatError> {
    Ok(input.i64()? ^ SIGN)
}
