//! What a header says of one state.

use super::WHAT;
use crate::serializer::Gap;
use crate::text::{read_utf, write_utf};
use crate::{FormatError, Input, Output, Result, Serializer};

/// What a header says of one state.
#[derive(Debug, Clone, PartialEq)]
pub struct StateMeta {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: StateKind,
    /// Options by their names, in the order of the file.
    pub options: Vec<(String, String)>,
    /// Serializers by what they write, in the order of the file.
    pub serializers: Vec<(String, Serializer)>,
}

/// The kinds of state that headers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// Keyed state.
    KeyValue,
    /// A list of operator state.
    Operator,
    /// A broadcast map of operator state.
    Broadcast,
    /// Timers.
    PriorityQueue,
    /// Keyed state of the asynchronous API (2.x).
    KeyValueV2,
}

/// What a keyed state is to its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyedStateType {
    /// One value.
    Value,
    /// A list.
    List,
    /// One value, which inputs are folded into.
    Reducing,
    /// One value of another type than the inputs (long gone).
    Folding,
    /// An accumulator.
    Aggregating,
    /// A map.
    Map,
}

/// What a serializer of a state writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Keys of a broadcast map.
    Key,
    /// Namespaces.
    Namespace,
    /// Keys of a map ([`StateKind::KeyValueV2`] alone).
    UserKey,
    /// Values, whole lists and maps, elements of operator state, timers.
    Value,
}

const KEYED_TYPE: &str = "KEYED_STATE_TYPE";
const MODE: &str = "OPERATOR_STATE_DISTRIBUTION_MODE";
/// A name, a kind and two counts.
const STATE_LEN_BYTES_MIN: usize = 14;
/// Name and value of an option.
const OPTION_LEN_BYTES_MIN: usize = 4;
/// Name of a role, version of the envelope, class name and version.
const SERIALIZER_LEN_BYTES_MIN: usize = 12;

impl Role {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Key, Self::Namespace, Self::UserKey, Self::Value];

    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "KEY_SERIALIZER",
            Self::Namespace => "NAMESPACE_SERIALIZER",
            Self::UserKey => "USER_KEY_SERIALIZER",
            Self::Value => "VALUE_SERIALIZER",
        }
    }
}

impl KeyedStateType {
    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "VALUE",
            Self::List => "LIST",
            Self::Reducing => "REDUCING",
            Self::Folding => "FOLDING",
            Self::Aggregating => "AGGREGATING",
            Self::Map => "MAP",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Value, Self::List, Self::Reducing, Self::Folding, Self::Aggregating, Self::Map]
            .into_iter()
            .find(|known| known.name() == name)
    }
}

impl StateMeta {
    /// A keyed state whose namespaces and values these serializers write.
    pub fn keyed(
        name: impl Into<String>,
        keyed: KeyedStateType,
        namespace: Serializer,
        value: Serializer,
    ) -> Self {
        Self {
            name: name.into(),
            kind: StateKind::KeyValue,
            options: vec![(KEYED_TYPE.into(), keyed.name().into())],
            serializers: vec![
                (Role::Namespace.name().into(), namespace),
                (Role::Value.name().into(), value),
            ],
        }
    }

    /// Timers, which `timer` writes.
    pub fn timers(name: impl Into<String>, timer: Serializer) -> Self {
        Self {
            name: name.into(),
            kind: StateKind::PriorityQueue,
            options: Vec::new(),
            serializers: vec![(Role::Value.name().into(), timer)],
        }
    }

    /// A list of operator state, dealt out or (`union`) given to all.
    pub fn operator(name: impl Into<String>, union: bool, element: Serializer) -> Self {
        let mode = if union { "UNION" } else { "SPLIT_DISTRIBUTE" };
        Self {
            name: name.into(),
            kind: StateKind::Operator,
            options: vec![(MODE.into(), mode.into())],
            serializers: vec![(Role::Value.name().into(), element)],
        }
    }

    /// A broadcast map.
    pub fn broadcast(name: impl Into<String>, key: Serializer, value: Serializer) -> Self {
        Self {
            name: name.into(),
            kind: StateKind::Broadcast,
            options: vec![(MODE.into(), "BROADCAST".into())],
            serializers: vec![(Role::Key.name().into(), key), (Role::Value.name().into(), value)],
        }
    }

