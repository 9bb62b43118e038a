//! Bytes to dynamic values, by a schema. Neither is trusted.

use super::def::Scope;
use super::{Field, Schema, Shape, Value};
use crate::codec::CodecId;
use crate::codec::bincode_de::MAX_DEPTH;
use crate::codec::ordered::{ordered_char, text, unescape};
use crate::codec::reader::Reader;
use crate::{FormatError, FormatErrorKind, Result};

/// How many values the bytes of one may hold: so many for each byte, and so many always.
const VALUES_PER_BYTE: usize = 8;
const VALUES_ALWAYS: usize = 65_536;

/// The value of `schema` that `codec` wrote as `bytes`.
///
/// # Errors
/// `Corrupt` if the bytes are no such value or are followed by others; `Incompatible` if the
/// codec is not one of esker's or does not know the schema.
pub fn decode_value(codec: &CodecId, schema: &Schema, bytes: &[u8]) -> Result<Value> {
    decode(codec, schema, bytes, true)
}

/// The same, but sets and maps are in the order in which they were written: it means nothing to most types,
/// and something to those that keep it.
///
/// # Errors
/// As for [`decode_value`].
pub fn decode_as_written(codec: &CodecId, schema: &Schema, bytes: &[u8]) -> Result<Value> {
    decode(codec, schema, bytes, false)
}

fn decode(codec: &CodecId, schema: &Schema, bytes: &[u8], sorted: bool) -> Result<Value> {
    let reader = &mut Reader::new(bytes);
    // What a schema makes of each byte is bounded too, as it may come from a hostile manifest.
    let budget = bytes.len().saturating_mul(VALUES_PER_BYTE).saturating_add(VALUES_ALWAYS);
    let value = match codec.as_str() {
        "ordered" => Ordered { reader, budget }.value(schema, true, MAX_DEPTH)?,
        "bincode2" => {
            Bincode { reader, budget, sorted }.value(schema, &Scope::default(), MAX_DEPTH)?
        }
        _ => return Err(incompatible(format!("codec={codec} is not one of esker's"))),
    };
    reader.finish()?;
    Ok(value)
}

pub(super) fn incompatible(message: String) -> FormatError {
    FormatError::new(FormatErrorKind::Incompatible, "schema", message)
}

pub(super) fn deeper(depth: usize) -> Result<usize> {
    let message = || format!("nested deeper than {MAX_DEPTH}");
    depth.checked_sub(1).ok_or_else(|| FormatError::corrupt("encoded value", message()))
}

fn spend(budget: &mut usize, reader: &Reader<'_>) -> Result<()> {
    *budget = budget
        .checked_sub(1)
        .ok_or_else(|| reader.corrupt("holds more values than its bytes justify"))?;
    Ok(())
}

struct Ordered<'r, 'b> {
    reader: &'r mut Reader<'b>,
    budget: usize,
}

impl Ordered<'_, '_> {
    fn value(&mut self, schema: &Schema, last: bool, depth: usize) -> Result<Value> {
        let depth = deeper(depth)?;
        spend(&mut self.budget, self.reader)?;
        let r = &mut *self.reader;
        Ok(match schema {
            Schema::Unit => Value::Unit,
            Schema::Bool => Value::Bool(r.bool()?),
            Schema::U8 => Value::Unsigned(r.byte()?.into()),
            Schema::U16 => Value::Unsigned(u16::from_be_bytes(r.array()?).into()),
            Schema::U32 => Value::Unsigned(u32::from_be_bytes(r.array()?).into()),
            Schema::U64 => Value::Unsigned(u64::from_be_bytes(r.array()?).into()),
            Schema::U128 => Value::Unsigned(u128::from_be_bytes(r.array()?)),
            Schema::I8 => Value::Signed((i8::from_be_bytes(r.array()?) ^ i8::MIN).into()),
            Schema::I16 => Value::Signed((i16::from_be_bytes(r.array()?) ^ i16::MIN).into()),
            Schema::I32 => Value::Signed((i32::from_be_bytes(r.array()?) ^ i32::MIN).into()),
            Schema::I64 => Value::Signed((i64::from_be_bytes(r.array()?) ^ i64::MIN).into()),
            Schema::I128 => Value::Signed(i128::from_be_bytes(r.array()?) ^ i128::MIN),
            Schema::Char => Value::Char(ordered_char(r)?),
            Schema::String => Value::String(text(self.run(last)?)?),
            Schema::Bytes => Value::Bytes(self.run(last)?),
            Schema::Tuple(parts) => {
                let mut values = Vec::new();
                for (i, part) in parts.iter().enumerate() {
                    values.push(self.value(part, last && i + 1 == parts.len(), depth)?);
                }
                Value::Tuple(values)
            }
            other => return Err(incompatible(format!("codec=ordered has no {other:?}"))),
        })
    }

    /// Bytes up to the end, or up to their terminator.
    fn run(&mut self, last: bool) -> Result<Vec<u8>> {
        if last {
            let rest = self.reader.rest().len();
            self.reader.take(rest).map(<[u8]>::to_vec)
        } else {
            unescape(self.reader)
        }
    }
}

