//! JSON to values, by a schema: the way back from canonical JSON.

use super::def::Scope;
use super::read::deeper;
use super::write::mismatch;
use super::{Field, Schema, Shape, Value};
use crate::codec::bincode_de::MAX_DEPTH;
use crate::{FormatError, Result};
use serde_json::Value as Json;

impl Value {
    /// The value of `schema` whose canonical JSON is `json`.
    ///
    /// Integers beyond 64 bits may also be given as strings of digits, as a JSON number that was
    /// parsed without arbitrary precision has lost digits; such a number is refused.
    ///
    /// # Errors
    /// `Invalid` if it is not the JSON of such a value.
    pub fn from_json(schema: &Schema, json: &Json) -> Result<Self> {
        value(schema, json, &Scope::default(), MAX_DEPTH)
    }
}

fn value(schema: &Schema, json: &Json, scope: &Scope<'_, '_>, depth: usize) -> Result<Value> {
    let depth = deeper(depth)?;
    let scope = &scope.enter(schema);
    let wrong = || mismatch(schema, json);
    let unsigned = |bits: u32| {
        let found = match json {
            Json::Number(n) => n.as_u64().map(u128::from),
            Json::String(digits) => digits.parse().ok(),
            _ => None,
        };
        let fits = found.filter(|v| bits == 128 || v >> bits == 0);
        fits.map(Value::Unsigned).ok_or_else(wrong)
    };
    let signed = |bits: u32| {
        let found: Option<i128> = match json {
            Json::Number(n) => n.as_i64().map(Into::into).or(n.as_u64().map(Into::into)),
            Json::String(digits) => digits.parse().ok(),
            _ => None,
        };
        let fits = found.filter(|v| matches!(v >> (bits - 1), 0 | -1));
        fits.map(Value::Signed).ok_or_else(wrong)
    };
    match schema {
        Schema::Unit => json.as_null().map(|()| Value::Unit).ok_or_else(wrong),
        Schema::Bool => json.as_bool().map(Value::Bool).ok_or_else(wrong),
        Schema::U8 => unsigned(8),
        Schema::U16 => unsigned(16),
        Schema::U32 => unsigned(32),
        Schema::U64 => unsigned(64),
        Schema::U128 => unsigned(128),
        Schema::I8 => signed(8),
        Schema::I16 => signed(16),
        Schema::I32 => signed(32),
        Schema::I64 => signed(64),
        Schema::I128 => signed(128),
        Schema::F32 => float(json).map(|v| Value::F32(v as f32)).ok_or_else(wrong),
        Schema::F64 => float(json).map(Value::F64).ok_or_else(wrong),
        Schema::Char => {
            let mut chars = json.as_str().ok_or_else(wrong)?.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(Value::Char(c)),
                _ => Err(wrong()),
            }
        }
        Schema::String => json.as_str().map(|v| Value::String(v.into())).ok_or_else(wrong),
        Schema::Bytes | Schema::Opaque { .. } => {
            json.as_str().and_then(hex).map(Value::Bytes).ok_or_else(wrong)
        }
        Schema::Option(_) if json.is_null() => Ok(Value::Option(None)),
        Schema::Option(inner) => {
            let held = match json.get("some") {
                Some(held) if nullable(inner, scope, depth)? => held,
                _ => json,
            };
            Ok(Value::Option(Some(Box::new(value(inner, held, scope, depth)?))))
        }
        Schema::Seq(item) | Schema::Set(item) => {
            let items = json.as_array().ok_or_else(wrong)?;
            let values = items.iter().map(|json| value(item, json, scope, depth));
            Ok(Value::Seq(values.collect::<Result<_>>()?))
        }
        Schema::Map(key, held) => {
            let entries = json.as_array().ok_or_else(wrong)?.iter().map(|entry| {
                match entry.as_array().map(Vec::as_slice) {
                    Some([k, v]) => {
                        Ok((value(key, k, scope, depth)?, value(held, v, scope, depth)?))
                    }
                    _ => Err(wrong()),
                }
            });
            Ok(Value::Map(entries.collect::<Result<_>>()?))
        }
        Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. } => {
            tuple(parts, json, scope, depth)?.ok_or_else(wrong)
        }
        Schema::Struct { fields: parts, .. } => {
            fields(parts, json, scope, depth)?.ok_or_else(wrong)
        }
        Schema::Newtype { inner, .. } => value(inner, json, scope, depth),
        Schema::Enum { variants, .. } => {
            let (name, held) = match json {
                Json::String(name) => (name, None),
                Json::Object(members) if members.len() == 1 => {
                    let member = members.iter().next().ok_or_else(wrong)?;
                    (member.0, Some(member.1))
                }
                _ => return Err(wrong()),
            };
            let variant = variants.iter().find(|v| *v.name == **name).ok_or_else(wrong)?;
            let held = match (&variant.shape, held) {
                (Shape::Unit, None) => None,
                (Shape::Newtype(inner), Some(json)) => Some(value(inner, json, scope, depth)?),
                (Shape::Tuple(parts), Some(json)) => {
                    Some(tuple(parts, json, scope, depth)?.ok_or_else(wrong)?)
                }
                (Shape::Struct(parts), Some(json)) => {
                    Some(fields(parts, json, scope, depth)?.ok_or_else(wrong)?)
                }
                _ => return Err(wrong()),
            };
            Ok(Value::Variant(variant.name.clone(), held.map(Box::new)))
        }
        Schema::Ref(name) => {
            let (schema, around) = scope.resolve(name)?;
            value(schema, json, &around, depth)
        }
    }
}

/// Whether null is the JSON of a value of `schema`.
fn nullable(schema: &Schema, scope: &Scope<'_, '_>, depth: usize) -> Result<bool> {
    let depth = deeper(depth)?;
    match schema {
        Schema::Unit | Schema::Option(_) => Ok(true),
        Schema::Newtype { inner, .. } => nullable(inner, &scope.enter(schema), depth),
        Schema::Ref(name) => {
            let (schema, around) = scope.resolve(name)?;
            nullable(schema, &around, depth)
        }
        _ => Ok(false),
    }
}

fn tuple(
    parts: &[Schema],
    json: &Json,
    scope: &Scope<'_, '_>,
    depth: usize,
) -> Result<Option<Value>> {
    let Some(items) = json.as_array().filter(|items| items.len() == parts.len()) else {
        return Ok(None);
    };
    let values = parts.iter().zip(items).map(|(part, json)| value(part, json, scope, depth));
    Ok(Some(Value::Tuple(values.collect::<Result<_>>()?)))
}

fn fields(
    parts: &[Field],
    json: &Json,
    scope: &Scope<'_, '_>,
    depth: usize,
) -> Result<Option<Value>> {
    let Some(members) = json.as_object().filter(|members| members.len() == parts.len()) else {
        return Ok(None);
    };
    let values = parts.iter().map(|part| {
        let missing = || FormatError::invalid("value", format!("field={} is missing", part.name));
        let json = members.get(&*part.name).ok_or_else(missing)?;
        Ok((part.name.clone(), value(&part.schema, json, scope, depth)?))
    });
    Ok(Some(Value::Struct(values.collect::<Result<_>>()?)))
}

fn float(json: &Json) -> Option<f64> {
    match json {
        Json::Number(n) => n.as_f64(),
        Json::String(s) if s == "NaN" => Some(f64::NAN),
        Json::String(s) if s == "Infinity" => Some(f64::INFINITY),
        Json::String(s) if s == "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).map(|v| v as u8);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}
