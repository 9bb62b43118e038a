//! Serializers for states that never came from Flink.

use super::kind::{Scalar, Simple};
use super::schema::ROW;
use super::{Serializer, make};
use crate::{FormatError, FormatErrorKind, Result, Schema};
use esker_format::schema::{Field, Shape, Variant};

impl Serializer {
    /// The serializer for values of `schema`: of integers the narrowest of Java's that has room for all of them, of
    /// sequences and sets `List`, of structs a POJO and of enums without contents an enum of the class that their name
    /// says, of named types what [`schema`](Self::schema) names so, and otherwise what they hold.
    ///
    /// # Errors
    /// `Incompatible` with the path of what no Java type stands for: structs and enums whose name is no class's, enums
    /// with contents, types that contain themselves, what is opaque.
    pub fn of_schema(schema: &Schema) -> Result<Self> {
        of(schema, "value", super::read::DEPTH_MAX)
    }
}

fn refuse(path: &str, why: &str) -> FormatError {
    let message = format!("path={path}: {why}");
    FormatError::new(FormatErrorKind::Incompatible, "Flink type", message)
}

fn of(schema: &Schema, path: &str, depth: usize) -> Result<Serializer> {
    let depth = depth.checked_sub(1).ok_or_else(|| refuse(path, "nests too deep"))?;
    let part = |schema: &Schema, step: &str| of(schema, &format!("{path}{step}"), depth);
    let scalar = |of| Ok(Serializer::simple(Simple::Scalar(of)));
    match schema {
        Schema::Unit => Ok(Serializer::simple(Simple::Void)),
        Schema::Bool => scalar(Scalar::Boolean),
        Schema::I8 => scalar(Scalar::Byte),
        Schema::I16 | Schema::U8 => scalar(Scalar::Short),
        Schema::I32 | Schema::U16 => scalar(Scalar::Int),
        Schema::I64 | Schema::U32 => scalar(Scalar::Long),
        Schema::I128 | Schema::U64 | Schema::U128 => Ok(Serializer::simple(Simple::BigInteger)),
        Schema::F32 => scalar(Scalar::Float),
        Schema::F64 => scalar(Scalar::Double),
        Schema::Char => scalar(Scalar::Char),
        Schema::String => Ok(Serializer::string()),
        Schema::Bytes => Ok(Serializer::simple(Simple::Array(Scalar::Byte))),
        Schema::Option(inner) => {
            let inner = part(inner, "")?;
            if inner.has_null() { Ok(inner) } else { Serializer::nullable_of(&inner) }
        }
        Schema::Seq(element) | Schema::Set(element) => Serializer::list_of(&part(element, "[]")?),
        Schema::Map(key, value) => {
            // Whether a value of a map is null, the map says.
            Serializer::map_of(&part(key, "{key}")?, &part(present(value), "{value}")?)
        }
        Schema::Tuple(fields) => tuple(fields, path, depth),
        Schema::TupleStruct { name, fields } if **name == *ROW => row(fields, path, depth),
        Schema::TupleStruct { fields, .. } => tuple(fields, path, depth),
        Schema::Struct { name, fields } => structure(name, fields, path, depth),
        Schema::Newtype { name, inner } => match named(name, inner) {
            Some(simple) => Ok(Serializer::simple(simple)),
            None => part(inner, ".0"),
        },
        Schema::Enum { name, variants } => enumeration(name, variants, path, depth),
        Schema::Ref(name) => Err(refuse(path, &format!("{name} contains itself"))),
        Schema::Opaque { name } => Err(refuse(path, &format!("{name} is of unknown shape"))),
        _ => Err(refuse(path, "is of a schema that this version does not know")),
    }
}

/// What an optional value holds if it is there.
fn present(schema: &Schema) -> &Schema {
    match schema {
        Schema::Option(inner) => inner,
        schema => schema,
    }
}

