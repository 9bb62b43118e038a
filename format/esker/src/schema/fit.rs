//! Values that have no type yet, as those of a schema: what an expression gives.

use super::def::Scope;
use super::parse::{Expected, names, nullable};
use super::text::{Read, Wrong};
use super::write::bincode;
use super::{Field, Schema, Shape, Value};
use crate::codec::bincode_de::MAX_DEPTH;
use crate::{FormatError, Result};
use std::fmt;

/// How much of what was found is shown, in characters.
const SHOWN_CHARS: usize = 40;

impl Value {
    /// The value of `schema` that this one, of no type, stands for: an integer of either kind for one of any
    /// width that has room for it, a double for a float, text for a string, a char and a variant that holds
    /// nothing, [`Unit`](Self::Unit) for none, a sequence for tuples and sets too, and for a map as pairs; a
    /// map by text for a struct, all of its fields, and for a variant by its name. An option that can hold
    /// nothing is `{"some": …}`, as in JSON. A double is rounded to an `f32`. Nothing else is converted.
    ///
    /// Elements of sets and entries of maps come in the order of their bytes, as they are read.
    ///
    /// # Errors
    /// `Invalid` if it stands for none: with the path in it, what was expected and what was found.
    pub fn fit(self, schema: &Schema) -> Result<Self> {
        fitted(schema, self, &Scope::default(), MAX_DEPTH)
    }
}

/// As [`Value::fit`], for a part of another schema.
pub(super) fn fitted(
    schema: &Schema,
    loose: Value,
    scope: &Scope<'_, '_>,
    depth: usize,
) -> Result<Value> {
    value(schema, loose, scope, depth).map_err(|Wrong { mut steps, message, .. }| {
        steps.reverse();
        let path = steps.concat();
        let message = if path.is_empty() { message } else { format!("{path}: {message}") };
        FormatError::invalid("value", message)
    })
}

fn value(schema: &Schema, loose: Value, scope: &Scope<'_, '_>, depth: usize) -> Read<Value> {
    let too_deep = || Wrong::new(0, format!("nested deeper than {MAX_DEPTH}"));
    let depth = depth.checked_sub(1).ok_or_else(too_deep)?;
    let scope = &scope.enter(schema);
    if let Some((bits, is_signed)) = width(schema) {
        let fits = integer(&loose, bits, is_signed);
        return fits.ok_or_else(|| wrong(schema, &loose));
    }
    Ok(match (schema, loose) {
        (Schema::Unit, Value::Unit) => Value::Unit,
        (Schema::Bool, Value::Bool(v)) => Value::Bool(v),
        (Schema::F64, Value::F64(v)) => Value::F64(v),
        (Schema::F32, Value::F64(v)) => match v as f32 {
            // What is too large is not infinite.
            narrow if narrow.is_infinite() && v.is_finite() => {
                return Err(wrong(schema, &Value::F64(v)));
            }
            narrow => Value::F32(narrow),
        },
        (Schema::Char, Value::String(text)) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Value::Char(c),
                _ => return Err(wrong(schema, &Value::String(text))),
            }
        }
        (Schema::String, Value::String(text)) => Value::String(text),
        (Schema::Bytes | Schema::Opaque { .. }, Value::Bytes(bytes)) => Value::Bytes(bytes),
        (Schema::Option(_), Value::Unit) => Value::Option(None),
        (Schema::Option(inner), loose) => {
            let held = match nullable(inner, scope, depth, 0)? {
                false => loose,
                true => some(loose).map_err(|loose| wrong(schema, &loose))?,
            };
            Value::Option(Some(Box::new(value(inner, held, scope, depth)?)))
        }
        (Schema::Seq(item), Value::Seq(items)) => Value::Seq(all(item, items, scope, depth)?),
        (Schema::Set(item), Value::Seq(items)) => {
            let items = all(item, items, scope, depth)?;
            Value::Seq(ordered(item, items, |item| item, "element", scope, depth)?)
        }
        (Schema::Map(key, held), Value::Map(entries)) => map(key, held, entries, scope, depth)?,
        (Schema::Map(key, held), Value::Seq(pairs)) => {
            let pair = |(number, pair)| match pair {
                Value::Seq(pair) => <[Value; 2]>::try_from(pair)
                    .map(|[key, held]| (key, held))
                    .map_err(|pair| (number, Value::Seq(pair))),
                other => Err((number, other)),
            };
            let entries: std::result::Result<Vec<_>, (usize, Value)> =
                pairs.into_iter().enumerate().map(pair).collect();
            let entries = entries.map_err(|(number, found)| {
                expected("[key, value]", &found).below(|| format!("[{number}]"))
            })?;
            map(key, held, entries, scope, depth)?
        }
        (Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. }, Value::Seq(items)) => {
            tuple(parts, items, scope, depth, || Wanted(schema).to_string())?
        }
        (Schema::Struct { fields, .. }, Value::Map(entries)) => {
            structure(fields, entries, scope, depth, || Wanted(schema).to_string())?
        }
        (Schema::Newtype { inner, .. }, loose) => value(inner, loose, scope, depth)?,
        (Schema::Enum { variants, .. }, loose) => {
            let (name, held) = variant(loose).map_err(|loose| wrong(schema, &loose))?;
            let Some(known) = variants.iter().find(|variant| *variant.name == *name) else {
                return Err(wrong(schema, &Value::String(name)));
            };
            let held = match (&known.shape, held) {
                (Shape::Unit, None) => None,
                (Shape::Newtype(inner), Some(held)) => Some(value(inner, held, scope, depth)),
                (Shape::Tuple(parts), Some(Value::Seq(items))) => {
                    let what = || format!("a list of {}", parts.len());
                    Some(tuple(parts, items, scope, depth, what))
                }
                (Shape::Struct(fields), Some(Value::Map(entries))) => {
                    let what = || format!("a map with the fields of {name}");
                    Some(structure(fields, entries, scope, depth, what))
                }
                (Shape::Unit, Some(_)) => {
                    return Err(Wrong::new(0, format!("the variant {name} holds nothing")));
                }
                (_, None) => {
                    return Err(Wrong::new(0, format!("expected {{\"{name}\": …}}")));
                }
                (_, Some(held)) => Some(Err(expected("what the variant holds", &held))),
            };
            let held = held.transpose().map_err(|wrong| wrong.below(|| format!("::{name}")))?;
            Value::Variant(known.name.clone(), held.map(Box::new))
        }
        (Schema::Ref(name), loose) => {
            let (schema, around) = scope.resolve(name).map_err(|e| Wrong::new(0, e.message))?;
            value(schema, loose, &around, depth)?
        }
        (schema, loose) => return Err(wrong(schema, &loose)),
    })
}

