//! What a traced type asks for, and the made-up values it is given.

use super::trace_de::{Def, Id, Node, TraceResult, Tracer};
use super::trace_variant::VariantDe;
use super::{Schema, made_up};
use crate::codec::bincode_de::{DeError, MAX_DEPTH};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::any::type_name;
use std::collections::BTreeMap;

/// Offers a value to one part.
pub(super) struct TraceDe<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) id: Id,
}

/// Several parts, in order; `read` counts those that were asked for.
pub(super) struct Parts<'t, 'p> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) ids: &'p [Id],
    pub(super) read: &'p mut usize,
}

impl<'t> TraceDe<'t> {
    fn leaf(&mut self, schema: Schema) -> TraceResult<()> {
        match self.tracer.get(self.id) {
            Node::Leaf(known) if *known != schema => {
                Err(DeError(format!("asks for {known:?} and for {schema:?} in turn")))
            }
            _ => self.tracer.set(self.id, Node::Leaf(schema)),
        }
    }

    fn seq<'de, V: Visitor<'de>>(self, ids: &[Id], visitor: V) -> TraceResult<V::Value> {
        let read = &mut 0;
        visitor.visit_seq(Parts { tracer: self.tracer, ids, read })
    }

    /// Whether the parts are worth a visit: not all is known, and no type would be entered twice.
    fn open(&self, ids: &[Id]) -> bool {
        let seen = &self.tracer.active;
        !ids.iter().all(|id| self.tracer.complete(*id, &mut seen.clone()))
    }

    /// Visits a named type.
    fn named<R>(
        self,
        rust: &'static str,
        name: &str,
        make: impl FnOnce(&mut Tracer) -> Def,
        visit: impl FnOnce(TraceDe<'_>, Def) -> TraceResult<R>,
    ) -> TraceResult<R> {
        match self.tracer.get(self.id) {
            Node::Type(known) if *known != rust => {
                return Err(DeError(format!("asks for {known} and for {rust} in turn")));
            }
            _ => self.tracer.set(self.id, Node::Type(rust))?,
        }
        if self.tracer.depth >= MAX_DEPTH {
            return Err(DeError(format!("type={rust} contains itself without an end")));
        }
        let made = make(self.tracer);
        let def = self.tracer.define(rust, name, made);
        self.tracer.depth += 1;
        self.tracer.active.push(rust);
        let result = visit(TraceDe { tracer: &mut *self.tracer, id: self.id }, def);
        self.tracer.active.pop();
        self.tracer.depth -= 1;
        result
    }
}

pub(super) fn other_shape<T>(rust: &str) -> TraceResult<T> {
    Err(DeError(format!("type={rust} asks for different shapes in turn")))
}

macro_rules! leaves {
    ($($method:ident $visit:ident $schema:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> TraceResult<V::Value> {
            self.leaf(Schema::$schema)?;
            visitor.$visit($value)
        }
    )*};
}

macro_rules! refused {
    ($($method:ident $why:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> TraceResult<V::Value> {
            Err(DeError($why.into()))
        }
    )*};
}

impl<'de> Deserializer<'de> for TraceDe<'_> {
    type Error = DeError;

    fn is_human_readable(&self) -> bool {
        false
    }

    // One is what most validating types accept, `NonZero` among them.
    leaves! {
        deserialize_bool visit_bool Bool false;
        deserialize_u8 visit_u8 U8 1;
        deserialize_u16 visit_u16 U16 1;
        deserialize_u32 visit_u32 U32 1;
        deserialize_u64 visit_u64 U64 1;
        deserialize_u128 visit_u128 U128 1;
        deserialize_i8 visit_i8 I8 1;
        deserialize_i16 visit_i16 I16 1;
        deserialize_i32 visit_i32 I32 1;
        deserialize_i64 visit_i64 I64 1;
        deserialize_i128 visit_i128 I128 1;
        deserialize_f32 visit_f32 F32 1.0;
        deserialize_f64 visit_f64 F64 1.0;
        deserialize_char visit_char Char 'a';
    }

