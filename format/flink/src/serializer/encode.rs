//! Values back to the bytes that Flink's serializers write.

use super::Serializer;
use super::kind::{Constant, Kind, Pojo, Scalar, Simple, Tags};
use super::logical::{COMPACT_PRECISION_MAX, MILLIS_PRECISION_MAX};
use super::number::{parse_big_decimal, parse_big_integer, parse_sql_decimal};
use super::time::{Date, Moment, Time, parse_civil};
use super::walk::{POJO_EXACT, POJO_NAMED, POJO_NULL, POJO_REGISTERED, ROW_KINDS};
use crate::text::{write_plain, write_string, write_utf};
use crate::{FormatError, FormatErrorKind, Output, Result, Value};

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
            Kind::RowData(types) => super::encode_sql::row_data(types, value, out),
            Kind::ArrayData(element) => super::encode_sql::array_data(element, value, out),
            Kind::MapData(key, of) => super::encode_sql::map_data(key, of, value, out),
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

fn scalar(of: Scalar, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match (of, value) {
        (Scalar::Boolean, Value::Bool(value)) => out.put_bool(*value),
        (Scalar::Byte, _) => out.push(integer::<i8>("a byte", value)?.cast_unsigned()),
        (Scalar::Short, _) => out.put_u16(integer::<i16>("a short", value)?.cast_unsigned()),
        (Scalar::Int, _) => out.put_i32(integer("an int", value)?),
        (Scalar::Long, _) => out.put_i64(integer("a long", value)?),
        (Scalar::Char, Value::Char(c)) => {
            out.put_u16(u16::try_from(u32::from(*c)).map_err(|_| mismatch("a char", value))?);
        }
        (Scalar::Float, Value::F32(value)) => out.extend(value.to_be_bytes()),
        (Scalar::Double, Value::F64(value)) => out.extend(value.to_be_bytes()),
        _ => return Err(mismatch(&format!("{of:?}").to_lowercase(), value)),
    }
    Ok(())
}

fn simple_value(of: Simple, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match of {
        Simple::Scalar(of) => scalar(of, value, out),
        Simple::Boxed(scalar_of) => scalar(scalar_of, only_field("value", value)?, out),
        Simple::Array(Scalar::Byte) | Simple::Bitmap => framed(value, out),
        Simple::Array(of) => {
            let values = sequence("an array", value)?;
            put_len(values.len(), out)?;
            values.iter().try_for_each(|value| scalar(of, value, out))
        }
        Simple::String => string(value, out),
        Simple::StringValue => {
            let Value::String(text) = value else { return Err(mismatch("text", value)) };
            write_plain(text, out)
        }
        Simple::StringArray => {
            let values = sequence("an array", value)?;
            put_len(values.len(), out)?;
            values.iter().try_for_each(|value| string(value, out))
        }
        Simple::StringData => {
            let Value::String(text) = value else { return Err(mismatch("text", value)) };
            put_len(text.len(), out)?;
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        Simple::NullValue => unit(&[], value, out),
        Simple::Void | Simple::VoidNamespace | Simple::Null | Simple::GlobalWindow => {
            unit(&[0], value, out)
        }
        Simple::Tuple0 => components("a tuple", 0, value).map(|_| out.push(TUPLE_0)),
        Simple::TimeWindow => {
            let Value::Struct(fields) = value else { return Err(mismatch("a window", value)) };
            for (i, name) in ["start", "end"].iter().enumerate() {
                let bound = field(fields, i, name).ok_or_else(|| mismatch("a window", value))?;
                out.put_i64(integer("a long", bound)?);
            }
            Ok(())
        }
        Simple::CountWindow => scalar(Scalar::Long, only_field("id", value)?, out),
        Simple::SortedLong => {
            out.put_i64(integer::<i64>("a long", value)? ^ i64::MIN);
            Ok(())
        }
        Simple::Variant => {
            let [Value::Bytes(first), Value::Bytes(second)] = exactly("a variant", value)? else {
                return Err(mismatch("a variant", value));
            };
            put_len(first.len(), out)?;
            put_len(second.len(), out)?;
            out.extend_from_slice(first);
            out.extend_from_slice(second);
            Ok(())
        }
        Simple::BigInteger | Simple::BigDecimal => big(of == Simple::BigDecimal, value, out),
        _ => moment(of, value, out),
    }
}

/// What Flink writes for a tuple of nothing.
const TUPLE_0: u8 = 42;

fn unit(bytes: &[u8], value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Unit | Value::Option(None) => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        _ => Err(mismatch("a type of one value", value)),
    }
}

fn only_field<'v>(name: &str, value: &'v Value) -> Result<&'v Value> {
    let what = || format!("a struct of {name:?} alone");
    match value {
        Value::Struct(fields) if fields.len() == 1 => {
            field(fields, 0, name).ok_or_else(|| mismatch(&what(), value))
        }
        _ => Err(mismatch(&what(), value)),
    }
}

fn string(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match held(value) {
        None => write_string(None, out),
        Some(Value::String(text)) => write_string(Some(text), out),
        Some(Value::Char(c)) => write_string(Some(c.encode_utf8(&mut [0; 4])), out),
        Some(other) => Err(mismatch("a string", other)),
    }
}