/// The bits of an integer, and whether it is signed.
fn width(schema: &Schema) -> Option<(u32, bool)> {
    Some(match schema {
        Schema::U8 => (8, false),
        Schema::U16 => (16, false),
        Schema::U32 => (32, false),
        Schema::U64 => (64, false),
        Schema::U128 => (128, false),
        Schema::I8 => (8, true),
        Schema::I16 => (16, true),
        Schema::I32 => (32, true),
        Schema::I64 => (64, true),
        Schema::I128 => (128, true),
        _ => return None,
    })
}

fn integer(loose: &Value, bits: u32, is_signed: bool) -> Option<Value> {
    if is_signed {
        let found = match loose {
            Value::Signed(v) => *v,
            Value::Unsigned(v) => i128::try_from(*v).ok()?,
            _ => return None,
        };
        matches!(found >> (bits - 1), 0 | -1).then_some(Value::Signed(found))
    } else {
        let found = match loose {
            Value::Signed(v) => u128::try_from(*v).ok()?,
            Value::Unsigned(v) => *v,
            _ => return None,
        };
        (bits == 128 || found >> bits == 0).then_some(Value::Unsigned(found))
    }
}

/// What stands behind the only key, `some`.
fn some(loose: Value) -> std::result::Result<Value, Value> {
    match variant(loose)? {
        (name, Some(held)) if name == "some" => Ok(held),
        (name, Some(held)) => Err(Value::Map(vec![(Value::String(name), held)])),
        (name, None) => Err(Value::String(name)),
    }
}

/// A name, or the only key of a map and what stands behind it.
fn variant(loose: Value) -> std::result::Result<(String, Option<Value>), Value> {
    match loose {
        Value::String(name) => Ok((name, None)),
        Value::Map(entries) => match <[(Value, Value); 1]>::try_from(entries) {
            Ok([(Value::String(name), held)]) => Ok((name, Some(held))),
            Ok(one) => Err(Value::Map(one.into())),
            Err(entries) => Err(Value::Map(entries)),
        },
        other => Err(other),
    }
}

fn all(item: &Schema, items: Vec<Value>, scope: &Scope<'_, '_>, depth: usize) -> Read<Vec<Value>> {
    let one = |(number, loose)| {
        value(item, loose, scope, depth).map_err(|wrong| wrong.below(|| format!("[{number}]")))
    };
    items.into_iter().enumerate().map(one).collect()
}

