//! Java's two forms of text: `writeUTF`, and Flink's `StringValue` (one variable-length number per UTF-16 unit).

use crate::{FormatError, Input, Output, Result};

/// Longest text of `writeUTF`, in bytes.
const UTF_LEN_BYTES_MAX: usize = u16::MAX as usize;

/// Reads text as `DataOutput.writeUTF` wrote it: a length of two bytes, modified UTF-8. A surrogate without its other half
/// becomes U+FFFD.
///
/// # Errors
/// `Corrupt` if the bytes are short or no modified UTF-8.
pub fn read_utf(input: &mut Input<'_>) -> Result<String> {
    let len = usize::from(input.u16()?);
    let at = input.clone();
    let bytes = input.take(len)?;
    modified_utf8(bytes).ok_or_else(|| at.corrupt("text is no modified UTF-8"))
}

/// The text that `bytes` are as modified UTF-8. A surrogate without its other half becomes U+FFFD.
pub(crate) fn modified_utf8(bytes: &[u8]) -> Option<String> {
    match str::from_utf8(bytes) {
        Ok(text) if bytes.is_ascii() => Some(text.to_owned()),
        _ => modified_utf8_units(bytes).map(|units| String::from_utf16_lossy(&units)),
    }
}

fn modified_utf8_units(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied();
    let continued = |rest: &mut dyn Iterator<Item = u8>| {
        rest.next().filter(|byte| byte & 0xc0 == 0x80).map(|byte| u16::from(byte & 0x3f))
    };
    while let Some(first) = rest.next() {
        let wide = u16::from(first);
        units.push(match first {
            0..0x80 => wide,
            0xc0..0xe0 => (wide & 0x1f) << 6 | continued(&mut rest)?,
            0xe0..0xf0 => {
                let high = (wide & 0x0f) << 12 | continued(&mut rest)? << 6;
                high | continued(&mut rest)?
            }
            _ => return None,
        });
    }
    Some(units)
}

/// Appends `text` as `DataOutput.writeUTF` does.
///
/// # Errors
/// `Invalid` if it takes more than 65,535 bytes; nothing is appended then.
pub fn write_utf(text: &str, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.put_u16(0);
    for unit in text.encode_utf16() {
        match unit {
            1..0x80 => out.push(unit as u8),
            0 | 0x80..0x800 => out.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => out.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    let len = out.len() - start - 2;
    match u16::try_from(len) {
        Ok(len) => {
            out[start..start + 2].copy_from_slice(&len.to_be_bytes());
            Ok(())
        }
        Err(_) => {
            out.truncate(start);
            let message = format!("takes {len} bytes, more than {UTF_LEN_BYTES_MAX}");
            Err(FormatError::invalid("text", message))
        }
    }
}

/// Reads a `StringValue`; `None` is Java's null. A surrogate without its other half becomes U+FFFD.
///
/// # Errors
/// `Corrupt` if the bytes are short or a unit takes more than 16 bits.
pub fn read_string(input: &mut Input<'_>) -> Result<Option<String>> {
    string_len(input)?.map(|len| read_units(input, len)).transpose()
}

/// The text of the next `len` units.
pub(crate) fn read_units(input: &mut Input<'_>, len: usize) -> Result<String> {
    if let Some(text) = ascii(input, len) {
        return Ok(text.to_owned());
    }
    let mut text = String::with_capacity(len);
    for_each_char(input, len, |c| text.push(c))?;
    Ok(text)
}

/// The next `len` units, if all are ASCII; nothing is read otherwise.
#[inline]
pub(crate) fn ascii<'a>(input: &mut Input<'a>, len: usize) -> Option<&'a str> {
    let bytes = input.rest().get(..len).filter(|bytes| bytes.is_ascii())?;
    let text = str::from_utf8(bytes).ok()?;
    input.take(len).ok()?;
    Some(text)
}

