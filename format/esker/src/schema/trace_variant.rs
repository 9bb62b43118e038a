//! The variants of a traced enum, offered one in a pass.

use super::trace_de::{Def, TraceResult, Tracer};
use super::trace_visit::{Parts, TraceDe, other_shape};
use crate::codec::bincode_de::DeError;
use serde::de::value::U32Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, VariantAccess, Visitor};

/// Offers one variant of an enum.
pub(super) struct VariantDe<'t> {
    pub(super) tracer: &'t mut Tracer,
    pub(super) rust: &'static str,
    pub(super) index: usize,
}

impl VariantDe<'_> {
    fn define(&mut self, make: impl FnOnce(&mut Tracer) -> Def) -> TraceResult<Def> {
        let made = make(self.tracer);
        match self.tracer.types.get_mut(self.rust) {
            Some((_, Def::Enum(_, found))) => {
                let def = found.entry(self.index).or_insert(made);
                Ok(def.clone())
            }
            _ => other_shape(self.rust),
        }
    }
}

impl<'de> EnumAccess<'de> for VariantDe<'_> {
    type Error = DeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> TraceResult<(S::Value, Self)> {
        let index: U32Deserializer<DeError> = (self.index as u32).into_deserializer();
        match seed.deserialize(index) {
            Ok(value) => Ok((value, self)),
            Err(e) => {
                self.tracer.shorten(self.rust, self.index);
                Err(e)
            }
        }
    }
}

impl<'de> VariantAccess<'de> for VariantDe<'_> {
    type Error = DeError;

    fn unit_variant(mut self) -> TraceResult<()> {
        self.define(|_| Def::Unit).map(|_| ())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> TraceResult<S::Value> {
        match self.define(|t| Def::Newtype(t.node()))? {
            Def::Newtype(id) => seed.deserialize(TraceDe { tracer: self.tracer, id }),
            _ => other_shape(self.rust),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, n: usize, visitor: V) -> TraceResult<V::Value> {
        match self.define(|t| Def::Tuple((0..n).map(|_| t.node()).collect()))? {
            Def::Tuple(ids) => {
                visitor.visit_seq(Parts { tracer: self.tracer, ids: &ids, read: &mut 0 })
            }
            _ => other_shape(self.rust),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> TraceResult<V::Value> {
        if let Some((name, _)) = self.tracer.types.get(self.rust) {
            let name = name.clone();
            self.tracer.offer(&name, fields);
        }
        let made = |t: &mut Tracer| Def::Struct(fields, fields.iter().map(|_| t.node()).collect());
        let Def::Struct(_, ids) = self.define(made)? else { return other_shape(self.rust) };
        let mut read = 0;
        let parts = Parts { tracer: &mut *self.tracer, ids: &ids, read: &mut read };
        let value = visitor.visit_seq(parts)?;
        if let Some((_, Def::Enum(_, found))) = self.tracer.types.get_mut(self.rust)
            && let Some(Def::Struct(_, ids)) = found.get_mut(&self.index)
        {
            ids.truncate(read);
        }
        Ok(value)
    }
}
