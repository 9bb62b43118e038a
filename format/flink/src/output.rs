//! Writing as a Java `DataOutput` does: big-endian, without padding.

/// Bytes to which numbers are appended as Java writes them.
pub trait Output {
    /// Appends a Java `boolean`.
    fn put_bool(&mut self, value: bool);
    /// Appends a Java `short` or `char`.
    fn put_u16(&mut self, value: u16);
    /// Appends a Java `int`.
    fn put_i32(&mut self, value: i32);
    /// Appends a Java `long`.
    fn put_i64(&mut self, value: i64);
    /// Appends LEB128.
    fn put_varint(&mut self, value: u32);
}

impl Output for Vec<u8> {
    fn put_bool(&mut self, value: bool) {
        self.push(value.into());
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i32(&mut self, value: i32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }
}
