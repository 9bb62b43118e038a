//! What a column of keys or values is.

use super::HEAD;
use crate::format::Schema;
use crate::format::manifest::{StateInfo, StateKind, TypeInfo};
use crate::processor::load::COLUMNS;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::errors::Result;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnDescriptor, TypePtr};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The JSON of values of any type.
    Json,
    /// A boolean.
    Bool,
    /// An integer of at most so many bits.
    Int {
        /// 8, 16, 32 or 64.
        bits: u8,
        /// Whether it can be negative.
        signed: bool,
    },
    /// A float of 32 bits.
    F32,
    /// A float of 64 bits.
    F64,
}

impl Shape {
    /// That of values of `schema`. 128 bits fit no integer of Parquet; and what may be null is JSON, as some
    /// programs make floats of integers that may, and of what is no number nothing.
    fn of(schema: &Schema) -> Self {
        let int = |bits, signed| Self::Int { bits, signed };
        match schema {
            Schema::Bool => Self::Bool,
            Schema::U8 => int(8, false),
            Schema::U16 => int(16, false),
            Schema::U32 => int(32, false),
            Schema::U64 => int(64, false),
            Schema::I8 => int(8, true),
            Schema::I16 => int(16, true),
            Schema::I32 => int(32, true),
            Schema::I64 => int(64, true),
            Schema::F32 => Self::F32,
            Schema::F64 => Self::F64,
            Schema::Newtype { inner, .. } => Self::of(inner),
            _ => Self::Json,
        }
    }

    /// As a schema of Parquet names it, `name` between both.
    fn declared(self) -> (&'static str, String) {
        match self {
            Self::Json => ("binary", " (JSON)".to_owned()),
            Self::Bool => ("boolean", String::new()),
            Self::Int { bits, signed } => {
                let physical = if bits > 32 { "int64" } else { "int32" };
                (physical, format!(" (INTEGER({bits},{signed}))"))
            }
            Self::F32 => ("float", String::new()),
            Self::F64 => ("double", String::new()),
        }
    }

    /// That of a column of somebody's file; none if its values are no JSON, numbers or booleans. Text is JSON:
    /// other programs that read and write it know no more of it.
    pub(super) fn of_column(column: &ColumnDescriptor) -> Option<Self> {
        use ConvertedType::{
            INT_8, INT_16, INT_32, INT_64, JSON, NONE, UINT_8, UINT_16, UINT_32, UINT_64, UTF8,
        };
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        let is_unsigned = matches!(converted, UINT_8 | UINT_16 | UINT_32 | UINT_64)
            || [8, 16, 32, 64].iter().any(|b| logical == Some(&LogicalType::integer(*b, false)));
        let int = |bits| {
            // Of no known type are columns in which all is null.
            let by_logical =
                matches!(logical, None | Some(LogicalType::Integer(_) | LogicalType::Unknown));
            let by_converted =
                is_unsigned || matches!(converted, NONE | INT_8 | INT_16 | INT_32 | INT_64);
            (by_logical && by_converted).then_some(Self::Int { bits, signed: !is_unsigned })
        };
        let is_text = matches!(logical, None | Some(LogicalType::String | LogicalType::Json))
            && matches!(converted, NONE | UTF8 | JSON);
        match column.physical_type() {
            Physical::BYTE_ARRAY => is_text.then_some(Self::Json),
            Physical::BOOLEAN => Some(Self::Bool),
            Physical::INT32 => int(32),
            Physical::INT64 => int(64),
            Physical::FLOAT => Some(Self::F32),
            Physical::DOUBLE => Some(Self::F64),
            _ => None,
        }
    }
}

/// The types of the columns behind the first three: key, namespace, user key, value and ttl.
pub type Shapes = [Shape; COLUMNS.len() - HEAD];

/// The types of the columns behind the first three, of rows of `states`, each with the key type of its operator: that
/// which such a member of each of them has, else JSON.
pub fn shapes<'a>(
    states: impl IntoIterator<Item = (Option<&'a TypeInfo>, &'a StateInfo)>,
) -> Shapes {
    let mut agreed: [Option<Shape>; COLUMNS.len() - HEAD] = Default::default();
    let time = Shape::Int { bits: 64, signed: true };
    for (key, state) in states {
        let of = |info: &Option<TypeInfo>| info.as_ref().map(|info| Shape::of(&info.schema));
        let value = match state.kind {
            StateKind::TimerEvent | StateKind::TimerProcessing => Some(time),
            StateKind::List => Some(Shape::Json),
            _ => of(&state.value),
        };
        let ttl = if state.kind == StateKind::List { Shape::Json } else { time };
        let members = [
            key.filter(|_| state.kind.is_keyed()).map(|info| Shape::of(&info.schema)),
            of(&state.namespace),
            of(&state.user_key),
            value,
            state.ttl.map(|_| ttl),
        ];
        for (agreed, found) in agreed.iter_mut().zip(members) {
            let found = found.unwrap_or(Shape::Json);
            *agreed = Some(match agreed {
                Some(known) if *known != found => Shape::Json,
                _ => found,
            });
        }
    }
    agreed.map(|shape| shape.unwrap_or(Shape::Json))
}

/// The schema of a file whose columns behind the first are of these types.
pub(super) fn schema(shapes: &[Shape]) -> Result<TypePtr> {
    let mut text = "message esker {".to_owned();
    for (number, name) in COLUMNS.iter().enumerate() {
        let shape = number.checked_sub(HEAD).and_then(|at| shapes.get(at));
        match shape.map(|shape| shape.declared()) {
            None => text.push_str(&format!("required binary {name} (STRING);")),
            Some((physical, logical)) => {
                text.push_str(&format!("optional {physical} {name}{logical};"));
            }
        }
    }
    Ok(std::sync::Arc::new(parse_message_type(&(text + "}"))?))
}
