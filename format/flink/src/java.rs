//! Java's Object Serialization Stream Protocol, as far as types and serializers are written with it: one object with
//! its classes, strings, arrays, enums and references, without any of its code.
//!
//! <https://docs.oracle.com/en/java/javase/17/docs/specs/serialization/protocol.html>

mod read;
#[cfg(test)]
mod tests;

pub(crate) use read::read;

/// An object and all that it refers to.
#[derive(Debug)]
pub(crate) struct Graph {
    classes: Vec<Class>,
    /// The first is null.
    nodes: Vec<Node>,
    root: NodeId,
}

/// Where in its graph a value stands.
pub(crate) type NodeId = u32;

/// Java's null.
pub(crate) const NULL: NodeId = 0;

#[derive(Debug)]
struct Class {
    name: String,
    flags: u8,
    fields: Vec<FieldType>,
    parent: Option<usize>,
    /// How many classes are above it.
    depth: usize,
}

#[derive(Debug)]
struct FieldType {
    name: String,
    /// `B C D F I J S Z`, `L` or `[`.
    code: u8,
}

/// What stands in a graph.
#[derive(Debug)]
pub(crate) enum Node {
    Null,
    Text(String),
    Object(Object),
    /// An array of references; of others nothing is kept.
    Array(Vec<NodeId>),
    Enum {
        class: usize,
        constant: NodeId,
    },
    /// A `java.lang.Class`.
    Class(usize),
    /// What `writeObject` and `writeExternal` wrote as bytes, which only they can read.
    Block,
}

#[derive(Debug)]
pub(crate) struct Object {
    class: usize,
    /// From the uppermost class down; without classes that have nothing to say.
    parts: Vec<Part>,
}

/// What one class of an object's wrote.
#[derive(Debug)]
struct Part {
    class: usize,
    values: Vec<Field>,
    /// What its `writeObject` or `writeExternal` wrote.
    annotations: Vec<NodeId>,
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Field {
    /// Of a primitive type: the integer, or the bits of a float.
    Bits(i64),
    Node(NodeId),
}

impl Graph {
    /// The object that was written.
    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    /// What stands at `id`.
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::Null)
    }

    /// The name of the class of an object or enum.
    pub(crate) fn class(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Object(object) => self.name(object.class),
            Node::Enum { class, .. } | Node::Class(class) => self.name(*class),
            _ => None,
        }
    }

    fn name(&self, class: usize) -> Option<&str> {
        self.classes.get(class).map(|class| class.name.as_str())
    }

    /// The field `name` of an object, of whichever class of its it is.
    pub(crate) fn field(&self, id: NodeId, name: &str) -> Option<Field> {
        let Node::Object(object) = self.node(id) else { return None };
        object.parts.iter().rev().find_map(|part| {
            let types = &self.classes.get(part.class)?.fields;
            let at = types.iter().position(|field| field.name == name)?;
            part.values.get(at).copied()
        })
    }

    /// The same, where it refers to another value.
    pub(crate) fn reference(&self, id: NodeId, name: &str) -> Option<NodeId> {
        match self.field(id, name)? {
            Field::Node(id) if id != NULL => Some(id),
            _ => None,
        }
    }

    /// The same, where it is a number or boolean.
    pub(crate) fn number(&self, id: NodeId, name: &str) -> Option<i64> {
        match self.field(id, name)? {
            Field::Bits(bits) => Some(bits),
            Field::Node(_) => None,
        }
    }

    /// The name of the constant that an enum is.
    pub(crate) fn constant(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Enum { constant, .. } => match self.node(*constant) {
                Node::Text(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The elements of an array, or of one of the lists of `java.util`.
    pub(crate) fn elements(&self, mut id: NodeId) -> Option<Vec<NodeId>> {
        // Lists that cannot be changed are around another, and that around an array.
        for _ in 0..8 {
            match self.node(id) {
                Node::Array(elements) => return Some(elements.clone()),
                Node::Object(object) => {
                    if let Some(only) = self.reference(id, "element") {
                        return Some(vec![only]);
                    }
                    let inner = ["list", "c", "a"].iter();
                    match inner.filter_map(|name| self.reference(id, name)).next() {
                        Some(inner) => id = inner,
                        None => return Some(self.written(object)),
                    }
                }
                _ => return None,
            }
        }
        None
    }

    /// What an object wrote itself: `ArrayList` and the like their elements, after how many there are.
    fn written(&self, object: &Object) -> Vec<NodeId> {
        let parts = object.parts.iter().rev().map(|part| part.annotations.as_slice());
        let written = parts.filter(|written| !written.is_empty()).next().unwrap_or_default();
        match written.split_first() {
            Some((first, rest)) if matches!(self.node(*first), Node::Block) => rest.to_vec(),
            _ => written.to_vec(),
        }
    }
}
