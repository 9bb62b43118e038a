//! What shape values have, as esker's schemas say it.

use super::Serializer;
use super::avro::{Avro, AvroType, TypeId};
use super::kind::{Constant, Kind, Pojo, Scalar, Simple, Tags};
use super::logical::Logical;
use super::walk::ROW_KINDS;
use crate::Schema;
use esker_format::schema::{Field, Name, Shape, Variant};

/// The name of values that are rows, with their kind as the last component.
pub(crate) const ROW: &str = "org.apache.flink.types.Row";
/// The same of SQL's.
pub(crate) const ROW_DATA: &str = "org.apache.flink.table.data.RowData";
const ROW_KIND: &str = "org.apache.flink.types.RowKind";

/// `schema` where a value may be missing. What is optional already is not once more.
pub(crate) fn optional(schema: Schema) -> Schema {
    match schema {
        Schema::Option(_) => schema,
        _ => Schema::Option(Box::new(schema)),
    }
}

fn newtype(name: &str, inner: Schema) -> Schema {
    Schema::Newtype { name: name.into(), inner: Box::new(inner) }
}

fn structure(name: &str, fields: &[(&str, Schema)]) -> Schema {
    let field = |(name, schema): &(&str, Schema)| field(name, schema.clone());
    Schema::Struct { name: name.into(), fields: fields.iter().map(field).collect() }
}

fn field(name: &str, schema: Schema) -> Field {
    Field { name: name.into(), schema }
}

fn variants(name: &str, of: impl IntoIterator<Item = (Name, Shape)>) -> Schema {
    let variants = of.into_iter().map(|(name, shape)| Variant { name, shape }).collect();
    Schema::Enum { name: name.into(), variants }
}

fn constants(name: &str, of: &[Constant]) -> Schema {
    variants(name, of.iter().map(|constant| (constant.name.clone(), Shape::Unit)))
}

fn row(name: &str, fields: impl Iterator<Item = Schema>) -> Schema {
    let kind = variants(ROW_KIND, ROW_KINDS.map(|kind| (kind.into(), Shape::Unit)));
    Schema::TupleStruct { name: name.into(), fields: fields.chain([kind]).collect() }
}

impl Scalar {
    pub(crate) fn schema(self) -> Schema {
        match self {
            Self::Boolean => Schema::Bool,
            Self::Byte => Schema::I8,
            Self::Short => Schema::I16,
            Self::Int => Schema::I32,
            Self::Long => Schema::I64,
            Self::Char => Schema::Char,
            Self::Float => Schema::F32,
            Self::Double => Schema::F64,
        }
    }
}

impl Simple {
    /// The class of its values, where their schema has that as its name.
    pub(crate) fn class(self) -> Option<&'static str> {
        Some(match self {
            Self::BigInteger => "java.math.BigInteger",
            Self::BigDecimal => "java.math.BigDecimal",
            Self::Date => "java.util.Date",
            Self::SqlDate => "java.sql.Date",
            Self::SqlTime => "java.sql.Time",
            Self::SqlTimestamp => "java.sql.Timestamp",
            Self::LocalDate => "java.time.LocalDate",
            Self::LocalTime => "java.time.LocalTime",
            Self::LocalDateTime => "java.time.LocalDateTime",
            Self::Instant => "java.time.Instant",
            Self::TimeWindow => "org.apache.flink.streaming.api.windowing.windows.TimeWindow",
            Self::CountWindow => "org.apache.flink.table.runtime.operators.window.CountWindow",
            Self::Variant => "org.apache.flink.types.variant.Variant",
            Self::Bitmap => "org.apache.flink.types.bitmap.Bitmap",
            Self::Boxed(of) => match of {
                Scalar::Boolean => "org.apache.flink.types.BooleanValue",
                Scalar::Byte => "org.apache.flink.types.ByteValue",
                Scalar::Short => "org.apache.flink.types.ShortValue",
                Scalar::Int => "org.apache.flink.types.IntValue",
                Scalar::Long => "org.apache.flink.types.LongValue",
                Scalar::Char => "org.apache.flink.types.CharValue",
                Scalar::Float => "org.apache.flink.types.FloatValue",
                Scalar::Double => "org.apache.flink.types.DoubleValue",
            },
            _ => return None,
        })
    }

    pub(crate) fn schema(self) -> Schema {
        let class = self.class().unwrap_or_default();
        match self {
            Self::Scalar(of) => of.schema(),
            Self::Boxed(of) => structure(class, &[("value", of.schema())]),
            Self::Array(Scalar::Byte) => Schema::Bytes,
            Self::Array(of) => Schema::Seq(Box::new(of.schema())),
            Self::String | Self::StringValue | Self::StringData => Schema::String,
            Self::StringArray => Schema::Seq(Box::new(optional(Schema::String))),
            Self::Void
            | Self::VoidNamespace
            | Self::Null
            | Self::NullValue
            | Self::GlobalWindow => Schema::Unit,
            Self::TimeWindow => structure(class, &[("start", Schema::I64), ("end", Schema::I64)]),
            Self::CountWindow => structure(class, &[("id", Schema::I64)]),
            Self::Tuple0 => Schema::Tuple(Vec::new()),
            Self::SortedLong => Schema::I64,
            Self::SqlDate | Self::SqlTime => newtype(class, Schema::I64),
            Self::Variant => newtype(class, Schema::Tuple(vec![Schema::Bytes, Schema::Bytes])),
            Self::Bitmap => newtype(class, Schema::Bytes),
            _ => newtype(class, Schema::String),
        }
    }
}

