//! A stream's bytes to the graph of its object.

use super::{Class, Field, FieldType, Graph, NULL, Node, NodeId, Object, Part};
use crate::text::read_utf;
use crate::{Input, Result};

const MAGIC: u16 = 0xaced;
const VERSION: u16 = 5;
/// Handles count from here.
const HANDLE_BASE: i32 = 0x7e_0000;

/// How deep objects and classes nest.
const DEPTH_MAX: usize = 100;
/// How many classes one inherits from: each object of it is looked at class by class.
const ANCESTORS_MAX: usize = 16;

const NULL_TAG: u8 = 0x70;
const REFERENCE: u8 = 0x71;
const CLASS_DESCRIPTION: u8 = 0x72;
const OBJECT: u8 = 0x73;
const STRING: u8 = 0x74;
const ARRAY: u8 = 0x75;
const CLASS: u8 = 0x76;
const BLOCK: u8 = 0x77;
const END_BLOCK: u8 = 0x78;
const RESET: u8 = 0x79;
const BLOCK_LONG: u8 = 0x7a;
const EXCEPTION: u8 = 0x7b;
const STRING_LONG: u8 = 0x7c;
const PROXY: u8 = 0x7d;
const ENUM: u8 = 0x7e;

const WRITE_METHOD: u8 = 0x01;
const SERIALIZABLE: u8 = 0x02;
const EXTERNALIZABLE: u8 = 0x04;
const BLOCK_DATA: u8 = 0x08;

/// Reads the stream of one object, up to its end and no further.
///
/// # Errors
/// `Corrupt`; `UnsupportedVersion` naming what only Java code can read.
pub(crate) fn read(input: &mut Input<'_>) -> Result<Graph> {
    let at = input.clone();
    let (magic, version) = (input.u16()?, input.u16()?);
    if (magic, version) != (MAGIC, VERSION) {
        return Err(at.corrupt(format!("a Java object begins {magic:#06x} {version}")));
    }
    let graph = Graph { classes: Vec::new(), nodes: vec![Node::Null], root: NULL };
    let mut reader = Reader { input, graph, handles: Vec::new(), depth: DEPTH_MAX };
    reader.graph.root = reader.content()?;
    Ok(reader.graph)
}

#[derive(Debug, Clone, Copy)]
enum Handle {
    Node(NodeId),
    Class(usize),
}

struct Reader<'r, 'a> {
    input: &'r mut Input<'a>,
    graph: Graph,
    handles: Vec<Handle>,
    depth: usize,
}

