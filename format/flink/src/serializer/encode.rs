//! Values back to the bytes that Flink's serializers write.

mod avro;
mod simple;
mod sql;

use super::Serializer;
use super::kind::{Constant, Kind, Pojo, Scalar, Tags};
use super::logical::{COMPACT_PRECISION_MAX, MILLIS_PRECISION_MAX};
use super::walk::{POJO_EXACT, POJO_NAMED, POJO_NULL, POJO_REGISTERED, ROW_KINDS};
use crate::text::write_utf;
use crate::{FormatError, FormatErrorKind, Output, Result, Value};
use simple::{minimal, scalar, simple_value, sql_decimal, sql_timestamp};

/// How much of a value an error shows, in characters.
const SHOWN_CHARS: usize = 80;

/// That `value` is none of `what`.
pub(crate) fn mismatch(what: &str, value: &Value) -> FormatError {
    let shown: String = value.to_json().chars().take(SHOWN_CHARS).collect();
    FormatError::invalid("value", format!("{shown} is no value of {what}"))
}

/// What an optional value holds; one that is no option is there.
pub(crate) fn held(value: &Value) -> Option<&Value> {
    match value {
        Value::Option(held) => held.as_deref(),
        value => Some(value),
    }
}

/// An integer of either kind, if it fits.
pub(crate) fn integer<T: TryFrom<i128>>(what: &str, value: &Value) -> Result<T> {
    let wide = match value {
        Value::Signed(value) => Some(*value),
        Value::Unsigned(value) => i128::try_from(*value).ok(),
        _ => None,
    };
    wide.and_then(|wide| T::try_from(wide).ok()).ok_or_else(|| mismatch(what, value))
}

/// The length of something, as Java counts.
pub(crate) fn put_len(len: usize, out: &mut Vec<u8>) -> Result<()> {
    let small = i32::try_from(len)
        .map_err(|_| FormatError::invalid("value", format!("{len} is more than Java counts")))?;
    out.put_i32(small);
    Ok(())
}

