//! Nulls of Java's where the type of a value says nothing of them: the text of a tuple, the value of a map.

use crate::format::schema::{Field, Name, Shape, Variant};
use crate::format::{Schema, Value};

/// Whether `value` has a null where `schema`, its type, has none.
pub(super) fn has_stray(value: &Value, schema: &Schema) -> bool {
    match (value, schema) {
        (Value::Option(Some(value)), Schema::Option(inner)) => has_stray(value, inner),
        (Value::Option(_), Schema::Option(_)) => false,
        (Value::Option(_), _) => true,
        (Value::Seq(values), Schema::Seq(of) | Schema::Set(of)) => {
            values.iter().any(|value| has_stray(value, of))
        }
        (Value::Map(entries), Schema::Map(of_key, of_value)) => {
            entries.iter().any(|(key, value)| has_stray(key, of_key) || has_stray(value, of_value))
        }
        (Value::Tuple(values), Schema::Tuple(of) | Schema::TupleStruct { fields: of, .. }) => {
            values.iter().zip(of).any(|(value, of)| has_stray(value, of))
        }
        (Value::Struct(fields), Schema::Struct { fields: of, .. }) => {
            fields.iter().zip(of).any(|((_, value), of)| has_stray(value, &of.schema))
        }
        (value, Schema::Newtype { inner, .. }) => has_stray(value, inner),
        (Value::Variant(name, Some(value)), Schema::Enum { variants, .. }) => {
            let variant = variants.iter().find(|variant| variant.name == *name);
            match variant.map(|variant| &variant.shape) {
                Some(Shape::Newtype(of)) => has_stray(value, of),
                _ => false,
            }
        }
        // Of a type that contains itself each level has nulls where the first has.
        _ => false,
    }
}

/// The type of the same values, any part of which may be null.
pub(super) fn nullable(schema: &Schema) -> Schema {
    match schema {
        Schema::Option(inner) => Schema::Option(Box::new(parts_nullable(inner))),
        Schema::Unit => Schema::Unit,
        schema => Schema::Option(Box::new(parts_nullable(schema))),
    }
}

/// The same, null itself not among them.
fn parts_nullable(schema: &Schema) -> Schema {
    match schema {
        Schema::Seq(of) => Schema::Seq(Box::new(nullable(of))),
        Schema::Set(of) => Schema::Set(Box::new(nullable(of))),
        Schema::Map(key, value) => Schema::Map(Box::new(nullable(key)), Box::new(nullable(value))),
        Schema::Tuple(of) => Schema::Tuple(of.iter().map(nullable).collect()),
        Schema::TupleStruct { name, fields } => Schema::TupleStruct {
            name: name.clone(),
            fields: fields.iter().map(nullable).collect(),
        },
        Schema::Struct { name, fields } => {
            let field = |of: &Field| Field { name: of.name.clone(), schema: nullable(&of.schema) };
            Schema::Struct { name: name.clone(), fields: fields.iter().map(field).collect() }
        }
        Schema::Enum { name, variants } => {
            let variant = |of: &Variant| Variant {
                name: of.name.clone(),
                shape: match &of.shape {
                    Shape::Newtype(of) => Shape::Newtype(Box::new(nullable(of))),
                    shape => shape.clone(),
                },
            };
            Schema::Enum { name: name.clone(), variants: variants.iter().map(variant).collect() }
        }
        // Null is the whole of it, or nothing: what is inside is of the name.
        schema => schema.clone(),
    }
}

/// `value` as one of `schema`, which [`nullable`] made of its type: what may be null and is not is wrapped.
pub(super) fn wrapped(value: Value, schema: &Schema) -> Value {
    wrapped_within(value, schema, &mut Vec::new())
}

