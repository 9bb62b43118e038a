//! The shape of a type, from what its `Deserialize` asks for.
//!
//! The values that it builds on the way, and others at the edges of what parts hold, are then written and read
//! by that shape, so that a type whose `Serialize` says something else (`skip_serializing_if`, say) is refused.

use super::probe::probe;
use super::trace_de::{Def, Id, Node, Tracer};
use super::trace_visit::TraceDe;
use super::{Field, Name, Schema, Shape, Variant, check_sample};
use crate::codec::Bincode;
use crate::{FormatError, FormatErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_reflection::{ContainerFormat, Named, Samples, TracerConfig, VariantFormat};
use std::any::type_name;
use std::collections::BTreeMap;

/// More than any type needs whose variants are written by hand.
const MAX_PASSES: usize = 10_000;
/// As references only lead outwards, a type is written out wherever it is used.
const MAX_PARTS: usize = 20_000;

/// The shape of `T`.
///
/// # Errors
/// `Incompatible`, with the type's name and the reason, if it cannot be told: untagged and
/// flattened types, types that refuse made-up values, fields that are not always written.
pub fn trace<T: Serialize + DeserializeOwned>() -> Result<Schema> {
    traced::<T>().map(|traced| traced.schema)
}

/// What is known of a type once it is traced.
pub(super) struct Traced<T> {
    pub(super) schema: Schema,
    /// Values that, taken together, have every part of it.
    pub(super) values: Vec<T>,
    /// All names that `serde` knows of the fields and variants of types of one name, aliases among them.
    pub(super) offered: BTreeMap<Name, Vec<Name>>,
}

/// The shape of `T`, and how it was found.
///
/// # Errors
/// Those of [`trace`].
pub(super) fn traced<T: Serialize + DeserializeOwned>() -> Result<Traced<T>> {
    let mut tracer = Tracer::default();
    let root = tracer.node();
    let mut values: Vec<T> = Vec::new();
    loop {
        let value = T::deserialize(TraceDe { tracer: &mut tracer, id: root });
        if value.is_err() && std::mem::take(&mut tracer.retry) {
            (tracer.depth, tracer.active, tracer.visiting) = (0, Vec::new(), Vec::new());
            continue;
        }
        let value = value.map_err(|e| untraceable::<T>(e.to_string()))?;
        // The pass after the last one has nothing to explore: its collections are empty.
        let complete = tracer.complete(root, &mut Vec::new());
        values.push(value);
        if complete {
            break;
        }
        if values.len() > MAX_PASSES {
            return Err(untraceable::<T>("has parts that cannot be reached".into()));
        }
    }
    let last = T::deserialize(TraceDe { tracer: &mut tracer, id: root });
    values.push(last.map_err(|e| untraceable::<T>(e.to_string()))?);

    let mut builder = Builder { tracer: &tracer, values: &values, around: Vec::new(), parts: 0 };
    let schema = builder.schema(root).map_err(|e| untraceable::<T>(e.message))?;
    for value in &values {
        check_sample(&schema, &Bincode, value)?;
    }
    probe(&schema, &values)?;
    Ok(Traced { schema, values, offered: tracer.offered })
}

fn untraceable<T>(why: String) -> FormatError {
    refuse(format!("type={}: {why}", type_name::<T>()))
}

fn refuse(message: String) -> FormatError {
    FormatError::new(FormatErrorKind::Incompatible, "traced type", message)
}

struct Builder<'t, T> {
    tracer: &'t Tracer,
    values: &'t [T],
    /// The named types around the part, by Rust's name and `serde`'s.
    around: Vec<(&'static str, Name)>,
    parts: usize,
}

impl<T: Serialize> Builder<'_, T> {
    fn schema(&mut self, id: Id) -> Result<Schema> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(refuse(format!("has more than {MAX_PARTS} parts")));
        }
        Ok(match self.tracer.get(id).clone() {
            Node::Unknown => return Err(refuse("has parts that cannot be reached".into())),
            Node::Leaf(schema) => schema,
            Node::Option(inner) => Schema::Option(Box::new(self.schema(inner)?)),
            Node::Seq(item) => Schema::Seq(Box::new(self.schema(item)?)),
            Node::Set(item) => Schema::Set(Box::new(self.schema(item)?)),
            Node::Map(k, v) => Schema::Map(Box::new(self.schema(k)?), Box::new(self.schema(v)?)),
            Node::Tuple(ids) => Schema::Tuple(self.schemas(&ids)?),
            Node::Type(rust) => self.named(rust)?,
        })
    }

    fn schemas(&mut self, ids: &[Id]) -> Result<Vec<Schema>> {
        ids.iter().map(|id| self.schema(*id)).collect()
    }

    fn named(&mut self, rust: &'static str) -> Result<Schema> {
        let Some((name, def)) = self.tracer.types.get(rust).cloned() else {
            return Err(refuse(format!("type={rust} is not known")));
        };
        if let Some(at) = self.around.iter().position(|(known, _)| *known == rust) {
            // The innermost type of that name must be the one that is meant.
            if self.around.iter().skip(at + 1).any(|(_, inner)| *inner == name) {
                return Err(refuse(format!("two types are called name={name}")));
            }
            return Ok(Schema::Ref(name));
        }
        self.around.push((rust, name.clone()));
        let schema = match def {
            Def::Unit => Schema::Unit,
            Def::Newtype(id) => Schema::Newtype { inner: Box::new(self.schema(id)?), name },
            Def::Tuple(ids) => Schema::TupleStruct { fields: self.schemas(&ids)?, name },
            Def::Struct(names, ids) => {
                Schema::Struct { fields: self.fields(&name, None, names, &ids)?, name }
            }
            Def::Enum(names, found) => {
                let aliased = self.tracer.aliased.contains_key(rust);
                let mut variants = Vec::new();
                for (index, variant) in names.iter().enumerate() {
                    let shape = match found.get(&index) {
                        Some(Def::Unit) => Shape::Unit,
                        Some(Def::Newtype(id)) => Shape::Newtype(Box::new(self.schema(*id)?)),
                        Some(Def::Tuple(ids)) => Shape::Tuple(self.schemas(ids)?),
                        Some(Def::Struct(names, ids)) => {
                            Shape::Struct(self.fields(&name, Some(index), names, ids)?)
                        }
                        _ => return Err(refuse(format!("variant={variant} cannot be reached"))),
                    };
                    let variant = match aliased {
                        false => (*variant).into(),
                        true => self.variant(&name, index as u32).ok_or_else(|| {
                            refuse(format!("the variants of name={name} cannot be told"))
                        })?,
                    };
                    variants.push(Variant { name: variant, shape });
                }
                Schema::Enum { name, variants }
            }
        };
        self.around.pop();
        Ok(schema)
    }

    fn fields(
        &mut self,
        container: &str,
        variant: Option<usize>,
        names: &[&str],
        ids: &[Id],
    ) -> Result<Vec<Field>> {
        let mut names: Vec<Name> = names.iter().map(|name| (*name).into()).collect();
        if names.len() != ids.len() {
            // Aliases stand among the names; which ones count, `Serialize` says.
            let written = self.written(container, variant, ids.len()).ok_or_else(|| {
                refuse(format!("the names of the fields of name={container} cannot be told"))
            })?;
            names = written;
        }
        let mut fields = Vec::new();
        for (name, id) in names.into_iter().zip(ids) {
            fields.push(Field { name, schema: self.schema(*id)? });
        }
        Ok(fields)
    }

    /// The name that `Serialize` writes for a variant.
    fn variant(&self, container: &str, index: u32) -> Option<Name> {
        self.values.iter().find_map(|value| {
            let mut tracer = serde_reflection::Tracer::new(TracerConfig::default());
            tracer.trace_value(&mut Samples::new(), value).ok()?;
            match tracer.registry_unchecked().get(container)? {
                ContainerFormat::Enum(found) => Some(found.get(&index)?.name.as_str().into()),
                _ => None,
            }
        })
    }

    /// The field names that `Serialize` writes for a struct or a variant's fields.
    fn written(&self, container: &str, variant: Option<usize>, count: usize) -> Option<Vec<Name>> {
        self.values.iter().find_map(|value| {
            let mut tracer = serde_reflection::Tracer::new(TracerConfig::default());
            tracer.trace_value(&mut Samples::new(), value).ok()?;
            let registry = tracer.registry_unchecked();
            let names = match (registry.get(container)?, variant) {
                (ContainerFormat::Struct(fields), None) => names(fields),
                (ContainerFormat::Enum(variants), Some(index)) => {
                    match &variants.get(&(index as u32))?.value {
                        VariantFormat::Struct(fields) => names(fields),
                        _ => return None,
                    }
                }
                _ => return None,
            };
            (names.len() == count).then_some(names)
        })
    }
}

fn names<F>(fields: &[Named<F>]) -> Vec<Name> {
    fields.iter().map(|field| field.name.as_str().into()).collect()
}
