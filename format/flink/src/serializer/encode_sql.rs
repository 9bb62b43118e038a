//! Rows, arrays and maps in SQL's binary form, as Flink's writers make them.

use super::encode::{held, integer, mismatch, row_parts, sequence, sql_decimal, sql_timestamp};
use super::logical::{COMPACT_PRECISION_MAX, Logical, MILLIS_PRECISION_MAX};
use super::walk_sql::{INLINE, SLOT_LEN_BYTES, array_header_len_bytes, row_header_len_bytes};
use crate::{FormatError, Output, Result, Value};

/// What is kept free for a decimal of many digits, null or not.
const DECIMAL_LEN_BYTES: usize = 16;
/// The most bytes that a slot has in itself.
const INLINE_LEN_BYTES_MAX: usize = 7;

/// Appends a row after its length.
pub(crate) fn row_data(types: &[Logical], value: &Value, out: &mut Vec<u8>) -> Result<()> {
    framed(&row(types, value, true)?, out)
}

/// Appends an array after its length.
pub(crate) fn array_data(element: &Logical, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    framed(&array(element, sequence("an array", value)?.iter())?, out)
}

/// Appends a map after its length.
pub(crate) fn map_data(
    key: &Logical,
    of: &Logical,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    framed(&map(key, of, value)?, out)
}

fn framed(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    out.put_i32(i32::try_from(small(bytes.len())?).unwrap_or(i32::MAX));
    out.extend_from_slice(bytes);
    Ok(())
}

/// A length or offset, as Java counts.
fn small(len: usize) -> Result<u32> {
    let fits = u32::try_from(len).ok().filter(|len| *len <= i32::MAX.unsigned_abs());
    fits.ok_or_else(|| {
        FormatError::invalid("value", format!("{len} bytes are more than a row has"))
    })
}

