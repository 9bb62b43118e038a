//! JSON to values, by a schema: the way back from canonical JSON.

use super::def::Scope;
use super::distinct::Distinct;
use super::text::{Read, Text, Wrong};
use super::{Field, Schema, Shape, Value};
use crate::codec::bincode_de::MAX_DEPTH;
use crate::{FormatError, Result};
use std::fmt;

/// How many names an error lists.
const NAMES_SHOWN: usize = 8;

impl Value {
    /// The value of `schema` whose canonical JSON is `text`, whatever blanks are in it and in whatever
    /// order the members of a struct come. Integers may also be given as strings of digits: few
    /// programs keep those beyond 53 bits.
    ///
    /// # Errors
    /// `Invalid` if it is not the JSON of such a value, or an element of a set or a key of a map is there
    /// twice: with the byte at which that shows, the path inside the value, what was expected and what
    /// was found.
    pub fn parse_json(schema: &Schema, text: &str) -> Result<Self> {
        let mut at = Text::new(text);
        let parsed = value(schema, &mut at, &Scope::default(), MAX_DEPTH);
        let parsed = parsed.and_then(|value| at.finish().map(|()| value));
        parsed.map_err(|Wrong { at, mut steps, message }| {
            steps.reverse();
            let path = steps.concat();
            let message = if path.is_empty() { message } else { format!("{path}: {message}") };
            FormatError::invalid("JSON", message).at(at as u64)
        })
    }
}

/// What a schema expects.
pub(super) struct Expected<'s>(pub(super) &'s Schema);

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let integer = |f: &mut fmt::Formatter<'_>, name: &str, bits: u32, signed: bool| {
            let (low, high) = match signed {
                true => (i128::MIN >> (128 - bits), (i128::MAX >> (128 - bits)).cast_unsigned()),
                false => (0, u128::MAX >> (128 - bits)),
            };
            write!(f, "{name}, {low} to {high}")
        };
        match self.0 {
            Schema::Unit => f.write_str("null"),
            Schema::Bool => f.write_str("true or false"),
            Schema::U8 => integer(f, "u8", 8, false),
            Schema::U16 => integer(f, "u16", 16, false),
            Schema::U32 => integer(f, "u32", 32, false),
            Schema::U64 => integer(f, "u64", 64, false),
            Schema::U128 => integer(f, "u128", 128, false),
            Schema::I8 => integer(f, "i8", 8, true),
            Schema::I16 => integer(f, "i16", 16, true),
            Schema::I32 => integer(f, "i32", 32, true),
            Schema::I64 => integer(f, "i64", 64, true),
            Schema::I128 => integer(f, "i128", 128, true),
            Schema::F32 | Schema::F64 => {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }
            Schema::Char => f.write_str("a string of one character"),
            Schema::String => f.write_str("a string"),
            Schema::Bytes | Schema::Opaque { .. } => f.write_str("bytes as a string of hex digits"),
            Schema::Option(_) => f.write_str("null or {\"some\": …}"),
            Schema::Seq(_) | Schema::Set(_) => f.write_str("an array"),
            Schema::Map(..) => f.write_str("an array of [key, value]"),
            Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. } => {
                write!(f, "an array of {}", parts.len())
            }
            Schema::Struct { name, fields } => {
                write!(f, "an object with the fields of {name}: ")?;
                names(f, fields.iter().map(|field| &*field.name))
            }
            Schema::Enum { name, variants } => {
                write!(f, "a variant of {name}, \"A\" or {{\"A\": …}}: ")?;
                names(f, variants.iter().map(|variant| &*variant.name))
            }
            Schema::Newtype { inner, .. } => write!(f, "{}", Expected(inner)),
            Schema::Ref(name) => write!(f, "a {name}"),
        }
    }
}

pub(super) fn names<'n>(
    f: &mut fmt::Formatter<'_>,
    all: impl Iterator<Item = &'n str>,
) -> fmt::Result {
    for (number, name) in all.enumerate() {
        match number {
            NAMES_SHOWN => return f.write_str(", …"),
            0 => f.write_str(name)?,
            _ => write!(f, ", {name}")?,
        }
    }
    Ok(())
}

fn deeper(depth: usize, at: usize) -> Read<usize> {
    let message = || format!("nested deeper than {MAX_DEPTH}");
    depth.checked_sub(1).ok_or_else(|| Wrong::new(at, message()))
}

