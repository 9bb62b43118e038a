//! Dynamic values to bytes, by a schema.

use super::def::Scope;
use super::read::{deeper, incompatible};
use super::{Field, Schema, Shape, Value};
use crate::codec::bincode_de::MAX_DEPTH;
use crate::codec::{Bincode, CodecId};
use crate::composite::escape;
use crate::{FormatError, Result};

/// The bytes that `codec` writes for `value`, which must be one of `schema`.
///
/// # Errors
/// `Invalid` if the value is not one of the schema; `Incompatible` if the codec is not one of
/// esker's or does not know the schema.
pub fn encode_value(codec: &CodecId, schema: &Schema, value: &Value) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match codec.as_str() {
        "ordered" => ordered(schema, value, true, MAX_DEPTH, &mut out)?,
        "bincode2" => bincode(schema, value, &Scope::default(), MAX_DEPTH, &mut out)?,
        _ => return Err(incompatible(format!("codec={codec} is not one of esker's"))),
    }
    Ok(out)
}

pub(super) fn mismatch(schema: &Schema, value: &impl std::fmt::Debug) -> FormatError {
    let short = |text: String| text.chars().take(120).collect::<String>();
    let (schema, value) = (short(format!("{schema:?}")), short(format!("{value:?}")));
    FormatError::invalid("value", format!("value={value} is not of schema={schema}"))
}

fn ordered(
    schema: &Schema,
    value: &Value,
    last: bool,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let depth = deeper(depth)?;
    let mut run = |bytes: &[u8]| match last {
        true => out.extend_from_slice(bytes),
        false => escape(bytes, out),
    };
    macro_rules! fixed {
        ($type:ty, $value:expr, $sign:expr) => {{
            let narrow = <$type>::try_from(*$value).map_err(|_| mismatch(schema, value))?;
            out.extend_from_slice(&(narrow ^ $sign).to_be_bytes());
        }};
    }
    match (schema, value) {
        (Schema::Unit, Value::Unit) => {}
        (Schema::Bool, Value::Bool(v)) => out.push((*v).into()),
        (Schema::U8, Value::Unsigned(v)) => fixed!(u8, v, 0),
        (Schema::U16, Value::Unsigned(v)) => fixed!(u16, v, 0),
        (Schema::U32, Value::Unsigned(v)) => fixed!(u32, v, 0),
        (Schema::U64, Value::Unsigned(v)) => fixed!(u64, v, 0),
        (Schema::U128, Value::Unsigned(v)) => fixed!(u128, v, 0),
        (Schema::I8, Value::Signed(v)) => fixed!(i8, v, i8::MIN),
        (Schema::I16, Value::Signed(v)) => fixed!(i16, v, i16::MIN),
        (Schema::I32, Value::Signed(v)) => fixed!(i32, v, i32::MIN),
        (Schema::I64, Value::Signed(v)) => fixed!(i64, v, i64::MIN),
        (Schema::I128, Value::Signed(v)) => fixed!(i128, v, i128::MIN),
        (Schema::Char, Value::Char(v)) => out.extend_from_slice(&u32::from(*v).to_be_bytes()),
        (Schema::String, Value::String(v)) => run(v.as_bytes()),
        (Schema::Bytes, Value::Bytes(v)) => run(v),
        (Schema::Tuple(parts), Value::Tuple(values)) if parts.len() == values.len() => {
            for (i, (part, value)) in parts.iter().zip(values).enumerate() {
                ordered(part, value, last && i + 1 == parts.len(), depth, out)?;
            }
        }
        _ => return Err(mismatch(schema, value)),
    }
    Ok(())
}