/// The type whose values are of this name and of the same shape.
fn named(name: &str, inner: &Schema) -> Option<Simple> {
    const NAMED: [Simple; 10] = [
        Simple::BigInteger,
        Simple::BigDecimal,
        Simple::Date,
        Simple::SqlDate,
        Simple::SqlTime,
        Simple::SqlTimestamp,
        Simple::LocalDate,
        Simple::LocalTime,
        Simple::LocalDateTime,
        Simple::Instant,
    ];
    let mut known = NAMED.into_iter().chain([Simple::Variant, Simple::Bitmap]);
    known.find(|simple| {
        let shape = simple.schema();
        simple.class() == Some(name)
            && matches!(shape, Schema::Newtype { inner: of, .. } if *of == *inner)
    })
}

fn tuple(fields: &[Schema], path: &str, depth: usize) -> Result<Serializer> {
    if fields.len() > make::TUPLE_FIELDS_MAX {
        return Err(refuse(path, &format!("a tuple of {} fields", fields.len())));
    }
    let fields = parts(fields.iter(), path, depth)?;
    Serializer::tuple_of(&fields.iter().collect::<Vec<_>>())
}

fn row(fields: &[Schema], path: &str, depth: usize) -> Result<Serializer> {
    let Some((_, fields)) = fields.split_last() else {
        return Err(refuse(path, "a row without a kind"));
    };
    let fields = parts(fields.iter().map(present), path, depth)?;
    Serializer::row_of(&fields.iter().collect::<Vec<_>>())
}

fn parts<'s>(
    fields: impl Iterator<Item = &'s Schema>,
    path: &str,
    depth: usize,
) -> Result<Vec<Serializer>> {
    fields.enumerate().map(|(i, field)| of(field, &format!("{path}.{i}"), depth)).collect()
}

/// Whether a name can be that of a class of a program: Java's are in a package.
fn is_class(name: &str) -> bool {
    name.contains('.') && name.split(['.', '$']).all(|part| !part.is_empty())
}

fn structure(name: &str, fields: &[Field], path: &str, depth: usize) -> Result<Serializer> {
    let boxed = Scalar::ALL.map(|(_, of)| Simple::Boxed(of));
    let known = boxed.into_iter().chain([Simple::TimeWindow, Simple::CountWindow]);
    for simple in known.filter(|simple| simple.class() == Some(name)) {
        let shape = simple.schema();
        if matches!(&shape, Schema::Struct { fields: known, .. } if **known == *fields) {
            return Ok(Serializer::simple(simple));
        }
    }
    if !is_class(name) {
        let why =
            format!("no class of Java can be called {name}: a struct becomes a POJO of its name");
        return Err(refuse(path, &why));
    }
    let mut of_fields = Vec::new();
    for field in fields {
        of_fields.push(of(present(&field.schema), &format!("{path}.{}", field.name), depth)?);
    }
    let named: Vec<(&str, &Serializer)> =
        fields.iter().zip(&of_fields).map(|(field, of)| (&*field.name, of)).collect();
    Serializer::pojo_of(name, &named)
}

fn enumeration(name: &str, variants: &[Variant], path: &str, depth: usize) -> Result<Serializer> {
    if name == "org.apache.flink.types.Either"
        && let [left, right] = variants
        && let (Shape::Newtype(of_left), Shape::Newtype(of_right)) = (&left.shape, &right.shape)
        && (&*left.name, &*right.name) == ("Left", "Right")
    {
        let left = of(of_left, &format!("{path}::Left.0"), depth)?;
        return Serializer::either_of(&left, &of(of_right, &format!("{path}::Right.0"), depth)?);
    }
    if let Some(full) = variants.iter().find(|variant| variant.shape != Shape::Unit) {
        return Err(refuse(path, &format!("variant {} of {name} holds something", full.name)));
    }
    if !is_class(name) {
        let why = format!("no class of Java can be called {name}: an enum becomes one of its name");
        return Err(refuse(path, &why));
    }
    let constants: Vec<&str> = variants.iter().map(|variant| &*variant.name).collect();
    Serializer::enum_of(name, &constants)
}