impl Tags {
    /// The names of the left and the right.
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Java | Self::Scala => ["Left", "Right"],
            Self::Union => ["One", "Two"],
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Java => "org.apache.flink.types.Either",
            Self::Scala => "scala.util.Either",
            Self::Union => "org.apache.flink.util.TaggedUnion",
        }
    }
}

impl Kind {
    /// The shape of values; `class` is that of the snapshot.
    pub(crate) fn schema(&self, class: &str) -> Schema {
        let boxed = |of: &Serializer| Box::new(of.schema());
        let all = |of: &[Serializer]| of.iter().map(Serializer::schema).collect();
        match self {
            Self::Opaque => Schema::Opaque { name: class.into() },
            Self::Simple(simple) => simple.schema(),
            Self::Wrapped(inner) => inner.schema(),
            Self::List(element) => Schema::Seq(boxed(element)),
            Self::LinkedList { element, .. } | Self::Array(element) => {
                Schema::Seq(Box::new(optional(element.schema())))
            }
            Self::Set(element) => Schema::Set(Box::new(optional(element.schema()))),
            Self::Map { null_keys, key, value } => {
                let key = if *null_keys { optional(key.schema()) } else { key.schema() };
                Schema::Map(Box::new(key), Box::new(optional(value.schema())))
            }
            Self::Tuple { case_class: None, fields } => Schema::Tuple(all(fields)),
            Self::Tuple { case_class: Some(name), fields } => {
                Schema::TupleStruct { name: name.clone(), fields: all(fields) }
            }
            Self::Row { kinds, fields } => {
                let fields = fields.iter().map(|field| optional(field.schema()));
                if *kinds { row(ROW, fields) } else { Schema::Tuple(fields.collect()) }
            }
            Self::Nullable { inner, .. } | Self::Option(inner) => optional(inner.schema()),
            Self::Either { tags, left, right } => {
                let [first, second] = tags.names();
                let of = [(first, left), (second, right)];
                let shape = |of| Shape::Newtype(boxed(of));
                variants(tags.class(), of.map(|(name, of)| (name.into(), shape(of))))
            }
            Self::Ttl(inner) | Self::WindowKey(inner) => {
                Schema::Tuple(vec![Schema::I64, inner.schema()])
            }
            Self::BufferEntry(element) => Schema::Tuple(vec![Schema::Bool, element.schema()]),
            Self::Timer { key, namespace } => {
                Schema::Tuple(vec![Schema::I64, key.schema(), namespace.schema()])
            }
            Self::Enum { class, constants: of } => constants(class, of),
            Self::Pojo(pojo) => pojo.schema(),
            Self::Avro(avro) => avro.schema(avro.root(), &mut Vec::new()),
            Self::RowData(types) => Logical::row_schema(types),
            Self::ArrayData(element) => Schema::Seq(Box::new(optional(element.schema()))),
            Self::MapData(key, value) => Logical::map_schema(key, value),
            Self::DecimalData { .. } => newtype("DECIMAL", Schema::String),
            Self::TimestampData { .. } => newtype("TIMESTAMP", Schema::String),
            Self::Framed => newtype(class, Schema::Bytes),
        }
    }
}

