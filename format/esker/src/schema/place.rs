//! Places in values, by the path that leads there in their schema.

use super::def::Scope;
use super::fit::fitted;
use super::read::deeper;
use super::{Field, Schema, Shape, Value};
use crate::codec::bincode_de::MAX_DEPTH;
use crate::{FormatError, Result};

/// How many names an error lists.
const NAMES_SHOWN: usize = 8;

/// A step from a schema to a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To what an option or a newtype holds; paths do not name it.
    Inner,
    /// `[]`: to each element of a sequence.
    Elements,
    /// `{value}`: to each value of a map.
    Values,
    /// `.name` or `.0`: to a part of a struct or tuple.
    Part(usize),
    /// `::Variant` with what follows: to a part of what a variant holds, the first one its index.
    OfVariant(usize, usize),
}

/// A place in the values of a schema, as a path names it: `total.cents`, `[].at`, `{value}.0`,
/// `kind::Late.minutes`. An option is passed over where it holds something, and what a variant holds
/// where it is that variant; so a value has any number of such places, or none. No path leads to elements
/// of a set or keys of a map.
#[derive(Debug, Clone)]
pub struct Place {
    schema: Schema,
    steps: Vec<Step>,
}

/// What a path leads to.
pub(super) struct Found<'s, 'p> {
    /// From the root to the place, through references as often as they come.
    pub(super) steps: Vec<Step>,
    /// The last struct on the way, or enum with the index of its variant; by steps from the root, none of
    /// them through a reference.
    pub(super) holder: Option<(Vec<Step>, Option<usize>)>,
    /// The position of the field in it that the path ends at.
    pub(super) field: Option<usize>,
    /// The end of the path, if the holder has no such field.
    pub(super) unknown: Option<(&'s [Field], &'p str)>,
}

impl Place {
    /// The place that `path` leads to in values of `schema`; the value itself if it is empty.
    ///
    /// # Errors
    /// `Invalid` if it leads nowhere, with what there is.
    pub fn find(schema: &Schema, path: &str) -> Result<Self> {
        let found = find(schema, path)?;
        if let Some((fields, name)) = found.unknown {
            return Err(no_field(fields, name));
        }
        Ok(Self { schema: schema.clone(), steps: found.steps })
    }

    /// Puts at each such place of `value`, which is of the schema, what `to` gives for what is there, once it
    /// [fits](Value::fit).
    ///
    /// # Errors
    /// Those of `to`; `Invalid` if it does not fit. The value is of no use then.
    pub fn set<E: From<FormatError>>(
        &self,
        value: &mut Value,
        to: &mut dyn FnMut(&Value) -> std::result::Result<Value, E>,
    ) -> std::result::Result<(), E> {
        set(&self.schema, &Scope::default(), &self.steps, value, MAX_DEPTH, to)
    }
}

fn set<E: From<FormatError>>(
    schema: &Schema,
    scope: &Scope<'_, '_>,
    steps: &[Step],
    value: &mut Value,
    depth: usize,
    to: &mut dyn FnMut(&Value) -> std::result::Result<Value, E>,
) -> std::result::Result<(), E> {
    let Some((step, rest)) = steps.split_first() else {
        *value = fitted(schema, to(value)?, scope, depth)?;
        return Ok(());
    };
    let depth = deeper(depth)?;
    let scope = &scope.enter(schema);
    if let Schema::Ref(name) = schema {
        let (schema, around) = scope.resolve(name)?;
        return set(schema, &around, steps, value, depth, to);
    }
    let part = part_of(schema, *step).ok_or_else(|| unlike(schema))?;
    let mut each = |value: &mut Value| set(part, scope, rest, value, depth, to);
    match (schema, step, value) {
        (Schema::Newtype { .. }, Step::Inner, value) => each(value),
        (_, Step::Inner, Value::Option(held)) => held.as_deref_mut().map_or(Ok(()), each),
        (_, Step::Elements, Value::Seq(items)) => items.iter_mut().try_for_each(each),
        (_, Step::Values, Value::Map(entries)) => {
            entries.iter_mut().try_for_each(|(_, value)| each(value))
        }
        (_, Step::Part(at), value) => match nth(value, *at) {
            Some(value) => each(value),
            None => Err(unlike(schema).into()),
        },
        (Schema::Enum { variants, .. }, Step::OfVariant(index, at), Value::Variant(name, held)) => {
            let Some(variant) = variants.get(*index).filter(|variant| variant.name == *name) else {
                return Ok(());
            };
            let held = held.as_deref_mut().ok_or_else(|| unlike(schema))?;
            match variant.shape {
                Shape::Newtype(_) => each(held),
                _ => each(nth(held, *at).ok_or_else(|| unlike(schema))?),
            }
        }
        _ => Err(unlike(schema).into()),
    }
}