impl<'a> Reader<'_, 'a> {
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| {
            self.input.corrupt(format!("a Java object nests deeper than {DEPTH_MAX}"))
        })?;
        let read = read(self);
        self.depth += 1;
        read
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.graph.nodes.push(node);
        // A node takes a byte at least, and no input is that long.
        u32::try_from(self.graph.nodes.len() - 1).unwrap_or(NULL)
    }

    fn add_with_handle(&mut self, node: Node) -> NodeId {
        let id = self.add(node);
        self.handles.push(Handle::Node(id));
        id
    }

    /// Any value.
    fn content(&mut self) -> Result<NodeId> {
        self.deeper(|reader| {
            let at = reader.input.clone();
            let tag = reader.input.u8()?;
            reader.tagged(tag, &at)
        })
    }

    fn tagged(&mut self, tag: u8, at: &Input<'a>) -> Result<NodeId> {
        match tag {
            NULL_TAG => Ok(NULL),
            REFERENCE => match self.referred()? {
                Handle::Node(id) => Ok(id),
                Handle::Class(class) => Ok(self.add(Node::Class(class))),
            },
            OBJECT => self.object(),
            STRING | STRING_LONG => {
                let text = self.text(tag)?;
                Ok(self.add_with_handle(Node::Text(text)))
            }
            ARRAY => self.array(),
            CLASS => {
                let class = self.class_of_object()?;
                Ok(self.add_with_handle(Node::Class(class)))
            }
            ENUM => self.enumeration(),
            BLOCK => {
                let len = self.input.u8()?;
                self.input.take(len.into())?;
                Ok(self.add(Node::Block))
            }
            BLOCK_LONG => {
                self.input.bytes32()?;
                Ok(self.add(Node::Block))
            }
            RESET => {
                self.handles.clear();
                self.content()
            }
            CLASS_DESCRIPTION | PROXY => {
                let class = self.description(tag, at)?;
                Ok(self.add(Node::Class(class)))
            }
            EXCEPTION => Err(at.corrupt("writing a Java object failed in the middle")),
            _ => Err(at.corrupt(format!("a Java object has no tag {tag:#04x}"))),
        }
    }

    fn referred(&mut self) -> Result<Handle> {
        let at = self.input.clone();
        let handle = self.input.i32()?;
        let index = handle.checked_sub(HANDLE_BASE).and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.handles.get(index).copied())
            .ok_or_else(|| at.corrupt(format!("nothing before it has the handle {handle:#x}")))
    }

    fn text(&mut self, tag: u8) -> Result<String> {
        if tag == STRING {
            return read_utf(self.input);
        }
        let at = self.input.clone();
        let len = usize::try_from(self.input.i64()?).ok();
        let len = len.filter(|len| *len <= self.input.remaining());
        let bytes = self.input.take(len.ok_or_else(|| at.corrupt("a text is cut off"))?)?;
        crate::text::modified_utf8(bytes).ok_or_else(|| at.corrupt("text is no modified UTF-8"))
    }

    /// Text where nothing else may stand, itself or a reference to it.
    fn text_object(&mut self) -> Result<NodeId> {
        let at = self.input.clone();
        let id = self.content()?;
        match self.graph.node(id) {
            Node::Text(_) => Ok(id),
            _ => Err(at.corrupt("text was expected")),
        }
    }

    /// The class of what follows; null is none.
    fn class(&mut self) -> Result<Option<usize>> {
        self.deeper(|reader| {
            let at = reader.input.clone();
            match reader.input.u8()? {
                NULL_TAG => Ok(None),
                REFERENCE => match reader.referred()? {
                    Handle::Class(class) => Ok(Some(class)),
                    Handle::Node(_) => Err(at.corrupt("a class was expected")),
                },
                tag @ (CLASS_DESCRIPTION | PROXY) => reader.description(tag, &at).map(Some),
                tag => Err(at.corrupt(format!("a class was expected, found tag {tag:#04x}"))),
            }
        })
    }

    fn class_of_object(&mut self) -> Result<usize> {
        let at = self.input.clone();
        self.class()?.ok_or_else(|| at.corrupt("an object without a class"))
    }

    fn description(&mut self, tag: u8, at: &Input<'a>) -> Result<usize> {
        if tag == PROXY {
            let count = self.input.count(2)?;
            let first = if count > 0 { read_utf(self.input)? } else { "nothing".into() };
            return Err(at.unsupported(format!("a Java proxy of {first} cannot be read")));
        }
        let name = read_utf(self.input)?;
        self.input.i64()?;
        let class = self.graph.classes.len();
        self.handles.push(Handle::Class(class));
        let flags = self.input.u8()?;
        self.graph.classes.push(Class { name, flags, fields: Vec::new(), parent: None, depth: 0 });
        let count = usize::from(self.input.u16()?);
        let mut fields = Vec::new();
        for _ in 0..count {
            let at = self.input.clone();
            let code = self.input.u8()?;
            let name = read_utf(self.input)?;
            match code {
                b'L' | b'[' => drop(self.text_object()?),
                b'B' | b'C' | b'D' | b'F' | b'I' | b'J' | b'S' | b'Z' => {}
                _ => return Err(at.corrupt(format!("no type of a field is {code:#04x}"))),
            }
            fields.push(FieldType { name, code });
        }
        self.annotations()?;
        let parent = self.class()?;
        let depth = match parent.map(|parent| self.graph.classes.get(parent)) {
            Some(Some(parent)) => parent.depth + 1,
            _ => 0,
        };
        if depth > ANCESTORS_MAX {
            return Err(at.corrupt(format!("a class inherits from more than {ANCESTORS_MAX}")));
        }
        // A class is no ancestor of itself: those above it were complete before it.
        let parent = parent.filter(|parent| *parent != class);
        if let Some(known) = self.graph.classes.get_mut(class) {
            (known.fields, known.parent, known.depth) = (fields, parent, depth);
        }
        Ok(class)
    }

    /// Values up to the mark that ends them.
    fn annotations(&mut self) -> Result<Vec<NodeId>> {
        let mut found = Vec::new();
        loop {
            if self.input.rest().first() == Some(&END_BLOCK) {
                self.input.take(1)?;
                return Ok(found);
            }
            found.push(self.content()?);
        }
    }

    fn object(&mut self) -> Result<NodeId> {
        let at = self.input.clone();
        let class = self.class_of_object()?;
        let id = self.add_with_handle(Node::Null);
        let mut ancestors = vec![class];
        let mut above = class;
        while let Some(parent) = self.graph.classes.get(above).and_then(|class| class.parent) {
            ancestors.push(parent);
            if ancestors.len() > ANCESTORS_MAX + 1 {
                return Err(at.corrupt("a class inherits from itself"));
            }
            above = parent;
        }
        let mut parts = Vec::new();
        for of in ancestors.into_iter().rev() {
            let part = self.part(of, &at)?;
            if !part.values.is_empty() || !part.annotations.is_empty() {
                parts.push(part);
            }
        }
        if let Some(node) = self.graph.nodes.get_mut(id as usize) {
            *node = Node::Object(Object { class, parts });
        }
        Ok(id)
    }

    fn part(&mut self, class: usize, at: &Input<'a>) -> Result<Part> {
        let mut part = Part { class, values: Vec::new(), annotations: Vec::new() };
        let Some(of) = self.graph.classes.get(class) else { return Ok(part) };
        let flags = of.flags;
        if flags & SERIALIZABLE != 0 {
            let codes: Vec<u8> = of.fields.iter().map(|field| field.code).collect();
            for code in codes {
                part.values.push(self.field(code)?);
            }
            if flags & WRITE_METHOD != 0 {
                part.annotations = self.annotations()?;
            }
        } else if flags & (EXTERNALIZABLE | BLOCK_DATA) == EXTERNALIZABLE | BLOCK_DATA {
            part.annotations = self.annotations()?;
        } else if flags & EXTERNALIZABLE != 0 {
            let message = format!("only its class can read a Java object of {}", of.name);
            return Err(at.unsupported(message));
        }
        Ok(part)
    }

    fn field(&mut self, code: u8) -> Result<Field> {
        Ok(Field::Bits(match code {
            b'B' => i64::from(self.input.u8()?.cast_signed()),
            b'Z' => i64::from(self.input.bool()?),
            b'C' => i64::from(self.input.u16()?),
            b'S' => i64::from(self.input.i16()?),
            b'I' => i64::from(self.input.i32()?),
            b'F' => i64::from(self.input.i32()?),
            b'J' | b'D' => self.input.i64()?,
            _ => return Ok(Field::Node(self.content()?)),
        }))
    }

    fn array(&mut self) -> Result<NodeId> {
        let at = self.input.clone();
        let class = self.class_of_object()?;
        let id = self.add_with_handle(Node::Null);
        let name = self.graph.name(class).unwrap_or_default();
        let each_bytes = match name.as_bytes().get(1) {
            Some(b'B' | b'Z') => 1,
            Some(b'C' | b'S') => 2,
            Some(b'I' | b'F') => 4,
            Some(b'J' | b'D') => 8,
            Some(b'L' | b'[') => 0,
            _ => return Err(at.corrupt(format!("an array of the class {name}"))),
        };
        let count = self.input.count(each_bytes.max(1))?;
        let mut elements = Vec::new();
        if each_bytes > 0 {
            self.input.take(count * each_bytes)?;
        } else {
            for _ in 0..count {
                elements.push(self.content()?);
            }
        }
        if let Some(node) = self.graph.nodes.get_mut(id as usize) {
            *node = Node::Array(elements);
        }
        Ok(id)
    }

    fn enumeration(&mut self) -> Result<NodeId> {
        let class = self.class_of_object()?;
        let id = self.add_with_handle(Node::Null);
        let constant = self.text_object()?;
        if let Some(node) = self.graph.nodes.get_mut(id as usize) {
            *node = Node::Enum { class, constant };
        }
        Ok(id)
    }
}
