//! Values of entries: as trees, in canonical form, and how much there is of them.

use crate::flink::{FlinkEntry, FlinkState, FlinkValue};
use crate::format::Value;
use crate::format::manifest::StateKind;
use crate::{Error, ErrorKind, Result};
use esker_flink::canonical::{put_list_element, put_map_value};
use esker_flink::{FormatError, Input, Output, Serializer};

/// Between the elements of a list in canonical form.
const DELIMITER: u8 = b',';

/// What an entry holds, as a tree.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Of a list all elements, of a timer its time in milliseconds; none if nobody asked for it.
    pub(crate) value: Option<Value>,
    /// The time of the last update in milliseconds; of a list one for each element.
    pub(crate) ttl: Option<Value>,
}

/// What `bytes` hold, all of which `serializer` wrote; nothing if there is none.
///
/// # Errors
/// `Corrupt`; `Incompatible` if it cannot be read.
pub(crate) fn decoded(serializer: Option<&Serializer>, bytes: &[u8]) -> Result<Option<Value>> {
    let Some(serializer) = serializer else { return Ok(None) };
    let mut input = Input::new("value", bytes);
    let value = serializer.decode(&mut input)?;
    input.end()?;
    Ok(Some(value))
}

/// Java's `hashCode()` of an encoded key.
///
/// # Errors
/// `Incompatible` if its class decides it; `Corrupt`.
pub(crate) fn hash(serializer: &Serializer, key: &[u8]) -> Result<i32> {
    let mut input = Input::new("key", key);
    let hash = serializer.hash_bytes(&mut input)?;
    input.end()?;
    Ok(hash)
}

/// What an entry of `state` holds; its value only if it is asked for.
///
/// # Errors
/// `Corrupt`; `Incompatible` if it cannot be read.
pub(crate) fn value(state: &FlinkState, value: FlinkValue<'_>, is_asked: bool) -> Result<Held> {
    let mut held = Held::default();
    match value {
        FlinkValue::Timer(time) => held.value = Some(Value::Signed(time.into())),
        FlinkValue::Null => held.value = Some(Value::Option(None)),
        FlinkValue::One(bytes) => {
            let bytes = match split_time(state, bytes)? {
                (Some(time), rest) => {
                    held.ttl = Some(Value::Signed(time.into()));
                    rest
                }
                (None, bytes) => bytes,
            };
            if is_asked {
                held.value = decoded(state.value.as_deref(), bytes)?;
            }
        }
        FlinkValue::Joined(_) | FlinkValue::Counted(..) => {
            let (mut values, mut times) = (Vec::new(), Vec::new());
            each_element(state, value, &mut |element| {
                let (time, bytes) = split_time(state, element)?;
                times.extend(time.map(|time| Value::Signed(time.into())));
                if is_asked {
                    values.extend(decoded(state.value.as_deref(), bytes)?);
                }
                Ok(())
            })?;
            held.value = Some(Value::Seq(values));
            held.ttl = state.has_ttl.then_some(Value::Seq(times));
        }
        FlinkValue::Whole(_) if is_asked => return Err(whole(state)),
        FlinkValue::Whole(_) => {}
    }
    Ok(held)
}

/// The time at the front of a value with TTL, in milliseconds, and what follows it.
///
/// # Errors
/// `Corrupt` if it is cut off.
pub(crate) fn split_time<'a>(
    state: &FlinkState,
    bytes: &'a [u8],
) -> std::result::Result<(Option<i64>, &'a [u8]), FormatError> {
    if !state.has_ttl {
        return Ok((None, bytes));
    }
    let mut input = Input::new("value with TTL", bytes);
    let time = input.i64()?;
    Ok((Some(time), input.rest()))
}

/// Calls `each` with the elements of a list, encoded, each behind its time where it has TTL.
///
/// # Errors
/// `Corrupt`; `Incompatible` if nothing tells where one ends; those of `each`.
pub(crate) fn each_element(
    state: &FlinkState,
    value: FlinkValue<'_>,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let (bytes, count) = match value {
        FlinkValue::Joined(bytes) => (bytes, None),
        // Nothing is behind a single one.
        FlinkValue::Counted(1, bytes) => return each(bytes),
        FlinkValue::Counted(count, bytes) => (bytes, Some(count)),
        _ => return Err(Error::new(ErrorKind::Corrupt, "what is no list where one must be")),
    };
    let Some(serializer) = state.value.as_deref() else {
        return Err(Error::new(ErrorKind::Corrupt, "a list without a serializer of its elements"));
    };
    let mut input = Input::new("list", bytes);
    let mut number = 0;
    while count.map_or(!input.is_empty(), |count| number < count) {
        if count.is_none() && number > 0 && input.u8()? != DELIMITER {
            return Err(input.corrupt("no comma between two elements").into());
        }
        let start = input.position();
        if state.has_ttl {
            input.i64()?;
        }
        serializer.skip(&mut input)?;
        each(input.since(start))?;
        number += 1;
    }
    Ok(input.end()?)
}

