//! What becomes of values of one schema when a program asks for another: the rules of migration, by shape
//! alone.

use super::def::Scope;
use super::migrate::shown;
use super::{Field, Name, Reads, Schema};
use crate::codec::bincode_de::MAX_DEPTH;
use std::collections::{HashMap, HashSet};
use std::ptr::from_ref;

/// What becomes of values, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// They are read as they are.
    Compatible,
    /// They are migrated, and nothing is lost.
    Migratable,
    /// They are migrated, and something is lost.
    Lossy,
    /// That is for a codec of the program's own to say: whether it migrates them, no schema tells, only a
    /// restore.
    Unknown,
    /// They are refused, all or some of them.
    Impossible,
}

/// One difference between two types, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where in the type: in the new one, or in the old one for what is gone.
    pub path: String,
    /// What becomes of values.
    pub fate: Fate,
    /// What changed, how it is migrated, what is lost, or why not.
    pub what: String,
}

/// What becomes of values of `old` when `new` is asked for, by a program that also reads what `reads` says;
/// `None` where that is not known: options are then taken to need no value, and nothing else is forgiven. Empty
/// if the schemas are equal.
///
/// The shape alone is judged: integers and floats that become narrower count as impossible, though a
/// restore takes those values that fit.
pub fn compare(old: &Schema, new: &Schema, reads: Option<&Reads>) -> Vec<Change> {
    if old == new {
        return Vec::new();
    }
    let (known, seen) = (HashMap::new(), HashSet::new());
    let mut comparison = Comparison { reads, changes: Vec::new(), known, seen, steps: 0 };
    let root = Places { path: String::new(), canonical: String::new() };
    comparison.types((old, &Scope::default()), (new, &Scope::default()), root, MAX_DEPTH);
    if comparison.changes.is_empty() {
        comparison.add("", Fate::Migratable, "names of types differ".into());
    }
    comparison.changes
}

pub(super) struct Comparison<'r> {
    pub(super) reads: Option<&'r Reads>,
    changes: Vec<Change>,
    /// Where the named types of the new schema are reached first.
    known: HashMap<*const Schema, String>,
    /// Pairs of named types that are compared already.
    seen: HashSet<(*const Schema, *const Schema)>,
    steps: usize,
}

/// Schemas that contain themselves in each other's ways are not followed further.
const STEPS_MAX: usize = 1_000_000;

/// A place as it is shown, and by the path that [`Reads`] has.
#[derive(Clone)]
pub(super) struct Places {
    pub(super) path: String,
    pub(super) canonical: String,
}

impl Places {
    pub(super) fn below(&self, step: &str) -> Self {
        Self {
            path: format!("{}{step}", self.path),
            canonical: format!("{}{step}", self.canonical),
        }
    }
}

type Side<'s, 'up> = (&'s Schema, &'up Scope<'s, 'up>);

