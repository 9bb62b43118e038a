//! Java's `hashCode()` of keys, from their bytes (SPEC.md, "Hash codes").

use super::Serializer;
use super::kind::{Kind, Scalar, Simple};
use super::walk;
use crate::{FormatError, FormatErrorKind, Input, Result, Value};

/// Seed of the hash of SQL's rows.
const SEED: u32 = 42;

impl Serializer {
    /// Java's `hashCode()` of `value`, one of [`schema`](Self::schema): what decides a key's key group.
    ///
    /// # Errors
    /// `Incompatible` where the class decides it; `Invalid` if it is no such value.
    pub fn hash(&self, value: &Value) -> Result<i32> {
        let mut bytes = Vec::new();
        self.encode(value, &mut bytes)?;
        self.hash_bytes(&mut Input::new("key", &bytes))
    }

    /// Reads past a value, and Java's `hashCode()` of it.
    ///
    /// # Errors
    /// As for [`hash`](Self::hash) and [`skip`](Self::skip).
    pub fn hash_bytes(&self, input: &mut Input<'_>) -> Result<i32> {
        match &self.kind {
            Kind::Simple(simple) => simple_value(*simple, self, input),
            Kind::Tuple { case_class: None, fields } => {
                let mut hash = 0_i32;
                for (i, field) in fields.iter().enumerate() {
                    let of_field = field.hash_bytes(input)?;
                    hash = if i == 0 { of_field } else { fold(hash, of_field) };
                }
                Ok(hash)
            }
            Kind::List(element) => {
                let count = input.count(1)?;
                (0..count).try_fold(1, |hash, _| Ok(fold(hash, element.hash_bytes(input)?)))
            }
            Kind::Nullable { padding, inner } => match input.bool()? {
                true => input.take(*padding).map(|_| 0),
                false => inner.hash_bytes(input),
            },
            Kind::Row { kinds, fields } => row(*kinds, fields, input),
            Kind::RowData(_) => binary_row(input),
            _ => Err(self.decided_by_class()),
        }
    }

    fn decided_by_class(&self) -> FormatError {
        let message = format!("only its class says what hash a key of {} has", self.class);
        FormatError::new(FormatErrorKind::Incompatible, "key", message)
    }
}

fn fold(hash: i32, next: i32) -> i32 {
    hash.wrapping_mul(31).wrapping_add(next)
}

fn long(value: i64) -> i32 {
    (value ^ (value.cast_unsigned() >> 32).cast_signed()) as i32
}

fn scalar(of: Scalar, input: &mut Input<'_>) -> Result<i32> {
    Ok(match of {
        Scalar::Boolean => {
            if input.bool()? {
                1231
            } else {
                1237
            }
        }
        Scalar::Byte => input.u8()?.cast_signed().into(),
        Scalar::Short => input.i16()?.into(),
        Scalar::Int => input.i32()?,
        Scalar::Long => long(input.i64()?),
        Scalar::Char => input.u16()?.into(),
        // There is one NaN.
        Scalar::Float => {
            let value = input.f32()?;
            if value.is_nan() { 0x7fc0_0000 } else { value.to_bits().cast_signed() }
        }
        Scalar::Double => {
            let value = input.f64()?;
            long(if value.is_nan() { 0x7ff8_0000_0000_0000 } else { value.to_bits().cast_signed() })
        }
    })
}

