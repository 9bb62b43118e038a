//! Serializer snapshots: what wrote keys and values, and how its bytes are read without it.

mod avro;
mod encode;
mod hash;
mod json;
mod kind;
mod length;
mod logical;
mod make;
mod names;
mod number;
mod of_schema;
mod read;
mod read_classes;
mod schema;
mod sink;
mod spec;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod walk;

use crate::{FormatErrorKind, Input, Output, Result, Schema, Value};
use json::JsonSink;
use kind::{Constant, Kind, Simple};
pub(crate) use read::Gap;
use sink::Skip;
use std::ops::Range;
use std::sync::{Arc, LazyLock, OnceLock};
use tree::TreeSink;
use walk::Walk;

/// Precedes a snapshot of the top level.
const WRAPPED: i32 = 2;

/// Fields of windows and of mutable boxes.
static START: LazyLock<Constant> = LazyLock::new(|| Constant::new("start"));
static END: LazyLock<Constant> = LazyLock::new(|| Constant::new("end"));
static ID: LazyLock<Constant> = LazyLock::new(|| Constant::new("id"));
static VALUE: LazyLock<Constant> = LazyLock::new(|| Constant::new("value"));

/// The kinds that are around one other serializer.
macro_rules! around_one {
    ($one:ident) => {
        Kind::Wrapped($one)
            | Kind::List($one)
            | Kind::LinkedList { element: $one, .. }
            | Kind::Set($one)
            | Kind::Array($one)
            | Kind::Nullable { inner: $one, .. }
            | Kind::Option($one)
            | Kind::Ttl($one)
            | Kind::WindowKey($one)
            | Kind::BufferEntry($one)
    };
}

/// A serializer, as a snapshot records it: its kind, parsed, and the snapshot's bytes, which are written again as
/// they were read.
///
/// Two are equal if their snapshots are.
#[derive(Debug, Clone)]
pub struct Serializer {
    class: Box<str>,
    kind: Kind,
    /// The bytes of the outermost snapshot around it.
    bytes: Arc<[u8]>,
    range: Range<usize>,
    schema: OnceLock<Arc<Schema>>,
}

impl PartialEq for Serializer {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.snapshot() == other.snapshot()
    }
}

impl Serializer {
    /// Reads a serializer snapshot with the envelope of the top level (`i32 2`, then the snapshot).
    ///
    /// # Errors
    /// `Corrupt`; `UnsupportedVersion` naming the class of one whose body cannot be read.
    pub fn read_wrapped(input: &mut Input<'_>) -> Result<Self> {
        Self::read_wrapped_over(input, &[])
    }

    /// The same, passing over the bodies that `gaps` name: what they belong to is opaque.
    pub(crate) fn read_wrapped_over(input: &mut Input<'_>, gaps: &[Gap]) -> Result<Self> {
        let at = input.clone();
        let found = input.i32()?;
        if found != WRAPPED {
            let message =
                format!("a serializer snapshot begins {found}, where {WRAPPED} was expected");
            return Err(at.corrupt(message));
        }
        Self::read_over(input, gaps)
    }

    /// Reads one without that envelope.
    ///
    /// # Errors
    /// As for [`read_wrapped`](Self::read_wrapped).
    pub fn read(input: &mut Input<'_>) -> Result<Self> {
        Self::read_over(input, &[])
    }

    fn read_over(input: &mut Input<'_>, gaps: &[Gap]) -> Result<Self> {
        let start = input.position();
        let mut serializer = read::Reader::new(input, gaps).snapshot()?;
        serializer.adopt(&input.since(start).into());
        Ok(serializer)
    }

    fn parsed(class: String, kind: Kind, range: Range<usize>) -> Self {
        Self { class: class.into(), kind, bytes: Arc::new([]), range, schema: OnceLock::new() }
    }

    /// Takes the bytes that its range and those of the ones inside count in.
    fn adopt(&mut self, bytes: &Arc<[u8]>) {
        self.bytes = Arc::clone(bytes);
        self.for_each_part_mut(&mut |part| part.adopt(bytes));
    }

