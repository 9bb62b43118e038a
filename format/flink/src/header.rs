//! What stands in front of state: which states there are, and what wrote them (SPEC.md, "Headers").
//!
//! Keyed state has one form of it, whatever its backend (canonical, heap, RocksDB), operator state another.

mod lists;
mod recover;
mod state;
#[cfg(test)]
mod tests;

pub use state::{KeyedStateType, Role, StateKind, StateMeta};

use crate::snappy;
use crate::{FormatError, FormatErrorKind, Input, Output, Result, Serializer};
use lists::StateLists;
use recover::recover;

/// The version of keyed headers that every Flink since 1.8 writes, and the one that is read.
const KEYED_VERSION: i32 = 6;
/// Of operator state: from 1.18 on with a flag for compression, before without.
const OPERATOR_VERSIONS: std::ops::RangeInclusive<i32> = 5..=6;

/// The header of keyed state.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedHeader {
    /// Whether the data of key groups is compressed.
    pub compressed: bool,
    /// What wrote the keys.
    pub key: Serializer,
    /// The states; one's place here is its id in this stream.
    pub states: Vec<StateMeta>,
    /// Which states stand there and could not be read.
    pub lost: Option<Lost>,
}

/// The header of operator state.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorHeader {
    /// Whether it is in the form that 1.18 brought, which can be compressed.
    pub compressible: bool,
    /// Whether the elements are compressed.
    pub compressed: bool,
    /// Lists and unions.
    pub lists: Vec<StateMeta>,
    /// Broadcast states.
    pub broadcasts: Vec<StateMeta>,
    /// Which states stand there and could not be read.
    pub lost: Option<Lost>,
}

/// The states from one on that a header announces and that could not be read: the serializer of one of them is of a class that is not
/// known, and nothing says where its snapshot ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The name of the first, if that much could be read.
    pub first: Option<String>,
    /// How many they are; of operator state perhaps more.
    pub count: usize,
    /// The class, and where it stands.
    pub reason: FormatError,
}

impl KeyedHeader {
    /// A header of these states, uncompressed.
    pub fn new(key: Serializer, states: Vec<StateMeta>) -> Self {
        Self { compressed: false, key, states, lost: None }
    }

    /// Reads what `input` holds up to its end, where the header ends too: at the first data of a key group
    /// ([`KeyGroupsHandle::header_len`](crate::metadata::KeyGroupsHandle::header_len)), or at the end of the stream.
    ///
    /// # Errors
    /// `Corrupt`; `UnsupportedVersion` of another version, or where the class of the key's serializer is not known.
    pub fn read(input: &mut Input<'_>) -> Result<Self> {
        let at = input.clone();
        let version = input.i32()?;
        if version != KEYED_VERSION {
            return Err(other_version(&at, version, "6 (Flink 1.8 and newer)"));
        }
        let compressed = read_bool(input)?;
        let start = input.clone();
        let (key, mut lists) = match Serializer::read_wrapped(input) {
            Ok(key) => (key, StateLists::read(input, 1)?),
            Err(error) if error.kind == FormatErrorKind::UnsupportedVersion => {
                recover(&start, &|input, gaps| {
                    let key = Serializer::read_wrapped_over(input, gaps)?;
                    Ok((key, StateLists::whole(input, gaps, 1)?))
                })
                .ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        input.skip(usize::MAX);
        let keyed = |kind| !matches!(kind, StateKind::Operator | StateKind::Broadcast);
        let states = lists.take(0, &start, keyed)?;
        Ok(Self { compressed, key, states, lost: lists.lost })
    }

    /// How many states there are, those that are lost among them: ids are below.
    pub fn state_count(&self) -> usize {
        self.states.len() + self.lost.as_ref().map_or(0, |lost| lost.count)
    }

    /// The state of this id.
    pub fn state(&self, id: u16) -> Option<&StateMeta> {
        self.states.get(usize::from(id))
    }

    /// Appends the header; serializers as they were read.
    ///
    /// # Errors
    /// `Invalid` if states are lost, or are too many, or a name is too long.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        refuse_lost(self.lost.as_ref())?;
        out.put_i32(KEYED_VERSION);
        out.put_bool(self.compressed);
        self.key.write_wrapped(out);
        state::write_list(&self.states, out)
    }
}

impl OperatorHeader {
    /// A header of these states, uncompressed. `compressible` is for Flink from 1.18 on, without it every one from 1.14 on reads it.
    pub fn new(compressible: bool, lists: Vec<StateMeta>, broadcasts: Vec<StateMeta>) -> Self {
        Self { compressible, compressed: false, lists, broadcasts, lost: None }
    }

    /// Reads what `input` holds up to its end, where the header ends too: at the first element, or at the end of the stream.
    ///
    /// # Errors
    /// `Corrupt`; `UnsupportedVersion` of another version.
    pub fn read(input: &mut Input<'_>) -> Result<Self> {
        let at = input.clone();
        let version = input.i32()?;
        if !OPERATOR_VERSIONS.contains(&version) {
            return Err(other_version(&at, version, "5 and 6 (Flink 1.8 and newer)"));
        }
        let compressible = version >= 6;
        let compressed = compressible && read_bool(input)?;
        // The first element's offset is where its first chunk begins, behind what opens the compressed stream, and in Flink 1.18.1
        // those of empty states before it.
        let mut head = input.rest();
        while let Some(rest) = head.strip_suffix(&snappy::IDENTIFIER).filter(|_| compressed) {
            head = rest;
        }
        let len = head.len();
        let input = &mut input.part(len)?;
        let start = input.clone();
        let mut lists = StateLists::read(input, 2)?;
        input.skip(usize::MAX);
        Ok(Self {
            compressible,
            compressed,
            lists: lists.take(0, &start, |kind| kind == StateKind::Operator)?,
            broadcasts: lists.take(1, &start, |kind| kind == StateKind::Broadcast)?,
            lost: lists.lost,
        })
    }

    /// The state of this name.
    pub fn state(&self, name: &str) -> Option<&StateMeta> {
        self.lists.iter().chain(&self.broadcasts).find(|state| state.name == name)
    }

    /// Appends the header; serializers as they were read.
    ///
    /// # Errors
    /// `Invalid` if states are lost, or are too many, or a name is too long, or a form that cannot be compressed is.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        refuse_lost(self.lost.as_ref())?;
        out.put_i32(if self.compressible { 6 } else { 5 });
        match (self.compressible, self.compressed) {
            (true, compressed) => out.put_bool(compressed),
            (false, false) => {}
            (false, true) => {
                let message = "compressed, in the form of Flink before 1.18 that cannot be";
                return Err(FormatError::invalid(WHAT, message));
            }
        }
        state::write_list(&self.lists, out)?;
        state::write_list(&self.broadcasts, out)
    }
}

const WHAT: &str = "state header";

fn read_bool(input: &mut Input<'_>) -> Result<bool> {
    let at = input.clone();
    match input.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(at.corrupt(format!("{byte} where 0 or 1 says whether data is compressed"))),
    }
}

fn other_version(at: &Input<'_>, version: i32, read: &str) -> FormatError {
    match version {
        1..100 => at.unsupported(format!("header version {version}, this esker reads {read}")),
        _ => at.corrupt(format!("no header of state: version {version}")),
    }
}

fn refuse_lost(lost: Option<&Lost>) -> Result<()> {
    match lost {
        None => Ok(()),
        Some(Lost { reason, .. }) => {
            let message = format!("cannot be written, as not all of it could be read ({reason})");
            Err(FormatError::invalid(WHAT, message))
        }
    }
}