fn value(schema: &Schema, text: &mut Text<'_>, scope: &Scope<'_, '_>, depth: usize) -> Read<Value> {
    let depth = deeper(depth, text.at())?;
    let scope = &scope.enter(schema);
    let start = *text;
    let wrong = || start.expected(Expected(schema));
    match schema {
        Schema::Unit => word(text, "null", Value::Unit).ok_or_else(wrong),
        Schema::Bool => word(text, "true", Value::Bool(true))
            .or_else(|| word(text, "false", Value::Bool(false)))
            .ok_or_else(wrong),
        Schema::U8 => unsigned(text, 8).ok_or_else(wrong),
        Schema::U16 => unsigned(text, 16).ok_or_else(wrong),
        Schema::U32 => unsigned(text, 32).ok_or_else(wrong),
        Schema::U64 => unsigned(text, 64).ok_or_else(wrong),
        Schema::U128 => unsigned(text, 128).ok_or_else(wrong),
        Schema::I8 => signed(text, 8).ok_or_else(wrong),
        Schema::I16 => signed(text, 16).ok_or_else(wrong),
        Schema::I32 => signed(text, 32).ok_or_else(wrong),
        Schema::I64 => signed(text, 64).ok_or_else(wrong),
        Schema::I128 => signed(text, 128).ok_or_else(wrong),
        // Each from its own digits: by way of the wider one, some would be rounded twice.
        Schema::F32 => float(text, f32::is_finite).map(Value::F32).ok_or_else(wrong),
        Schema::F64 => float(text, f64::is_finite).map(Value::F64).ok_or_else(wrong),
        Schema::Char => {
            let held = text.string("a string of one character")?;
            let mut chars = held.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(Value::Char(c)),
                _ => Err(wrong()),
            }
        }
        Schema::String => Ok(Value::String(text.string("a string")?.into_owned())),
        Schema::Bytes | Schema::Opaque { .. } => {
            let digits = text.string("bytes as a string of hex digits")?;
            hex(&digits).map(Value::Bytes).ok_or_else(wrong)
        }
        Schema::Option(_) if text.passes_word("null") => Ok(Value::Option(None)),
        Schema::Option(inner) => {
            let held = match nullable(inner, scope, depth, text.at())? {
                false => value(inner, text, scope, depth)?,
                true => some(inner, text, scope, depth, wrong)?,
            };
            Ok(Value::Option(Some(Box::new(held))))
        }
        Schema::Seq(item) | Schema::Set(item) => {
            let mut values = Vec::new();
            let mut known = matches!(schema, Schema::Set(_)).then(|| Distinct::new("element"));
            text.items((b'[', b']'), &Expected(schema), &mut |text, number| {
                let at = text.at();
                let held = value(item, text, scope, depth).and_then(|held| {
                    if let Some(known) = &mut known {
                        known.add(item, &held, scope, depth, at)?;
                    }
                    Ok(held)
                });
                values.push(held.map_err(|wrong| wrong.below(|| format!("[{number}]")))?);
                Ok(())
            })?;
            Ok(Value::Seq(values))
        }
        Schema::Map(key, held) => {
            let (mut entries, mut known) = (Vec::new(), Distinct::new("key"));
            text.items((b'[', b']'), &Expected(schema), &mut |text, number| {
                let of = |step: &str| format!("[{number}]{step}");
                let mut pair = *text;
                let mut parts = items(&[key, held], text, scope, depth, &"[key, value]")
                    .map_err(|wrong| wrong.below(|| of("")))?
                    .into_iter();
                let (Some(k), Some(v)) = (parts.next(), parts.next()) else {
                    return Err(pair.expected("[key, value]").below(|| of("")));
                };
                let added = known.add(key, &k, scope, depth, pair.at());
                added.map_err(|wrong| wrong.below(|| of("")))?;
                entries.push((k, v));
                Ok(())
            })?;
            Ok(Value::Map(entries))
        }
        Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. } => {
            let parts: Vec<&Schema> = parts.iter().collect();
            Ok(Value::Tuple(items(&parts, text, scope, depth, &Expected(schema))?))
        }
        Schema::Struct { fields: parts, .. } => {
            fields(parts, text, scope, depth, &Expected(schema))
        }
        Schema::Newtype { inner, .. } => value(inner, text, scope, depth),
        Schema::Enum { variants, .. } => {
            let is_unit = text.peek() == Some(b'"');
            if !is_unit && !text.passes(b'{') {
                return Err(wrong());
            }
            let name = if is_unit { text.string("a variant")? } else { text.name()? };
            let variant = variants.iter().find(|v| *v.name == *name).ok_or_else(wrong)?;
            let held = match (&variant.shape, is_unit) {
                (Shape::Unit, true) => Ok(None),
                (Shape::Newtype(inner), false) => value(inner, text, scope, depth).map(Some),
                (Shape::Tuple(parts), false) => {
                    let parts: Vec<&Schema> = parts.iter().collect();
                    let what = format!("an array of {}", parts.len());
                    items(&parts, text, scope, depth, &what).map(|v| Some(Value::Tuple(v)))
                }
                (Shape::Struct(parts), false) => {
                    let what = format!("an object with the fields of {name}");
                    fields(parts, text, scope, depth, &what).map(Some)
                }
                (Shape::Unit, false) => Err(start.expected(format_args!("\"{name}\""))),
                (_, true) => Err(start.expected(format_args!("{{\"{name}\": …}}"))),
            };
            let held = held.map_err(|wrong| wrong.below(|| format!("::{name}")))?;
            if !is_unit && !text.passes(b'}') {
                return Err(text.expected("'}' behind the only variant"));
            }
            Ok(Value::Variant(variant.name.clone(), held.map(Box::new)))
        }
        Schema::Ref(name) => {
            let at = text.at();
            let (schema, around) = scope.resolve(name).map_err(|e| Wrong::new(at, e.message))?;
            value(schema, text, &around, depth)
        }
    }
}

