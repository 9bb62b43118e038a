//! What `serde` forgives when a type reads values of another shape: no shape tells it, so the type is asked.

use super::migrate::{DeResult, from_value};
use super::probe::{Place, part_mut, places};
use super::trace::traced;
use super::{Field, Name, Schema, Shape, Value};
use crate::Result;
use crate::codec::Bincode;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};

/// What a type reads besides values of its own shape, by the paths of structs, fields and variants. The path
/// of a part of a type that contains itself is the one by which it is reached first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Fields that need not be there: `default`, and options.
    pub defaults: BTreeSet<String>,
    /// Other names of fields and variants, which old values may have.
    pub aliases: BTreeMap<String, BTreeSet<String>>,
    /// Structs that refuse fields that they do not know.
    pub strict: BTreeSet<String>,
}

/// A name that no type has.
const UNKNOWN: &str = "esker: a field that is not there";

/// What `T` reads besides its own shape. Costs a decoding of a small value for each field and alias: to be asked
/// when a schema file is written, not when a state is opened.
///
/// # Errors
/// Those of [`trace`](super::trace()).
pub fn reads<T: Serialize + DeserializeOwned>() -> Result<Reads> {
    let traced = traced::<T>()?;
    let mut found = Reads::default();
    places(&traced.schema, &traced.values, &mut |value, place| {
        let ask = Ask::<T> { whole: value, place, as_type: std::marker::PhantomData };
        let offered = |name: &Name| traced.offered.get(name).map(Vec::as_slice).unwrap_or_default();
        match place.schema {
            Schema::Struct { name, fields } => {
                ask.fields(fields, &place.path(), &[], offered(name), &mut found);
            }
            Schema::Enum { name, variants } => {
                let Value::Variant(held_name, held) = &place.value else { return };
                let Some(variant) = variants.iter().find(|v| v.name == *held_name) else { return };
                let path = format!("{}::{held_name}", place.prefix);
                let names: Vec<&Name> = variants.iter().map(|variant| &variant.name).collect();
                for other in offered(name).iter().filter(|other| !names.contains(other)) {
                    let renamed = Value::Variant(other.clone(), held.clone());
                    if ask.same(&[], renamed) {
                        let aliases = found.aliases.entry(path.clone()).or_default();
                        aliases.insert(other.to_string());
                    }
                }
                if let Shape::Struct(fields) = &variant.shape {
                    ask.fields(fields, &path, &[0], offered(name), &mut found);
                }
            }
            _ => {}
        }
    })?;
    Ok(found)
}

/// A part of a value that is changed to see whether the type reads it.
struct Ask<'a, 's, T> {
    whole: &'a Value,
    place: &'a Place<'s>,
    as_type: std::marker::PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Ask<'_, '_, T> {
    /// What the type makes of the whole, with `part` in the place; `below` leads on from there.
    fn changed(&self, below: &[usize], part: Value) -> Option<DeResult<T>> {
        let mut whole = self.whole.clone();
        let mut at = self.place.at.clone();
        at.extend(below.iter().map(|number| (*number, None)));
        *part_mut(&mut whole, &at)? = part;
        Some(from_value(whole))
    }

    /// Whether that is the same value.
    fn same(&self, below: &[usize], part: Value) -> bool {
        let bytes = |value: &T| {
            let mut bytes = Vec::new();
            Bincode::write(value, &mut bytes).ok().map(|()| bytes)
        };
        let Ok(original) = from_value::<T>(self.whole.clone()) else { return false };
        match self.changed(below, part) {
            Some(Ok(value)) => bytes(&value).is_some() && bytes(&value) == bytes(&original),
            _ => false,
        }
    }

    fn fields(
        &self,
        fields: &[Field],
        path: &str,
        below: &[usize],
        offered: &[Name],
        found: &mut Reads,
    ) {
        let prefix = if path == "." { "" } else { path };
        let mut part = &self.place.value;
        if let (Value::Variant(_, Some(held)), false) = (part, below.is_empty()) {
            part = held;
        }
        let Value::Struct(values) = part else { return };
        let reads = |values| matches!(self.changed(below, Value::Struct(values)), Some(Ok(_)));
        let unknown = [&values[..], &[(UNKNOWN.into(), Value::Unit)]].concat();
        if !reads(unknown) {
            found.strict.insert(path.to_owned());
        }
        for (number, field) in fields.iter().enumerate() {
            let at = format!("{prefix}.{}", field.name);
            let mut without = values.clone();
            without.remove(number.min(without.len().saturating_sub(1)));
            if reads(without) {
                found.defaults.insert(at.clone());
            }
            let known = |name: &Name| fields.iter().any(|field| field.name == *name);
            for other in offered.iter().filter(|other| !known(other)) {
                let mut renamed = values.clone();
                if let Some((name, _)) = renamed.get_mut(number) {
                    *name = other.clone();
                }
                if self.same(below, Value::Struct(renamed)) {
                    let aliases = found.aliases.entry(at.clone()).or_default();
                    aliases.insert(other.to_string());
                }
            }
        }
    }
}