/// Text that stands for a value of `what`, as `parse` reads it.
fn parsed<T>(what: &str, value: &Value, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
    match value {
        Value::String(text) => parse(text).ok_or_else(|| mismatch(what, value)),
        _ => Err(mismatch(what, value)),
    }
}

fn big(is_decimal: bool, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let text = match value {
        Value::Option(None) => {
            out.put_i32(0);
            return Ok(());
        }
        Value::Signed(value) => value.to_string(),
        Value::Unsigned(value) => value.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(mismatch("a number", value)),
    };
    if !is_decimal {
        let bytes = parse_big_integer(&text).ok_or_else(|| mismatch("BigInteger", value))?;
        return big_integer(&bytes, out);
    }
    let decimal = parse_big_decimal(&text).ok_or_else(|| mismatch("BigDecimal", value))?;
    big_integer(&decimal.0, out)?;
    out.put_i32(decimal.1);
    Ok(())
}

/// Appends an integer of as few bytes as possible, in two's complement.
fn big_integer(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match bytes {
        [0] => out.put_i32(1),
        [1] => out.put_i32(2),
        [10] => out.put_i32(3),
        _ => {
            put_len(bytes.len().saturating_add(4), out)?;
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

fn local_date(date: Option<Date>, out: &mut Vec<u8>) {
    match date {
        Some(Date { year, month, day }) => {
            out.put_i32(year);
            out.extend([month, day]);
        }
        None => {
            out.put_i32(i32::MIN);
            out.put_u16(i16::MIN.cast_unsigned());
        }
    }
}

fn local_time(time: Option<Time>, out: &mut Vec<u8>) {
    match time {
        Some(Time { hour, minute, second, nanos }) => {
            out.extend([hour, minute, second]);
            out.put_i32(nanos.cast_signed());
        }
        None => {
            out.push(i8::MIN.cast_unsigned());
            out.put_u16(i16::MIN.cast_unsigned());
            out.put_i32(i32::MIN);
        }
    }
}

fn moment(of: Simple, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let what = of.class().unwrap_or_default();
    let value = held(value);
    match of {
        Simple::SqlDate | Simple::SqlTime => {
            out.put_i64(value.map_or(Ok(i64::MIN), |value| integer(what, value))?);
        }
        Simple::LocalDate => {
            local_date(value.map(|value| parsed(what, value, Date::parse)).transpose()?, out);
        }
        Simple::LocalTime => {
            local_time(value.map(|value| parsed(what, value, Time::parse)).transpose()?, out);
        }
        Simple::LocalDateTime => {
            let both = value.map(|value| parsed(what, value, parse_civil)).transpose()?;
            local_date(both.map(|both| both.0), out);
            local_time(both.map(|both| both.1), out);
        }
        _ => {
            let found = value.map(|value| parsed(what, value, Moment::parse)).transpose()?;
            instant(of, found, out).ok_or_else(|| match value {
                Some(value) => mismatch(what, value),
                None => FormatError::invalid("value", "null has no place"),
            })?;
        }
    }
    Ok(())
}

/// Appends a moment, if it fits.
fn instant(of: Simple, moment: Option<Moment>, out: &mut Vec<u8>) -> Option<()> {
    let Some(moment) = moment else {
        out.put_i64(i64::MIN);
        match of {
            Simple::Instant => out.put_i32(i32::MIN),
            Simple::SqlTimestamp => out.put_i32(0),
            _ => {}
        }
        return Some(());
    };
    match of {
        Simple::Instant => out.put_i64(moment.seconds),
        _ => out.put_i64(moment.millis()?),
    }
    match of {
        Simple::Date if moment.nanos % 1_000_000 != 0 => return None,
        Simple::Date => {}
        _ => out.put_i32(moment.nanos.cast_signed()),
    }
    Some(())
}

/// The unscaled value of a SQL decimal.
pub(crate) fn sql_decimal(precision: i32, scale: i32, value: &Value) -> Result<i128> {
    let what = format!("DECIMAL({precision}, {scale})");
    parsed(&what, value, |text| parse_sql_decimal(text, precision, scale))
}

/// The fewest bytes of an integer, in two's complement.
pub(crate) fn minimal(value: i128) -> Vec<u8> {
    let sign = if value < 0 { 0xff } else { 0 };
    let bytes = value.to_be_bytes();
    let more = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0);
    bytes.get(more.count()..).unwrap_or_default().to_vec()
}

/// The milliseconds of a SQL timestamp, and the nanoseconds of a millisecond.
pub(crate) fn sql_timestamp(precision: i32, value: &Value) -> Result<(i64, i32)> {
    let what = format!("TIMESTAMP({precision})");
    let (date, time) = parsed(&what, value, parse_civil)?;
    let moment = Moment::of_civil(date, time);
    let nanos = (moment.nanos % 1_000_000).cast_signed();
    match moment.millis() {
        Some(millis) if precision > MILLIS_PRECISION_MAX || nanos == 0 => Ok((millis, nanos)),
        _ => Err(mismatch(&what, value)),
    }
}