/// Appends what an entry holds in canonical form.
///
/// # Errors
/// `Corrupt`; `Incompatible` for a list that nothing takes apart.
pub(crate) fn put_canonical(
    state: &FlinkState,
    value: FlinkValue<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    match value {
        FlinkValue::Timer(_) => {}
        FlinkValue::Null => put_map_value(None, out),
        FlinkValue::One(bytes) if state.kind == StateKind::Map => put_map_value(Some(bytes), out),
        FlinkValue::One(bytes) | FlinkValue::Joined(bytes) => out.extend_from_slice(bytes),
        FlinkValue::Counted(..) => {
            return each_element(state, value, &mut |element| {
                put_list_element(element, out);
                Ok(())
            });
        }
        FlinkValue::Whole(bytes) => {
            // A list of one element needs no border.
            let mut input = Input::new("list", bytes);
            match input.i32()? {
                0 => {}
                1 if state.kind == StateKind::List => out.extend_from_slice(input.rest()),
                _ => return Err(whole(state)),
            }
        }
    }
    Ok(())
}

/// Appends one value without its time.
pub(crate) type PutValue<'a> = &'a dyn Fn(Option<&Value>, &mut Vec<u8>) -> Result<()>;

/// How values of a state stand in canonical form.
pub(crate) struct Form<'a> {
    pub(crate) kind: StateKind,
    pub(crate) has_ttl: bool,
    /// Which error it is if a time is missing.
    pub(crate) lacking: ErrorKind,
    pub(crate) put: PutValue<'a>,
}

impl Form<'_> {
    /// Appends what an entry holds, but for timers, which hold nothing; how many there are of it. `value` and `ttl` are as
    /// in [`Held`].
    ///
    /// # Errors
    /// `lacking` if it has no time and must; those of `put`.
    pub(crate) fn put(
        &self,
        value: Option<&Value>,
        ttl: Option<&Value>,
        out: &mut Vec<u8>,
    ) -> Result<u64> {
        match (self.kind, value) {
            (StateKind::List, Some(Value::Seq(elements))) => {
                let times = match ttl {
                    Some(Value::Seq(times)) => &times[..],
                    _ => &[],
                };
                let mut element = Vec::new();
                for (number, value) in elements.iter().enumerate() {
                    element.clear();
                    self.put_time(times.get(number), &mut element)?;
                    (self.put)(Some(value), &mut element)?;
                    put_list_element(&element, out);
                }
                return Ok(elements.len() as u64);
            }
            (StateKind::Map, Some(Value::Option(None))) if !self.has_ttl => {
                put_map_value(None, out);
                return Ok(1);
            }
            (StateKind::Map, _) => put_map_value(Some(&[]), out),
            _ => {}
        }
        self.put_time(ttl, out)?;
        (self.put)(value, out)?;
        Ok(1)
    }

    fn put_time(&self, time: Option<&Value>, out: &mut Vec<u8>) -> Result<()> {
        if !self.has_ttl {
            return Ok(());
        }
        let time = match time {
            Some(Value::Signed(time)) => i64::try_from(*time).ok(),
            _ => None,
        };
        let none = || Error::new(self.lacking, "it has no time of its last update");
        out.put_i64(time.ok_or_else(none)?);
        Ok(())
    }
}

/// Of a heap's list or map that only Java code takes apart.
fn whole(state: &FlinkState) -> Error {
    let class = state.opaque_classes().first().copied().unwrap_or_default();
    let message = format!(
        "a {} of the heap whose parts {class} wrote, which cannot be told apart: take a canonical savepoint with Flink",
        state.kind
    );
    Error::new(ErrorKind::Incompatible, message)
}

/// How many values, elements or timers an entry holds, and the bytes of key and value. A list whose elements cannot be told is
/// one.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn size(state: &FlinkState, entry: &FlinkEntry<'_>) -> Result<(u64, usize)> {
    let (count, len_bytes) = match entry.value {
        FlinkValue::Timer(_) => (1, 8),
        FlinkValue::Null => (1, 1),
        FlinkValue::One(bytes) | FlinkValue::Whole(bytes) => (1, bytes.len()),
        FlinkValue::Counted(count, bytes) => (count as u64, bytes.len()),
        FlinkValue::Joined(bytes) => {
            let mut count = 0;
            let is_readable = state.value.as_deref().is_some_and(|of| of.opaque().is_none());
            if is_readable {
                each_element(state, entry.value, &mut |_| {
                    count += 1;
                    Ok(())
                })?;
            }
            (if is_readable { count } else { 1 }, bytes.len())
        }
    };
    let user_key = entry.user_key.map_or(0, <[u8]>::len);
    Ok((count, len_bytes + entry.key.len() + entry.namespace.len() + user_key))
}

/// Where an entry stands, as text: its key, namespace and user key as JSON, as far as they can be read.
pub(crate) fn place(state: &FlinkState, entry: &FlinkEntry<'_>) -> String {
    let namespace = state.namespace.as_deref().filter(|of| !of.is_void_namespace());
    let parts = [
        ("key", state.key.as_deref(), Some(entry.key)),
        ("namespace", namespace, Some(entry.namespace)),
        ("userKey", state.user_key.as_deref(), entry.user_key),
    ];
    let text = |(name, serializer, bytes): (&str, Option<&Serializer>, Option<&[u8]>)| {
        let mut json = String::new();
        serializer?.write_json(&mut Input::new("key", bytes?), &mut json).ok()?;
        Some(format!(" {name}={json}"))
    };
    parts.into_iter().filter_map(text).collect()
}
