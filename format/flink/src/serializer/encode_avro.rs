//! Avro's values in Flink's form of them.

use super::avro::{Avro, AvroType, TypeId};
use super::encode::{constant, field, framed, integer, mismatch, put_len, sequence};
use crate::{FormatError, Output, Result, Value};

impl Avro {
    pub(crate) fn encode(
        &self,
        id: TypeId,
        value: &Value,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| FormatError::invalid("value", "nests deeper than values may"))?;
        let of = self.of(id);
        match (of, value) {
            (AvroType::Null, Value::Unit | Value::Option(None)) => {}
            (AvroType::Boolean, Value::Bool(value)) => out.put_bool(*value),
            (AvroType::Int, _) => out.put_i32(integer("an Avro int", value)?),
            (AvroType::Long, _) => out.put_i64(integer("an Avro long", value)?),
            (AvroType::Float, Value::F32(value)) => out.extend(value.to_be_bytes()),
            (AvroType::Double, Value::F64(value)) => out.extend(value.to_be_bytes()),
            (AvroType::Bytes, _) => framed(value, out)?,
            (AvroType::String, Value::String(text)) => string(text, out)?,
            (AvroType::Fixed { len_bytes, .. }, Value::Bytes(bytes))
                if bytes.len() == *len_bytes =>
            {
                out.extend_from_slice(bytes);
            }
            (AvroType::Enum { name, symbols }, _) => constant(name, symbols, value, out)?,
            (AvroType::Array(element), _) => {
                let values = sequence("an Avro array", value)?;
                block(values.len(), out)?;
                for value in values {
                    self.encode(*element, value, depth, out)?;
                }
                end(values.len(), out);
            }
            (AvroType::Map(of), Value::Map(entries)) => {
                block(entries.len(), out)?;
                for (key, value) in entries {
                    let Value::String(key) = key else { return Err(mismatch("a string", key)) };
                    string(key, out)?;
                    self.encode(*of, value, depth, out)?;
                }
                end(entries.len(), out);
            }
            (AvroType::Nullable { null_at, .. }, Value::Option(None)) => out.put_i32(*null_at),
            (AvroType::Nullable { null_at, inner }, _) => {
                let held = super::encode::held(value).unwrap_or(value);
                out.put_i32(1 - null_at);
                self.encode(*inner, held, depth, out)?;
            }
            (AvroType::Union(branches), Value::Variant(name, Some(held))) => {
                let at = branches.iter().position(|(known, _)| known == name);
                let at = at.ok_or_else(|| mismatch("an Avro union", value))?;
                put_len(at, out)?;
                let (_, of) = branches.get(at).ok_or_else(|| mismatch("an Avro union", value))?;
                self.encode(*of, held, depth, out)?;
            }
            (AvroType::Record { name, fields, .. }, Value::Struct(values))
                if values.len() == fields.len() =>
            {
                for (i, (known, of)) in fields.iter().enumerate() {
                    let value =
                        field(values, i, &known.name).ok_or_else(|| mismatch(name, value))?;
                    self.encode(*of, value, depth, out)?;
                }
            }
            (AvroType::Record { name, .. }, _) => return Err(mismatch(name, value)),
            _ => return Err(mismatch(&format!("the Avro type {of:?}").to_lowercase(), value)),
        }
        Ok(())
    }
}

fn string(text: &str, out: &mut Vec<u8>) -> Result<()> {
    put_len(text.len(), out)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The count of a block, which is its own end if there is nothing in it.
fn block(count: usize, out: &mut Vec<u8>) -> Result<()> {
    let count = u32::try_from(count)
        .map_err(|_| FormatError::invalid("value", format!("a block of {count}")))?;
    out.put_varint(count);
    Ok(())
}

fn end(count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        out.push(0);
    }
}