/// Appends a value; the schema may be a part of another, which `scope` is of.
pub(super) fn bincode(
    schema: &Schema,
    value: &Value,
    scope: &Scope<'_, '_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let depth = deeper(depth)?;
    let scope = &scope.enter(schema);
    macro_rules! integer {
        ($type:ty, $value:expr) => {{
            let narrow = <$type>::try_from(*$value).map_err(|_| mismatch(schema, value))?;
            Bincode::write(&narrow, out)
        }};
    }
    match (schema, value) {
        (Schema::Unit, Value::Unit) => Ok(()),
        (Schema::Bool, Value::Bool(v)) => Bincode::write(v, out),
        (Schema::U8, Value::Unsigned(v)) => integer!(u8, v),
        (Schema::U16, Value::Unsigned(v)) => integer!(u16, v),
        (Schema::U32, Value::Unsigned(v)) => integer!(u32, v),
        (Schema::U64, Value::Unsigned(v)) => integer!(u64, v),
        (Schema::U128, Value::Unsigned(v)) => integer!(u128, v),
        (Schema::I8, Value::Signed(v)) => integer!(i8, v),
        (Schema::I16, Value::Signed(v)) => integer!(i16, v),
        (Schema::I32, Value::Signed(v)) => integer!(i32, v),
        (Schema::I64, Value::Signed(v)) => integer!(i64, v),
        (Schema::I128, Value::Signed(v)) => integer!(i128, v),
        (Schema::F32, Value::F32(v)) => Bincode::write(v, out),
        (Schema::F64, Value::F64(v)) => Bincode::write(v, out),
        (Schema::Char, Value::Char(v)) => Bincode::write(v, out),
        (Schema::String, Value::String(v)) => Bincode::write(v, out),
        (Schema::Bytes, Value::Bytes(v)) => Bincode::write(v, out),
        (Schema::Opaque { .. }, Value::Bytes(v)) => {
            out.extend_from_slice(v);
            Ok(())
        }
        (Schema::Option(_), Value::Option(None)) => Bincode::write(&false, out),
        (Schema::Option(inner), Value::Option(Some(held))) => {
            Bincode::write(&true, out)?;
            bincode(inner, held, scope, depth, out)
        }
        (Schema::Seq(item) | Schema::Set(item), Value::Seq(values)) => {
            Bincode::write(&(values.len() as u64), out)?;
            values.iter().try_for_each(|value| bincode(item, value, scope, depth, out))
        }
        (Schema::Map(key, held), Value::Map(entries)) => {
            Bincode::write(&(entries.len() as u64), out)?;
            entries.iter().try_for_each(|(k, v)| {
                bincode(key, k, scope, depth, out)?;
                bincode(held, v, scope, depth, out)
            })
        }
        (Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. }, Value::Tuple(_)) => {
            tuple(schema, parts, value, scope, depth, out)
        }
        (Schema::Struct { fields: parts, .. }, Value::Struct(_)) => {
            fields(schema, parts, value, scope, depth, out)
        }
        (Schema::Newtype { inner, .. }, _) => bincode(inner, value, scope, depth, out),
        (Schema::Enum { variants, .. }, Value::Variant(name, held)) => {
            let index = variants.iter().position(|variant| variant.name == *name);
            let (Some(index), Some(variant)) = (index, index.and_then(|i| variants.get(i))) else {
                return Err(mismatch(schema, value));
            };
            Bincode::write(&(index as u32), out)?;
            match (&variant.shape, held.as_deref()) {
                (Shape::Unit, None) => Ok(()),
                (Shape::Newtype(inner), Some(held)) => bincode(inner, held, scope, depth, out),
                (Shape::Tuple(parts), Some(held)) => tuple(schema, parts, held, scope, depth, out),
                (Shape::Struct(parts), Some(held)) => {
                    fields(schema, parts, held, scope, depth, out)
                }
                _ => Err(mismatch(schema, value)),
            }
        }
        (Schema::Ref(name), _) => {
            let (schema, around) = scope.resolve(name)?;
            bincode(schema, value, &around, depth, out)
        }
        _ => Err(mismatch(schema, value)),
    }
}

fn tuple(
    schema: &Schema,
    parts: &[Schema],
    value: &Value,
    scope: &Scope<'_, '_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    match value {
        Value::Tuple(values) if values.len() == parts.len() => {
            let mut pairs = parts.iter().zip(values);
            pairs.try_for_each(|(part, value)| bincode(part, value, scope, depth, out))
        }
        _ => Err(mismatch(schema, value)),
    }
}

fn fields(
    schema: &Schema,
    parts: &[Field],
    value: &Value,
    scope: &Scope<'_, '_>,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    match value {
        Value::Struct(values)
            if values.len() == parts.len()
                && parts.iter().zip(values).all(|(part, (name, _))| part.name == *name) =>
        {
            let mut pairs = parts.iter().zip(values);
            pairs.try_for_each(|(part, (_, value))| bincode(&part.schema, value, scope, depth, out))
        }
        _ => Err(mismatch(schema, value)),
    }
}
