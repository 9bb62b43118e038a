//! What a schema is, and how a reference in it is resolved.

use super::Name;
use crate::{FormatError, FormatErrorKind, Result};
use serde::{Deserialize, Serialize};

/// The shape of a type, as it stands in a manifest: `"u64"`, `{"option":"string"}`, …
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variants of primitive types are named after them")]
pub enum Schema {
    /// `()`, and structs without fields.
    Unit,
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    Char,
    String,
    Bytes,
    Option(Box<Schema>),
    /// Any number of elements, in order.
    Seq(Box<Schema>),
    /// Any number of elements, in no order that means anything.
    Set(Box<Schema>),
    /// Keys and values, in no order that means anything.
    Map(Box<Schema>, Box<Schema>),
    /// Tuples and arrays.
    Tuple(Vec<Schema>),
    /// A struct with named fields, in declaration order.
    Struct {
        name: Name,
        fields: Vec<Field>,
    },
    /// A struct around one unnamed field.
    Newtype {
        name: Name,
        inner: Box<Schema>,
    },
    /// A struct with unnamed fields.
    TupleStruct {
        name: Name,
        fields: Vec<Schema>,
    },
    /// An enum; a variant's index is its position.
    Enum {
        name: Name,
        variants: Vec<Variant>,
    },
    /// The innermost enclosing type of this name: how a type contains itself.
    Ref(Name),
    /// Bytes that only the program can read.
    Opaque {
        name: Name,
    },
}

/// A named field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What `serde` calls it.
    pub name: Name,
    /// What it holds.
    pub schema: Schema,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// What `serde` calls it.
    pub name: Name,
    /// What it holds.
    pub shape: Shape,
}

/// What a variant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Nothing: `A`.
    Unit,
    /// One value: `A(u8)`.
    Newtype(Box<Schema>),
    /// Several: `A(u8, u8)`.
    Tuple(Vec<Schema>),
    /// Named ones: `A { a: u8 }`.
    Struct(Vec<Field>),
}

/// The named types around a place in a schema, innermost first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope<'s, 'up> {
    named: Option<(&'s str, &'s Schema)>,
    up: Option<&'up Scope<'s, 'up>>,
}

impl<'s, 'up> Scope<'s, 'up> {
    /// The scope inside `schema`.
    pub(super) fn enter(&'up self, schema: &'s Schema) -> Scope<'s, 'up> {
        Scope { named: schema.name().map(|name| (name, schema)), up: Some(self) }
    }

    /// What `name` refers to here, and the scope around that.
    pub(super) fn resolve(&self, name: &str) -> Result<(&'s Schema, Scope<'s, 'up>)> {
        let mut scope = *self;
        loop {
            match (scope.named, scope.up) {
                (Some((found, schema)), Some(up)) if found == name => return Ok((schema, *up)),
                (_, Some(up)) => scope = *up,
                (_, None) => break,
            }
        }
        let message = format!("no type around it is called name={name}");
        Err(FormatError::invalid("schema reference", message))
    }
}

impl std::fmt::Display for Schema {
    /// Its JSON.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

impl Schema {
    /// The name of the type, where references can mean it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Struct { name, .. }
            | Self::Newtype { name, .. }
            | Self::TupleStruct { name, .. }
            | Self::Enum { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether no struct has two fields, and no enum two variants, of one name.
    ///
    /// # Errors
    /// `Invalid`, with the name.
    pub fn check_names(&self) -> Result<()> {
        let distinct = |mut names: Vec<&Name>| {
            names.sort_unstable();
            match names.windows(2).find(|pair| pair[0] == pair[1]) {
                Some(pair) => {
                    let message = format!("two fields or variants share the name={}", pair[0]);
                    Err(FormatError::invalid("schema", message))
                }
                None => Ok(()),
            }
        };
        let of_fields = |fields: &[Field]| distinct(fields.iter().map(|f| &f.name).collect());
        match self {
            Self::Struct { fields, .. } => of_fields(fields)?,
            Self::Enum { variants, .. } => {
                distinct(variants.iter().map(|v| &v.name).collect())?;
                variants.iter().try_for_each(|v| match &v.shape {
                    Shape::Struct(fields) => of_fields(fields),
                    _ => Ok(()),
                })?;
            }
            _ => {}
        }
        self.for_each_part(&mut |_, part| part.check_names())
    }

    /// Whether every reference has a type of its name around it.
    ///
    /// # Errors
    /// `Invalid`, with the name.
    pub fn check_references(&self) -> Result<()> {
        self.check_references_in(&Scope::default())
    }

    fn check_references_in(&self, scope: &Scope<'_, '_>) -> Result<()> {
        match self {
            Self::Ref(name) => scope.resolve(name).map(drop),
            _ => self.for_each_part(&mut |_, part| part.check_references_in(&scope.enter(self))),
        }
    }

    /// Calls `f` with every part below this one and its step (`.field`, `[]`, …).
    pub(crate) fn for_each_part<'s>(
        &'s self,
        f: &mut dyn FnMut(String, &'s Schema) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Option(inner) => f(String::new(), inner),
            Self::Newtype { inner, .. } => f(".0".into(), inner),
            Self::Seq(inner) | Self::Set(inner) => f("[]".into(), inner),
            Self::Map(key, value) => {
                f("{key}".into(), key)?;
                f("{value}".into(), value)
            }
            Self::Tuple(parts) | Self::TupleStruct { fields: parts, .. } => numbered("", parts, f),
            Self::Struct { fields, .. } => named("", fields, f),
            Self::Enum { variants, .. } => variants.iter().try_for_each(|v| {
                let step = format!("::{}", v.name);
                match &v.shape {
                    Shape::Unit => Ok(()),
                    Shape::Newtype(inner) => f(format!("{step}.0"), inner),
                    Shape::Tuple(parts) => numbered(&step, parts, f),
                    Shape::Struct(fields) => named(&step, fields, f),
                }
            }),
            _ => Ok(()),
        }
    }

    /// Refuses maps, sets, floats and what cannot be looked into, by the path that leads there from `path`:
    /// keys of such types could be equal without equal bytes.
    ///
    /// # Errors
    /// `Incompatible`, with the path.
    pub fn require_deterministic(&self, path: &str) -> Result<()> {
        let what = match self {
            Self::Map(..) => "a map",
            Self::Set(_) => "a set",
            Self::F32 | Self::F64 => "a float",
            Self::Opaque { .. } => "of unknown shape",
            _ => {
                return self.for_each_part(&mut |step, part| {
                    part.require_deterministic(&format!("{path}{step}"))
                });
            }
        };
        let message = format!("path={path} is {what}, whose bytes do not tell identity");
        Err(FormatError::new(FormatErrorKind::Incompatible, "key type", message))
    }
}

fn numbered<'s>(
    step: &str,
    parts: &'s [Schema],
    f: &mut dyn FnMut(String, &'s Schema) -> Result<()>,
) -> Result<()> {
    parts.iter().enumerate().try_for_each(|(i, part)| f(format!("{step}.{i}"), part))
}

fn named<'s>(
    step: &str,
    fields: &'s [Field],
    f: &mut dyn FnMut(String, &'s Schema) -> Result<()>,
) -> Result<()> {
    fields.iter().try_for_each(|field| f(format!("{step}.{}", field.name), &field.schema))
}