    /// The option of this name.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// What the state is to its program; `None` if it is not keyed state, or of a type that is not known.
    pub fn keyed_type(&self) -> Option<KeyedStateType> {
        match self.kind {
            StateKind::KeyValue | StateKind::KeyValueV2 => {
                self.option(KEYED_TYPE).and_then(KeyedStateType::named)
            }
            _ => None,
        }
    }

    /// The serializer of what plays this role.
    pub fn serializer(&self, role: Role) -> Option<&Serializer> {
        let named = self.serializers.iter().find(|(name, _)| name == role.name());
        named.map(|(_, serializer)| serializer)
    }

    /// The same, where the state cannot be read without it.
    ///
    /// # Errors
    /// `Corrupt` if there is none.
    pub fn needed(&self, role: Role) -> Result<&Serializer> {
        self.serializer(role).ok_or_else(|| {
            let message = format!("state {:?} has no {}", self.name, role.name());
            FormatError::corrupt(WHAT, message)
        })
    }

    /// Reads what stands in a header, or in the definition of a state in a changelog.
    ///
    /// # Errors
    /// `Corrupt`; `UnsupportedVersion` naming the class of a serializer that is not known.
    pub fn read(input: &mut Input<'_>) -> Result<Self> {
        Self::read_over(input, &[], &mut None)
    }

    /// The same, passing over what `gaps` name; `named` is there as soon as it is known.
    pub(super) fn read_over(
        input: &mut Input<'_>,
        gaps: &[Gap],
        named: &mut Option<String>,
    ) -> Result<Self> {
        if input.remaining() < STATE_LEN_BYTES_MIN {
            return Err(input.corrupt("the description of a state is cut off"));
        }
        let name = read_utf(input)?;
        *named = Some(name.clone());
        let at = input.clone();
        let kind = match input.i32()? {
            0 => StateKind::KeyValue,
            1 => StateKind::Operator,
            2 => StateKind::Broadcast,
            3 => StateKind::PriorityQueue,
            4 => StateKind::KeyValueV2,
            kind => return Err(at.corrupt(format!("state {name:?} is of unknown kind {kind}"))),
        };
        let mut state = Self { name, kind, options: Vec::new(), serializers: Vec::new() };
        for _ in 0..input.count(OPTION_LEN_BYTES_MIN)? {
            state.options.push((read_utf(input)?, read_utf(input)?));
        }
        for _ in 0..input.count(SERIALIZER_LEN_BYTES_MIN)? {
            state.serializers.push((read_utf(input)?, Serializer::read_wrapped_over(input, gaps)?));
        }
        Ok(state)
    }

    /// Appends the same; serializers as they were read.
    ///
    /// # Errors
    /// `Invalid` if a name is too long.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        write_utf(&self.name, out)?;
        out.put_i32(match self.kind {
            StateKind::KeyValue => 0,
            StateKind::Operator => 1,
            StateKind::Broadcast => 2,
            StateKind::PriorityQueue => 3,
            StateKind::KeyValueV2 => 4,
        });
        put_count(self.options.len(), out)?;
        for (name, value) in &self.options {
            write_utf(name, out)?;
            write_utf(value, out)?;
        }
        put_count(self.serializers.len(), out)?;
        for (name, serializer) in &self.serializers {
            write_utf(name, out)?;
            serializer.write_wrapped(out);
        }
        Ok(())
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) -> Result<()> {
    let count = i32::try_from(count).map_err(|_| too_many(count))?;
    out.put_i32(count);
    Ok(())
}

/// A count of 16 bits and the states.
pub(super) fn write_list(states: &[StateMeta], out: &mut Vec<u8>) -> Result<()> {
    let count = i16::try_from(states.len()).map_err(|_| too_many(states.len()))?;
    out.put_u16(count.cast_unsigned());
    states.iter().try_for_each(|state| state.write(out))
}

fn too_many(count: usize) -> FormatError {
    FormatError::invalid(WHAT, format!("{count} states, options or serializers are too many"))
}
