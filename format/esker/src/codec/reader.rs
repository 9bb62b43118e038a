//! A cursor over bytes that are not trusted: every read is checked, nothing is allocated.

use crate::{FormatError, Result};

/// What is left of an encoded value.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { whole: bytes.len(), rest: bytes }
    }

    /// How many bytes have been read.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.whole - self.rest.len()
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn corrupt(&self, message: impl Into<String>) -> FormatError {
        FormatError::corrupt("encoded value", message).at(self.position() as u64)
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.rest.split_at_checked(count) else {
            return Err(self.corrupt(format!("{count} bytes wanted, {} left", self.rest.len())));
        };
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((head, tail)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.corrupt(format!("{N} bytes wanted, {} left", self.rest.len())));
        };
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn bool(&mut self) -> Result<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.corrupt(format!("byte={other} is neither 0 nor 1"))),
        }
    }

    #[inline]
    pub(crate) fn finish(&self) -> Result<()> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(self.corrupt(format!("{left} bytes follow the value"))),
        }
    }

    /// bincode's variable-length integer of a type of `width` bytes (2 to 16).
    ///
    /// Only the shortest form is accepted, the one that bincode writes.
    pub(crate) fn varint(&mut self, width: usize) -> Result<u128> {
        let (bytes, value, least) = match self.byte()? {
            small @ 0..=250 => return Ok(small.into()),
            251 => (2, u16::from_le_bytes(self.array()?).into(), 251),
            252 => (4, u32::from_le_bytes(self.array()?).into(), 1 << 16),
            253 => (8, u64::from_le_bytes(self.array()?).into(), 1 << 32),
            254 => (16, u128::from_le_bytes(self.array()?), 1 << 64),
            255 => return Err(self.corrupt("no integer starts with byte=255")),
        };
        if bytes > width || value < least {
            return Err(self.corrupt(format!("integer={value} is not in its shortest form")));
        }
        Ok(value)
    }

    /// bincode's signed integer: zigzag, then variable length.
    pub(crate) fn zigzag(&mut self, width: usize) -> Result<i128> {
        let raw = self.varint(width)?;
        Ok((raw >> 1) as i128 ^ -((raw & 1) as i128))
    }

    /// A length prefix; the caller bounds what it allocates for it.
    pub(crate) fn length(&mut self) -> Result<usize> {
        let length = self.varint(8)?;
        usize::try_from(length).map_err(|_| self.corrupt(format!("length={length} is too large")))
    }

    /// Bytes with a length prefix.
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str> {
        let bytes = self.prefixed()?;
        std::str::from_utf8(bytes).map_err(|e| self.corrupt(format!("text is not UTF-8: {e}")))
    }

    /// A char as bincode writes it, in UTF-8.
    pub(crate) fn char(&mut self) -> Result<char> {
        let length = match self.rest.first() {
            Some(0xf0..) => 4,
            Some(0xe0..) => 3,
            Some(0xc0..) => 2,
            _ => 1,
        };
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).ok();
        text.and_then(|t| t.chars().next()).ok_or_else(|| self.corrupt("char is not UTF-8"))
    }
}
