//! The keys of canonical state and of RocksDB: key group, key, namespace and user key in one (SPEC.md, "Keys").

mod search;
#[cfg(test)]
mod tests;

use crate::header::{KeyedHeader, KeyedStateType, Role, StateKind, StateMeta};
use crate::{FormatError, Input, Output, Result, Serializer};

const WHAT: &str = "key of an entry";
/// Timestamps are stored so that the order of bytes is that of time.
const SIGN: i64 = i64::MIN;

/// How the keys of a state are put together.
#[derive(Debug, Clone, Copy)]
pub struct KeyFormat<'h> {
    key: &'h Serializer,
    namespace: &'h Serializer,
    /// Whether key and namespace are followed by their lengths: if both vary.
    lengths: bool,
    kind: Kind<'h>,
}

#[derive(Debug, Clone, Copy)]
enum Kind<'h> {
    Plain,
    /// What writes the user keys, if that is known.
    Map(Option<&'h Serializer>),
    Timer,
}

/// The parts of a key, without its key group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyParts<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The namespace.
    pub namespace: &'a [u8],
    /// The user key of a map's entry.
    pub user_key: Option<&'a [u8]>,
    /// The time of a timer, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// The key group in front of a key, and the rest of it. `prefix_len_bytes` is what
/// [`prefix_len_bytes`](crate::key_group::prefix_len_bytes) says.
///
/// # Errors
/// `Corrupt` if the key is shorter.
#[inline]
pub fn split_key_group(key: &[u8], prefix_len_bytes: usize) -> Result<(u16, &[u8])> {
    match (prefix_len_bytes, key) {
        (1, [group, rest @ ..]) => Ok(((*group).into(), rest)),
        (2, [high, low, rest @ ..]) => Ok((u16::from_be_bytes([*high, *low]), rest)),
        _ => Err(FormatError::corrupt(WHAT, "shorter than the key group in front of it")),
    }
}

/// Appends the key group that stands in front of a key.
#[inline]
pub fn put_key_group(key_group: u16, prefix_len_bytes: usize, out: &mut Vec<u8>) {
    let bytes = key_group.to_be_bytes();
    out.extend_from_slice(if prefix_len_bytes == 1 { &bytes[1..] } else { &bytes });
}

impl<'h> KeyFormat<'h> {
    /// That of `state`, one of `header`'s.
    ///
    /// # Errors
    /// `Corrupt` if a serializer is missing; `Incompatible` if its timers are not Flink's own.
    pub fn of(header: &'h KeyedHeader, state: &'h StateMeta) -> Result<Self> {
        let value = state.needed(Role::Value)?;
        if state.kind == StateKind::PriorityQueue {
            return Self::of_timers(value, &state.name);
        }
        let kind = match state.keyed_type() {
            Some(KeyedStateType::Map) => {
                let entry = value.entry().map(|(user_key, _)| user_key);
                Kind::Map(state.serializer(Role::UserKey).or(entry))
            }
            _ => Kind::Plain,
        };
        let (key, namespace) = (&header.key, state.needed(Role::Namespace)?);
        let lengths = key.length().is_none() && namespace.length().is_none();
        Ok(Self { key, namespace, lengths, kind })
    }

    /// Timers carry their own serializers.
    pub(crate) fn of_timers(timer: &'h Serializer, name: &str) -> Result<Self> {
        let Some((key, namespace)) = timer.timer() else {
            let class = timer.opaque().unwrap_or("a serializer of something else");
            let message =
                format!("queue {name:?} holds no timers of Flink's, but what {class} wrote");
            return Err(FormatError::new(crate::FormatErrorKind::Incompatible, WHAT, message));
        };
        Ok(Self { key, namespace, lengths: false, kind: Kind::Timer })
    }

    /// What writes the keys.
    pub fn key(&self) -> &'h Serializer {
        self.key
    }

    /// What writes the namespaces.
    pub fn namespace(&self) -> &'h Serializer {
        self.namespace
    }

    /// The parts of `bytes`, a key without its key group. Costs what it takes to pass over key and namespace. Where their serializer
    /// cannot be read, every place is tried at which they could end, and the one that fits is taken.
    ///
    /// # Errors
    /// `Corrupt`; `Incompatible` if nothing tells where a part ends that cannot be read.
    pub fn split<'a>(&self, bytes: &'a [u8]) -> Result<KeyParts<'a>> {
        let mut input = Input::new(WHAT, bytes);
        let timestamp_ms = match self.kind {
            Kind::Timer => Some(input.i64()? ^ SIGN),
            _ => None,
        };
        let rest = input.rest();
        let opaque = self.key.opaque().or(self.namespace.opaque());
        let (key_len, namespace) = match opaque {
            None => self.cut(&mut input)?,
            Some(class) => self.search(&mut input, class)?,
        };
        let user_key = match self.kind {
            Kind::Map(_) => Some(input.rest()),
            _ => {
                input.end()?;
                None
            }
        };
        Ok(KeyParts { key: &rest[..key_len], namespace, user_key, timestamp_ms })
    }

    /// Reads past key and namespace: the length of the one, and the other.
    fn cut<'a>(&self, input: &mut Input<'a>) -> Result<(usize, &'a [u8])> {
        let start = input.position();
        self.key.skip(input)?;
        let key_len = input.since(start).len();
        self.read_length(key_len, input)?;
        let start = input.position();
        self.namespace.skip(input)?;
        let namespace = input.since(start);
        self.read_length(namespace.len(), input)?;
        Ok((key_len, namespace))
    }

    /// The length of what stands before, if it is there: little-endian, as many bytes as it needs.
    fn read_length(&self, len: usize, input: &mut Input<'_>) -> Result<()> {
        if !self.lengths {
            return Ok(());
        }
        let at = input.clone();
        let mut left = len;
        loop {
            if input.u8()? != (left & 0xff) as u8 {
                return Err(at.corrupt(format!("{len} bytes are followed by another length")));
            }
            left >>= 8;
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// Appends a key without its key group.
    pub fn put(&self, parts: &KeyParts<'_>, out: &mut Vec<u8>) {
        if let Some(timestamp) = parts.timestamp_ms {
            out.put_i64(timestamp ^ SIGN);
        }
        for part in [parts.key, parts.namespace] {
            out.extend_from_slice(part);
            if self.lengths {
                put_length(part.len(), out);
            }
        }
        out.extend_from_slice(parts.user_key.unwrap_or_default());
    }
}

fn put_length(mut len: usize, out: &mut Vec<u8>) {
    loop {
        out.push((len & 0xff) as u8);
        len >>= 8;
        if len == 0 {
            return;
        }
    }
}
