//! Migration: values of an old schema into today's type, by `serde`'s own rules.
//!
//! Structs are offered by field name, so that `default`, `alias`, `Option` and wider integers work
//! as they do for JSON.

use super::{Name, Schema, Value, decode_value};
use crate::codec::CodecId;
use crate::codec::bincode_de::DeError;
use crate::{FormatError, FormatErrorKind, Result};
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

/// The `T` in `bytes`, which `codec` wrote when the schema was `old`.
///
/// # Errors
/// `Corrupt` if the bytes are no value of `old`; `Incompatible` if `T` cannot hold the value.
pub fn migrate<T: DeserializeOwned>(codec: &CodecId, old: &Schema, bytes: &[u8]) -> Result<T> {
    T::deserialize(ValueDe(decode_value(codec, old, bytes)?)).map_err(|e| {
        let message = format!("type={}: {e}", std::any::type_name::<T>());
        FormatError::new(FormatErrorKind::Incompatible, "migrated value", message)
    })
}

type DeResult<T> = std::result::Result<T, DeError>;

struct ValueDe(Value);

impl IntoDeserializer<'_, DeError> for ValueDe {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A field's or variant's name.
struct NameDe(Name);

impl<'de> Deserializer<'de> for NameDe {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        visitor.visit_str(&self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

impl IntoDeserializer<'_, DeError> for NameDe {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for ValueDe {
    type Error = DeError;

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
            Value::Seq(values) | Value::Tuple(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Self)))
            }
            Value::Map(entries) => visitor.visit_map(MapDeserializer::new(
                entries.into_iter().map(|(k, v)| (Self(k), Self(v))),
            )),
            Value::Struct(fields) => visitor.visit_map(Fields::new(fields)),
            variant @ Value::Variant(..) => visitor.visit_enum(Self(variant)),
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
            Value::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            other => Self(other).deserialize_any(visitor),
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
            other => Self(other).deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> DeResult<V::Value> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct tuple tuple_struct map enum identifier
    }
}

/// The fields of a struct; what is wrong with one is said with its name.
struct Fields {
    left: std::vec::IntoIter<(Name, Value)>,
    next: Option<(Name, Value)>,
}

impl Fields {
    fn new(fields: Vec<(Name, Value)>) -> Self {
        Self { left: fields.into_iter(), next: None }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = DeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> DeResult<Option<S::Value>> {
        self.next = self.left.next();
        let name = self.next.as_ref().map(|(name, _)| NameDe(name.clone()));
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> DeResult<S::Value> {
        let Some((name, value)) = self.next.take() else {
            return Err(DeError("a value was asked for before its field".into()));
        };
        let of_field = |error: DeError| DeError(format!("field {}: {}", &*name, error.0));
        seed.deserialize(ValueDe(value)).map_err(of_field)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

impl<'de> EnumAccess<'de> for ValueDe {
    type Error = DeError;
    type Variant = Held;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> DeResult<(S::Value, Held)> {
        let Value::Variant(name, held) = self.0 else {
            return Err(DeError("the value is not of an enum".into()));
        };
        let name: StrDeserializer<'_, DeError> = (*name).into_deserializer();
        Ok((seed.deserialize(name)?, Held(held.map(|held| *held))))
    }
}

/// What a variant holds.
struct Held(Option<Value>);

impl<'de> VariantAccess<'de> for Held {
    type Error = DeError;

    fn unit_variant(self) -> DeResult<()> {
        match self.0 {
            None => Ok(()),
            Some(_) => Err(DeError("the variant held a value".into())),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> DeResult<S::Value> {
        seed.deserialize(ValueDe(self.0.unwrap_or(Value::Unit)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> DeResult<V::Value> {
        ValueDe(self.0.unwrap_or(Value::Tuple(Vec::new()))).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> DeResult<V::Value> {
        ValueDe(self.0.unwrap_or(Value::Struct(Vec::new()))).deserialize_any(visitor)
    }
}
