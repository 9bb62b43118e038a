//! What a change says.

use super::Changelog;
use crate::header::{KeyedStateType, Role, StateKind, StateMeta};
use crate::{FormatError, FormatErrorKind, Input, Result, Serializer, java};
use std::ops::RangeInclusive;

/// Versions of a definition's head, which differ in nothing that is read: 6 up to Flink 1.17, 7 since.
const DEFINITION_VERSIONS: RangeInclusive<i32> = 6..=7;

/// What a change says of one state; its parts are still encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// The id of the state in the log.
    pub state: u16,
    /// The key; empty where there is none: of definitions, and of timers, which hold it.
    pub key: &'a [u8],
    /// The namespace; empty where there is no key.
    pub namespace: &'a [u8],
    /// What to do.
    pub operation: Operation<'a>,
}

/// What a change does.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation<'a> {
    /// Defines the state.
    Define(Box<Definition>),
    /// Drops what is there.
    Clear,
    /// Replaces what is there: a value, or a whole list or map, as the value's serializer writes it.
    Set(&'a [u8]),
    /// Appends a list, or puts a map, as the value's serializer writes it.
    Add(&'a [u8]),
    /// Merges the namespaces `sources` into `namespace`. How, only the program knows.
    MergeNamespaces {
        /// Where to.
        target: &'a [u8],
        /// Where from.
        sources: Vec<&'a [u8]>,
    },
    /// Appends an element to a list.
    AddElement(&'a [u8]),
    /// Puts an entry into a map.
    PutEntry {
        /// Its user key.
        user_key: &'a [u8],
        /// Its value.
        value: &'a [u8],
    },
    /// Drops an entry of a map.
    RemoveEntry(&'a [u8]),
    /// Adds timers.
    AddTimers(Vec<&'a [u8]>),
    /// Drops a timer.
    RemoveTimer(&'a [u8]),
}

impl Change<'_> {
    /// That what it puts is what the state's serializers write, as far as they can be read.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn check(&self, definition: &Definition) -> Result<()> {
        let value = definition.meta.needed(Role::Value)?;
        let (serializer, bytes) = match self.operation {
            Operation::Set(bytes) | Operation::Add(bytes) => (Some(value), bytes),
            Operation::AddElement(bytes) => (value.element(), bytes),
            Operation::PutEntry { value: bytes, .. } => {
                (value.entry().map(|(_, value)| value), bytes)
            }
            _ => return Ok(()),
        };
        let Some(serializer) = serializer.filter(|serializer| serializer.opaque().is_none()) else {
            return Ok(());
        };
        let mut input = Input::new(super::WHAT, bytes);
        serializer.check(&mut input)?;
        input.end()
    }
}

/// The definition of a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// What a header says of a state too.
    pub meta: StateMeta,
    /// Whether it has a TTL; its duration is not read.
    pub ttl: bool,
    /// What it holds where nothing was put, encoded.
    pub default: Option<Vec<u8>>,
}

impl Definition {
    /// Of a queue of timers what writes their keys and namespaces.
    pub fn timer(&self) -> Option<(&Serializer, &Serializer)> {
        match self.meta.kind {
            StateKind::PriorityQueue => self.meta.serializer(Role::Value)?.timer(),
            _ => None,
        }
    }

    fn read(input: &mut Input<'_>) -> Result<(u16, Self)> {
        let at = input.clone();
        let version = input.i32()?;
        if !DEFINITION_VERSIONS.contains(&version) {
            let message = format!("definition of version {version}, where 6 and 7 are read");
            return Err(at.unsupported(message));
        }
        let meta = StateMeta::read(input)?;
        let (mut ttl, mut default) = (false, None);
        if meta.kind == StateKind::KeyValue {
            ttl = input.bool()?;
            if ttl {
                java::read(input)?;
            }
            if input.bool()? {
                default = Some(default_value(&meta, input)?.to_vec());
            }
        }
        let state = input.u16()?;
        let at = input.clone();
        let kind = match input.u8()? {
            0 => StateKind::KeyValue,
            3 => StateKind::PriorityQueue,
            kind => return Err(at.corrupt(format!("state {:?} is of kind {kind}", meta.name))),
        };
        input.end()?;
        if kind != meta.kind {
            return Err(at.corrupt(format!("state {:?} is of two kinds", meta.name)));
        }
        Ok((state, Self { meta, ttl, default }))
    }
}

/// What follows it is of known length, so that it may be what no one can read.
fn default_value<'a>(meta: &StateMeta, input: &mut Input<'a>) -> Result<&'a [u8]> {
    /// The state's id and kind.
    const TAIL_LEN_BYTES: usize = 3;
    let len = input.remaining().saturating_sub(TAIL_LEN_BYTES);
    let mut value = input.part(len)?;
    let bytes = value.rest();
    let serializer = meta.needed(Role::Value)?;
    if serializer.opaque().is_none() {
        serializer.skip(&mut value)?;
        value.end()?;
    }
    Ok(bytes)
}

