//! Rows, arrays and maps in SQL's binary form: little-endian, slots of fixed size, then what is longer
//! (SPEC.md, "Binary rows").

use super::simple::sql_timestamp;
use super::{ROW_KINDS, Walk, opaque};
use crate::serializer::logical::{COMPACT_PRECISION_MAX, Logical, MILLIS_PRECISION_MAX};
use crate::serializer::number;
use crate::serializer::sink::{Group, Keys, Sink};
use crate::serializer::time;
use crate::{FormatError, Input, Result};

/// What a field of a row takes in its fixed part.
pub(crate) const SLOT_LEN_BYTES: usize = 8;

/// Set in the last byte of a slot whose bytes are in the slot itself.
pub(crate) const INLINE: u8 = 0x80;

/// The bytes of a row, array or map, and how many of them fields have taken: each counts once, so that no more than
/// there are can be shown.
struct Frame<'a> {
    bytes: &'a [u8],
    base: u64,
    spent: usize,
}

/// The length of a row's kind and null bits.
pub(crate) fn row_header_len_bytes(fields: usize) -> usize {
    (fields + 8).div_ceil(64) * 8
}

/// The length of an array's count and null bits.
pub(crate) fn array_header_len_bytes(elements: usize) -> usize {
    4 + elements.div_ceil(32) * 4
}

impl<'a> Frame<'a> {
    fn read(input: &mut Input<'a>) -> Result<Self> {
        let len = input.count(1)?;
        let base = input.offset();
        Ok(Self { bytes: input.take(len)?, base, spent: 0 })
    }

    /// The frame of a value of which something is to be made, and where it stood; `None` where it was passed over.
    fn shown<S: Sink>(input: &mut Input<'a>) -> Result<Option<(Self, Input<'a>)>> {
        let at = input.clone();
        let frame = Self::read(input)?;
        Ok((!S::SKIPS).then_some((frame, at)))
    }

    fn corrupt(&self, message: impl Into<String>) -> FormatError {
        FormatError::corrupt("binary row", message).at(self.base)
    }

    /// `len` bytes at `at`, which are of the fixed part.
    fn fixed(&self, at: usize, len: usize) -> Result<&'a [u8]> {
        let bytes = at.checked_add(len).and_then(|end| self.bytes.get(at..end));
        bytes.ok_or_else(|| {
            self.corrupt(format!("needs {len} bytes at {at}, has {}", self.bytes.len()))
        })
    }

    /// `len` bytes at `at`, which are of the variable part.
    fn variable(&mut self, at: usize, len: usize) -> Result<&'a [u8]> {
        self.spent = self.spent.saturating_add(len);
        if self.spent > self.bytes.len() {
            return Err(self.corrupt("its fields lie over each other"));
        }
        self.fixed(at, len)
    }

    /// What a slot points to, or has in itself.
    fn bytes_of(&mut self, slot: [u8; 8]) -> Result<&'a [u8]> {
        let [low, high] = halves(slot);
        self.variable(high, low)
    }

    fn within(&mut self, slot: [u8; 8]) -> Result<Self> {
        let [_, at] = halves(slot);
        let bytes = self.bytes_of(slot)?;
        Ok(Self { bytes, base: self.base.saturating_add(at as u64), spent: 0 })
    }

    fn is_set(&self, at: usize, bit: usize) -> bool {
        self.bytes.get(at + bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }
}

fn halves(slot: [u8; 8]) -> [usize; 2] {
    let [a, b, c, d, e, f, g, h] = slot;
    [u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize]
}

impl Walk {
    pub(crate) fn row_data<S: Sink>(
        &mut self,
        types: &[Logical],
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let Some((frame, at)) = Frame::shown::<S>(input)? else { return Ok(()) };
        self.framed(frame.bytes.len());
        self.sql_row(types, frame, &at, sink)
    }

    pub(crate) fn array_data<S: Sink>(
        &mut self,
        element: &Logical,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let Some((mut frame, at)) = Frame::shown::<S>(input)? else { return Ok(()) };
        self.framed(frame.bytes.len());
        self.sql_array(element, &mut frame, &at, sink)
    }

    pub(crate) fn map_data<S: Sink>(
        &mut self,
        key: &Logical,
        value: &Logical,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let Some((frame, at)) = Frame::shown::<S>(input)? else { return Ok(()) };
        self.framed(frame.bytes.len());
        self.sql_map(key, value, frame, &at, sink)
    }

    fn sql_row<S: Sink>(
        &mut self,
        types: &[Logical],
        mut frame: Frame<'_>,
        at: &Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let header = row_header_len_bytes(types.len());
        frame.fixed(0, header + types.len() * SLOT_LEN_BYTES)?;
        let kind = frame.bytes.first().copied().unwrap_or_default().into();
        if kind >= ROW_KINDS.len() {
            return Err(frame.corrupt(format!("a row has no kind {kind}")));
        }
        sink.open();
        for (i, of) in types.iter().enumerate() {
            sink.item(i);
            let slot = header + i * SLOT_LEN_BYTES;
            let is_null = frame.is_set(0, i + 8);
            self.sql_optional(of, is_null, (slot, SLOT_LEN_BYTES), &mut frame, at, sink)?;
        }
        sink.row_kind(kind);
        sink.close(Group::Tuple, types.len() + 1);
        Ok(())
    }

    fn sql_array<S: Sink>(
        &mut self,
        element: &Logical,
        frame: &mut Frame<'_>,
        at: &Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let count = frame.count()?;
        sink.open();
        for i in 0..count {
            sink.item(i);
            self.sql_element(element, count, i, frame, at, sink)?;
        }
        sink.close(Group::Seq, count);
        Ok(())
    }

