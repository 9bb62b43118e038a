//! What becomes of the parts of tuples, structs and enums: by position, and by name.

use super::compare::{Comparison, Fate, Places};
use super::def::Scope;
use super::migrate::shown;
use super::{Field, Name, Schema, Shape, Variant};
use std::collections::HashSet;

impl Comparison<'_> {
    pub(super) fn tuples<'s>(
        &mut self,
        (a, old_scope): (&'s [Schema], &Scope<'s, '_>),
        (b, new_scope): (&'s [Schema], &Scope<'s, '_>),
        at: &Places,
        depth: usize,
    ) {
        if a.len() != b.len() {
            let what = format!("{} parts become {}", a.len(), b.len());
            return self.add(&at.path, Fate::Impossible, what);
        }
        for (number, (a, b)) in a.iter().zip(b).enumerate() {
            let at = at.below(&format!(".{number}"));
            self.types((a, old_scope), (b, new_scope), at, depth);
        }
    }

    /// The other names that a field or variant at this place has.
    fn aliases(&self, canonical: &str, name: &Name) -> bool {
        let aliases = self.reads.and_then(|reads| reads.aliases.get(canonical));
        aliases.is_some_and(|aliases| aliases.contains(&**name))
    }

    pub(super) fn structs<'s>(
        &mut self,
        (a, old_scope): (&'s [Field], &Scope<'s, '_>),
        (b, new_scope): (&'s [Field], &Scope<'s, '_>),
        at: &Places,
        depth: usize,
    ) {
        let mut gone: Vec<&Field> = a.iter().collect();
        let mut order = Vec::new();
        for field in b {
            let here = at.below(&format!(".{}", field.name));
            let is_it =
                |old: &&Field| old.name == field.name || self.aliases(&here.canonical, &old.name);
            let found: Vec<&Field> = a.iter().filter(is_it).collect();
            gone.retain(|old| !found.iter().any(|found| found.name == old.name));
            match found[..] {
                [] => {
                    let defaults = self.reads.map(|reads| reads.defaults.contains(&here.canonical));
                    let is_option = matches!(field.schema, Schema::Option(_));
                    let (fate, what) = match defaults {
                        Some(true) => (Fate::Migratable, "added, with its default"),
                        Some(false) => (Fate::Impossible, "added, and has no default"),
                        None if is_option => (Fate::Migratable, "added, with nothing in it"),
                        None => (Fate::Impossible, "added, and nothing says that it has a default"),
                    };
                    self.add(&here.path, fate, what.into());
                }
                [old] => {
                    order.extend(a.iter().position(|other| other.name == old.name));
                    if old.name != field.name {
                        let what = format!("renamed: it was {}", old.name);
                        self.add(&here.path, Fate::Migratable, what);
                    }
                    self.types((&old.schema, old_scope), (&field.schema, new_scope), here, depth);
                }
                [first, second, ..] => {
                    let what = format!("both {} and {} would be it", first.name, second.name);
                    self.add(&here.path, Fate::Impossible, what);
                }
            }
        }
        if !order.is_sorted() {
            self.add(&at.path, Fate::Migratable, "fields are in another order".into());
        }
        let strict = if at.canonical.is_empty() { "." } else { &at.canonical };
        let strict = self.reads.is_some_and(|reads| reads.strict.contains(strict));
        for field in gone {
            let here = at.below(&format!(".{}", field.name));
            match strict {
                true => self.add(
                    &here.path,
                    Fate::Impossible,
                    "removed, and unknown fields are refused (deny_unknown_fields)".into(),
                ),
                false => self.add(&here.path, Fate::Lossy, "removed: what it holds is lost".into()),
            }
        }
    }

    pub(super) fn enums<'s>(
        &mut self,
        (a, old_scope): (&'s [Variant], &Scope<'s, '_>),
        (b, new_scope): (&'s [Variant], &Scope<'s, '_>),
        at: &Places,
        depth: usize,
    ) {
        let mut order = Vec::new();
        let mut found_names = HashSet::new();
        for variant in a {
            let here = |name: &Name| at.below(&format!("::{name}"));
            let is_it = |new: &&Variant| {
                new.name == variant.name || self.aliases(&here(&new.name).canonical, &variant.name)
            };
            let Some((place, new)) = b.iter().enumerate().find(|(_, new)| is_it(new)) else {
                let what = "removed: values of it are refused";
                self.add(&here(&variant.name).path, Fate::Impossible, what.into());
                continue;
            };
            order.push(place);
            found_names.insert(&new.name);
            let here = here(&new.name);
            if new.name != variant.name {
                let what = format!("renamed: it was {}", variant.name);
                self.add(&here.path, Fate::Migratable, what);
            }
            match (&variant.shape, &new.shape) {
                (Shape::Unit, Shape::Unit) => {}
                (Shape::Newtype(a), Shape::Newtype(b)) => {
                    self.types((&**a, old_scope), (&**b, new_scope), here, depth);
                }
                (Shape::Tuple(a), Shape::Tuple(b)) => {
                    self.tuples((a, old_scope), (b, new_scope), &here, depth);
                }
                (Shape::Struct(a), Shape::Struct(b)) => {
                    self.structs((a, old_scope), (b, new_scope), &here, depth);
                }
                (Shape::Unit, Shape::Struct(b)) => {
                    self.structs((&[] as &[Field], old_scope), (b, new_scope), &here, depth);
                }
                (was, is) => {
                    let what = format!(
                        "{} becomes {}: what it holds is of another kind: nothing, one value, several by \
                         position, or fields by name",
                        held(variant, was),
                        held(new, is)
                    );
                    self.add(&here.path, Fate::Impossible, what);
                }
            }
        }
        for variant in b.iter().filter(|variant| !found_names.contains(&variant.name)) {
            let here = at.below(&format!("::{}", variant.name));
            self.add(&here.path, Fate::Migratable, "variant added".into());
        }
        if !order.is_sorted() {
            self.add(&at.path, Fate::Migratable, "variants are in another order".into());
        }
    }
}

/// What a variant of this shape holds, as a type of its own would be shown.
fn held(variant: &Variant, shape: &Shape) -> String {
    let name = variant.name.clone();
    match shape {
        Shape::Unit => shown(&Schema::Unit),
        Shape::Newtype(inner) => shown(&Schema::Newtype { name, inner: inner.clone() }),
        Shape::Tuple(fields) => shown(&Schema::TupleStruct { name, fields: fields.clone() }),
        Shape::Struct(fields) => shown(&Schema::Struct { name, fields: fields.clone() }),
    }
}