    /// A serializer of which no more than the snapshot's class, version and body is known: the way on for whoever
    /// found by other means where the body ends.
    ///
    /// # Errors
    /// `Invalid` if the class name is longer than Java allows.
    pub fn opaque_snapshot(class: &str, version: i32, body: &[u8]) -> Result<Self> {
        let mut bytes = Vec::with_capacity(class.len() + body.len() + 6);
        crate::text::write_utf(class, &mut bytes)?;
        bytes.put_i32(version);
        bytes.extend_from_slice(body);
        let range = 0..bytes.len();
        let mut serializer = Self::parsed(class.to_owned(), Kind::Opaque, range);
        serializer.bytes = bytes.into();
        Ok(serializer)
    }

    /// Appends the snapshot as it was read, with the envelope.
    pub fn write_wrapped(&self, out: &mut Vec<u8>) {
        out.put_i32(WRAPPED);
        self.write(out);
    }

    /// Appends it without the envelope.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.snapshot());
    }

    fn snapshot(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or_default()
    }

    /// The class of the snapshot, by its full name.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Calls `f` with the serializers directly inside.
    fn for_each_part_mut(&mut self, f: &mut dyn FnMut(&mut Self)) {
        match &mut self.kind {
            around_one!(one) => f(one),
            Kind::Map { key, value, .. } => [key, value].into_iter().for_each(|part| f(part)),
            Kind::Timer { key, namespace } => [key, namespace].into_iter().for_each(|part| f(part)),
            Kind::Either { left, right, .. } => [left, right].into_iter().for_each(|part| f(part)),
            Kind::Tuple { fields, .. } | Kind::Row { fields, .. } => fields.iter_mut().for_each(f),
            Kind::Pojo(pojo) => {
                pojo.fields.iter_mut().for_each(|field| f(&mut field.serializer));
                pojo.subclasses.iter_mut().for_each(|subclass| f(&mut subclass.serializer));
            }
            _ => {}
        }
    }

    /// The class of what makes values unreadable, wherever in them it stands; `None` if all can be read.
    pub fn opaque(&self) -> Option<&str> {
        match &self.kind {
            Kind::Opaque => Some(&self.class),
            around_one!(one) => one.opaque(),
            Kind::Map { key, value, .. } => key.opaque().or_else(|| value.opaque()),
            Kind::Timer { key, namespace } => key.opaque().or_else(|| namespace.opaque()),
            Kind::Either { left, right, .. } => left.opaque().or_else(|| right.opaque()),
            Kind::Tuple { fields, .. } | Kind::Row { fields, .. } => {
                fields.iter().find_map(Self::opaque)
            }
            Kind::Pojo(pojo) => {
                let fields = pojo.fields.iter().map(|field| &field.serializer);
                let subclasses = pojo.subclasses.iter().map(|subclass| &subclass.serializer);
                fields.chain(subclasses).find_map(Self::opaque)
            }
            Kind::RowData(types) => types.iter().find_map(logical::Logical::opaque),
            Kind::ArrayData(element) => element.opaque(),
            Kind::MapData(key, value) => key.opaque().or_else(|| value.opaque()),
            _ => None,
        }
    }

    /// The element of a list.
    pub fn element(&self) -> Option<&Self> {
        match &self.kind {
            Kind::List(element) | Kind::LinkedList { element, .. } => Some(element),
            Kind::Wrapped(inner) => inner.element(),
            _ => None,
        }
    }

    /// The key and value of a map.
    pub fn entry(&self) -> Option<(&Self, &Self)> {
        match &self.kind {
            Kind::Map { key, value, .. } => Some((key, value)),
            Kind::Wrapped(inner) => inner.entry(),
            _ => None,
        }
    }

    /// What a TTL serializer wraps.
    pub fn without_ttl(&self) -> Option<&Self> {
        match &self.kind {
            Kind::Ttl(inner) => Some(inner),
            Kind::Wrapped(inner) => inner.without_ttl(),
            _ => None,
        }
    }

    /// The key and the namespace of a timer.
    pub fn timer(&self) -> Option<(&Self, &Self)> {
        match &self.kind {
            Kind::Timer { key, namespace } => Some((key, namespace)),
            _ => None,
        }
    }

    /// Whether it writes null on its own.
    fn has_null(&self) -> bool {
        match &self.kind {
            Kind::Nullable { .. } | Kind::Pojo(_) => true,
            Kind::Simple(simple) => simple.has_null(),
            Kind::Wrapped(inner) => inner.has_null(),
            _ => false,
        }
    }

    /// Whether it is that of `VoidNamespace`: the namespace of state that has none.
    pub fn is_void_namespace(&self) -> bool {
        self.kind == Kind::Simple(Simple::VoidNamespace)
    }

    /// Reads past a value, looking no further than is needed to find its end.
    ///
    /// # Errors
    /// `Corrupt`; `Incompatible` if it is [opaque](Self::opaque), or of a subclass that the snapshot does not know.
    pub fn skip(&self, input: &mut Input<'_>) -> Result<()> {
        Walk::new(input).value(self, input, &mut Skip::<true>)
    }

    /// The same. Adds to `cost` the bytes that were passed and the values that were looked at, also where it fails.
    pub(crate) fn skip_counting(&self, input: &mut Input<'_>, cost: &mut usize) -> Result<()> {
        let start = input.position();
        let mut walk = Walk::new(input);
        let skipped = walk.value(self, input, &mut Skip::<true>);
        *cost = cost.saturating_add(walk.values()).saturating_add(input.position() - start);
        skipped
    }

    /// Reads past a value, looking at all of it: what passes can be decoded.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip).
    pub fn check(&self, input: &mut Input<'_>) -> Result<()> {
        Walk::new(input).value(self, input, &mut Skip::<false>)
    }

    /// Reads a value: one of [`schema`](Self::schema), but for what is null where Flink allows that and a schema says
    /// nothing of it (a `String` in a tuple, the whole of a POJO): that is `Option(None)`, which esker's codecs refuse.
    ///
    /// Maps and sets come in the order of their keys' bytes in esker, as its own do.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip).
    pub fn decode(&self, input: &mut Input<'_>) -> Result<Value> {
        let mut sink = TreeSink::new(input);
        Walk::new(input).value(self, input, &mut sink)?;
        Ok(sink.finish())
    }

    /// Reads a value and appends its JSON, without a tree in between: what `SPEC-values.md` calls its text. It is that of
    /// [`Value::write_json`](Value::write_json) of what [`decode`](Self::decode) gives, but that floats are written
    /// as Java does, maps are in the order of their keys' text, and kinds of rows, classes of POJOs and branches of
    /// Avro's unions are left out.
    ///
    /// # Errors
    /// As for [`skip`](Self::skip); what was appended until then stays.
    pub fn write_json(&self, input: &mut Input<'_>, out: &mut String) -> Result<()> {
        let mut sink = JsonSink::new(input, out);
        Walk::new(input).value(self, input, &mut sink)
    }

    /// Appends the JSON of the value that is all of `input`. One of a class that the snapshot does not know, or that is
    /// [opaque](Self::opaque), is shown as [its bytes](Self::write_opaque_json).
    ///
    /// # Errors
    /// `Corrupt`; what was appended until then stays.
    pub fn write_framed_json(&self, input: &mut Input<'_>, out: &mut String) -> Result<()> {
        let (start, whole) = (out.len(), input.clone());
        match self.write_json(input, out) {
            Ok(()) => input.end(),
            Err(error) if error.kind == FormatErrorKind::Incompatible => {
                out.truncate(start);
                Self::write_opaque_json(self.opaque().unwrap_or(&self.class), whole.rest(), out);
                input.take(input.remaining()).map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// Appends the JSON of `value`, one of [`schema`](Self::schema): what [`write_json`](Self::write_json) makes of
    /// its bytes.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn write_value_json(&self, value: &Value, out: &mut String) -> Result<()> {
        let mut bytes = Vec::new();
        self.encode(value, &mut bytes)?;
        self.write_json(&mut Input::new("value", &bytes), out)
    }

    /// Appends the JSON that stands for a value that cannot be read: its bytes and the class that can.
    pub fn write_opaque_json(class: &str, bytes: &[u8], out: &mut String) {
        out.push_str("{\"opaque\":");
        esker_format::schema::write_json_string(class, out);
        out.push_str(",\"bytes\":\"");
        json::push_hex(bytes, out);
        out.push_str("\"}");
    }

    /// The shape of its values.
    pub fn schema(&self) -> Schema {
        (*self.shared_schema()).clone()
    }

    fn shared_schema(&self) -> Arc<Schema> {
        Arc::clone(self.schema.get_or_init(|| Arc::new(self.kind.schema(&self.class))))
    }
}
