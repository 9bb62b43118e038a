//! Migration: values of an old schema into today's type, by `serde`'s own rules.
//!
//! Structs are offered by field name, so that `default`, `alias`, `Option` and wider integers work
//! as they do for JSON. What would lose something without a word is refused: numbers that have no equal in
//! the new type, parts of tuples that it does not take.

use super::migrate_parts::{Elements, Entries, Fields, Held};
use super::path::{self, Step};
use super::read::decode_as_written;
use super::{Name, Schema, Value};
use crate::codec::CodecId;
use crate::{FormatError, FormatErrorKind, Result};
use serde::de::IntoDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// How much of a schema is shown, in characters.
const SHOWN_CHARS: usize = 160;

/// The `T` in `bytes`, which `codec` wrote when the schema was `old`.
///
/// # Errors
/// `Corrupt` if the bytes are no value of `old`; `Incompatible` if `T` cannot hold the value, with the path
/// inside the type.
pub fn migrate<T: DeserializeOwned>(codec: &CodecId, old: &Schema, bytes: &[u8]) -> Result<T> {
    from_value(decode_as_written(codec, old, bytes)?)
        .map_err(|wrong: Wrong| incompatible::<T>(&wrong, String::new()))
}

/// The same, with what the part is in both schemas where it cannot be held; `new` is that of `T`.
pub(crate) fn migrate_to<T: DeserializeOwned>(
    codec: &CodecId,
    [old, new]: [&Schema; 2],
    bytes: &[u8],
) -> Result<T> {
    from_value(decode_as_written(codec, old, bytes)?).map_err(|wrong: Wrong| {
        let steps: Vec<&Step> = wrong.steps.iter().rev().collect();
        let part = |schema| path::part(schema, &steps).map_or("nothing".into(), shown);
        let both = format!("; stored as {}, asked for as {}", part(old), part(new));
        incompatible::<T>(&wrong, both)
    })
}