struct Bincode<'r, 'b> {
    reader: &'r mut Reader<'b>,
    budget: usize,
    /// Whether sets and maps are put in the order of their bytes.
    sorted: bool,
}

impl<'b> Bincode<'_, 'b> {
    fn value(&mut self, schema: &Schema, scope: &Scope<'_, '_>, depth: usize) -> Result<Value> {
        let depth = deeper(depth)?;
        // Of these two no value is made, and depth bounds them.
        if !matches!(schema, Schema::Newtype { .. } | Schema::Ref(_)) {
            spend(&mut self.budget, self.reader)?;
        }
        let scope = &scope.enter(schema);
        let r = &mut *self.reader;
        Ok(match schema {
            Schema::Unit => Value::Unit,
            Schema::Bool => Value::Bool(r.bool()?),
            Schema::U8 => Value::Unsigned(r.byte()?.into()),
            Schema::U16 => Value::Unsigned(r.varint(2)?),
            Schema::U32 => Value::Unsigned(r.varint(4)?),
            Schema::U64 => Value::Unsigned(r.varint(8)?),
            Schema::U128 => Value::Unsigned(r.varint(16)?),
            Schema::I8 => Value::Signed((r.byte()? as i8).into()),
            Schema::I16 => Value::Signed(r.zigzag(2)?),
            Schema::I32 => Value::Signed(r.zigzag(4)?),
            Schema::I64 => Value::Signed(r.zigzag(8)?),
            Schema::I128 => Value::Signed(r.zigzag(16)?),
            Schema::F32 => Value::F32(f32::from_le_bytes(r.array()?)),
            Schema::F64 => Value::F64(f64::from_le_bytes(r.array()?)),
            Schema::Char => Value::Char(r.char()?),
            Schema::String => Value::String(r.str()?.into()),
            Schema::Bytes => Value::Bytes(r.prefixed()?.to_vec()),
            Schema::Opaque { .. } => {
                let rest = r.rest().len();
                Value::Bytes(r.take(rest)?.to_vec())
            }
            Schema::Option(inner) => Value::Option(match r.bool()? {
                false => None,
                true => Some(Box::new(self.value(inner, scope, depth)?)),
            }),
            Schema::Seq(item) => {
                let mut values = Vec::new();
                for _ in 0..r.length()? {
                    values.push(self.value(item, scope, depth)?);
                }
                Value::Seq(values)
            }
            Schema::Set(item) => {
                let mut values = Vec::new();
                for _ in 0..r.length()? {
                    values.push(self.with_bytes(item, scope, depth)?);
                }
                if self.sorted {
                    values.sort_by_key(|(bytes, _)| *bytes);
                }
                Value::Seq(values.into_iter().map(|(_, value)| value).collect())
            }
            Schema::Map(key, value) => {
                let mut entries = Vec::new();
                for _ in 0..r.length()? {
                    let (bytes, key) = self.with_bytes(key, scope, depth)?;
                    entries.push((bytes, (key, self.value(value, scope, depth)?)));
                }
                if self.sorted {
                    entries.sort_by_key(|(bytes, _)| *bytes);
                }
                Value::Map(entries.into_iter().map(|(_, entry)| entry).collect())
            }
            Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. } => {
                self.tuple(parts, scope, depth)?
            }
            Schema::Struct { fields, .. } => self.fields(fields, scope, depth)?,
            Schema::Newtype { inner, .. } => self.value(inner, scope, depth)?,
            Schema::Enum { name, variants } => {
                let index = r.varint(4)? as usize;
                let Some(variant) = variants.get(index) else {
                    return Err(r.corrupt(format!("enum={name} has no variant={index}")));
                };
                let held = match &variant.shape {
                    Shape::Unit => None,
                    Shape::Newtype(inner) => Some(self.value(inner, scope, depth)?),
                    Shape::Tuple(parts) => Some(self.tuple(parts, scope, depth)?),
                    Shape::Struct(fields) => Some(self.fields(fields, scope, depth)?),
                };
                Value::Variant(variant.name.clone(), held.map(Box::new))
            }
            Schema::Ref(name) => {
                let (schema, around) = scope.resolve(name)?;
                self.value(schema, &around, depth)?
            }
        })
    }

    /// A value and the bytes that it was read from, which order sets and maps.
    fn with_bytes(
        &mut self,
        schema: &Schema,
        scope: &Scope<'_, '_>,
        depth: usize,
    ) -> Result<(&'b [u8], Value)> {
        let (from, all) = (self.reader.position(), self.reader.rest());
        let value = self.value(schema, scope, depth)?;
        let read = self.reader.position() - from;
        Ok((all.get(..read).unwrap_or_default(), value))
    }

    fn tuple(&mut self, parts: &[Schema], scope: &Scope<'_, '_>, depth: usize) -> Result<Value> {
        let mut values = Vec::new();
        for part in parts {
            values.push(self.value(part, scope, depth)?);
        }
        Ok(Value::Tuple(values))
    }

    fn fields(&mut self, fields: &[Field], scope: &Scope<'_, '_>, depth: usize) -> Result<Value> {
        let mut values = Vec::new();
        for field in fields {
            values.push((field.name.clone(), self.value(&field.schema, scope, depth)?));
        }
        Ok(Value::Struct(values))
    }
}