fn wrapped_within<'s>(
    value: Value,
    schema: &'s Schema,
    around: &mut Vec<(&'s Name, &'s Schema)>,
) -> Value {
    let depth = around.len();
    let name = match schema {
        Schema::Struct { name, .. }
        | Schema::TupleStruct { name, .. }
        | Schema::Newtype { name, .. }
        | Schema::Enum { name, .. } => Some(name),
        _ => None,
    };
    around.extend(name.map(|name| (name, schema)));
    let wrapped = match (value, schema) {
        (Value::Option(None), _) => Value::Option(None),
        (Value::Option(Some(value)), Schema::Option(inner)) => {
            Value::Option(Some(Box::new(wrapped_within(*value, inner, around))))
        }
        (value, Schema::Option(inner)) => {
            Value::Option(Some(Box::new(wrapped_within(value, inner, around))))
        }
        (Value::Seq(values), Schema::Seq(of) | Schema::Set(of)) => {
            Value::Seq(values.into_iter().map(|value| wrapped_within(value, of, around)).collect())
        }
        (Value::Map(entries), Schema::Map(of_key, of_value)) => {
            let entries = entries.into_iter().map(|(key, value)| {
                (wrapped_within(key, of_key, around), wrapped_within(value, of_value, around))
            });
            Value::Map(entries.collect())
        }
        (Value::Tuple(values), Schema::Tuple(of) | Schema::TupleStruct { fields: of, .. }) => {
            let both = values.into_iter().zip(of);
            Value::Tuple(both.map(|(value, of)| wrapped_within(value, of, around)).collect())
        }
        (Value::Struct(fields), Schema::Struct { fields: of, .. }) => {
            let both = fields.into_iter().zip(of);
            let field =
                both.map(|((name, value), of)| (name, wrapped_within(value, &of.schema, around)));
            Value::Struct(field.collect())
        }
        (value, Schema::Newtype { inner, .. }) => wrapped_within(value, inner, around),
        (Value::Variant(name, Some(value)), Schema::Enum { variants, .. }) => {
            let variant = variants.iter().find(|variant| variant.name == name);
            let value = match variant.map(|variant| &variant.shape) {
                Some(Shape::Newtype(of)) => wrapped_within(*value, of, around),
                _ => *value,
            };
            Value::Variant(name, Some(Box::new(value)))
        }
        (value, Schema::Ref(name)) => {
            // The innermost one of that name; what is around it is around what it holds.
            match around.iter().rposition(|(of, _)| *of == name) {
                Some(at) => {
                    let rest = around.split_off(at);
                    let schema = rest.first().map(|(_, schema)| *schema);
                    let value = match schema {
                        Some(schema) => wrapped_within(value, schema, around),
                        None => value,
                    };
                    around.extend(rest);
                    value
                }
                None => value,
            }
        }
        (value, _) => value,
    };
    around.truncate(depth);
    wrapped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::format::{CodecId, decode_value, encode_value};

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    #[test]
    fn nulls_are_seen_and_the_types_that_have_them_take_them() {
        let null = || Value::Option(None);
        let pair = Schema::Tuple(vec![Schema::String, Schema::I64]);
        let seq = Schema::Seq(Box::new(Schema::Option(Box::new(pair.clone()))));
        let of_pair = |first: Value| Value::Tuple(vec![first, Value::Signed(1)]);
        let some = |value: Value| Value::Option(Some(Box::new(value)));
        for (schema, value, is_stray) in [
            (Schema::String, text("a"), false),
            (Schema::String, null(), true),
            (pair.clone(), of_pair(text("a")), false),
            (pair, of_pair(null()), true),
            (seq.clone(), Value::Seq(vec![null(), some(of_pair(text("a")))]), false),
            (seq, Value::Seq(vec![some(of_pair(null()))]), true),
        ] {
            assert_eq!(has_stray(&value, &schema), is_stray, "{value:?}");
            let schema = nullable(&schema);
            let json = value.to_json();
            let wrapped = wrapped(value, &schema);
            let bytes = encode_value(&CodecId::BINCODE2, &schema, &wrapped).unwrap();
            let read = decode_value(&CodecId::BINCODE2, &schema, &bytes).unwrap();
            assert_eq!((&read, read.to_json()), (&wrapped, json));
        }
    }

    #[test]
    fn a_type_that_contains_itself_has_nulls_at_every_level() {
        let next = Schema::Option(Box::new(Schema::Ref("Node".into())));
        let field = |name: &str, schema| Field { name: name.into(), schema };
        let fields = vec![field("text", Schema::String), field("next", next)];
        let schema = Schema::Struct { name: "Node".into(), fields };
        let node = |value: Value, next: Option<Value>| {
            let next = Value::Option(next.map(Box::new));
            Value::Struct(vec![("text".into(), value), ("next".into(), next)])
        };
        let value = node(text("a"), Some(node(Value::Option(None), Some(node(text("c"), None)))));
        let (json, schema) = (value.to_json(), nullable(&schema));
        let wrapped = wrapped(value, &schema);
        let bytes = encode_value(&CodecId::BINCODE2, &schema, &wrapped).unwrap();
        assert_eq!(decode_value(&CodecId::BINCODE2, &schema, &bytes).unwrap().to_json(), json);
    }
}