    /// Element `i` of the `count` of an array.
    fn sql_element<S: Sink>(
        &mut self,
        of: &Logical,
        count: usize,
        i: usize,
        frame: &mut Frame<'_>,
        at: &Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let width = of.element_len_bytes();
        let slot = array_header_len_bytes(count) + i * width;
        let is_null = frame.is_set(4, i);
        self.sql_optional(of, is_null, (slot, width), frame, at, sink)
    }

    fn sql_map<S: Sink>(
        &mut self,
        key: &Logical,
        value: &Logical,
        frame: Frame<'_>,
        at: &Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let [keys_len, _] = halves(slot(frame.fixed(0, 4)?));
        let keys = frame.fixed(4, keys_len)?;
        let values = frame.bytes.get(4 + keys_len..).unwrap_or_default();
        let base = frame.base.saturating_add(4);
        let mut keys = Frame { bytes: keys, base, spent: 0 };
        let base = base.saturating_add(keys_len as u64);
        let mut values = Frame { bytes: values, base, spent: 0 };
        let count = keys.count()?;
        if values.count()? != count {
            return Err(frame.corrupt("a map has not as many values as keys"));
        }
        sink.open_map();
        for i in 0..count {
            sink.key(i);
            self.sql_element(key, count, i, &mut keys, at, sink)?;
            sink.value();
            self.sql_element(value, count, i, &mut values, at, sink)?;
        }
        sink.close_map(count, Keys::Sql(key));
        Ok(())
    }

    fn sql_optional<S: Sink>(
        &mut self,
        of: &Logical,
        is_null: bool,
        (at_slot, width): (usize, usize),
        frame: &mut Frame<'_>,
        at: &Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        if is_null || *of == Logical::Null {
            sink.null();
            return Ok(());
        }
        self.enter(at, sink)?;
        let slot = slot(frame.fixed(at_slot, width)?);
        match of {
            Logical::Array(element) => {
                self.sql_array(element, &mut frame.within(slot)?, at, sink)?;
            }
            Logical::Map(key, value) => self.sql_map(key, value, frame.within(slot)?, at, sink)?,
            Logical::Row(types) => self.sql_row(types, frame.within(slot)?, at, sink)?,
            Logical::Unknown(class) => return Err(opaque(at, class)),
            _ => sql_scalar(of, slot, frame, sink)?,
        }
        sink.some();
        self.leave();
        Ok(())
    }
}

impl Frame<'_> {
    /// How many elements an array has: each has a null bit at least.
    fn count(&self) -> Result<usize> {
        let [count, _] = halves(slot(self.fixed(0, 4)?));
        match array_header_len_bytes(count) <= self.bytes.len() {
            true => Ok(count),
            false => Err(self.corrupt(format!("an array of {count} elements"))),
        }
    }
}

fn slot(bytes: &[u8]) -> [u8; 8] {
    let mut slot = [0; 8];
    for (to, from) in slot.iter_mut().zip(bytes) {
        *to = *from;
    }
    slot
}

fn sql_scalar<S: Sink>(
    of: &Logical,
    slot: [u8; 8],
    frame: &mut Frame<'_>,
    sink: &mut S,
) -> Result<()> {
    let [a, b, c, d, .., last] = slot;
    let four = [a, b, c, d];
    let long = i64::from_le_bytes(slot);
    match of {
        Logical::Boolean => sink.boolean(a != 0),
        Logical::TinyInt => sink.integer(a.cast_signed().into()),
        Logical::SmallInt => sink.integer(i16::from_le_bytes([a, b]).into()),
        Logical::Int | Logical::Date | Logical::Time | Logical::Months => {
            sink.integer(i32::from_le_bytes(four).into());
        }
        Logical::Float => sink.float(f32::from_le_bytes(four)),
        Logical::BigInt | Logical::Duration => sink.integer(long),
        Logical::Double => sink.double(f64::from_le_bytes(slot)),
        Logical::Text | Logical::Binary | Logical::Raw(_) => {
            let inline = slot.get(..usize::from(last & !INLINE)).filter(|bytes| bytes.len() < 8);
            let bytes = match last & INLINE {
                0 => frame.bytes_of(slot)?,
                _ => inline.ok_or_else(|| frame.corrupt("more than 7 bytes in a slot"))?,
            };
            match of {
                Logical::Text => {
                    sink.utf8(str::from_utf8(bytes).map_err(|_| frame.corrupt("text is no UTF-8"))?)
                }
                _ => sink.bytes(bytes),
            }
        }
        Logical::Decimal { precision, scale } => {
            let unscaled = match *precision <= COMPACT_PRECISION_MAX {
                true => Some(long.into()),
                false => number::small(frame.bytes_of(slot)?),
            };
            let unscaled =
                unscaled.ok_or_else(|| frame.corrupt("a decimal of more than 38 digits"))?;
            sink.made(|out| number::push_sql_decimal(unscaled, *scale, out));
        }
        Logical::Timestamp { precision } => {
            let (millis, nanos) = match *precision <= MILLIS_PRECISION_MAX {
                true => (long, 0),
                false => {
                    let [_, at] = halves(slot);
                    let millis = self::slot(frame.variable(at, SLOT_LEN_BYTES)?);
                    (i64::from_le_bytes(millis), i32::from_le_bytes(four))
                }
            };
            let moment = sql_timestamp(millis, nanos);
            let moment =
                moment.ok_or_else(|| frame.corrupt(format!("{nanos} ns of a millisecond")))?;
            let (date, time) = moment.civil();
            sink.made(|out| time::push_civil(date, time, out));
        }
        // Those that hold others, and null, are no scalars.
        _ => sink.unit(),
    }
    Ok(())
}
