//! The codec `ordered`: the bytes sort as the values do.
//!
//! | type | bytes |
//! |---|---|
//! | unsigned integers | big-endian |
//! | signed integers | big-endian with the sign bit flipped |
//! | `bool` | 0 or 1 |
//! | `char` | its code point, 4 bytes big-endian |
//! | strings, bytes | as they are; before another component: 00 becomes 00 ff, and 00 00 ends it |
//! | `()` | none |
//! | tuples | the components one after the other |

use super::reader::Reader;
use super::{CodecId, Key, ValueCodec};
use crate::composite::escape;
use crate::{FormatError, Result, Schema};

/// A [`Key`] that can stand before another one in a tuple and still sort.
pub trait OrderedKey: Key {
    /// Appends the bytes of a component that others may follow.
    fn encode_component(&self, out: &mut Vec<u8>);

    /// Reads one component, and leaves in `bytes` what follows it.
    ///
    /// # Errors
    /// `Corrupt` if there is no such component.
    fn decode_component(bytes: &mut &[u8]) -> Result<Self>;
}

/// The codec of [`OrderedKey`] types.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ordered;

impl<T: OrderedKey> ValueCodec<T> for Ordered {
    fn id(&self) -> CodecId {
        CodecId::ORDERED
    }

    fn schema(&self) -> Result<Schema> {
        Ok(T::schema())
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<()> {
        value.encode_into(out);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        T::decode(bytes)
    }
}

impl Ordered {
    /// Whether it has values of `schema`.
    #[must_use]
    pub fn has(schema: &Schema) -> bool {
        use Schema::{
            Bool, Bytes, Char, I8, I16, I32, I64, I128, String, U8, U16, U32, U64, U128, Unit,
        };
        match schema {
            Unit | Bool | Char | String | Bytes => true,
            U8 | U16 | U32 | U64 | U128 | I8 | I16 | I32 | I64 | I128 => true,
            Schema::Tuple(parts) => parts.iter().all(Self::has),
            _ => false,
        }
    }
}

/// Reads what [`escape`] wrote.
pub(crate) fn unescape(reader: &mut Reader<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        match reader.byte()? {
            0 => match reader.byte()? {
                0 => return Ok(out),
                0xff => out.push(0),
                other => return Err(reader.corrupt(format!("byte={other} follows an escape"))),
            },
            byte => out.push(byte),
        }
    }
}

pub(crate) fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| FormatError::corrupt("ordered key", e.to_string()))
}

/// The component at the front of `bytes`, as `read` reads it.
#[inline]
pub(super) fn component<T>(
    bytes: &mut &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T>,
) -> Result<T> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    *bytes = bytes.get(reader.position()..).unwrap_or_default();
    Ok(value)
}

/// A key that is one component and nothing else.
#[inline]
pub(super) fn whole<T: OrderedKey>(mut bytes: &[u8]) -> Result<T> {
    let value = T::decode_component(&mut bytes)?;
    Reader::new(bytes).finish()?;
    Ok(value)
}

/// Keys of a fixed width: a component is encoded as the whole key is.
macro_rules! fixed {
    ($($type:ty, $schema:ident, $to:expr, $from:expr;)*) => {$(
        impl Key for $type {
            #[inline]
            fn encode_into(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&$to(*self));
            }
            #[inline]
            fn with_encoded<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f(&$to(*self))
            }
            #[inline]
            fn decode(bytes: &[u8]) -> Result<Self> {
                whole(bytes)
            }
            fn schema() -> Schema {
                Schema::$schema
            }
            fn codec() -> CodecId {
                CodecId::ORDERED
            }
        }

        impl OrderedKey for $type {
            fn encode_component(&self, out: &mut Vec<u8>) {
                self.encode_into(out);
            }
            #[inline]
            fn decode_component(bytes: &mut &[u8]) -> Result<Self> {
                component(bytes, $from)
            }
        }
    )*};
}

macro_rules! fixed_integers {
    ($($unsigned:ident $signed:ident $u:ident $i:ident;)*) => {$(
        fixed! {
            $unsigned, $u, $unsigned::to_be_bytes, |r| Ok($unsigned::from_be_bytes(r.array()?));
            $signed, $i,
                |v: $signed| (v ^ $signed::MIN).to_be_bytes(),
                |r| Ok($signed::from_be_bytes(r.array()?) ^ $signed::MIN);
        }
    )*};
}

fixed_integers! {
    u8 i8 U8 I8;
    u16 i16 U16 I16;
    u32 i32 U32 I32;
    u64 i64 U64 I64;
    u128 i128 U128 I128;
}

fixed! {
    (), Unit, |()| [0_u8; 0], |_| Ok(());
    bool, Bool, |v| [u8::from(v)], |r| r.bool();
    char, Char, |v| u32::from(v).to_be_bytes(), ordered_char;
}

/// A char in four bytes, big-endian.
pub(crate) fn ordered_char(reader: &mut Reader<'_>) -> Result<char> {
    let code = u32::from_be_bytes(reader.array()?);
    char::from_u32(code).ok_or_else(|| reader.corrupt(format!("code point={code} is no char")))
}

/// Keys of a variable width: raw when nothing follows, escaped when something does.
macro_rules! variable {
    ($($type:ty, $schema:ident, $bytes:expr, $from:expr;)*) => {$(
        impl Key for $type {
            fn encode_into(&self, out: &mut Vec<u8>) {
                out.extend_from_slice($bytes(self));
            }
            #[inline]
            fn with_encoded<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
                f($bytes(self))
            }
            fn decode(bytes: &[u8]) -> Result<Self> {
                $from(bytes.to_vec())
            }
            fn schema() -> Schema {
                Schema::$schema
            }
            fn codec() -> CodecId {
                CodecId::ORDERED
            }
        }

        impl OrderedKey for $type {
            fn encode_component(&self, out: &mut Vec<u8>) {
                escape($bytes(self), out);
            }
            fn decode_component(bytes: &mut &[u8]) -> Result<Self> {
                let bytes = component(bytes, unescape)?;
                $from(bytes)
            }
        }
    )*};
}

variable! {
    String, String, str::as_bytes, text;
    Box<str>, String, str::as_bytes, |bytes| text(bytes).map(String::into_boxed_str);
    Vec<u8>, Bytes, Vec::as_slice, Ok;
    Box<[u8]>, Bytes, AsRef::<[u8]>::as_ref, |bytes: Vec<u8>| Ok(bytes.into_boxed_slice());
}
