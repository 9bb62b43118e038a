//! Whether a type writes all of its parts, whatever they hold.
//!
//! `skip_serializing_if` leaves out a field for some values alone, and the traced ones need not be among
//! them: so every part is given the values at the edges of its type, one part at a time, and what comes of
//! that is written and read by the schema. A condition that none of them meets is found when such a value is
//! written ([`AllWritten`](super::all_written::AllWritten)).

use super::all_written::LEFT_OUT;
use super::def::Scope;
use super::migrate::from_value;
use super::path::Step;
use super::{Field, Name, Schema, Shape, Value, check_sample, decode_value};
use crate::codec::{Bincode, CodecId};
use crate::{FormatError, FormatErrorKind, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{HashMap, HashSet};
use std::panic::{self, AssertUnwindSafe};

/// How many parts of values are made to try a type: so that opening a state takes no time to speak of.
const PARTS_MAX: usize = 200_000;

/// Tries the type `T` of `schema` with edges in place of each part of `samples`, as far as it takes them.
///
/// # Errors
/// `Incompatible`, with the path of the part.
pub(super) fn probe<T: Serialize + DeserializeOwned>(schema: &Schema, samples: &[T]) -> Result<()> {
    let mut parts = 0;
    let mut tried = Ok(());
    places(schema, samples, &mut |value, place| {
        for edge in edges(place.schema, &place.value) {
            parts += count(value);
            let mut changed = value.clone();
            if tried.is_err() || parts > PARTS_MAX {
                return;
            }
            if let Some(part) = part_mut(&mut changed, &place.at) {
                *part = edge;
                tried = try_one::<T>(schema, changed, place);
            }
        }
    })?;
    tried
}

/// Calls `f` with each part of the schema as it stands in the first sample that has it, each variant of an
/// enum too, and that sample.
///
/// # Errors
/// If a sample is no value of the schema.
pub(super) fn places<'s, T: Serialize>(
    schema: &'s Schema,
    samples: &[T],
    f: &mut dyn FnMut(&Value, &Place<'s>),
) -> Result<()> {
    let (mut seen, mut known) = (HashSet::new(), HashMap::new());
    for sample in samples {
        let mut bytes = Vec::new();
        Bincode::write(sample, &mut bytes)?;
        let value = decode_value(&CodecId::BINCODE2, schema, &bytes)?;
        let (found, at, path) = (Vec::new(), Vec::new(), String::new());
        let mut places = Places { seen: &mut seen, known: &mut known, found, at, path };
        places.visit(schema, &value, &Scope::default());
        // Parts before their whole, so that it is a part that is named where one is wrong.
        places.found.iter().rev().for_each(|place| f(&value, place));
    }
    Ok(())
}

fn try_one<T>(schema: &Schema, value: Value, place: &Place<'_>) -> Result<()>
where
    T: Serialize + DeserializeOwned,
{
    // What the type does not take, or does not write, cannot be lost. One that panics does not take it: nobody
    // asked its program for such a value.
    let trial = || {
        let Ok(tried) = from_value::<T>(value) else { return Ok(()) };
        match Bincode::write(&tried, &mut Vec::new()) {
            Err(error) if !error.message.contains(LEFT_OUT) => Ok(()),
            _ => check_sample(schema, &Bincode, &tried),
        }
    };
    let tried = panic::catch_unwind(AssertUnwindSafe(trial)).unwrap_or(Ok(()));
    tried.map_err(|error| {
        let path = place.path();
        let message = format!("{}: found with an edge of its type at path={path}", error.message);
        FormatError::new(FormatErrorKind::Incompatible, "traced type", message)
    })
}

/// A part of a sample.
pub(super) struct Place<'s> {
    pub(super) schema: &'s Schema,
    pub(super) value: Value,
    /// The way there: which part of each value, and the step.
    pub(super) at: Vec<(usize, Option<Step>)>,
    /// By which steps the part of the schema is reached first; empty for the whole.
    pub(super) prefix: String,
}

impl Place<'_> {
    /// The path by which the part of the schema is reached first.
    pub(super) fn path(&self) -> String {
        if self.prefix.is_empty() { ".".into() } else { self.prefix.clone() }
    }
}

