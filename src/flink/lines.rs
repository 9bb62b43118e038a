//! Entries as canonical lines: those of esker's own dumps, straight from bytes to JSON.

use super::entry::{DELIMITER, FlinkValue, Raw, map_value, timer_time};
use super::state::FlinkState;
use crate::format::manifest::StateKind;
use esker_flink::{FormatError, Input, Serializer, Value};
use std::fmt::Write;

type Written = std::result::Result<(), FormatError>;

/// What the lines of a state have in common.
#[derive(Debug, Clone)]
pub(super) struct Head(String);

impl Head {
    pub(super) fn new(operator: &str, state: &FlinkState) -> Self {
        let text = |text: &str| Value::String(text.to_owned()).to_json();
        Self(format!(
            r#"{{"operator":{},"state":{},"kind":"{}""#,
            text(operator),
            text(&state.name),
            state.kind
        ))
    }
}

/// Appends the line of an entry of `state`, with its end. Of one that is refused nothing is appended.
///
/// # Errors
/// `Corrupt` if it is no entry of the state.
pub(super) fn write_entry(
    (head, state): (&Head, &FlinkState),
    raw: Raw<'_>,
    offset: u64,
    out: &mut String,
) -> Written {
    let start = out.len();
    let written = match raw {
        Raw::Composite { key, value } if !state.has_opaque_place() => {
            composite((head, state), key, value, offset, out)
        }
        raw => parts((head, state), raw, offset, out),
    };
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends the line of an element of operator state, with its end; `user_key` of broadcast state.
///
/// # Errors
/// As for [`write_entry`].
pub(super) fn write_element(
    (head, state): (&Head, &FlinkState),
    user_key: Option<&[u8]>,
    value: &[u8],
    offset: u64,
    out: &mut String,
) -> Written {
    let start = out.len();
    out.push_str(&head.0);
    let mut write = || {
        if let Some(bytes) = user_key {
            let serializer = (state.user_key.as_deref(), state.opaque_user_key());
            member("userKey", serializer, bytes, offset, out)?;
        }
        one(state, Input::new("value", value).based_at(offset), out)
    };
    let written = write();
    match written {
        Ok(()) => out.push_str("}\n"),
        Err(_) => out.truncate(start),
    }
    written
}

fn composite(
    (head, state): (&Head, &FlinkState),
    key: &[u8],
    value: &[u8],
    offset: u64,
    out: &mut String,
) -> Written {
    let mut input = Input::new("key", key).based_at(offset);
    let time = if state.is_timer() { Some(timer_time(&mut input)?) } else { None };
    out.push_str(&head.0);
    out.push_str(r#","key":"#);
    placed(state, state.key.as_deref(), &mut input, out)?;
    out.push_str(r#","namespace":"#);
    placed(state, state.namespace.as_deref(), &mut input, out)?;
    if state.kind == StateKind::Map {
        let serializer = (state.user_key.as_deref(), state.opaque_user_key());
        member("userKey", serializer, input.rest(), input.offset(), out)?;
    } else {
        input.end()?;
    }
    let offset = offset.saturating_add(key.len() as u64);
    let value = match (time, state.kind) {
        (Some(time), _) => FlinkValue::Timer(time),
        (_, StateKind::List) => FlinkValue::Joined(value),
        (_, StateKind::Map) => map_value(value, offset)?,
        _ => FlinkValue::One(value),
    };
    end(state, value, offset, out)
}

/// A key or namespace, and its length where that follows.
fn placed(
    state: &FlinkState,
    serializer: Option<&Serializer>,
    input: &mut Input<'_>,
    out: &mut String,
) -> Written {
    let Some(serializer) = serializer else {
        out.push_str("null");
        return Ok(());
    };
    let start = input.position();
    serializer.write_json(input, out)?;
    state.skip_len(input.position() - start, input)
}

fn parts(
    (head, state): (&Head, &FlinkState),
    raw: Raw<'_>,
    offset: u64,
    out: &mut String,
) -> Written {
    let entry = raw.parts(state, 0, offset)?;
    out.push_str(&head.0);
    let is_opaque = state.has_opaque_place();
    let class = |serializer: Option<&'_ Serializer>| {
        serializer
            .filter(|_| is_opaque)
            .and_then(|serializer| serializer.opaque().map(str::to_owned))
    };
    let (key, namespace) = (state.key.as_deref(), state.namespace.as_deref());
    let is_split = !entry.namespace.is_empty() || !is_opaque;
    let of_key = if is_split { class(key) } else { state.opaque_place().map(str::to_owned) };
    member("key", (key, of_key.as_deref()), entry.key, offset, out)?;
    if is_split {
        let of_namespace = class(namespace);
        member("namespace", (namespace, of_namespace.as_deref()), entry.namespace, offset, out)?;
    } else {
        out.push_str(r#","namespace":null"#);
    }
    if let Some(bytes) = entry.user_key {
        let serializer = (state.user_key.as_deref(), state.opaque_user_key());
        member("userKey", serializer, bytes, offset, out)?;
    }
    end(state, entry.value, offset, out)
}

/// A member of a line that has `bytes` to itself.
fn member(
    name: &str,
    (serializer, opaque): (Option<&Serializer>, Option<&str>),
    bytes: &[u8],
    offset: u64,
    out: &mut String,
) -> Written {
    for text in [",\"", name, "\":"] {
        out.push_str(text);
    }
    match (serializer, opaque) {
        (_, Some(class)) => write_opaque(class, bytes, out),
        (Some(serializer), None) => {
            let mut input = Input::new("key", bytes).based_at(offset);
            serializer.write_json(&mut input, out)?;
            input.end()?;
        }
        (None, None) => out.push_str("null"),
    }
    Ok(())
}

/// The value of an entry and the end of its line.
fn end(state: &FlinkState, value: FlinkValue<'_>, offset: u64, out: &mut String) -> Written {
    match value {
        FlinkValue::Timer(time) => {
            // Writing to a String cannot fail.
            let _ = write!(out, r#","value":{time}"#);
        }
        FlinkValue::Null => out.push_str(r#","value":null"#),
        FlinkValue::One(bytes) => one(state, Input::new("value", bytes).based_at(offset), out)?,
        FlinkValue::Joined(bytes) | FlinkValue::Counted(_, bytes) => {
            let count = match value {
                FlinkValue::Counted(count, _) => Some(count),
                _ => None,
            };
            list(state, count, Input::new("list", bytes).based_at(offset), out)?;
        }
    }
    out.push_str("}\n");
    Ok(())
}

fn one(state: &FlinkState, mut input: Input<'_>, out: &mut String) -> Written {
    let time = if state.has_ttl { Some(input.i64()?) } else { None };
    out.push_str(r#","value":"#);
    match (state.opaque_value(), state.value.as_deref()) {
        (Some(class), _) => write_opaque(class, input.rest(), out),
        (None, Some(serializer)) => {
            serializer.write_json(&mut input, out)?;
            input.end()?;
        }
        (None, None) => out.push_str("null"),
    }
    if let Some(time) = time {
        let _ = write!(out, r#","ttl":{time}"#);
    }
    Ok(())
}

fn list(
    state: &FlinkState,
    count: Option<usize>,
    mut input: Input<'_>,
    out: &mut String,
) -> Written {
    out.push_str(r#","value":"#);
    let serializer = match (state.opaque_value(), state.value.as_deref()) {
        (None, Some(serializer)) => serializer,
        (class, _) => {
            write_opaque(class.unwrap_or_default(), input.rest(), out);
            return Ok(());
        }
    };
    let mut times = String::new();
    out.push('[');
    let mut number = 0;
    while count.map_or(!input.is_empty(), |count| number < count) {
        if number > 0 {
            out.push(',');
            if count.is_none() {
                take_delimiter(&mut input)?;
            }
        }
        if state.has_ttl {
            let comma = if number > 0 { "," } else { "" };
            let _ = write!(times, "{comma}{}", input.i64()?);
        }
        serializer.write_json(&mut input, out)?;
        number += 1;
    }
    input.end()?;
    out.push(']');
    if state.has_ttl {
        for text in [r#","ttl":["#, &times, "]"] {
            out.push_str(text);
        }
    }
    Ok(())
}

/// What stands between two elements of a list in canonical form.
///
/// # Errors
/// `Corrupt` if it does not.
pub(super) fn take_delimiter(input: &mut Input<'_>) -> Written {
    let at = input.clone();
    match input.u8()? {
        DELIMITER => Ok(()),
        found => Err(at.corrupt(format!("byte {found:#04x} between the elements of a list"))),
    }
}

/// What cannot be read, as its class and its bytes.
pub(super) fn write_opaque(class: &str, bytes: &[u8], out: &mut String) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    out.push_str(r#"{"opaque":"#);
    Value::String(class.to_owned()).write_json(out);
    out.push_str(r#","bytes":""#);
    for byte in bytes {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    out.push_str(r#""}"#);
}
