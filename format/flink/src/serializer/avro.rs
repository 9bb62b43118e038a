//! Avro schemas: the JSON in a snapshot to types, which may refer to each other and to themselves.

use super::kind::{Constant, order_by_name};
use esker_format::schema::Name;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// How deep types nest.
const DEPTH_MAX: usize = 40;
/// How many types there are once references are followed, other than back to an enclosing one.
const EXPANDED_MAX: usize = 16_384;

/// A type's place among those of its schema.
pub(crate) type TypeId = usize;

/// A schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Avro {
    types: Vec<AvroType>,
    root: TypeId,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AvroType {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed {
        name: Name,
        len_bytes: usize,
    },
    Enum {
        name: Name,
        symbols: Vec<Constant>,
    },
    Array(TypeId),
    Map(TypeId),
    /// `null` and one other type: where null stands, and the other.
    Nullable {
        null_at: i32,
        inner: TypeId,
    },
    /// Any others, and what each is called.
    Union(Vec<(Name, TypeId)>),
    Record {
        name: Name,
        fields: Vec<(Constant, TypeId)>,
        /// Positions of the fields by name, where that is another order.
        by_name: Option<Box<[usize]>>,
    },
}

impl Avro {
    /// The type of whole values.
    pub(crate) fn root(&self) -> TypeId {
        self.root
    }

    /// The type at `id`.
    pub(crate) fn of(&self, id: TypeId) -> &AvroType {
        self.types.get(id).unwrap_or(&AvroType::Null)
    }

    /// Parses the JSON of a schema; what is wrong with it otherwise.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut parser = Parser { types: Vec::new(), named: HashMap::new() };
        let root = parser.of(&json, "", DEPTH_MAX)?;
        Ok(Self { types: parser.types, root })
    }

    /// Whether it is small enough to be written out, with what it refers to in the place of references.
    pub(crate) fn is_expandable(&self) -> bool {
        self.expand(self.root, &mut Vec::new(), &mut EXPANDED_MAX.clone())
    }

    fn expand(&self, id: TypeId, around: &mut Vec<TypeId>, left: &mut usize) -> bool {
        if around.contains(&id) {
            return true;
        }
        let Some(fewer) = left.checked_sub(1).filter(|_| around.len() < DEPTH_MAX) else {
            return false;
        };
        *left = fewer;
        around.push(id);
        let fits = match self.of(id) {
            AvroType::Array(inner) | AvroType::Map(inner) | AvroType::Nullable { inner, .. } => {
                self.expand(*inner, around, left)
            }
            AvroType::Union(of) => of.iter().all(|(_, inner)| self.expand(*inner, around, left)),
            AvroType::Record { fields, .. } => {
                fields.iter().all(|(_, inner)| self.expand(*inner, around, left))
            }
            _ => true,
        };
        around.pop();
        fits
    }
}

struct Parser {
    types: Vec<AvroType>,
    named: HashMap<String, TypeId>,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn add(&mut self, of: AvroType) -> TypeId {
        self.types.push(of);
        self.types.len() - 1
    }

    fn of(&mut self, json: &Json, namespace: &str, depth: usize) -> Parsed<TypeId> {
        let depth =
            depth.checked_sub(1).ok_or_else(|| format!("nested deeper than {DEPTH_MAX}"))?;
        match json {
            Json::String(name) => self.by_name(name, namespace),
            Json::Array(branches) => self.union(branches, namespace, depth),
            Json::Object(object) => match object.get("type") {
                Some(Json::String(kind)) => self.object(kind, object, namespace, depth),
                Some(inner) => self.of(inner, namespace, depth),
                None => Err("a type has no \"type\"".into()),
            },
            _ => Err("a type is text, an array or an object".into()),
        }
    }

    fn by_name(&mut self, name: &str, namespace: &str) -> Parsed<TypeId> {
        if let Some(primitive) = primitive(name) {
            return Ok(self.add(primitive));
        }
        let full = full_name(name, namespace);
        let known = self.named.get(&full).or_else(|| self.named.get(name));
        known.copied().ok_or_else(|| format!("no type before it is called {full}"))
    }