fn word(text: &mut Text<'_>, word: &str, value: Value) -> Option<Value> {
    text.passes_word(word).then_some(value)
}

/// The text of a number, or the string that stands for it.
fn digits<'a>(text: &mut Text<'a>) -> Option<std::borrow::Cow<'a, str>> {
    match text.peek() {
        Some(b'"') => text.string("").ok(),
        _ => text.number().map(Into::into),
    }
}

fn unsigned(text: &mut Text<'_>, bits: u32) -> Option<Value> {
    let found: u128 = digits(text)?.parse().ok()?;
    (bits == 128 || found >> bits == 0).then_some(Value::Unsigned(found))
}

fn signed(text: &mut Text<'_>, bits: u32) -> Option<Value> {
    let found: i128 = digits(text)?.parse().ok()?;
    matches!(found >> (bits - 1), 0 | -1).then_some(Value::Signed(found))
}

fn float<T: Copy + std::str::FromStr>(text: &mut Text<'_>, is_finite: fn(T) -> bool) -> Option<T> {
    if text.peek() == Some(b'"') {
        let name = text.string("").ok()?;
        // What is beyond the type reads as no finite number, and has no other name than these.
        let known = matches!(&*name, "NaN" | "Infinity" | "-Infinity");
        return if known { name.parse().ok() } else { None };
    }
    text.number()?.parse().ok().filter(|found| is_finite(*found))
}

fn some(
    inner: &Schema,
    text: &mut Text<'_>,
    scope: &Scope<'_, '_>,
    depth: usize,
    wrong: impl FnOnce() -> Wrong,
) -> Read<Value> {
    if !text.passes(b'{') || text.name()? != "some" {
        return Err(wrong());
    }
    let held = value(inner, text, scope, depth).map_err(|wrong| wrong.below(|| ".some".into()))?;
    match text.passes(b'}') {
        true => Ok(held),
        false => Err(text.expected("'}'")),
    }
}

/// Whether null is the JSON of a value of `schema`.
pub(super) fn nullable(
    schema: &Schema,
    scope: &Scope<'_, '_>,
    depth: usize,
    at: usize,
) -> Read<bool> {
    let depth = deeper(depth, at)?;
    match schema {
        Schema::Unit | Schema::Option(_) => Ok(true),
        Schema::Newtype { inner, .. } => nullable(inner, &scope.enter(schema), depth, at),
        Schema::Ref(name) => {
            let found = scope.resolve(name).map_err(|e| Wrong::new(at, e.message));
            let (schema, around) = found?;
            nullable(schema, &around, depth, at)
        }
        _ => Ok(false),
    }
}

/// As many values as there are `parts`.
fn items(
    parts: &[&Schema],
    text: &mut Text<'_>,
    scope: &Scope<'_, '_>,
    depth: usize,
    what: &dyn fmt::Display,
) -> Read<Vec<Value>> {
    let (start, mut values) = (*text, Vec::with_capacity(parts.len()));
    text.items((b'[', b']'), what, &mut |text, number| {
        let part = parts.get(number).ok_or_else(|| start.expected(what))?;
        let held = value(part, text, scope, depth);
        values.push(held.map_err(|wrong| wrong.below(|| format!(".{number}")))?);
        Ok(())
    })?;
    if values.len() < parts.len() { Err(start.expected(what)) } else { Ok(values) }
}

fn fields(
    parts: &[Field],
    text: &mut Text<'_>,
    scope: &Scope<'_, '_>,
    depth: usize,
    what: &dyn fmt::Display,
) -> Read<Value> {
    let start = *text;
    let mut found: Vec<Option<Value>> = Vec::new();
    text.items((b'{', b'}'), what, &mut |text, number| {
        let at = text.at();
        let name = text.name()?;
        // As a rule they come in order.
        let is = |part: &Field| *part.name == *name;
        let in_order = parts.get(number).filter(|part| is(part)).map(|_| number);
        let place = in_order.or_else(|| parts.iter().position(is)).ok_or_else(|| {
            Wrong::new(at, format!("the field {name:?} is unknown: expected {what}"))
        })?;
        if found.len() <= place {
            found.resize(place + 1, None);
        }
        let (Some(part), Some(slot)) = (parts.get(place), found.get_mut(place)) else {
            return Ok(());
        };
        let step = || format!(".{name}");
        let held = value(&part.schema, text, scope, depth).map_err(|wrong| wrong.below(step))?;
        match slot.replace(held) {
            None => Ok(()),
            Some(_) => Err(Wrong::new(at, format!("the field {name:?} is there twice"))),
        }
    })?;
    found.resize(parts.len(), None);
    let at = { start }.at();
    let values = parts.iter().zip(found).map(|(part, held)| {
        let missing = || Wrong::new(at, format!("the field {:?} is missing", &*part.name));
        Ok((part.name.clone(), held.ok_or_else(missing)?))
    });
    Ok(Value::Struct(values.collect::<Read<_>>()?))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|v| v as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}
