//! Entries as canonical lines: those of esker's own dumps, straight from bytes to JSON.

use super::entry::{FlinkValue, Of, Raw};
use super::state::FlinkState;
use crate::format::manifest::StateKind;
use esker_flink::{FormatError, FormatErrorKind, Input, Serializer, Value, canonical};
use std::fmt::Write;

/// The bit that makes bytes of a timer's time sort as times do.
const SIGN: i64 = i64::MIN;
/// Stands between the elements of a list in canonical form.
const DELIMITER: u8 = b',';

type Written = std::result::Result<(), FormatError>;

/// Appends the line of an entry of `state`, with its end. Of one that is refused nothing is appended.
///
/// # Errors
/// `Corrupt` if it is no entry of the state.
pub(super) fn write_entry(of: Of<'_>, raw: Raw<'_>, offset: u64, out: &mut String) -> Written {
    let start = out.len();
    let written = match raw {
        Raw::Composite { key, value } if !of.state.has_opaque_place() => {
            composite(of.state, key, value, offset, out)
        }
        raw => parts(of, raw, offset, out),
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
    state: &FlinkState,
    user_key: Option<&[u8]>,
    value: &[u8],
    offset: u64,
    out: &mut String,
) -> Written {
    let start = out.len();
    out.push_str(state.head());
    let mut write = || {
        if let Some(bytes) = user_key {
            let serializer = (state.user_key.as_deref(), state.opaque_user_key());
            member("userKey", serializer, bytes, offset, out)?;
        }
        match opaque_map(state, user_key) {
            Some(class) => {
                out.push_str(r#","value":"#);
                Serializer::write_opaque_json(class, value, out);
                Ok(())
            }
            None => one(state, Input::new("value", value).based_at(offset), out),
        }
    };
    let written = write();
    match written {
        Ok(()) => out.push_str("}\n"),
        Err(_) => out.truncate(start),
    }
    written
}

/// The class that makes all of a broadcast map unreadable, if it was left whole.
fn opaque_map<'a>(state: &'a FlinkState, user_key: Option<&[u8]>) -> Option<&'a str> {
    let is_whole = state.kind == StateKind::OperatorBroadcast && user_key.is_none();
    state.opaque_user_key().or(state.opaque_value()).filter(|_| is_whole)
}

fn composite(
    state: &FlinkState,
    key: &[u8],
    value: &[u8],
    offset: u64,
    out: &mut String,
) -> Written {
    let mut input = Input::new("key", key).based_at(offset);
    let time = if state.is_timer() { Some(input.i64()? ^ SIGN) } else { None };
    out.push_str(state.head());
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
        (_, StateKind::Map) => {
            canonical::map_value(value)?.map_or(FlinkValue::Null, FlinkValue::One)
        }
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

fn parts(of: Of<'_>, raw: Raw<'_>, offset: u64, out: &mut String) -> Written {
    let state = of.state;
    let entry = match (raw.parts(of, 0), raw, state.opaque_place()) {
        (Ok(entry), ..) => entry,
        // Nothing tells where the key ends: all of it is shown.
        (Err(error), Raw::Composite { key, value }, Some(class))
            if error.kind == FormatErrorKind::Incompatible =>
        {
            out.push_str(state.head());
            member("key", (None, Some(class)), key, offset, out)?;
            out.push_str(r#","namespace":null,"value":"#);
            Serializer::write_opaque_json(class, value, out);
            out.push_str("}\n");
            return Ok(());
        }
        (Err(error), ..) => return Err(error),
    };
    out.push_str(state.head());
    let place = [("key", &state.key, entry.key), ("namespace", &state.namespace, entry.namespace)];
    for (name, serializer, bytes) in place {
        let serializer = serializer.as_deref();
        let opaque = serializer.filter(|_| state.has_opaque_place()).and_then(Serializer::opaque);
        member(name, (serializer, opaque), bytes, offset, out)?;
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
        (_, Some(class)) => Serializer::write_opaque_json(class, bytes, out),
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
        FlinkValue::Whole(bytes) => {
            out.push_str(r#","value":"#);
            let class = state.opaque_value().or(state.opaque_user_key());
            Serializer::write_opaque_json(class.unwrap_or_default(), bytes, out);
        }
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
        (Some(class), _) => Serializer::write_opaque_json(class, input.rest(), out),
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
            Serializer::write_opaque_json(class.unwrap_or_default(), input.rest(), out);
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