/// The parts of samples, one for each part of the schema.
struct Places<'s, 'p> {
    seen: &'p mut HashSet<(*const Schema, Option<Name>)>,
    /// By which steps each named type is reached first: those of its parts go on from there, also where it is
    /// inside itself.
    known: &'p mut HashMap<*const Schema, String>,
    found: Vec<Place<'s>>,
    at: Vec<(usize, Option<Step>)>,
    path: String,
}

impl<'s> Places<'s, '_> {
    fn visit(&mut self, schema: &'s Schema, value: &Value, scope: &Scope<'s, '_>) {
        let variant = match value {
            Value::Variant(name, _) => Some(name.clone()),
            _ => None,
        };
        if self.seen.insert((std::ptr::from_ref(schema), variant)) {
            let (value, at, prefix) = (value.clone(), self.at.clone(), self.path.clone());
            self.found.push(Place { schema, value, at, prefix });
        }
        if schema.name().is_some() {
            self.known.entry(std::ptr::from_ref(schema)).or_insert_with(|| self.path.clone());
        }
        let inside = &scope.enter(schema);
        match (schema, value) {
            (Schema::Ref(name), _) => {
                if let Ok((schema, around)) = scope.resolve(name) {
                    let known = self.known.get(&std::ptr::from_ref(schema)).cloned();
                    let here = std::mem::replace(&mut self.path, known.unwrap_or_default());
                    self.visit(schema, value, &around);
                    self.path = here;
                }
            }
            (Schema::Newtype { inner, .. }, _) => self.visit(inner, value, inside),
            (Schema::Option(inner), Value::Option(Some(held))) => {
                self.below((0, None), |s| s.visit(inner, held, inside));
            }
            (Schema::Seq(item) | Schema::Set(item), Value::Seq(values)) => {
                for (number, held) in values.iter().enumerate() {
                    self.below((number, Some(Step::Item)), |s| s.visit(item, held, inside));
                }
            }
            (Schema::Map(key, held), Value::Map(entries)) => {
                for (number, (k, v)) in entries.iter().enumerate() {
                    self.below((2 * number, Some(Step::Key)), |s| s.visit(key, k, inside));
                    self.below((2 * number + 1, Some(Step::Value)), |s| s.visit(held, v, inside));
                }
            }
            (Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. }, _) => {
                self.tuple(parts, value, inside);
            }
            (Schema::Struct { fields, .. }, _) => self.fields(fields, value, inside),
            (Schema::Enum { variants, .. }, Value::Variant(name, Some(held))) => {
                let variant = variants.iter().find(|variant| variant.name == *name);
                let Some(variant) = variant else { return };
                self.below((0, Some(Step::Variant(name.clone()))), |s| match &variant.shape {
                    Shape::Unit => {}
                    Shape::Newtype(inner) => s.visit(inner, held, inside),
                    Shape::Tuple(parts) => s.tuple(parts, held, inside),
                    Shape::Struct(fields) => s.fields(fields, held, inside),
                });
            }
            _ => {}
        }
    }

    fn tuple(&mut self, parts: &'s [Schema], value: &Value, scope: &Scope<'s, '_>) {
        let Value::Tuple(values) = value else { return };
        for (number, (part, held)) in parts.iter().zip(values).enumerate() {
            let step = (number, Some(Step::Index(number)));
            self.below(step, |s| s.visit(part, held, scope));
        }
    }

    fn fields(&mut self, fields: &'s [Field], value: &Value, scope: &Scope<'s, '_>) {
        let Value::Struct(values) = value else { return };
        for (number, (field, (name, held))) in fields.iter().zip(values).enumerate() {
            let step = (number, Some(Step::Field(name.clone())));
            self.below(step, |s| s.visit(&field.schema, held, scope));
        }
    }

    fn below(&mut self, step: (usize, Option<Step>), f: impl FnOnce(&mut Self)) {
        let path_len = self.path.len();
        if let (_, Some(step)) = &step {
            self.path.push_str(&step.to_string());
        }
        self.at.push(step);
        f(self);
        self.at.pop();
        self.path.truncate(path_len);
    }
}