/// The bytes of a row, array or map that is being made: the fixed part, and behind it what is longer.
struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn new(fixed_len: usize) -> Self {
        Self { bytes: vec![0; fixed_len.next_multiple_of(SLOT_LEN_BYTES)] }
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn set(&mut self, at: usize, bit: usize) {
        if let Some(byte) = self.bytes.get_mut(at + bit / 8) {
            *byte |= 1 << (bit % 8);
        }
    }

    /// Appends `bytes`, and zeros up to a whole number of words; where they begin and how long they are.
    fn append(&mut self, bytes: &[u8]) -> Result<(u32, u32)> {
        let (at, len) = (small(self.bytes.len())?, small(bytes.len())?);
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(SLOT_LEN_BYTES), 0);
        Ok((at, len))
    }

    /// Appends `bytes` and makes the slot at `slot` point to them.
    fn point(&mut self, slot: usize, bytes: &[u8]) -> Result<()> {
        let (at, len) = self.append(bytes)?;
        self.point_to(slot, at, len);
        Ok(())
    }

    fn point_to(&mut self, slot: usize, at: u32, low: u32) {
        self.put(slot, &(u64::from(at) << 32 | u64::from(low)).to_le_bytes());
    }

    /// Null in the slot at `slot`, where long values keep their place: as the code does that Flink generates for
    /// keys, where bytes decide equality. Its other writers leave nothing there.
    fn null(&mut self, of: &Logical, slot: usize) -> Result<()> {
        let reserved = match of {
            Logical::Decimal { precision, .. } if *precision > COMPACT_PRECISION_MAX => {
                DECIMAL_LEN_BYTES
            }
            Logical::Timestamp { precision } if *precision > MILLIS_PRECISION_MAX => SLOT_LEN_BYTES,
            _ => return Ok(()),
        };
        let (at, _) = self.append(&[0; DECIMAL_LEN_BYTES][..reserved])?;
        self.point_to(slot, at, 0);
        Ok(())
    }

    fn value(&mut self, of: &Logical, slot: usize, value: &Value) -> Result<()> {
        match (of, value) {
            (Logical::Boolean, Value::Bool(value)) => self.put(slot, &[(*value).into()]),
            (Logical::TinyInt, _) => {
                self.put(slot, &integer::<i8>("TINYINT", value)?.to_le_bytes());
            }
            (Logical::SmallInt, _) => {
                self.put(slot, &integer::<i16>("SMALLINT", value)?.to_le_bytes());
            }
            (Logical::Int | Logical::Date | Logical::Time | Logical::Months, _) => {
                self.put(slot, &integer::<i32>("INT", value)?.to_le_bytes());
            }
            (Logical::BigInt | Logical::Duration, _) => {
                self.put(slot, &integer::<i64>("BIGINT", value)?.to_le_bytes());
            }
            (Logical::Float, Value::F32(value)) => self.put(slot, &value.to_le_bytes()),
            (Logical::Double, Value::F64(value)) => self.put(slot, &value.to_le_bytes()),
            (Logical::Text, Value::String(text)) => self.bytes_or_point(slot, text.as_bytes())?,
            (Logical::Binary, Value::Bytes(bytes)) => self.bytes_or_point(slot, bytes)?,
            (Logical::Raw(_), Value::Bytes(bytes)) => self.point(slot, bytes)?,
            (Logical::Decimal { precision, scale }, _) => {
                let unscaled = sql_decimal(*precision, *scale, value)?;
                if *precision <= COMPACT_PRECISION_MAX {
                    self.put(slot, &(unscaled as i64).to_le_bytes());
                    return Ok(());
                }
                let mut bytes = super::encode::minimal(unscaled);
                let len = small(bytes.len())?;
                bytes.resize(DECIMAL_LEN_BYTES, 0);
                let (at, _) = self.append(&bytes)?;
                self.point_to(slot, at, len);
            }
            (Logical::Timestamp { precision }, _) => {
                let (millis, nanos) = sql_timestamp(*precision, value)?;
                if *precision <= MILLIS_PRECISION_MAX {
                    self.put(slot, &millis.to_le_bytes());
                    return Ok(());
                }
                let (at, _) = self.append(&millis.to_le_bytes())?;
                self.point_to(slot, at, nanos.cast_unsigned());
            }
            (Logical::Array(element), _) => {
                self.point(slot, &array(element, sequence("an array", value)?.iter())?)?;
            }
            (Logical::Map(key, of), _) => self.point(slot, &map(key, of, value)?)?,
            (Logical::Row(types), _) => self.point(slot, &row(types, value, false)?)?,
            _ => return Err(mismatch(&format!("{of:?}"), value)),
        }
        Ok(())
    }

    fn bytes_or_point(&mut self, slot: usize, bytes: &[u8]) -> Result<()> {
        if bytes.len() > INLINE_LEN_BYTES_MAX {
            return self.point(slot, bytes);
        }
        self.put(slot, bytes);
        self.put(slot + SLOT_LEN_BYTES - 1, &[INLINE | bytes.len() as u8]);
        Ok(())
    }
}

fn row(types: &[Logical], value: &Value, reserve: bool) -> Result<Vec<u8>> {
    let (values, kind) = row_parts(types.len(), value)?;
    let header = row_header_len_bytes(types.len());
    let mut frame = Frame::new(header + types.len() * SLOT_LEN_BYTES);
    frame.put(0, &[kind as u8]);
    for (i, (of, value)) in types.iter().zip(values).enumerate() {
        let slot = header + i * SLOT_LEN_BYTES;
        match held(value) {
            Some(value) => frame.value(of, slot, value)?,
            None => {
                frame.set(0, i + 8);
                if reserve {
                    frame.null(of, slot)?;
                }
            }
        }
    }
    Ok(frame.bytes)
}

fn array<'v>(
    element: &Logical,
    values: impl ExactSizeIterator<Item = &'v Value>,
) -> Result<Vec<u8>> {
    let header = array_header_len_bytes(values.len());
    let width = element.element_len_bytes();
    let mut frame = Frame::new(header + values.len() * width);
    frame.put(0, &small(values.len())?.to_le_bytes());
    for (i, value) in values.enumerate() {
        let slot = header + i * width;
        match held(value) {
            Some(value) => frame.value(element, slot, value)?,
            None => frame.set(4, i),
        }
    }
    Ok(frame.bytes)
}

fn map(key: &Logical, of: &Logical, value: &Value) -> Result<Vec<u8>> {
    let Value::Map(entries) = value else { return Err(mismatch("a map", value)) };
    let keys = array(key, entries.iter().map(|(key, _)| key))?;
    let values = array(of, entries.iter().map(|(_, value)| value))?;
    let mut bytes = small(keys.len())?.to_le_bytes().to_vec();
    bytes.extend(keys);
    bytes.extend(values);
    Ok(bytes)
}
