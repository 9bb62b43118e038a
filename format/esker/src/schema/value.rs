//! A value whose type is known only as a schema.

use super::Name;

/// A value of any schema. Newtypes are transparent: the value is that of what they hold.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `()`, or a struct without fields.
    Unit,
    /// A `bool`.
    Bool(bool),
    /// An unsigned integer of any width.
    Unsigned(u128),
    /// A signed integer of any width.
    Signed(i128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// A `char`.
    Char(char),
    /// Text.
    String(String),
    /// Bytes, opaque ones included.
    Bytes(Vec<u8>),
    /// An optional value.
    Option(Option<Box<Value>>),
    /// The elements of a sequence; those of a set in order of their encoded bytes.
    Seq(Vec<Value>),
    /// The entries of a map, in order of the encoded keys.
    Map(Vec<(Value, Value)>),
    /// The components of a tuple, array or tuple struct.
    Tuple(Vec<Value>),
    /// The fields of a struct, in declaration order.
    Struct(Vec<(Name, Value)>),
    /// A variant of an enum, and what it holds.
    Variant(Name, Option<Box<Value>>),
}
