//! As much of Thrift's compact protocol as it takes to look at sizes before memory is given for them.

/// Structs within structs are followed this deep.
const DEPTH_MAX: u32 = 32;

pub(super) const I32: u8 = 5;
const BINARY: u8 = 8;
pub(super) const LIST: u8 = 9;
pub(super) const STRUCT: u8 = 12;

/// Bytes that are read from the front. Of what is no Thrift, or cut off, every method gives none.
pub(super) struct Thrift<'a>(pub(super) &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn pass(&mut self, len: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(len).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        let zigzag = self.varint()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// The head of a list: type and number of its elements.
    pub(super) fn list(&mut self) -> Option<(u8, u64)> {
        let byte = self.byte()?;
        let len = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        Some((byte & 15, len))
    }

    /// Calls `each` with number and type of every field of a struct; it passes the field's value, or not, and
    /// tells whether to go on.
    pub(super) fn fields(
        &mut self,
        each: &mut dyn FnMut(&mut Self, i64, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut number = 0_i64;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Some(());
            }
            number = match byte >> 4 {
                0 => self.integer()?,
                step => number.checked_add(i64::from(step))?,
            };
            if !each(self, number, byte & 15)? {
                return Some(());
            }
        }
    }

    /// Passes a value of a type.
    pub(super) fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, DEPTH_MAX)
    }

    fn skip_within(&mut self, kind: u8, depth_max: u32) -> Option<()> {
        let depth_max = depth_max.checked_sub(1)?;
        match kind {
            // Booleans of a struct are in their type.
            1 | 2 => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            BINARY => {
                let len = self.varint()?;
                self.pass(len)
            }
            LIST | 10 => {
                let (kind, len) = self.list()?;
                // Booleans of a list are bytes.
                let kind = if kind <= 2 { 3 } else { kind };
                (0..len).try_for_each(|_| self.skip_within(kind, depth_max))
            }
            STRUCT => self.fields(&mut |thrift, _, kind| {
                thrift.skip_within(kind, depth_max)?;
                Some(true)
            }),
            _ => None,
        }
    }
}