/// A schema's JSON, or the beginning of it.
pub(super) fn shown(schema: &Schema) -> String {
    let mut text = schema.to_string();
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn incompatible<T>(wrong: &Wrong, both: String) -> FormatError {
    let (name, path) = (std::any::type_name::<T>(), path::text(wrong.steps.iter().rev()));
    let message = format!("type={name}: path={path}: {}{both}", wrong.message);
    FormatError::new(FormatErrorKind::Incompatible, "migrated value", message)
}

/// The `T` that a value is.
pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> DeResult<T> {
    T::deserialize(ValueDe(value))
}

pub(super) type DeResult<T> = std::result::Result<T, Wrong>;

/// Why a value cannot be held, and where.
#[derive(Debug)]
pub(super) struct Wrong {
    /// From the whole to the part, the last one first.
    pub(super) steps: Vec<Step>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { steps: Vec::new(), message: message.into() }
    }

    pub(super) fn below(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// Offers a value.
pub(super) struct ValueDe(pub(super) Value);

impl IntoDeserializer<'_, Wrong> for ValueDe {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A field's or variant's name.
pub(super) struct NameDe(pub(super) Name);

impl<'de> Deserializer<'de> for NameDe {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        visitor.visit_str(&self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl ValueDe {
    /// That a value of this kind is no `wanted`.
    fn is_no<T>(&self, wanted: &str) -> DeResult<T> {
        let kind = match &self.0 {
            Value::Unit => "a unit",
            Value::Bool(_) => "a bool",
            Value::Unsigned(_) | Value::Signed(_) => "an integer",
            Value::F32(_) | Value::F64(_) => "a float",
            Value::Char(_) => "a char",
            Value::String(_) => "a string",
            Value::Bytes(_) => "bytes",
            Value::Option(_) => "an option",
            Value::Seq(_) => "a sequence",
            Value::Map(_) => "a map",
            Value::Tuple(_) => "a tuple",
            Value::Struct(_) => "a struct",
            Value::Variant(..) => "an enum",
        };
        Err(Wrong::new(format!("{kind} is no {wanted}")))
    }

    /// The number as a float, if it is one of those integers of which each has its float.
    fn exact(&self, wanted: &str, bits: u32) -> DeResult<Option<f64>> {
        let limit = 1_u128 << bits;
        let (size, float) = match &self.0 {
            Value::Unsigned(v) => (*v, *v as f64),
            Value::Signed(v) => (v.unsigned_abs(), *v as f64),
            _ => return Ok(None),
        };
        match size <= limit {
            true => Ok(Some(float)),
            false => Err(Wrong::new(format!("an integer of this size may have no equal {wanted}"))),
        }
    }
}

impl<'de> Deserializer<'de> for ValueDe {
    type Error = Wrong;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match self.0 {
            Value::Unit => visitor.visit_unit(),
            Value::Bool(v) => visitor.visit_bool(v),
            Value::Unsigned(v) => match u64::try_from(v) {
                Ok(narrow) => visitor.visit_u64(narrow),
                Err(_) => visitor.visit_u128(v),
            },
            Value::Signed(v) => match i64::try_from(v) {
                Ok(narrow) => visitor.visit_i64(narrow),
                Err(_) => visitor.visit_i128(v),
            },
            Value::F32(v) => visitor.visit_f32(v),
            Value::F64(v) => visitor.visit_f64(v),
            Value::Char(v) => visitor.visit_char(v),
            Value::String(v) => visitor.visit_string(v),
            Value::Bytes(v) => visitor.visit_byte_buf(v),
            Value::Option(None) => visitor.visit_none(),
            Value::Option(Some(held)) => visitor.visit_some(Self(*held)),
            Value::Seq(values) => Elements::visit(values, |_| Step::Item, visitor),
            Value::Tuple(values) => Elements::visit(values, Step::Index, visitor),
            Value::Map(entries) => visitor.visit_map(Entries::new(entries)),
            Value::Struct(fields) => visitor.visit_map(Fields::new(fields)),
            variant @ Value::Variant(..) => visitor.visit_enum(Self(variant)),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        if let Value::F64(wide) = self.0 {
            let narrow = wide as f32;
            return match f64::from(narrow) == wide || wide.is_nan() {
                true => visitor.visit_f32(narrow),
                false => Err(Wrong::new(format!("the f64 {wide} has no equal f32"))),
            };
        }
        match self.exact("f32", f32::MANTISSA_DIGITS)? {
            Some(float) => visitor.visit_f64(float),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match self.exact("f64", f64::MANTISSA_DIGITS)? {
            Some(float) => visitor.visit_f64(float),
            None => self.deserialize_any(visitor),
        }
    }

    // Bytes that happen to be UTF-8 are no text, nor is text bytes.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match &self.0 {
            Value::Bytes(_) => self.is_no("string"),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match &self.0 {
            Value::String(_) => self.is_no("bytes"),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match self.0 {
            Value::Option(None) => visitor.visit_none(),
            Value::Option(Some(held)) => visitor.visit_some(Self(*held)),
            other => visitor.visit_some(Self(other)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> DeResult<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match self.0 {
            Value::Bytes(bytes) => {
                let values = bytes.into_iter().map(|byte| Value::Unsigned(byte.into())).collect();
                Elements::visit(values, |_| Step::Item, visitor)
            }
            other => Self(other).deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        match &self.0 {
            // The names of fields are no keys.
            Value::Struct(_) => self.is_no("map"),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> DeResult<V::Value> {
        match self.0 {
            // A struct that had no fields gets its first ones.
            Value::Unit => Self(Value::Struct(Vec::new())).deserialize_any(visitor),
            // Neither has fields by name: what is not asked for would go without a word, and of two fields
            // of one type nobody could say which is which.
            Value::Seq(_) | Value::Tuple(_) | Value::Map(_) => {
                self.is_no("struct, whose fields go by name")
            }
            other => Self(other).deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char
        unit unit_struct tuple tuple_struct enum identifier
    }
}

impl<'de> EnumAccess<'de> for ValueDe {
    type Error = Wrong;
    type Variant = Held;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> DeResult<(S::Value, Held)> {
        match self.0 {
            Value::Variant(name, held) => {
                let variant = seed.deserialize(NameDe(name.clone()))?;
                Ok((variant, Held { name, held: held.map(|held| *held) }))
            }
            _ => self.is_no("enum"),
        }
    }
}
