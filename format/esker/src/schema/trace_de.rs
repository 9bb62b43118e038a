//! What is known of a type while it is traced, and what to visit next.
//!
//! One pass visits one variant of each enum; passes are repeated until nothing new is found.
//! Types are told apart by Rust's own name of them, so that `A<u8>` and `A<u16>` are two.

use super::Name;
use crate::codec::bincode_de::DeError;
use std::collections::BTreeMap;

pub(super) type TraceResult<T> = Result<T, DeError>;
/// Where in [`Tracer::nodes`] a part's shape stands.
pub(super) type Id = usize;

/// What is known of a part.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Unknown,
    /// A type without parts.
    Leaf(super::Schema),
    Option(Id),
    Seq(Id),
    Set(Id),
    Map(Id, Id),
    Tuple(Vec<Id>),
    /// A named type, by Rust's name of it.
    Type(&'static str),
}

/// What is known of a named type, or of what a variant holds.
#[derive(Debug, Clone)]
pub(super) enum Def {
    Unit,
    Newtype(Id),
    Tuple(Vec<Id>),
    /// As many names as `serde` offers, aliases included; the parts that were read.
    Struct(&'static [&'static str], Vec<Id>),
    Enum(&'static [&'static str], BTreeMap<usize, Def>),
}

#[derive(Debug, Default)]
pub(super) struct Tracer {
    pub(super) nodes: Vec<Node>,
    /// Rust's name to `serde`'s name and the shape.
    pub(super) types: BTreeMap<&'static str, (Name, Def)>,
    /// The enum variants being visited.
    pub(super) visiting: Vec<(&'static str, usize)>,
    /// The named types being visited, which must not be entered again by choice.
    pub(super) active: Vec<&'static str>,
    pub(super) depth: usize,
    /// Enums that offered more names than they have variants: some are aliases.
    pub(super) aliased: BTreeMap<&'static str, usize>,
    /// Whether the pass failed only because it tried a variant that is none, or text or bytes that the
    /// type does not take.
    pub(super) retry: bool,
    /// The names that types of one name offered for fields and variants, aliases among them.
    pub(super) offered: BTreeMap<Name, Vec<Name>>,
    /// How many of the made-up values a part refused, and why the first.
    refusals: BTreeMap<Id, (usize, String)>,
}

impl Tracer {
    pub(super) fn node(&mut self) -> Id {
        self.nodes.push(Node::Unknown);
        self.nodes.len() - 1
    }

    /// How many made-up values the part `id` has refused: the next one is what it is offered.
    pub(super) fn tried(&self, id: Id) -> usize {
        self.refusals.get(&id).map_or(0, |(tried, _)| *tried)
    }

    /// Notes that the part `id` refuses the value that it was offered, of which there are `count`; the
    /// pass is tried again with the next one, if there is one.
    pub(super) fn refused(&mut self, id: Id, count: usize, why: DeError) -> DeError {
        let (tried, first) = self.refusals.entry(id).or_insert_with(|| (0, why.0));
        *tried += 1;
        self.retry = *tried < count;
        DeError(first.clone())
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Unknown)
    }

    pub(super) fn set(&mut self, id: Id, node: Node) -> TraceResult<()> {
        match self.nodes.get_mut(id) {
            Some(slot @ Node::Unknown) => *slot = node,
            Some(known) if std::mem::discriminant(known) != std::mem::discriminant(&node) => {
                return Err(DeError("asks for different shapes in turn (untagged?)".into()));
            }
            _ => {}
        }
        Ok(())
    }

    /// The parts below `id`, where it is known, else new ones.
    pub(super) fn parts(
        &mut self,
        id: Id,
        count: usize,
        make: fn(&[Id]) -> Node,
    ) -> TraceResult<Vec<Id>> {
        let first = self.nodes.len();
        let fresh: Vec<_> = (first..first + count).collect();
        self.set(id, make(&fresh))?;
        match self.get(id) {
            Node::Option(a) | Node::Seq(a) | Node::Set(a) if *a < first => Ok(vec![*a]),
            Node::Map(a, b) if *a < first => Ok(vec![*a, *b]),
            Node::Tuple(parts) if parts.iter().all(|part| *part < first) => Ok(parts.clone()),
            _ => {
                self.nodes.resize(first + count, Node::Unknown);
                Ok(fresh)
            }
        }
    }