/// A part of a struct or tuple.
fn nth(value: &mut Value, at: usize) -> Option<&mut Value> {
    match value {
        Value::Struct(fields) => fields.get_mut(at).map(|(_, value)| value),
        Value::Tuple(parts) => parts.get_mut(at),
        _ => None,
    }
}

pub(super) fn unlike(schema: &Schema) -> FormatError {
    let schema: String = format!("{schema:?}").chars().take(120).collect();
    FormatError::invalid("value", format!("it is not of schema={schema}"))
}

/// The part of `schema` that `step` leads to.
pub(super) fn part_of(schema: &Schema, step: Step) -> Option<&Schema> {
    Some(match (schema, step) {
        (Schema::Option(inner) | Schema::Newtype { inner, .. }, Step::Inner) => inner,
        (Schema::Seq(item), Step::Elements) => item,
        (Schema::Map(_, value), Step::Values) => value,
        (Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. }, Step::Part(at)) => {
            parts.get(at)?
        }
        (Schema::Struct { fields, .. }, Step::Part(at)) => &fields.get(at)?.schema,
        (Schema::Enum { variants, .. }, Step::OfVariant(index, at)) => {
            match &variants.get(index)?.shape {
                Shape::Unit => return None,
                Shape::Newtype(inner) => inner,
                Shape::Tuple(parts) => parts.get(at)?,
                Shape::Struct(fields) => &fields.get(at)?.schema,
            }
        }
        _ => return None,
    })
}