impl Comparison<'_> {
    pub(super) fn add(&mut self, path: &str, fate: Fate, what: String) {
        let path = if path.is_empty() { "." } else { path };
        self.changes.push(Change { path: path.to_owned(), fate, what });
    }

    pub(super) fn types<'s>(
        &mut self,
        old: Side<'s, '_>,
        new: Side<'s, '_>,
        at: Places,
        depth: usize,
    ) {
        let ((old, old_scope), (new, new_scope)) = (old, new);
        self.steps += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| self.steps <= STEPS_MAX) else {
            return self.add(&at.path, Fate::Impossible, "too deep or too large to compare".into());
        };
        if new.name().is_some() {
            self.known.entry(from_ref(new)).or_insert_with(|| at.canonical.clone());
            if old.name().is_some() && !self.seen.insert((from_ref(old), from_ref(new))) {
                return;
            }
        }
        let (inside_old, inside_new) = (&old_scope.enter(old), &new_scope.enter(new));
        let nowhere = |name: &Name| format!("no type around it is called {name}");
        // Both are what they stand for.
        match (old, new) {
            (Schema::Ref(name), _) => {
                return match old_scope.resolve(name) {
                    Ok((old, around)) => self.types((old, &around), (new, new_scope), at, depth),
                    Err(_) => self.add(&at.path, Fate::Impossible, nowhere(name)),
                };
            }
            (_, Schema::Ref(name)) => {
                return match new_scope.resolve(name) {
                    Ok((new, around)) => {
                        let known = self.known.get(&from_ref(new)).cloned();
                        let canonical = known.unwrap_or_else(|| at.canonical.clone());
                        let at = Places { canonical, ..at };
                        self.types((old, old_scope), (new, &around), at, depth);
                    }
                    Err(_) => self.add(&at.path, Fate::Impossible, nowhere(name)),
                };
            }
            (Schema::Newtype { inner, .. }, _) => {
                return self.types((&**inner, inside_old), (new, new_scope), at, depth);
            }
            (_, Schema::Newtype { inner, .. }) => {
                return self.types((old, old_scope), (&**inner, inside_new), at, depth);
            }
            _ => {}
        }
        let both = |a, b| ((a, inside_old), (b, inside_new));
        match (old, new) {
            (Schema::Option(a), Schema::Option(b)) => {
                let (old, new) = both(&**a, &**b);
                self.types(old, new, at, depth);
            }
            (_, Schema::Option(b)) => {
                self.add(
                    &at.path,
                    Fate::Migratable,
                    "becomes optional: what is there is some".into(),
                );
                self.types((old, old_scope), (&**b, inside_new), at, depth);
            }
            (Schema::Seq(a), Schema::Seq(b)) | (Schema::Set(a), Schema::Set(b)) => {
                let (old, new) = both(&**a, &**b);
                self.types(old, new, at.below("[]"), depth);
            }
            (Schema::Set(a), Schema::Seq(b)) => {
                self.add(&at.path, Fate::Migratable, "a set becomes a sequence".into());
                let (old, new) = both(&**a, &**b);
                self.types(old, new, at.below("[]"), depth);
            }
            (Schema::Seq(a), Schema::Set(b)) => {
                let what = "a sequence becomes a set: what is there twice is kept once";
                self.add(&at.path, Fate::Lossy, what.into());
                let (old, new) = both(&**a, &**b);
                self.types(old, new, at.below("[]"), depth);
            }
            (Schema::Map(a, x), Schema::Map(b, y)) => {
                let (old, new) = both(&**a, &**b);
                self.types(old, new, at.below("{key}"), depth);
                let (old, new) = both(&**x, &**y);
                self.types(old, new, at.below("{value}"), depth);
            }
            (
                Schema::Tuple(a) | Schema::TupleStruct { fields: a, .. },
                Schema::Tuple(b) | Schema::TupleStruct { fields: b, .. },
            ) => self.tuples((a, inside_old), (b, inside_new), &at, depth),
            (Schema::Struct { fields: a, .. }, Schema::Struct { fields: b, .. }) => {
                self.structs((a, inside_old), (b, inside_new), &at, depth);
            }
            (Schema::Unit, Schema::Struct { fields: b, .. }) => {
                self.structs((&[] as &[Field], inside_old), (b, inside_new), &at, depth);
            }
            (Schema::Enum { variants: a, .. }, Schema::Enum { variants: b, .. }) => {
                self.enums((a, inside_old), (b, inside_new), &at, depth);
            }
            _ => self.plain(old, new, &at),
        }
    }

    /// Types without parts, and those that have nothing in common.
    fn plain(&mut self, old: &Schema, new: &Schema, at: &Places) {
        let (is_float, integers) = (float_bits(new), [integer(old), integer(new)]);
        let exact = |bits: u32| is_float.is_some_and(|digits| bits <= digits);
        let (fate, why) = match (old, new) {
            _ if is_leaf(old) && old == new => return,
            (Schema::F32, Schema::F64) => (Fate::Migratable, "wider"),
            (Schema::F64, Schema::F32) => {
                (Fate::Impossible, "narrower: only what has an equal fits")
            }
            (Schema::Char, Schema::String) => (Fate::Migratable, "its text"),
            (Schema::Bytes, Schema::Seq(item)) if **item == Schema::U8 => {
                (Fate::Migratable, "byte by byte")
            }
            (Schema::Option(_), _) => (Fate::Impossible, "nothing may be there"),
            _ => match integers {
                [Some((was_signed, was)), Some((signed, bits))] => match (was_signed, signed) {
                    (true, false) => (Fate::Impossible, "what is negative does not fit"),
                    (false, true) if bits > was => (Fate::Migratable, "wider"),
                    (a, b) if a == b && bits > was => (Fate::Migratable, "wider"),
                    _ => (Fate::Impossible, "narrower: only what is small enough fits"),
                },
                [Some((_, bits)), None] if exact(bits) => (Fate::Migratable, "each has its float"),
                [Some(_), None] if is_float.is_some() => {
                    (Fate::Impossible, "only what is small enough has an equal")
                }
                _ => (Fate::Impossible, why_not(old, new)),
            },
        };
        self.add(&at.path, fate, format!("{} becomes {}: {why}", shown(old), shown(new)));
    }
}

/// Why values of `old`, which have nothing in common with `new`, do not become any of it.
fn why_not(old: &Schema, new: &Schema) -> &'static str {
    use Schema::{Map, Seq, Struct, Tuple, TupleStruct};
    match (old, new) {
        (Tuple(_) | TupleStruct { .. } | Seq(_) | Map(..), Struct { .. }) => {
            "the fields of a struct go by name, and there are no names"
        }
        (Struct { .. }, Tuple(_) | TupleStruct { .. } | Seq(_)) => {
            "fields go by name, and there are none any more"
        }
        _ => "they have nothing in common",
    }
}

fn is_leaf(schema: &Schema) -> bool {
    use Schema::{Bool, Bytes, Char, F32, F64, String, Unit};
    let is_plain = matches!(schema, Unit | Bool | Char | String | Bytes | F32 | F64);
    is_plain || integer(schema).is_some() || matches!(schema, Schema::Opaque { .. })
}

/// Whether an integer is signed, and its bits.
fn integer(schema: &Schema) -> Option<(bool, u32)> {
    Some(match schema {
        Schema::U8 => (false, 8),
        Schema::U16 => (false, 16),
        Schema::U32 => (false, 32),
        Schema::U64 => (false, 64),
        Schema::U128 => (false, 128),
        Schema::I8 => (true, 8),
        Schema::I16 => (true, 16),
        Schema::I32 => (true, 32),
        Schema::I64 => (true, 64),
        Schema::I128 => (true, 128),
        _ => return None,
    })
}

/// The digits of a float.
fn float_bits(schema: &Schema) -> Option<u32> {
    match schema {
        Schema::F32 => Some(f32::MANTISSA_DIGITS),
        Schema::F64 => Some(f64::MANTISSA_DIGITS),
        _ => None,
    }
}