/// Calls `f` with the characters that the next `len` units are.
pub(crate) fn for_each_char(
    input: &mut Input<'_>,
    len: usize,
    mut f: impl FnMut(char),
) -> Result<()> {
    let mut failed = None;
    let units = (0..len).map_while(|_| match unit(input) {
        Ok(unit) => Some(unit),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    char::decode_utf16(units).for_each(|c| f(c.unwrap_or(char::REPLACEMENT_CHARACTER)));
    failed.map_or(Ok(()), Err)
}

/// Reads past a `StringValue`.
///
/// # Errors
/// As for [`read_string`].
pub fn skip_string(input: &mut Input<'_>) -> Result<()> {
    let len = string_len(input)?.unwrap_or(0);
    skip_units(input, len)
}

/// Reads past `len` units.
#[inline]
pub(crate) fn skip_units(input: &mut Input<'_>, len: usize) -> Result<()> {
    if input.rest().get(..len).is_some_and(<[u8]>::is_ascii) {
        return input.take(len).map(drop);
    }
    (0..len).try_for_each(|_| unit(input).map(drop))
}

/// The number of UTF-16 units that follow; each takes a byte at least.
#[inline]
pub(crate) fn string_len(input: &mut Input<'_>) -> Result<Option<usize>> {
    let at = input.clone();
    let Some(len) = input.varint()?.checked_sub(1) else { return Ok(None) };
    fitting(len, input, &at).map(Some)
}

/// The same, of text that cannot be null: its length is not one more.
pub(crate) fn plain_len(input: &mut Input<'_>) -> Result<usize> {
    let at = input.clone();
    let len = input.varint()?;
    fitting(len, input, &at)
}

#[inline]
fn fitting(len: u32, input: &Input<'_>, at: &Input<'_>) -> Result<usize> {
    let len = len as usize;
    if len > input.remaining() {
        let left = input.remaining();
        return Err(at.corrupt(format!("text of {len} units, where {left} bytes are left")));
    }
    Ok(len)
}

pub(crate) fn unit(input: &mut Input<'_>) -> Result<u16> {
    let at = input.clone();
    u16::try_from(input.varint()?).map_err(|_| at.corrupt("a unit of text takes more than 16 bits"))
}

/// Appends `text` as a `StringValue`; `None` is Java's null.
///
/// # Errors
/// `Invalid` if it has more than 2^31 - 2 units.
pub fn write_string(text: Option<&str>, out: &mut Vec<u8>) -> Result<()> {
    let Some(text) = text else {
        out.put_varint(0);
        return Ok(());
    };
    let len = text.encode_utf16().count();
    write_units(text, len + 1, out)
}

/// Appends `text` as the mutable `StringValue` does, which cannot be null: its length is not one more.
pub(crate) fn write_plain(text: &str, out: &mut Vec<u8>) -> Result<()> {
    write_units(text, text.encode_utf16().count(), out)
}

fn write_units(text: &str, stored: usize, out: &mut Vec<u8>) -> Result<()> {
    let stored = i32::try_from(stored)
        .map_err(|_| FormatError::invalid("text", "has more units than Java allows"))?;
    out.put_varint(stored.unsigned_abs());
    text.encode_utf16().for_each(|unit| out.put_varint(unit.into()));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn strings_are_as_flink_writes_them() {
        let vectors: [(Option<&str>, &[u8]); 5] = [
            (None, &[0]),
            (Some(""), &[1]),
            (Some("abc"), &[4, 0x61, 0x62, 0x63]),
            (Some("é€"), &[3, 0xe9, 1, 0xac, 0x41]),
            (Some("😀"), &[3, 0xbd, 0xb0, 3, 0x80, 0xbc, 3]),
        ];
        for (text, bytes) in vectors {
            let mut out = Vec::new();
            write_string(text, &mut out).unwrap();
            assert_eq!(out, bytes, "{text:?}");
            let mut input = Input::new("text", bytes);
            assert_eq!(read_string(&mut input).unwrap().as_deref(), text);
            assert!(input.is_empty());
            let mut input = Input::new("text", bytes);
            skip_string(&mut input).unwrap();
            assert!(input.is_empty());
        }
    }

    #[test]
    fn utf_is_modified_utf_8() {
        for text in ["", "plain", "nul \0 é € 😀"] {
            let mut out = Vec::new();
            write_utf(text, &mut out).unwrap();
            assert!(!out[2..].contains(&0));
            assert_eq!(read_utf(&mut Input::new("text", &out)).unwrap(), text);
        }
        assert!(write_utf(&"x".repeat(65_536), &mut Vec::new()).is_err());
        assert!(read_utf(&mut Input::new("text", &[0, 2, 0xc0, 0x41])).is_err());
        assert!(read_utf(&mut Input::new("text", &[0, 3, b'a'])).is_err());
    }

    #[test]
    fn lengths_are_checked_before_memory_is_taken() {
        let mut input = Input::new("text", &[0xff, 0xff, 0xff, 0x7f, b'a']);
        assert!(read_string(&mut input).is_err());
        let mut input = Input::new("text", &[0x7f, 0xff, 0xff, 0xff, 0]);
        assert!(input.bytes32().is_err());
    }
}