fn simple_value(of: Simple, serializer: &Serializer, input: &mut Input<'_>) -> Result<i32> {
    let at = input.clone();
    Ok(match of {
        Simple::Scalar(of) => scalar(of, input)?,
        Simple::String => match crate::text::string_len(input)? {
            None => 0,
            Some(len) => {
                let mut hash = 0;
                for _ in 0..len {
                    hash = fold(hash, crate::text::unit(input)?.into());
                }
                hash
            }
        },
        Simple::Tuple0 => {
            input.u8()?;
            0
        }
        Simple::BigInteger => walk::big_integer(input)?.map_or(0, big_integer),
        Simple::BigDecimal => match walk::big_integer(input)? {
            None => 0,
            Some(bytes) => fold(big_integer(bytes), input.i32()?),
        },
        Simple::Date | Simple::SqlDate | Simple::SqlTime => match input.i64()? {
            i64::MIN => 0,
            millis => long(millis),
        },
        Simple::SqlTimestamp => {
            let millis = input.i64()?;
            input.i32()?;
            if millis == i64::MIN { 0 } else { long(millis) }
        }
        Simple::Instant => match walk::instant(of, input)? {
            None => 0,
            Some(moment) => {
                let nanos = moment.nanos.cast_signed();
                long(moment.seconds).wrapping_add(nanos.wrapping_mul(51))
            }
        },
        Simple::LocalDate => walk::local_date(input)?.map_or(0, local_date),
        Simple::LocalTime => walk::local_time(input)?.map_or(0, |time| long(time.nanos_of_day())),
        Simple::LocalDateTime => match (walk::local_date(input)?, walk::local_time(input)?) {
            (Some(date), Some(time)) => local_date(date) ^ long(time.nanos_of_day()),
            (None, None) => 0,
            _ => return Err(at.corrupt("half of a date and time is null")),
        },
        _ => return Err(serializer.decided_by_class()),
    })
}

fn local_date(date: super::time::Date) -> i32 {
    let low = date.year.wrapping_shl(11) + (i32::from(date.month) << 6) + i32::from(date.day);
    (date.year & !0x7ff) ^ low
}

/// The hash of an integer in two's complement: of its magnitude, by words of 32 bits.
fn big_integer(bytes: &[u8]) -> i32 {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut carry = is_negative;
    let mut words = Vec::with_capacity(bytes.len().div_ceil(4));
    for chunk in bytes.rchunks(4) {
        let sign = if is_negative { u32::MAX } else { 0 };
        let word = chunk.iter().fold(sign, |word, byte| word << 8 | u32::from(*byte));
        let (magnitude, carried) = match is_negative {
            true => (!word).overflowing_add(carry.into()),
            false => (word, false),
        };
        carry = carried;
        words.push(magnitude.cast_signed());
    }
    // The magnitude of the least integer of its length is one bit longer, and never more than its words.
    let hash = words.into_iter().rev().fold(0, fold);
    if is_negative { hash.wrapping_neg() } else { hash }
}

fn row(kinds: bool, fields: &[Serializer], input: &mut Input<'_>) -> Result<i32> {
    let first = if kinds { 2 } else { 0 };
    let mask = input.take((first + fields.len()).div_ceil(8))?;
    let mut hash = 1;
    for (i, field) in fields.iter().enumerate() {
        let of_field = match walk::is_masked(mask, first + i) {
            true => 0,
            // Lists and maps in a row are hashed in another way than by themselves.
            false if matches!(field.kind, Kind::List(_)) => return Err(field.decided_by_class()),
            false => field.hash_bytes(input)?.wrapping_add(31),
        };
        hash = fold(hash, of_field);
    }
    let bit = |at| i32::from(kinds && walk::is_masked(mask, at));
    Ok(fold(bit(0) + 2 * bit(1), hash))
}

/// Murmur3 over words of four bytes, little-endian.
fn binary_row(input: &mut Input<'_>) -> Result<i32> {
    let at = input.clone();
    let bytes = input.bytes32()?;
    let (words, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(at.corrupt(format!("a row of {} bytes", bytes.len())));
    }
    let mut hash = SEED;
    for word in words {
        let word = u32::from_le_bytes(*word).wrapping_mul(0xcc9e_2d51).rotate_left(15);
        hash ^= word.wrapping_mul(0x1b87_3593);
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    Ok((hash ^ hash >> 16).cast_signed())
}