impl Serializer {
    /// Appends `value` as the serializer does: one of [`schema`](Self::schema), where an integer may be of either kind
    /// and what is optional need not be an option.
    ///
    /// # Errors
    /// `Invalid` if it is no such value; `Incompatible` if values are [opaque](Self::opaque). Part of the value may have been
    /// appended then.
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        // What a class writes for null is known where it is one of those that can.
        let value = match value {
            Value::Option(Some(held)) => held,
            value => value,
        };
        match &self.kind {
            Kind::Opaque => {
                let message = format!("only Java code can write what {} describes", self.class);
                Err(FormatError::new(FormatErrorKind::Incompatible, "value", message))
            }
            Kind::Simple(simple) => simple_value(*simple, value, out),
            Kind::Wrapped(inner) => inner.encode(value, out),
            Kind::List(element) => {
                let values = sequence("a list", value)?;
                put_len(values.len(), out)?;
                values.iter().try_for_each(|value| element.encode(value, out))
            }
            Kind::LinkedList { masked, element } => linked(*masked, element, value, out),
            Kind::Set(element) => flagged(element, true, value, out),
            Kind::Array(element) => flagged(element, false, value, out),
            Kind::Map { null_keys, key, value: of } => {
                let Value::Map(entries) = value else { return Err(mismatch("a map", value)) };
                put_len(entries.len(), out)?;
                for (first, second) in entries {
                    match null_keys {
                        true => key.encode_flagged(first, true, out)?,
                        false => key.encode(first, out)?,
                    }
                    of.encode_flagged(second, true, out)?;
                }
                Ok(())
            }
            Kind::Tuple { fields, .. } => {
                let values = components("a tuple", fields.len(), value)?;
                fields.iter().zip(values).try_for_each(|(field, value)| field.encode(value, out))
            }
            Kind::Row { kinds, fields } => row(*kinds, fields, value, out),
            Kind::Nullable { padding, inner } => {
                let is_null = held(value).is_none();
                out.put_bool(is_null);
                match is_null {
                    true => out.resize(out.len() + padding, 0),
                    false => inner.encode(value, out)?,
                }
                Ok(())
            }
            Kind::Option(inner) => inner.encode_flagged(value, false, out),
            Kind::Either { tags, left, right } => either(*tags, left, right, value, out),
            Kind::Ttl(inner) | Kind::WindowKey(inner) => {
                let [first, second] = exactly("a pair", value)?;
                out.put_i64(integer("a long", first)?);
                inner.encode(second, out)
            }
            Kind::BufferEntry(element) => {
                let [first, second] = exactly("a pair", value)?;
                scalar(Scalar::Boolean, first, out)?;
                element.encode(second, out)
            }
            Kind::Timer { key, namespace } => {
                let [time, of_key, of_namespace] = exactly("a timer", value)?;
                out.put_i64(integer::<i64>("a long", time)? ^ i64::MIN);
                key.encode(of_key, out)?;
                namespace.encode(of_namespace, out)
            }
            Kind::Enum { class, constants } => constant(class, constants, value, out),
            Kind::Pojo(of) => pojo(of, value, out),
            Kind::Avro(avro) => avro.encode(avro.root(), value, super::walk::DEPTH_MAX, out),
            Kind::RowData(types) => sql::row_data(types, value, out),
            Kind::ArrayData(element) => sql::array_data(element, value, out),
            Kind::MapData(key, of) => sql::map_data(key, of, value, out),
            Kind::DecimalData { precision, scale } => {
                let unscaled = sql_decimal(*precision, *scale, value)?;
                if *precision <= COMPACT_PRECISION_MAX {
                    out.put_i64(unscaled as i64);
                    return Ok(());
                }
                let bytes = minimal(unscaled);
                put_len(bytes.len(), out)?;
                out.extend_from_slice(&bytes);
                Ok(())
            }
            Kind::TimestampData { precision } => {
                let (millis, nanos) = sql_timestamp(*precision, value)?;
                out.put_i64(millis);
                if *precision > MILLIS_PRECISION_MAX {
                    out.put_i32(nanos);
                }
                Ok(())
            }
            Kind::Framed => framed(value, out),
        }
    }

    /// A value behind a flag, which is set where there is none if `null_flag`.
    fn encode_flagged(&self, value: &Value, null_flag: bool, out: &mut Vec<u8>) -> Result<()> {
        let value = held(value);
        out.put_bool(value.is_none() == null_flag);
        value.map_or(Ok(()), |value| self.encode(value, out))
    }
}

pub(crate) fn sequence<'v>(what: &str, value: &'v Value) -> Result<&'v [Value]> {
    match value {
        Value::Seq(values) | Value::Tuple(values) => Ok(values),
        _ => Err(mismatch(what, value)),
    }
}

fn components<'v>(what: &str, count: usize, value: &'v Value) -> Result<&'v [Value]> {
    let values = sequence(what, value)?;
    match values.len() == count {
        true => Ok(values),
        false => Err(mismatch(&format!("{what} of {count}"), value)),
    }
}

fn exactly<'v, const N: usize>(what: &str, value: &'v Value) -> Result<&'v [Value; N]> {
    components(what, N, value)?.first_chunk().ok_or_else(|| mismatch(what, value))
}

fn flagged(element: &Serializer, null_flag: bool, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let values = sequence("a list", value)?;
    put_len(values.len(), out)?;
    values.iter().try_for_each(|value| element.encode_flagged(value, null_flag, out))
}

/// Sets bit `at`, counted from the high bit of each byte.
fn mask(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at / 8) {
        *byte |= 0x80 >> (at % 8);
    }
}

fn linked(masked: bool, element: &Serializer, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let values = sequence("a list", value)?;
    put_len(values.len(), out)?;
    if !masked {
        return values.iter().try_for_each(|value| element.encode(value, out));
    }
    let start = out.len();
    out.resize(start + values.len().div_ceil(8), 0);
    for (i, value) in values.iter().enumerate() {
        match held(value) {
            Some(value) => element.encode(value, out)?,
            None => mask(out.get_mut(start..).unwrap_or_default(), i),
        }
    }
    Ok(())
}