/// The part that the way leads to.
pub(super) fn part_mut<'v>(
    value: &'v mut Value,
    at: &[(usize, Option<Step>)],
) -> Option<&'v mut Value> {
    let Some(((number, _), rest)) = at.split_first() else { return Some(value) };
    let next = match value {
        Value::Option(held) => held.as_deref_mut()?,
        Value::Variant(_, held) => held.as_deref_mut()?,
        Value::Seq(values) | Value::Tuple(values) => values.get_mut(*number)?,
        Value::Struct(fields) => fields.get_mut(*number).map(|(_, held)| held)?,
        Value::Map(entries) => {
            let (key, held) = entries.get_mut(number / 2)?;
            if number % 2 == 0 { key } else { held }
        }
        _ => return None,
    };
    part_mut(next, rest)
}

/// Values of `schema` that conditions are likely to ask for; `value` is one, too.
fn edges(schema: &Schema, value: &Value) -> Vec<Value> {
    match schema {
        Schema::Bool => vec![Value::Bool(false), Value::Bool(true)],
        // Zero and what is less are what conditions ask for. The greatest numbers are not: a type may make
        // room for as many of something as it reads.
        Schema::U8 | Schema::U16 | Schema::U32 | Schema::U64 | Schema::U128 => {
            vec![Value::Unsigned(0)]
        }
        Schema::I8 | Schema::I16 | Schema::I32 | Schema::I64 | Schema::I128 => {
            [0, -1].map(Value::Signed).to_vec()
        }
        Schema::F32 => [0.0, -1.0, f32::NAN].map(Value::F32).to_vec(),
        Schema::F64 => [0.0, -1.0, f64::NAN].map(Value::F64).to_vec(),
        Schema::Char => vec![Value::Char('\0')],
        Schema::String => vec![Value::String(String::new()), Value::String("a".into())],
        Schema::Bytes => vec![Value::Bytes(Vec::new()), Value::Bytes(vec![0])],
        Schema::Option(_) => vec![Value::Option(None)],
        Schema::Enum { variants, .. } => {
            let unit = variants.iter().filter(|variant| variant.shape == Shape::Unit);
            unit.map(|variant| Value::Variant(variant.name.clone(), None)).collect()
        }
        Schema::Seq(_) | Schema::Set(_) | Schema::Map(..) => vec![blank(value)],
        Schema::Struct { .. } | Schema::Tuple(_) | Schema::TupleStruct { .. } => vec![blank(value)],
        _ => Vec::new(),
    }
}

/// The value with nothing in it, as `Default` has it for most types.
fn blank(value: &Value) -> Value {
    match value {
        Value::Unit => Value::Unit,
        Value::Bool(_) => Value::Bool(false),
        Value::Unsigned(_) => Value::Unsigned(0),
        Value::Signed(_) => Value::Signed(0),
        Value::F32(_) => Value::F32(0.0),
        Value::F64(_) => Value::F64(0.0),
        Value::Char(_) => Value::Char('\0'),
        Value::String(_) => Value::String(String::new()),
        Value::Bytes(_) => Value::Bytes(Vec::new()),
        Value::Option(_) => Value::Option(None),
        Value::Seq(_) => Value::Seq(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        Value::Tuple(parts) => Value::Tuple(parts.iter().map(blank).collect()),
        Value::Struct(fields) => {
            let fields = fields.iter().map(|(name, held)| (name.clone(), blank(held)));
            Value::Struct(fields.collect())
        }
        Value::Variant(name, held) => {
            Value::Variant(name.clone(), held.as_ref().map(|held| Box::new(blank(held))))
        }
    }
}

/// How many parts a value has, itself among them.
fn count(value: &Value) -> usize {
    let all = |values: &[Value]| values.iter().map(count).sum::<usize>();
    1 + match value {
        Value::Option(Some(held)) | Value::Variant(_, Some(held)) => count(held),
        Value::Seq(values) | Value::Tuple(values) => all(values),
        Value::Map(entries) => entries.iter().map(|(k, v)| count(k) + count(v)).sum(),
        Value::Struct(fields) => fields.iter().map(|(_, held)| count(held)).sum(),
        _ => 0,
    }
}
