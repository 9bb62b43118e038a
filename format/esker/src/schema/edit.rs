//! Fields taken out of a struct, or put into it: in a schema, and in its values.

use super::def::Scope;
use super::place::{Found, Step, find, no_field, unlike};
use super::read::deeper;
use super::{Field, Name, Schema, Shape, Value};
use crate::codec::bincode_de::MAX_DEPTH;
use crate::{FormatError, Result};

/// A field of a struct, or of a variant of an enum, that is taken out of a type or put into it.
///
/// A type that contains itself loses or gets the field wherever it does; one that stands at several
/// places of the schema, at the one that the path leads to.
#[derive(Debug, Clone)]
pub struct FieldEdit {
    before: Schema,
    after: Schema,
    /// The struct or enum, by steps from the root.
    holder: Vec<Step>,
    variant: Option<usize>,
    edit: Edit,
}

#[derive(Debug, Clone)]
enum Edit {
    /// Takes out the field at this position.
    Delete(usize),
    /// Puts a field behind the others.
    Add(Field),
}

impl FieldEdit {
    /// Takes out the field that `path` leads to, as [`Place`](super::Place) says.
    ///
    /// # Errors
    /// `Invalid` if it leads to no field with a name, or to the only one of its struct.
    pub fn delete(schema: &Schema, path: &str) -> Result<Self> {
        let Found { holder, field, unknown, .. } = find(schema, path)?;
        if let Some((fields, name)) = unknown {
            return Err(no_field(fields, name));
        }
        match (holder, field) {
            (Some((holder, variant)), Some(field)) => {
                Self::new(schema, holder, variant, Edit::Delete(field))
            }
            _ => Err(invalid(format!("{path:?} is no field of a struct"))),
        }
    }

    /// Puts in a field of the type `of` behind the others: `path` leads to it, all but its end to a struct.
    ///
    /// # Errors
    /// `Invalid` if there is such a field, it leads to no struct, or the type is none that stands alone.
    pub fn add(schema: &Schema, path: &str, of: Schema) -> Result<Self> {
        let Found { holder, unknown, .. } = find(schema, path)?;
        let (Some((holder, variant)), Some((_, name))) = (holder, unknown) else {
            return Err(invalid(format!("{path:?} is there already, or in no struct")));
        };
        if name.is_empty() || name.contains(['.', '[', '{', ':']) {
            return Err(invalid(format!("{path:?}: {name:?} is no name of a new field")));
        }
        of.check_names()?;
        stands_alone(&of, &Scope::default(), MAX_DEPTH)?;
        let field = Field { name: Name::from(name), schema: of };
        Self::new(schema, holder, variant, Edit::Add(field))
    }

    fn new(schema: &Schema, holder: Vec<Step>, variant: Option<usize>, edit: Edit) -> Result<Self> {
        let (before, mut after) = (schema.clone(), schema.clone());
        let mut at = &mut after;
        for step in &holder {
            at = part_mut(at, *step).ok_or_else(|| unlike(schema))?;
        }
        let fields = fields_mut(at, variant).ok_or_else(|| unlike(schema))?;
        match &edit {
            Edit::Delete(_) if fields.len() == 1 => {
                return Err(invalid("it is the only field of its struct".to_owned()));
            }
            Edit::Delete(field) => {
                fields.remove(*field);
            }
            Edit::Add(field) => fields.push(field.clone()),
        }
        Ok(Self { before, after, holder, variant, edit })
    }

    /// The schema as it is afterwards.
    pub fn schema(&self) -> &Schema {
        &self.after
    }

    /// Makes of `value`, which is of the schema of before, one of that of afterwards. `with` gives what a new
    /// field holds, for the struct that gets it as it was; it must [fit](Value::fit). Of a field that is
    /// taken out it is not asked.
    ///
    /// # Errors
    /// Those of `with`; `Invalid` if what it gives does not fit, and if the struct is in an element of a set
    /// or a key of a map: two of them could become one. The value is of no use then.
    pub fn apply<E: From<FormatError>>(
        &self,
        value: &mut Value,
        with: &mut dyn FnMut(&Value) -> std::result::Result<Value, E>,
    ) -> std::result::Result<(), E> {
        let mut holder = &self.before;
        for step in &self.holder {
            holder = super::place::part_of(holder, *step).ok_or_else(|| unlike(holder))?;
        }
        let walk = Walk { holder, variant: self.variant, edit: &self.edit };
        walk.value(&self.before, &Scope::default(), value, (MAX_DEPTH, false), with)
    }
}

type With<'w, E> = &'w mut dyn FnMut(&Value) -> std::result::Result<Value, E>;

/// Through all of a value.
struct Walk<'e> {
    /// The struct or enum: this very part of the schema, wherever references lead to it.
    holder: &'e Schema,
    variant: Option<usize>,
    edit: &'e Edit,
}