/// Follows `path` through `schema`.
///
/// # Errors
/// `Invalid` if it leads nowhere; but the last name on it may be unknown where a field could have it.
pub(super) fn find<'s, 'p>(schema: &'s Schema, path: &'p str) -> Result<Found<'s, 'p>> {
    // From the root to `now`: the schemas above it, and the step from each to the next.
    let mut above: Vec<(&Schema, Step)> = Vec::new();
    let (mut now, mut rest) = (schema, path);
    let mut found = Found { steps: Vec::new(), holder: None, field: None, unknown: None };
    loop {
        if let Schema::Ref(name) = now {
            now = loop {
                let up = above.pop().map(|(schema, _)| schema);
                let up = up.ok_or_else(|| nowhere(path, format!("nothing is called {name}")))?;
                if up.name() == Some(name) {
                    break up;
                }
            };
        }
        if rest.is_empty() {
            return Ok(found);
        }
        let address = || above.iter().map(|(_, step)| *step).collect();
        found.field = None;
        let step = match now {
            Schema::Option(_) | Schema::Newtype { .. } => Step::Inner,
            Schema::Seq(_) => {
                rest = passed(rest, "[]").ok_or_else(|| instead(path, rest, "[]"))?;
                Step::Elements
            }
            Schema::Map(..) => {
                rest = passed(rest, "{value}").ok_or_else(|| instead(path, rest, "{value}"))?;
                Step::Values
            }
            Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. } => {
                let (at, after) = number(rest, parts.len()).ok_or_else(|| {
                    instead(path, rest, &format!("0 to {}", parts.len().saturating_sub(1)))
                })?;
                rest = after;
                Step::Part(at)
            }
            Schema::Struct { fields, .. } => {
                found.holder = Some((address(), None));
                match named(rest, fields.iter().map(|field| &*field.name)) {
                    Some((at, after)) => {
                        (rest, found.field) = (after, Some(at));
                        Step::Part(at)
                    }
                    None => {
                        found.unknown = Some((fields, plain(rest)));
                        return Ok(found);
                    }
                }
            }
            Schema::Enum { variants, .. } => {
                let all = variants.iter().map(|variant| &*variant.name);
                let of_variant = rest.strip_prefix("::").and_then(|rest| named(rest, all.clone()));
                let (index, after) = of_variant.ok_or_else(|| {
                    let known: Vec<_> = all.take(NAMES_SHOWN).map(|v| format!("::{v}")).collect();
                    instead(path, rest, &known.join(", "))
                })?;
                let variant = variants.get(index);
                let holds_none = || nowhere(path, "the variant holds nothing".to_owned());
                match &variant.ok_or_else(holds_none)?.shape {
                    Shape::Unit => return Err(holds_none()),
                    Shape::Newtype(_) => {
                        rest = after;
                        Step::OfVariant(index, 0)
                    }
                    Shape::Tuple(parts) => {
                        let (at, after) = number(after, parts.len()).ok_or_else(|| {
                            let known = format!("0 to {}", parts.len().saturating_sub(1));
                            instead(path, after, &known)
                        })?;
                        rest = after;
                        Step::OfVariant(index, at)
                    }
                    Shape::Struct(fields) => {
                        found.holder = Some((address(), Some(index)));
                        match named(after, fields.iter().map(|field| &*field.name)) {
                            Some((at, after)) => {
                                (rest, found.field) = (after, Some(at));
                                Step::OfVariant(index, at)
                            }
                            None => {
                                found.unknown = Some((fields, plain(after)));
                                return Ok(found);
                            }
                        }
                    }
                }
            }
            Schema::Set(_) => {
                return Err(nowhere(path, "elements of a set are set with the whole set".into()));
            }
            _ => return Err(nowhere(path, format!("nothing is in what stands before {rest:?}"))),
        };
        let Some(part) = part_of(now, step) else {
            return Err(nowhere(path, format!("nothing is at {rest:?}")));
        };
        found.steps.push(step);
        above.push((now, step));
        now = part;
    }
}

fn passed<'p>(rest: &'p str, word: &str) -> Option<&'p str> {
    rest.strip_prefix(word)
}

/// A name without the dot before it.
fn plain(rest: &str) -> &str {
    rest.strip_prefix('.').unwrap_or(rest)
}

/// The position of the name that `rest` begins with, the longest one, and what follows it.
fn named<'p, 'n>(rest: &'p str, names: impl Iterator<Item = &'n str>) -> Option<(usize, &'p str)> {
    let rest = plain(rest);
    let ends = |after: &&str| after.is_empty() || after.starts_with(['.', '[', '{', ':']);
    let named = |(at, name): (usize, &str)| Some((at, rest.strip_prefix(name).filter(ends)?));
    names.enumerate().filter_map(named).min_by_key(|(_, after)| after.len())
}

/// A position below `count`, and what follows it.
fn number(rest: &str, count: usize) -> Option<(usize, &str)> {
    let rest = plain(rest);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let at = rest.get(..digits)?.parse().ok().filter(|at| *at < count)?;
    Some((at, rest.get(digits..)?))
}

pub(super) fn no_field(fields: &[Field], name: &str) -> FormatError {
    let known: Vec<_> = fields.iter().map(|field| &*field.name).take(NAMES_SHOWN).collect();
    let more = if fields.len() > known.len() { " and more" } else { "" };
    let message = match name {
        "" => format!("no field is named, of {known:?}{more}"),
        _ => format!("there is no field {name:?}, but {known:?}{more}"),
    };
    FormatError::invalid("path", message)
}

fn nowhere(path: &str, message: String) -> FormatError {
    FormatError::invalid("path", format!("{path:?} leads nowhere: {message}"))
}

fn instead(path: &str, rest: &str, known: &str) -> FormatError {
    nowhere(path, format!("{known} could stand where {rest:?} does"))
}
