//! Places inside a type, as refusals and schema files name them.

use super::def::Scope;
use super::{Field, Name, Schema, Shape};
use std::fmt;

/// From a type to a part of it. What an option holds and what a newtype is around are at the place of
/// these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// `.name`: a field.
    Field(Name),
    /// `.0`: a part of a tuple.
    Index(usize),
    /// `[]`: the elements of a sequence or set.
    Item,
    /// `{key}`: the keys of a map.
    Key,
    /// `{value}`: the values of a map.
    Value,
    /// `::Name`: what a variant holds.
    Variant(Name),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Index(number) => write!(f, ".{number}"),
            Self::Item => f.write_str("[]"),
            Self::Key => f.write_str("{key}"),
            Self::Value => f.write_str("{value}"),
            Self::Variant(name) => write!(f, "::{name}"),
        }
    }
}

/// The steps in one word; `.` for none.
pub(super) fn text<'s>(steps: impl IntoIterator<Item = &'s Step>) -> String {
    let text: String = steps.into_iter().map(Step::to_string).collect();
    if text.is_empty() { ".".into() } else { text }
}

/// The part of `schema` that the steps lead to, if there is one.
pub(super) fn part<'s>(schema: &'s Schema, steps: &[&Step]) -> Option<&'s Schema> {
    part_in(schema, steps, &Scope::default(), crate::codec::bincode_de::MAX_DEPTH)
}

fn part_in<'s>(
    schema: &'s Schema,
    steps: &[&Step],
    scope: &Scope<'s, '_>,
    depth: usize,
) -> Option<&'s Schema> {
    let depth = depth.checked_sub(1)?;
    let Some((step, rest)) = steps.split_first() else { return Some(schema) };
    let inside = &scope.enter(schema);
    let found = |fields: &'s [Field], name: &Name| {
        fields.iter().find(|field| field.name == *name).map(|field| &field.schema)
    };
    let next: &'s Schema = match (schema, step) {
        (Schema::Option(inner) | Schema::Newtype { inner, .. }, _) => {
            return part_in(inner, steps, inside, depth);
        }
        (Schema::Ref(name), _) => {
            let (schema, around) = scope.resolve(name).ok()?;
            return part_in(schema, steps, &around, depth);
        }
        (Schema::Struct { fields, .. }, Step::Field(name)) => found(fields, name)?,
        (Schema::Seq(item) | Schema::Set(item), Step::Item) => item,
        (Schema::Map(key, _), Step::Key) => key,
        (Schema::Map(_, value), Step::Value) => value,
        (Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. }, Step::Index(at)) => {
            parts.get(*at)?
        }
        (Schema::Enum { variants, .. }, Step::Variant(name)) => {
            let variant = variants.iter().find(|variant| variant.name == *name)?;
            match (&variant.shape, rest.split_first()) {
                (Shape::Newtype(inner), _) => inner,
                (Shape::Tuple(parts), Some((Step::Index(at), rest))) => {
                    return part_in(parts.get(*at)?, rest, inside, depth);
                }
                (Shape::Struct(fields), Some((Step::Field(name), rest))) => {
                    return part_in(found(fields, name)?, rest, inside, depth);
                }
                _ => return None,
            }
        }
        _ => return None,
    };
    part_in(next, rest, inside, depth)
}

/// Where the first part of `schema` is that only the program can read, if there is one.
pub(crate) fn opaque_path(schema: &Schema) -> Option<String> {
    if matches!(schema, Schema::Opaque { .. }) {
        return Some(".".into());
    }
    let mut found = None;
    // Nothing fails in it.
    let _ = schema.for_each_part(&mut |step, part| {
        if found.is_none() {
            found = opaque_path(part).map(|rest| step + rest.strip_suffix('.').unwrap_or(&rest));
        }
        Ok(())
    });
    found
}