impl Pojo {
    fn schema(&self) -> Schema {
        let mut fields: Vec<Field> = self
            .fields
            .iter()
            .map(|field| Field {
                name: field.name.name.clone(),
                schema: optional(field.serializer.schema()),
            })
            .collect();
        if let Some(order) = self.by_name.as_deref() {
            let sorted = order.iter().filter_map(|at| fields.get(*at).cloned());
            fields = sorted.collect();
        }
        let exact = Schema::Struct { name: self.class.clone(), fields };
        if self.subclasses.is_empty() {
            return exact;
        }
        let shape = |of: Schema| Shape::Newtype(Box::new(of));
        let subclasses = self
            .subclasses
            .iter()
            .map(|subclass| (subclass.class.clone(), shape(subclass.serializer.schema())));
        variants(&self.class, [(self.class.clone(), shape(exact))].into_iter().chain(subclasses))
    }
}

impl Avro {
    fn schema(&self, id: TypeId, around: &mut Vec<TypeId>) -> Schema {
        let of = self.of(id);
        if let (true, AvroType::Record { name, .. }) = (around.contains(&id), of) {
            return Schema::Ref(name.clone());
        }
        around.push(id);
        let mut boxed = |id: &TypeId| Box::new(self.schema(*id, around));
        let schema = match of {
            AvroType::Null => Schema::Unit,
            AvroType::Boolean => Schema::Bool,
            AvroType::Int => Schema::I32,
            AvroType::Long => Schema::I64,
            AvroType::Float => Schema::F32,
            AvroType::Double => Schema::F64,
            AvroType::Bytes => Schema::Bytes,
            AvroType::String => Schema::String,
            AvroType::Fixed { name, .. } => newtype(name, Schema::Bytes),
            AvroType::Enum { name, symbols } => constants(name, symbols),
            AvroType::Array(element) => Schema::Seq(boxed(element)),
            AvroType::Map(value) => Schema::Map(Box::new(Schema::String), boxed(value)),
            AvroType::Nullable { inner, .. } => optional(*boxed(inner)),
            AvroType::Union(branches) => {
                let of = branches.iter();
                let of: Vec<_> =
                    of.map(|(name, id)| (name.clone(), Shape::Newtype(boxed(id)))).collect();
                variants("union", of)
            }
            AvroType::Record { name, fields, by_name } => {
                let mut of: Vec<Field> = fields
                    .iter()
                    .map(|(name, id)| Field { name: name.name.clone(), schema: *boxed(id) })
                    .collect();
                if let Some(order) = by_name {
                    of = order.iter().filter_map(|at| of.get(*at).cloned()).collect();
                }
                Schema::Struct { name: name.clone(), fields: of }
            }
        };
        around.pop();
        schema
    }
}

impl Logical {
    pub(crate) fn schema(&self) -> Schema {
        match self {
            Self::Boolean => Schema::Bool,
            Self::TinyInt => Schema::I8,
            Self::SmallInt => Schema::I16,
            Self::Int => Schema::I32,
            Self::Date => newtype("DATE", Schema::I32),
            Self::Time => newtype("TIME", Schema::I32),
            Self::Months => newtype("INTERVAL YEAR TO MONTH", Schema::I32),
            Self::BigInt => Schema::I64,
            Self::Duration => newtype("INTERVAL DAY TO SECOND", Schema::I64),
            Self::Float => Schema::F32,
            Self::Double => Schema::F64,
            Self::Text => Schema::String,
            Self::Binary => Schema::Bytes,
            Self::Decimal { .. } => newtype("DECIMAL", Schema::String),
            Self::Timestamp { .. } => newtype("TIMESTAMP", Schema::String),
            Self::Array(element) => Schema::Seq(Box::new(optional(element.schema()))),
            Self::Map(key, value) => Self::map_schema(key, value),
            Self::Row(types) => Self::row_schema(types),
            Self::Raw(class) => newtype(class, Schema::Bytes),
            Self::Null => Schema::Unit,
            Self::Unknown(class) => Schema::Opaque { name: class.as_str().into() },
        }
    }

    fn row_schema(types: &[Self]) -> Schema {
        row(ROW_DATA, types.iter().map(|of| optional(of.schema())))
    }

    fn map_schema(key: &Self, value: &Self) -> Schema {
        Schema::Map(Box::new(optional(key.schema())), Box::new(optional(value.schema())))
    }
}