/// Reads a change by what `log` has defined.
pub(super) fn read<'a>(input: &mut Input<'a>, log: &Changelog) -> Result<Change<'a>> {
    let at = input.clone();
    let code = input.u8()?;
    if code == 8 {
        let (state, definition) = Definition::read(input)?;
        let operation = Operation::Define(Box::new(definition));
        return Ok(Change { state, key: &[], namespace: &[], operation });
    }
    let state = input.u16()?;
    let Some(definition) = log.states.get(&state) else {
        return Err(at.corrupt(format!("state {state} is changed and was not defined")));
    };
    let unknown = || at.corrupt(format!("operation {code} on state {:?}", definition.meta.name));
    if definition.meta.kind == StateKind::PriorityQueue {
        let timer = definition.meta.needed(Role::Value)?;
        let operation = match code {
            5 => Operation::AddTimers(elements(input, timer)?),
            7 => Operation::RemoveTimer(part(input, timer)?),
            _ => return Err(unknown()),
        };
        input.end()?;
        return Ok(Change { state, key: &[], namespace: &[], operation });
    }
    let key = part(input, log.key.as_ref().ok_or_else(|| no_key(&at))?)?;
    let namespace_by = definition.meta.needed(Role::Namespace)?;
    let namespace = part(input, namespace_by)?;
    let map = definition.meta.keyed_type() == Some(KeyedStateType::Map);
    let user_key = |input: &mut Input<'a>| {
        let entry = definition.meta.needed(Role::Value)?.entry();
        let (user_key, _) = entry.ok_or_else(|| unreadable(&at, &definition.meta))?;
        part(input, user_key)
    };
    let rest = |input: &mut Input<'a>| input.take(input.remaining());
    let operation = match code {
        0 => Operation::Clear,
        1 | 2 => Operation::Set(rest(input)?),
        3 => Operation::Add(rest(input)?),
        4 => Operation::MergeNamespaces {
            target: part(input, namespace_by)?,
            sources: elements(input, namespace_by)?,
        },
        5 | 6 if map => Operation::PutEntry { user_key: user_key(input)?, value: rest(input)? },
        5 => Operation::AddElement(rest(input)?),
        7 if map => Operation::RemoveEntry(user_key(input)?),
        _ => return Err(unknown()),
    };
    input.end()?;
    Ok(Change { state, key, namespace, operation })
}

fn part<'a>(input: &mut Input<'a>, serializer: &Serializer) -> Result<&'a [u8]> {
    let start = input.position();
    serializer.skip(input)?;
    Ok(input.since(start))
}

fn elements<'a>(input: &mut Input<'a>, serializer: &Serializer) -> Result<Vec<&'a [u8]>> {
    let count = input.count(1)?;
    (0..count).map(|_| part(input, serializer)).collect()
}

fn no_key(at: &Input<'_>) -> FormatError {
    let message = "nothing in the log says what its keys are: no queue of timers, and nothing materialized; give \
                   the key's type";
    FormatError::new(FormatErrorKind::Incompatible, super::WHAT, message).at(at.offset())
}

fn unreadable(at: &Input<'_>, meta: &StateMeta) -> FormatError {
    let class =
        meta.serializer(Role::Value).and_then(Serializer::opaque).unwrap_or("no map's serializer");
    let message = format!("state {:?}: user keys, which {class} wrote, cannot be read", meta.name);
    FormatError::new(FormatErrorKind::Incompatible, super::WHAT, message).at(at.offset())
}