/// The values of a row's fields, and the number of its kind, which may be left out.
pub(crate) fn row_parts(fields: usize, value: &Value) -> Result<(&[Value], usize)> {
    let what = || format!("a row of {fields}");
    let values = sequence("a row", value)?;
    let (values, kind) = match values.split_last() {
        Some((kind, values)) if values.len() == fields => (values, Some(kind)),
        _ if values.len() == fields => (values, None),
        _ => return Err(mismatch(&what(), value)),
    };
    let kind = match kind {
        None => Some(0),
        Some(Value::Variant(name, None)) => ROW_KINDS.iter().position(|kind| **name == **kind),
        Some(_) => None,
    };
    Ok((values, kind.ok_or_else(|| mismatch(&what(), value))?))
}

fn row(kinds: bool, fields: &[Serializer], value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let (values, kind) = row_parts(fields.len(), value)?;
    if kind > 0 && !kinds {
        return Err(mismatch("a row without a kind", value));
    }
    let first = if kinds { 2 } else { 0 };
    let start = out.len();
    out.resize(start + (first + fields.len()).div_ceil(8), 0);
    let set = |out: &mut Vec<u8>, at| mask(out.get_mut(start..).unwrap_or_default(), at);
    if kind & 1 == 1 {
        set(out, 0);
    }
    if kind & 2 == 2 {
        set(out, 1);
    }
    for (i, (field, value)) in fields.iter().zip(values).enumerate() {
        match held(value) {
            Some(value) => field.encode(value, out)?,
            None => set(out, first + i),
        }
    }
    Ok(())
}

fn either(
    tags: Tags,
    left: &Serializer,
    right: &Serializer,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    let Value::Variant(name, Some(held)) = value else { return Err(mismatch("either", value)) };
    let Some(at) = tags.names().iter().position(|known| **known == **name) else {
        return Err(mismatch("either", value));
    };
    match tags {
        Tags::Java | Tags::Scala => out.put_bool(at == 0),
        Tags::Union => out.push(at as u8 + 1),
    }
    if at == 0 { left.encode(held, out) } else { right.encode(held, out) }
}

/// The number of an enum's constant.
pub(crate) fn constant(
    class: &str,
    constants: &[Constant],
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    let at = match value {
        Value::Variant(name, None) => constants.iter().position(|known| known.name == *name),
        _ => None,
    };
    put_len(at.ok_or_else(|| mismatch(&format!("the enum {class}"), value))?, out)
}

/// The value of the field `name`, which is probably at `at`.
pub(crate) fn field<'v>(
    fields: &'v [(esker_format::schema::Name, Value)],
    at: usize,
    name: &str,
) -> Option<&'v Value> {
    let here = fields.get(at).filter(|(found, _)| **found == *name);
    here.or_else(|| fields.iter().find(|(found, _)| **found == *name)).map(|(_, value)| value)
}

fn pojo(of: &Pojo, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let value = match value {
        Value::Option(None) => {
            out.push(POJO_NULL);
            return Ok(());
        }
        Value::Variant(class, Some(held)) if *class == of.class => &**held,
        Value::Variant(class, Some(held)) => {
            let mut registered = 0_u8;
            for subclass in &of.subclasses {
                if subclass.class == *class {
                    match subclass.registered {
                        true => out.extend([POJO_REGISTERED, registered]),
                        false => {
                            out.push(POJO_NAMED);
                            write_utf(class, out)?;
                        }
                    }
                    return subclass.serializer.encode(held, out);
                }
                registered = registered.wrapping_add(u8::from(subclass.registered));
            }
            return Err(mismatch(&of.class, value));
        }
        value => value,
    };
    let Value::Struct(values) = value else { return Err(mismatch(&of.class, value)) };
    if values.len() != of.fields.len() {
        return Err(mismatch(&of.class, value));
    }
    out.push(POJO_EXACT);
    for (i, known) in of.fields.iter().enumerate() {
        let of_field = field(values, i, &known.name.name);
        let of_field = of_field.ok_or_else(|| mismatch(&of.class, value))?;
        known.serializer.encode_flagged(of_field, true, out)?;
    }
    Ok(())
}

pub(crate) fn framed(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let Value::Bytes(bytes) = value else { return Err(mismatch("bytes", value)) };
    put_len(bytes.len(), out)?;
    out.extend_from_slice(bytes);
    Ok(())
}
