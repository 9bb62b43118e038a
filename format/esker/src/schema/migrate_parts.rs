//! The parts of a value that is migrated; what is wrong with one is said with its place.

use super::migrate::{DeResult, NameDe, ValueDe, Wrong};
use super::path::Step;
use super::{Name, Value};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

/// The elements of a sequence, or the parts of a tuple.
pub(super) struct Elements {
    left: std::vec::IntoIter<Value>,
    number: usize,
    step: fn(usize) -> Step,
}

impl Elements {
    /// Offers all of them: none may be left.
    pub(super) fn visit<'de, V: Visitor<'de>>(
        values: Vec<Value>,
        step: fn(usize) -> Step,
        visitor: V,
    ) -> DeResult<V::Value> {
        let mut elements = Self { left: values.into_iter(), number: 0, step };
        let value = visitor.visit_seq(&mut elements)?;
        match elements.left.len() {
            0 => Ok(value),
            more => Err(Wrong::new(format!("{more} parts more than the type has"))),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Elements {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> DeResult<Option<S::Value>> {
        let Some(value) = self.left.next() else { return Ok(None) };
        let number = self.number;
        self.number += 1;
        let held = seed.deserialize(ValueDe(value));
        held.map(Some).map_err(|wrong| wrong.below((self.step)(number)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The entries of a map.
pub(super) struct Entries {
    left: std::vec::IntoIter<(Value, Value)>,
    value: Option<Value>,
}

impl Entries {
    pub(super) fn new(entries: Vec<(Value, Value)>) -> Self {
        Self { left: entries.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> DeResult<Option<S::Value>> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(ValueDe(key)).map(Some).map_err(|wrong| wrong.below(Step::Key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> DeResult<S::Value> {
        let value = self.value.take();
        let value = value.ok_or_else(|| Wrong::new("a value was asked for before its key"))?;
        seed.deserialize(ValueDe(value)).map_err(|wrong| wrong.below(Step::Value))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// The fields of a struct.
pub(super) struct Fields {
    left: std::vec::IntoIter<(Name, Value)>,
    next: Option<(Name, Value)>,
}

impl Fields {
    pub(super) fn new(fields: Vec<(Name, Value)>) -> Self {
        Self { left: fields.into_iter(), next: None }
    }
}

impl<'de> MapAccess<'de> for Fields {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> DeResult<Option<S::Value>> {
        self.next = self.left.next();
        let name = self.next.as_ref().map(|(name, _)| NameDe(name.clone()));
        name.map(|name| seed.deserialize(name)).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> DeResult<S::Value> {
        let next = self.next.take();
        let (name, value) =
            next.ok_or_else(|| Wrong::new("a value was asked for before its field"))?;
        seed.deserialize(ValueDe(value)).map_err(|wrong| wrong.below(Step::Field(name)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

/// What a variant holds.
pub(super) struct Held {
    pub(super) name: Name,
    pub(super) held: Option<Value>,
}

impl<'de> VariantAccess<'de> for Held {
    type Error = Wrong;

    fn unit_variant(self) -> DeResult<()> {
        match self.held {
            None => Ok(()),
            Some(_) => Err(Wrong::new("the variant held a value").below(Step::Variant(self.name))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> DeResult<S::Value> {
        let held = seed.deserialize(ValueDe(self.held.unwrap_or(Value::Unit)));
        held.map_err(|wrong| wrong.below(Step::Variant(self.name)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> DeResult<V::Value> {
        let held = self.held.unwrap_or(Value::Tuple(Vec::new()));
        let held = ValueDe(held).deserialize_any(visitor);
        held.map_err(|wrong| wrong.below(Step::Variant(self.name)))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> DeResult<V::Value> {
        let held = ValueDe(self.held.unwrap_or(Value::Unit));
        let held = held.deserialize_struct("", fields, visitor);
        held.map_err(|wrong| wrong.below(Step::Variant(self.name)))
    }
}
