//! SQL's logical types, from the Java objects that snapshots hold.

use super::read::Reader;
use crate::Result;
use crate::java::{self, Graph, NodeId};

/// The most types that one serializer has; SQL's widest rows have some thousands of columns.
const TYPES_MAX: usize = 16_384;
/// How much is kept of the name of a class.
const CLASS_CHARS_MAX: usize = 256;
/// The most digits of a SQL decimal.
const DECIMAL_PRECISION_MAX: i32 = 38;
/// The most digits that fit in a `long`.
pub(crate) const COMPACT_PRECISION_MAX: i32 = 18;
/// The most digits of a second that fit in milliseconds.
pub(crate) const MILLIS_PRECISION_MAX: i32 = 3;

/// A SQL type, as far as it decides bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Logical {
    Boolean,
    TinyInt,
    SmallInt,
    /// `INT`, and what is written as one.
    Int,
    /// Days since 1970.
    Date,
    /// Milliseconds of the day.
    Time,
    /// Months.
    Months,
    BigInt,
    /// Milliseconds.
    Duration,
    Float,
    Double,
    /// `CHAR` and `VARCHAR`.
    Text,
    /// `BINARY` and `VARBINARY`.
    Binary,
    Decimal {
        precision: i32,
        scale: i32,
    },
    /// With or without a local time zone.
    Timestamp {
        precision: i32,
    },
    Array(Box<Logical>),
    /// Also `MULTISET`, with the count as value.
    Map(Box<Logical>, Box<Logical>),
    Row(Vec<Logical>),
    /// Bytes of a class of its own, or of a type that is no scalar.
    Raw(String),
    Null,
    /// A type that this version does not know.
    Unknown(String),
}

/// That a decimal of this `precision` and `scale` can be.
pub(crate) fn check_decimal(precision: i32, scale: i32) -> Read<()> {
    if (1..=DECIMAL_PRECISION_MAX).contains(&precision) && (0..=precision).contains(&scale) {
        return Ok(());
    }
    Err(format!("a decimal of precision {precision} and scale {scale}"))
}

impl Logical {
    /// The name of a type in it that cannot be read.
    pub(crate) fn opaque(&self) -> Option<&str> {
        match self {
            Self::Unknown(class) => Some(class),
            Self::Array(element) => element.opaque(),
            Self::Map(key, value) => key.opaque().or_else(|| value.opaque()),
            Self::Row(fields) => fields.iter().find_map(Self::opaque),
            _ => None,
        }
    }

    /// What one takes in an array, in bytes.
    pub(crate) fn element_len_bytes(&self) -> usize {
        match self {
            Self::Boolean | Self::TinyInt => 1,
            Self::SmallInt => 2,
            Self::Int | Self::Date | Self::Time | Self::Months | Self::Float => 4,
            _ => 8,
        }
    }
}

impl Reader<'_, '_> {
    /// Reads past a Java object.
    pub(crate) fn java_object(&mut self) -> Result<()> {
        java::read(self.input).map(drop)
    }

    /// Reads the Java object of a type.
    pub(crate) fn logical(&mut self) -> Result<Logical> {
        let at = self.input.clone();
        let graph = java::read(self.input)?;
        let mut types = TYPES_MAX;
        logical(&graph, graph.root(), self.depth(), &mut types).map_err(|why| at.corrupt(why))
    }
}

type Read<T> = std::result::Result<T, String>;

fn logical(graph: &Graph, id: NodeId, depth: usize, types: &mut usize) -> Read<Logical> {
    let depth = depth.checked_sub(1).ok_or("types nest too deep")?;
    // The same object can stand in many places, so that few bytes could be many types.
    *types = types.checked_sub(1).ok_or_else(|| format!("more than {TYPES_MAX} types"))?;
    let class = graph.class(id).ok_or("a type was expected")?;
    let number = |name: &str| {
        let found = graph.number(id, name).and_then(|number| i32::try_from(number).ok());
        found.ok_or_else(|| format!("{class} has no {name}"))
    };
    let mut inner = |name: &str| match graph.reference(id, name) {
        Some(inner) => logical(graph, inner, depth, types).map(Box::new),
        None => Err(format!("{class} has no {name}")),
    };
    Ok(match class.rsplit_once('.').map_or(class, |(_, last)| last) {
        "BooleanType" => Logical::Boolean,
        "TinyIntType" => Logical::TinyInt,
        "SmallIntType" => Logical::SmallInt,
        "IntType" => Logical::Int,
        "BigIntType" => Logical::BigInt,
        "FloatType" => Logical::Float,
        "DoubleType" => Logical::Double,
        "CharType" | "VarCharType" => Logical::Text,
        "BinaryType" | "VarBinaryType" => Logical::Binary,
        "DateType" => Logical::Date,
        "TimeType" => Logical::Time,
        "YearMonthIntervalType" => Logical::Months,
        "DayTimeIntervalType" => Logical::Duration,
        "DecimalType" => {
            let (precision, scale) = (number("precision")?, number("scale")?);
            check_decimal(precision, scale)?;
            Logical::Decimal { precision, scale }
        }
        "TimestampType" | "LocalZonedTimestampType" => {
            Logical::Timestamp { precision: number("precision")? }
        }
        "ArrayType" => Logical::Array(inner("elementType")?),
        "MapType" => Logical::Map(inner("keyType")?, inner("valueType")?),
        "MultisetType" => Logical::Map(inner("elementType")?, Box::new(Logical::Int)),
        "DistinctType" => *inner("sourceType")?,
        "RowType" => Logical::Row(fields(graph, id, "fields", depth, types)?),
        "StructuredType" => Logical::Row(fields(graph, id, "attributes", depth, types)?),
        "NullType" => Logical::Null,
        "RawType" | "TypeInformationRawType" | "VariantType" | "BitmapType" => {
            Logical::Raw(short(class))
        }
        _ => {
            let root = graph.reference(id, "typeRoot").and_then(|root| graph.constant(root));
            Logical::Unknown(short(&format!("{class} ({})", root.unwrap_or("of no known root"))))
        }
    })
}

/// The name of a class, or the beginning of one that is too long to be kept as often as it may stand there.
fn short(class: &str) -> String {
    class.chars().take(CLASS_CHARS_MAX).collect()
}

/// The types of the fields or attributes in the list `name`.
fn fields(
    graph: &Graph,
    id: NodeId,
    name: &str,
    depth: usize,
    types: &mut usize,
) -> Read<Vec<Logical>> {
    let list = graph.reference(id, name).and_then(|list| graph.elements(list));
    let list = list.ok_or_else(|| format!("a row type has no {name}"))?;
    list.into_iter()
        .map(|field| match graph.reference(field, "type") {
            Some(of) => logical(graph, of, depth, types),
            None => Err("a field of a row type has no type".into()),
        })
        .collect()
}
