//! Values that hold no others.

use super::{exactly, field, framed, held, integer, mismatch, put_len, sequence};
use crate::serializer::kind::{Scalar, Simple};
use crate::serializer::logical::MILLIS_PRECISION_MAX;
use crate::serializer::number::{parse_big_decimal, parse_big_integer, parse_sql_decimal};
use crate::serializer::time::{Date, Moment, Time, parse_civil};
use crate::text::{write_plain, write_string};
use crate::{FormatError, Output, Result, Value};

pub(super) fn scalar(of: Scalar, value: &Value, out: &mut Vec<u8>) -> Result<()> {
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

pub(super) fn simple_value(of: Simple, value: &Value, out: &mut Vec<u8>) -> Result<()> {
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
        Simple::Tuple0 => super::components("a tuple", 0, value).map(|_| out.push(TUPLE_0)),
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
pub(super) fn sql_decimal(precision: i32, scale: i32, value: &Value) -> Result<i128> {
    let what = format!("DECIMAL({precision}, {scale})");
    parsed(&what, value, |text| parse_sql_decimal(text, precision, scale))
}

/// The fewest bytes of an integer, in two's complement.
pub(super) fn minimal(value: i128) -> Vec<u8> {
    let sign = if value < 0 { 0xff } else { 0 };
    let bytes = value.to_be_bytes();
    let more = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0);
    bytes.get(more.count()..).unwrap_or_default().to_vec()
}

/// The milliseconds of a SQL timestamp, and the nanoseconds of a millisecond.
pub(super) fn sql_timestamp(precision: i32, value: &Value) -> Result<(i64, i32)> {
    let what = format!("TIMESTAMP({precision})");
    let (date, time) = parsed(&what, value, parse_civil)?;
    let moment = Moment::of_civil(date, time);
    let nanos = (moment.nanos % 1_000_000).cast_signed();
    match moment.millis() {
        Some(millis) if precision > MILLIS_PRECISION_MAX || nanos == 0 => Ok((millis, nanos)),
        _ => Err(mismatch(&what, value)),
    }
}