    fn object(
        &mut self,
        kind: &str,
        object: &Map<String, Json>,
        namespace: &str,
        depth: usize,
    ) -> Parsed<TypeId> {
        let member =
            |name: &str| object.get(name).ok_or_else(|| format!("a type {kind:?} has no {name:?}"));
        match kind {
            "array" => {
                let inner = self.of(member("items")?, namespace, depth)?;
                Ok(self.add(AvroType::Array(inner)))
            }
            "map" => {
                let inner = self.of(member("values")?, namespace, depth)?;
                Ok(self.add(AvroType::Map(inner)))
            }
            "record" | "error" | "enum" | "fixed" => {
                let name = member("name")?.as_str().ok_or("a name is text")?;
                let around = object.get("namespace").and_then(Json::as_str).unwrap_or(namespace);
                let full = full_name(name, around);
                // Until it is read, for types in it that refer to it.
                let id = self.add(AvroType::Fixed { name: full.as_str().into(), len_bytes: 0 });
                if self.named.insert(full.clone(), id).is_some() {
                    return Err(format!("{full} is there twice"));
                }
                let within = full.rsplit_once('.').map_or("", |(within, _)| within);
                let of = match kind {
                    "enum" => enumeration(&full, member("symbols")?)?,
                    "fixed" => fixed(&full, member("size")?)?,
                    _ => self.record(&full, member("fields")?, within, depth)?,
                };
                if let Some(place) = self.types.get_mut(id) {
                    *place = of;
                }
                Ok(id)
            }
            _ => self.by_name(kind, namespace),
        }
    }

    fn record(
        &mut self,
        name: &str,
        fields: &Json,
        namespace: &str,
        depth: usize,
    ) -> Parsed<AvroType> {
        let given = fields.as_array().ok_or("fields are an array")?;
        let mut fields: Vec<(Constant, TypeId)> = Vec::new();
        for field in given {
            let called = field.get("name").and_then(Json::as_str).ok_or("a field has no name")?;
            let of = field.get("type").ok_or_else(|| format!("field {called} has no type"))?;
            fields.push((Constant::new(called), self.of(of, namespace, depth)?));
        }
        let by_name = order_by_name(fields.iter().map(|(called, _)| &*called.name));
        let by_name = by_name.map_err(|twice| format!("{name} has two fields {twice}"))?;
        Ok(AvroType::Record { name: name.into(), fields, by_name })
    }

    fn union(&mut self, branches: &[Json], namespace: &str, depth: usize) -> Parsed<TypeId> {
        let mut of = Vec::new();
        for branch in branches {
            of.push(self.of(branch, namespace, depth)?);
        }
        let named: Vec<(Name, TypeId)> = of.iter().map(|id| (self.called(*id), *id)).collect();
        order_by_name(named.iter().map(|(name, _)| &**name))
            .map_err(|twice| format!("a union has two of {twice}"))?;
        let is_null = |id: &TypeId| matches!(self.types.get(*id), Some(AvroType::Null));
        let union = match of.as_slice() {
            [null, inner] if is_null(null) => AvroType::Nullable { null_at: 0, inner: *inner },
            [inner, null] if is_null(null) => AvroType::Nullable { null_at: 1, inner: *inner },
            _ => AvroType::Union(named),
        };
        Ok(self.add(union))
    }

    /// What a branch of a union is called.
    fn called(&self, id: TypeId) -> Name {
        match self.types.get(id) {
            Some(AvroType::Boolean) => "boolean".into(),
            Some(AvroType::Int) => "int".into(),
            Some(AvroType::Long) => "long".into(),
            Some(AvroType::Float) => "float".into(),
            Some(AvroType::Double) => "double".into(),
            Some(AvroType::Bytes) => "bytes".into(),
            Some(AvroType::String) => "string".into(),
            Some(AvroType::Array(_)) => "array".into(),
            Some(AvroType::Map(_)) => "map".into(),
            Some(
                AvroType::Fixed { name, .. }
                | AvroType::Enum { name, .. }
                | AvroType::Record { name, .. },
            ) => name.clone(),
            _ => "null".into(),
        }
    }
}

fn primitive(name: &str) -> Option<AvroType> {
    Some(match name {
        "null" => AvroType::Null,
        "boolean" => AvroType::Boolean,
        "int" => AvroType::Int,
        "long" => AvroType::Long,
        "float" => AvroType::Float,
        "double" => AvroType::Double,
        "bytes" => AvroType::Bytes,
        "string" => AvroType::String,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    match name.contains('.') || namespace.is_empty() {
        true => name.to_owned(),
        false => format!("{namespace}.{name}"),
    }
}

fn enumeration(name: &str, symbols: &Json) -> Parsed<AvroType> {
    let given = symbols.as_array().ok_or("symbols are an array")?;
    let symbols = given.iter().map(|symbol| symbol.as_str().map(Constant::new));
    let symbols: Vec<Constant> = symbols.collect::<Option<_>>().ok_or("a symbol is text")?;
    order_by_name(symbols.iter().map(|symbol| &*symbol.name))
        .map_err(|twice| format!("{name} has two symbols {twice}"))?;
    Ok(AvroType::Enum { name: name.into(), symbols })
}

fn fixed(name: &str, size: &Json) -> Parsed<AvroType> {
    let len_bytes = size.as_u64().and_then(|size| usize::try_from(size).ok());
    Ok(AvroType::Fixed { name: name.into(), len_bytes: len_bytes.ok_or("a size is a number")? })
}