fn map(
    key: &Schema,
    held: &Schema,
    entries: Vec<(Value, Value)>,
    scope: &Scope<'_, '_>,
    depth: usize,
) -> Read<Value> {
    let entry = |(k, v): (Value, Value)| {
        let place = shown(&k);
        let entry = value(key, k, scope, depth)
            .map_err(|wrong| wrong.below(|| "{key}".into()))
            .and_then(|k| Ok((k, value(held, v, scope, depth)?)));
        entry.map_err(|wrong| wrong.below(|| format!("{{{place}}}")))
    };
    let entries = entries.into_iter().map(entry).collect::<Read<Vec<_>>>()?;
    Ok(Value::Map(ordered(key, entries, |(key, _)| key, "key", scope, depth)?))
}

/// By the bytes of what tells them apart, of which none is there twice.
fn ordered<T>(
    schema: &Schema,
    all: Vec<T>,
    of: impl Fn(&T) -> &Value,
    what: &str,
    scope: &Scope<'_, '_>,
    depth: usize,
) -> Read<Vec<T>> {
    let mut encoded = Vec::with_capacity(all.len());
    for one in all {
        let mut bytes = Vec::new();
        bincode(schema, of(&one), scope, depth, &mut bytes)
            .map_err(|error| Wrong::new(0, error.message))?;
        encoded.push((bytes, one));
    }
    encoded.sort_by(|(a, _), (b, _)| a.cmp(b));
    match encoded.windows(2).find(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        Some([(_, twice), ..]) => {
            Err(Wrong::new(0, format!("the {what} {} is there twice", shown(of(twice)))))
        }
        _ => Ok(encoded.into_iter().map(|(_, one)| one).collect()),
    }
}

fn tuple(
    parts: &[Schema],
    items: Vec<Value>,
    scope: &Scope<'_, '_>,
    depth: usize,
    what: impl Fn() -> String,
) -> Read<Value> {
    if items.len() != parts.len() {
        return Err(expected(what(), &Value::Seq(items)));
    }
    let part = |(number, (part, loose))| {
        value(part, loose, scope, depth).map_err(|wrong| wrong.below(|| format!(".{number}")))
    };
    Ok(Value::Tuple(parts.iter().zip(items).enumerate().map(part).collect::<Read<_>>()?))
}

fn structure(
    fields: &[Field],
    entries: Vec<(Value, Value)>,
    scope: &Scope<'_, '_>,
    depth: usize,
    what: impl Fn() -> String,
) -> Read<Value> {
    let mut found: Vec<Option<Value>> = vec![None; fields.len()];
    for (name, loose) in entries {
        let place = match &name {
            Value::String(name) => fields.iter().position(|field| *field.name == **name),
            _ => None,
        };
        let slot = place.and_then(|place| Some((fields.get(place)?, found.get_mut(place)?)));
        let Some((field, slot)) = slot else {
            let message = format!("the field {} is unknown: expected {}", shown(&name), what());
            return Err(Wrong::new(0, message));
        };
        let held = value(&field.schema, loose, scope, depth);
        *slot = Some(held.map_err(|wrong| wrong.below(|| format!(".{}", field.name)))?);
    }
    let values = fields.iter().zip(found).map(|(field, held)| {
        let missing = || Wrong::new(0, format!("the field {:?} is missing", &*field.name));
        Ok((field.name.clone(), held.ok_or_else(missing)?))
    });
    Ok(Value::Struct(values.collect::<Read<_>>()?))
}

/// What a schema expects of a value without a type.
struct Wanted<'s>(&'s Schema);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Schema::F32 | Schema::F64 => f.write_str("a double"),
            Schema::Bytes | Schema::Opaque { .. } => f.write_str("bytes"),
            Schema::Seq(_) | Schema::Set(_) => f.write_str("a list"),
            Schema::Map(..) => f.write_str("a map, or a list of [key, value]"),
            Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. } => {
                write!(f, "a list of {}", parts.len())
            }
            Schema::Struct { name, fields } => {
                write!(f, "a map with the fields of {name}: ")?;
                names(f, fields.iter().map(|field| &*field.name))
            }
            Schema::Newtype { inner, .. } => write!(f, "{}", Wanted(inner)),
            schema => write!(f, "{}", Expected(schema)),
        }
    }
}

fn wrong(schema: &Schema, found: &Value) -> Wrong {
    expected(Wanted(schema), found)
}

fn expected(what: impl fmt::Display, found: &Value) -> Wrong {
    Wrong::new(0, format!("expected {what}, found {}", shown(found)))
}

/// A value without a type, by its kind and the beginning of its text.
fn shown(value: &Value) -> String {
    let kind = match value {
        Value::Unit => "",
        Value::Bool(_) => "",
        Value::Unsigned(_) => "uint ",
        Value::Signed(_) => "int ",
        Value::F64(_) => "double ",
        Value::String(_) => "string ",
        Value::Bytes(_) => "bytes ",
        Value::Seq(_) => "list ",
        Value::Map(_) => "map ",
        _ => "value ",
    };
    let text = value.to_json();
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{kind}{shown}")
}