    fn deserialize_str<V: Visitor<'de>>(mut self, visitor: V) -> TraceResult<V::Value> {
        self.leaf(Schema::String)?;
        let text = made_up::TEXTS.get(self.tracer.tried(self.id)).copied().unwrap_or_default();
        let value = visitor.visit_borrowed_str(text);
        value.map_err(|why| self.tracer.refused(self.id, made_up::TEXTS.len(), why))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> TraceResult<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> TraceResult<V::Value> {
        self.leaf(Schema::Bytes)?;
        let value = visitor.visit_borrowed_bytes(made_up::bytes(self.tracer.tried(self.id)));
        value.map_err(|why| self.tracer.refused(self.id, made_up::LENS_BYTES.len(), why))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> TraceResult<V::Value> {
        self.deserialize_bytes(visitor)
    }

    refused! {
        deserialize_any "asks for any value (untagged, flatten, internally tagged?)";
        deserialize_identifier "reads names (flatten, adjacently tagged?)";
        deserialize_ignored_any "skips values (flatten?)";
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> TraceResult<V::Value> {
        self.leaf(Schema::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> TraceResult<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> TraceResult<V::Value> {
        let ids = self.tracer.parts(self.id, 1, |ids| Node::Option(ids[0]))?;
        match ids.first() {
            Some(id) if self.open(&ids) => {
                visitor.visit_some(TraceDe { tracer: self.tracer, id: *id })
            }
            _ => visitor.visit_none(),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> TraceResult<V::Value> {
        let rust = type_name::<V::Value>();
        let set = rust.split('<').next().is_some_and(|outer| outer.ends_with("Set"));
        let make =
            if set { |ids: &[Id]| Node::Set(ids[0]) } else { |ids: &[Id]| Node::Seq(ids[0]) };
        let ids = self.tracer.parts(self.id, 1, make)?;
        if self.open(&ids) { self.seq(&ids, visitor) } else { self.seq(&[], visitor) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> TraceResult<V::Value> {
        let mut ids = self.tracer.parts(self.id, 2, |ids| Node::Map(ids[0], ids[1]))?;
        if !self.open(&ids) {
            ids.clear();
        }
        visitor.visit_map(Parts { tracer: self.tracer, ids: &ids, read: &mut 0 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, n: usize, visitor: V) -> TraceResult<V::Value> {
        let ids = self.tracer.parts(self.id, n, |ids| Node::Tuple(ids.to_vec()))?;
        self.seq(&ids, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> TraceResult<V::Value> {
        let rust = type_name::<V::Value>();
        self.named(
            rust,
            name,
            |t| Def::Newtype(t.node()),
            |de, def| match def {
                Def::Newtype(id) => visitor.visit_newtype_struct(TraceDe { tracer: de.tracer, id }),
                _ => other_shape(rust),
            },
        )
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        n: usize,
        visitor: V,
    ) -> TraceResult<V::Value> {
        let rust = type_name::<V::Value>();
        let make = |t: &mut Tracer| Def::Tuple((0..n).map(|_| t.node()).collect());
        self.named(rust, name, make, |de, def| match def {
            Def::Tuple(ids) => de.seq(&ids, visitor),
            _ => other_shape(rust),
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> TraceResult<V::Value> {
        let rust = type_name::<V::Value>();
        self.tracer.offer(name, fields);
        let make = |t: &mut Tracer| Def::Struct(fields, fields.iter().map(|_| t.node()).collect());
        self.named(rust, name, make, |de, def| {
            let Def::Struct(_, ids) = def else { return other_shape(rust) };
            let mut read = 0;
            let parts = Parts { tracer: &mut *de.tracer, ids: &ids, read: &mut read };
            let value = visitor.visit_seq(parts)?;
            if let Some((_, Def::Struct(_, ids))) = de.tracer.types.get_mut(rust) {
                ids.truncate(read);
            }
            Ok(value)
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> TraceResult<V::Value> {
        let rust = type_name::<V::Value>();
        self.tracer.offer(name, variants);
        // An enum inside itself is entered only where that ends.
        let index = self.tracer.choose(rust, variants.len())?;
        self.named(
            rust,
            name,
            |_| Def::Enum(variants, BTreeMap::new()),
            |de, def| {
                if !matches!(def, Def::Enum(..)) {
                    return other_shape(rust);
                }
                de.tracer.visiting.push((rust, index));
                let access = VariantDe { tracer: &mut *de.tracer, rust, index };
                let value = visitor.visit_enum(access);
                de.tracer.visiting.pop();
                value
            },
        )
    }
}

impl Parts<'_, '_> {
    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> TraceResult<Option<S::Value>> {
        let Some(&id) = self.ids.get(*self.read) else { return Ok(None) };
        *self.read += 1;
        seed.deserialize(TraceDe { tracer: &mut *self.tracer, id }).map(Some)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = DeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> TraceResult<Option<S::Value>> {
        self.next(seed)
    }
}

impl<'de> MapAccess<'de> for Parts<'_, '_> {
    type Error = DeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> TraceResult<Option<S::Value>> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> TraceResult<S::Value> {
        self.next(seed)?.ok_or_else(|| DeError("reads a map's value twice".into()))
    }
}