impl Walk<'_> {
    /// `at` is how deep it may go, and whether this tells elements of a set or keys of a map apart.
    fn value<E: From<FormatError>>(
        &self,
        schema: &Schema,
        scope: &Scope<'_, '_>,
        value: &mut Value,
        at: (usize, bool),
        with: With<'_, E>,
    ) -> std::result::Result<(), E> {
        let at = (deeper(at.0)?, at.1);
        let scope = &scope.enter(schema);
        let is_holder = std::ptr::eq(schema, self.holder);
        match (schema, value) {
            (Schema::Option(inner), Value::Option(Some(held))) => {
                self.value(inner, scope, held, at, with)
            }
            (Schema::Newtype { inner, .. }, value) => self.value(inner, scope, value, at, with),
            (Schema::Seq(item), Value::Seq(items)) => {
                items.iter_mut().try_for_each(|value| self.value(item, scope, value, at, with))
            }
            (Schema::Set(item), Value::Seq(items)) => items
                .iter_mut()
                .try_for_each(|value| self.value(item, scope, value, (at.0, true), with)),
            (Schema::Map(key, held), Value::Map(entries)) => {
                entries.iter_mut().try_for_each(|(k, v)| {
                    self.value(key, scope, k, (at.0, true), with)?;
                    self.value(held, scope, v, at, with)
                })
            }
            (
                Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. },
                Value::Tuple(values),
            ) => self.tuple(parts, scope, values, at, with),
            (Schema::Struct { fields, .. }, value) => {
                self.fields(fields, scope, value, at, is_holder, with)
            }
            (Schema::Enum { variants, .. }, Value::Variant(name, Some(held))) => {
                let mut all = variants.iter().enumerate();
                let found = all.find(|(_, variant)| variant.name == *name);
                let (index, variant) = found.ok_or_else(|| unlike(schema))?;
                let is_holder = is_holder && self.variant == Some(index);
                match (&variant.shape, &mut **held) {
                    (Shape::Newtype(inner), held) => self.value(inner, scope, held, at, with),
                    (Shape::Tuple(parts), Value::Tuple(values)) => {
                        self.tuple(parts, scope, values, at, with)
                    }
                    (Shape::Struct(fields), held) => {
                        self.fields(fields, scope, held, at, is_holder, with)
                    }
                    _ => Err(unlike(schema).into()),
                }
            }
            (Schema::Ref(name), value) => {
                let (schema, around) = scope.resolve(name)?;
                self.value(schema, &around, value, at, with)
            }
            _ => Ok(()),
        }
    }

    fn tuple<E: From<FormatError>>(
        &self,
        parts: &[Schema],
        scope: &Scope<'_, '_>,
        values: &mut [Value],
        at: (usize, bool),
        with: With<'_, E>,
    ) -> std::result::Result<(), E> {
        let mut pairs = parts.iter().zip(values);
        pairs.try_for_each(|(part, value)| self.value(part, scope, value, at, with))
    }

    fn fields<E: From<FormatError>>(
        &self,
        parts: &[Field],
        scope: &Scope<'_, '_>,
        value: &mut Value,
        at: (usize, bool),
        is_holder: bool,
        with: With<'_, E>,
    ) -> std::result::Result<(), E> {
        if is_holder && at.1 {
            let message = "the struct is in an element of a set or a key of a map";
            return Err(invalid(message.to_owned()).into());
        }
        let new = match self.edit {
            Edit::Add(field) if is_holder => {
                let held = with(value)?.fit(&field.schema).map_err(|error| FormatError {
                    message: format!(".{}: {}", field.name, error.message),
                    ..error
                })?;
                Some((field.name.clone(), held))
            }
            _ => None,
        };
        let Value::Struct(values) = value else {
            return Err(invalid("a struct was expected".to_owned()).into());
        };
        let gone = match self.edit {
            Edit::Delete(field) if is_holder && *field < values.len() => {
                values.remove(*field);
                Some(*field)
            }
            _ => None,
        };
        let left = parts.iter().enumerate().filter(|(number, _)| Some(*number) != gone);
        for ((_, part), (_, value)) in left.zip(values.iter_mut()) {
            self.value(&part.schema, scope, value, at, with)?;
        }
        values.extend(new);
        Ok(())
    }
}

/// As [`part_of`](super::place::part_of), to be changed.
fn part_mut(schema: &mut Schema, step: Step) -> Option<&mut Schema> {
    Some(match (schema, step) {
        (Schema::Option(inner) | Schema::Newtype { inner, .. }, Step::Inner) => inner,
        (Schema::Seq(item), Step::Elements) => item,
        (Schema::Map(_, value), Step::Values) => value,
        (Schema::Tuple(parts) | Schema::TupleStruct { fields: parts, .. }, Step::Part(at)) => {
            parts.get_mut(at)?
        }
        (Schema::Struct { fields, .. }, Step::Part(at)) => &mut fields.get_mut(at)?.schema,
        (Schema::Enum { variants, .. }, Step::OfVariant(index, at)) => {
            match &mut variants.get_mut(index)?.shape {
                Shape::Unit => return None,
                Shape::Newtype(inner) => inner,
                Shape::Tuple(parts) => parts.get_mut(at)?,
                Shape::Struct(fields) => &mut fields.get_mut(at)?.schema,
            }
        }
        _ => return None,
    })
}

/// The fields of a struct, or of a variant.
fn fields_mut(schema: &mut Schema, variant: Option<usize>) -> Option<&mut Vec<Field>> {
    match (schema, variant) {
        (Schema::Struct { fields, .. }, None) => Some(fields),
        (Schema::Enum { variants, .. }, Some(index)) => match &mut variants.get_mut(index)?.shape {
            Shape::Struct(fields) => Some(fields),
            _ => None,
        },
        _ => None,
    }
}

/// That a type means the same wherever it stands, and can be written.
fn stands_alone(schema: &Schema, scope: &Scope<'_, '_>, depth: usize) -> Result<()> {
    let depth = deeper(depth)?;
    let scope = &scope.enter(schema);
    match schema {
        Schema::Ref(name) => scope.resolve(name).map(|_| ()),
        Schema::Opaque { name } => Err(invalid(format!("{name} is of no known shape"))),
        _ => schema.for_each_part(&mut |_, part| stands_alone(part, scope, depth)),
    }
}

fn invalid(message: String) -> FormatError {
    FormatError::invalid("path", message)
}
