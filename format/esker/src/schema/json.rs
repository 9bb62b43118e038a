//! The canonical JSON of a value: one text for one value, whatever backend held it.

use super::Value;
use crate::digest::push_hex;
use std::fmt::Write;

impl Value {
    /// Appends the value's canonical JSON to `out`.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Unit | Self::Option(None) => out.push_str("null"),
            Self::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
            // Digits of 64 bits are made in a fraction of the time.
            Self::Unsigned(v) => match u64::try_from(*v) {
                Ok(v) => display(v, out),
                Err(_) => display(v, out),
            },
            Self::Signed(v) => match i64::try_from(*v) {
                Ok(v) => display(v, out),
                Err(_) => display(v, out),
            },
            Self::F32(v) => float(v.is_finite(), *v, (*v).into(), out),
            Self::F64(v) => float(v.is_finite(), *v, *v, out),
            Self::Char(v) => write_json_string(v.encode_utf8(&mut [0; 4]), out),
            Self::String(v) => write_json_string(v, out),
            Self::Bytes(v) => {
                out.push('"');
                push_hex(v, out);
                out.push('"');
            }
            Self::Option(Some(held)) => match **held {
                // Where null would also be a value of what is held.
                Self::Option(_) | Self::Unit => {
                    out.push_str("{\"some\":");
                    held.write_json(out);
                    out.push('}');
                }
                _ => held.write_json(out),
            },
            Self::Seq(values) | Self::Tuple(values) => {
                list(values, '[', ']', out, Self::write_json);
            }
            Self::Map(entries) => list(entries, '[', ']', out, |(key, value), out| {
                out.push('[');
                key.write_json(out);
                out.push(',');
                value.write_json(out);
                out.push(']');
            }),
            Self::Struct(fields) => list(fields, '{', '}', out, |(name, value), out| {
                member(name, value, out);
            }),
            Self::Variant(name, None) => write_json_string(name, out),
            Self::Variant(name, Some(held)) => {
                out.push('{');
                member(name, held, out);
                out.push('}');
            }
        }
    }

    /// The value's canonical JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }
}

fn display(value: impl std::fmt::Display, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{value}");
}

/// Shortest digits that read back as the same number, always with a point and no exponent.
fn float(finite: bool, value: impl std::fmt::Display, wide: f64, out: &mut String) {
    if finite {
        let start = out.len();
        display(value, out);
        if !out.get(start..).is_some_and(|digits| digits.contains('.')) {
            out.push_str(".0");
        }
    } else if wide.is_nan() {
        out.push_str("\"NaN\"");
    } else {
        out.push_str(if wide > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
    }
}

fn list<T>(items: &[T], open: char, close: char, out: &mut String, f: impl Fn(&T, &mut String)) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        f(item, out);
    }
    out.push(close);
}

fn member(name: &str, value: &Value, out: &mut String) {
    write_json_string(name, out);
    out.push(':');
    value.write_json(out);
}

/// Appends `text` as a JSON string, quotes included; only `"`, `\` and control characters are escaped. Costs a look at each
/// byte and a copy.
pub fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    if !needs_escapes(text.as_bytes()) {
        out.push_str(text);
        out.push('"');
        return;
    }
    text.chars().for_each(|c| write_json_char(c, out));
    out.push('"');
}

/// Appends `c` as it stands inside a JSON string: `"`, `\` and control characters escaped, all others as they are.
pub fn write_json_char(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\0'..='\x1f' => display(format_args!("\\u{:04x}", u32::from(c)), out),
        _ => out.push(c),
    }
}

/// Whether a byte of `text` is not written as it is. Whole pieces are looked at, so that it is done many at a time.
fn needs_escapes(text: &[u8]) -> bool {
    let of = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    text.chunks(64).any(|piece| piece.iter().fold(false, |any, byte| any | of(byte)))
}
