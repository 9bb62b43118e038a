//! Bounded reading of what a Java `DataOutput` wrote: big-endian, without padding.

use crate::{FormatError, FormatErrorKind, Result};

/// A cursor over the bytes of one structure; every refusal names it and the offset.
///
/// Offsets in errors count from the start of the stream that the bytes were cut from.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    what: &'static str,
    bytes: &'a [u8],
    at: usize,
    /// Where in its stream `bytes` begins.
    base: u64,
}

impl<'a> Input<'a> {
    /// Reads `bytes`, which are all of the structure `what`.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, bytes, at: 0, base: 0 }
    }

    /// The same, of bytes that begin at `base` of their stream.
    #[must_use]
    pub fn based_at(mut self, base: u64) -> Self {
        self.base = base;
        self
    }

    /// The same bytes from here on, read as the structure `what`.
    #[must_use]
    pub fn named(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Where in its stream the next byte lies.
    pub fn offset(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What is left, without reading it.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What was read since the reader stood at `position`.
    pub fn since(&self, position: usize) -> &'a [u8] {
        self.bytes.get(position..self.at).unwrap_or_default()
    }

    /// A refusal of what lies here.
    pub fn corrupt(&self, message: impl Into<String>) -> FormatError {
        FormatError::corrupt(self.what, message).at(self.offset())
    }

    /// A refusal of what lies here because this version does not know it.
    pub fn unsupported(&self, message: impl Into<String>) -> FormatError {
        FormatError::new(FormatErrorKind::UnsupportedVersion, self.what, message).at(self.offset())
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// `Corrupt` with the number of bytes that are.
    pub fn end(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.corrupt(format!("{left} bytes follow its end"))),
        }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// `Corrupt` if there are fewer; nothing is read then.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.bytes[self.at..].get(..len) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(self.short(len)),
        }
    }

    /// All that is left, if that is at least `len` bytes.
    #[inline]
    pub(crate) fn at_hand(&self, len: usize) -> Result<&'a [u8]> {
        match self.rest() {
            rest if rest.len() >= len => Ok(rest),
            _ => Err(self.short(len)),
        }
    }

    /// Goes past `len` bytes, or to the end.
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.at += len.min(self.remaining());
    }

    #[cold]
    fn short(&self, len: usize) -> FormatError {
        self.corrupt(format!("needs {len} bytes, has {}", self.remaining()))
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.bytes[self.at..].first_chunk::<N>() {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.short(N)),
        }
    }

    /// The next byte.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// A Java `boolean`: any byte but 0 is true.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    /// A Java `char`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// A Java `short`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    /// A Java `int`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// A Java `long`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A Java `float`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn f32(&mut self) -> Result<f32> {
        Ok(f32::from_be_bytes(self.array()?))
    }

    /// A Java `double`.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    #[inline]
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    /// The number of things that follow, each of which takes at least `each_bytes_min` bytes: one that cannot be is
    /// refused before anyone allocates for it.
    ///
    /// # Errors
    /// `Corrupt` if it is negative, or more than the bytes that are left can hold.
    #[inline]
    pub fn count(&mut self, each_bytes_min: usize) -> Result<usize> {
        let at = self.clone();
        let count = self.i32()?;
        let possible = self.remaining() / each_bytes_min.max(1);
        usize::try_from(count).ok().filter(|count| *count <= possible).ok_or_else(|| {
            at.corrupt(format!("count {count}, where {} bytes are left", self.remaining()))
        })
    }

    /// Bytes after their length as an `int`.
    ///
    /// # Errors
    /// `Corrupt` if the length is negative or there are fewer.
    #[inline]
    pub fn bytes32(&mut self) -> Result<&'a [u8]> {
        let len = self.count(1)?;
        self.take(len)
    }

    /// The next `len` bytes, as a structure of their own; offsets in errors count on.
    ///
    /// # Errors
    /// As for [`take`](Self::take).
    pub fn part(&mut self, len: usize) -> Result<Self> {
        let base = self.offset();
        Ok(Self { what: self.what, bytes: self.take(len)?, at: 0, base })
    }

    /// Bytes after their length as an `int`, as a structure of their own.
    ///
    /// # Errors
    /// As for [`bytes32`](Self::bytes32).
    pub fn nested(&mut self) -> Result<Self> {
        let len = self.count(1)?;
        self.part(len)
    }

    /// LEB128 of at most 32 bits, as Flink's strings and Avro's blocks have it.
    ///
    /// # Errors
    /// `Corrupt` if it takes more than 5 bytes or 32 bits.
    #[inline]
    pub fn varint(&mut self) -> Result<u32> {
        let mut value = 0_u32;
        for shift in (0..35).step_by(7) {
            let byte = self.u8()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.corrupt("a variable-length number does not fit in 32 bits"))
    }
}