    /// Whether everything below `id` is known; types in `seen` are taken to be.
    pub(super) fn complete(&self, id: Id, seen: &mut Vec<&'static str>) -> bool {
        match self.get(id) {
            Node::Unknown => false,
            Node::Leaf(_) => true,
            Node::Option(a) | Node::Seq(a) | Node::Set(a) => self.complete(*a, seen),
            Node::Map(a, b) => self.complete(*a, seen) && self.complete(*b, seen),
            Node::Tuple(parts) => parts.iter().all(|part| self.complete(*part, seen)),
            Node::Type(rust) => {
                if seen.contains(rust) {
                    return true;
                }
                seen.push(rust);
                self.types.get(rust).is_some_and(|(_, def)| self.complete_def(def, seen))
            }
        }
    }

    fn complete_def(&self, def: &Def, seen: &mut Vec<&'static str>) -> bool {
        match def {
            Def::Unit => true,
            Def::Newtype(id) => self.complete(*id, seen),
            Def::Tuple(parts) | Def::Struct(_, parts) => {
                parts.iter().all(|part| self.complete(*part, seen))
            }
            Def::Enum(names, found) => {
                names.len() == found.len() && found.values().all(|d| self.complete_def(d, seen))
            }
        }
    }

    /// Whether a value of `id` can be made without going through `rust` again.
    fn finite(&self, id: Id, avoid: &mut Vec<&'static str>) -> bool {
        match self.get(id) {
            Node::Unknown => false,
            Node::Leaf(_) | Node::Option(_) | Node::Seq(_) | Node::Set(_) | Node::Map(..) => true,
            Node::Tuple(parts) => parts.iter().all(|part| self.finite(*part, avoid)),
            Node::Type(rust) => {
                if avoid.contains(rust) {
                    return false;
                }
                avoid.push(rust);
                let finite =
                    self.types.get(rust).is_some_and(|(_, def)| self.finite_def(def, avoid));
                avoid.pop();
                finite
            }
        }
    }

    fn finite_def(&self, def: &Def, avoid: &mut Vec<&'static str>) -> bool {
        match def {
            Def::Unit => true,
            Def::Newtype(id) => self.finite(*id, avoid),
            Def::Tuple(parts) | Def::Struct(_, parts) => {
                parts.iter().all(|part| self.finite(*part, avoid))
            }
            Def::Enum(_, found) => found.values().any(|def| self.finite_def(def, avoid)),
        }
    }

    /// The variant to visit next.
    pub(super) fn choose(&self, rust: &'static str, count: usize) -> TraceResult<usize> {
        let Some((_, Def::Enum(_, found))) = self.types.get(rust) else {
            return Ok(0);
        };
        let count = self.aliased.get(rust).map_or(count, |known| count.min(*known));
        let active = self.visiting.iter().any(|(name, _)| *name == rust);
        let unknown = |i: &usize| !found.contains_key(i) && !self.visiting.contains(&(rust, *i));
        let finite = || {
            let mut found = found.iter();
            found.find(|(_, def)| self.finite_def(def, &mut vec![rust])).map(|(i, _)| *i)
        };
        let unfinished = || {
            let mut found = found.iter();
            found.find(|(_, def)| !self.complete_def(def, &mut vec![rust])).map(|(i, _)| *i)
        };
        let choice = if active {
            finite().or_else(|| (0..count).find(unknown))
        } else {
            (0..count).find(unknown).or_else(unfinished).or_else(finite)
        };
        choice.ok_or_else(|| DeError(format!("enum={rust} has no variant to start from")))
    }

    /// Notes that `rust` has no variant `index`, although it offered a name for it.
    pub(super) fn shorten(&mut self, rust: &'static str, index: usize) {
        if let Some((_, Def::Enum(names, found))) = self.types.get_mut(rust)
            && index > 0
            && (0..index).all(|i| found.contains_key(&i))
        {
            *names = names.get(..index).unwrap_or(names);
            self.aliased.insert(rust, index);
            self.retry = true;
        }
    }

    /// Notes the names that the type called `name` offers.
    pub(super) fn offer(&mut self, name: &str, names: &[&str]) {
        let known = self.offered.entry(name.into()).or_default();
        for offered in names {
            if !known.iter().any(|known| **known == **offered) {
                known.push((*offered).into());
            }
        }
    }

    pub(super) fn define(&mut self, rust: &'static str, name: &str, def: Def) -> Def {
        self.types.entry(rust).or_insert_with(|| (name.into(), def)).1.clone()
    }
}
