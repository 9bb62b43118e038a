//! Values, read once for all that can become of them (SPEC.md, "Values").

mod avro;
mod simple;
mod sql;

use super::Serializer;
use super::kind::{Constant, Kind, Pojo, Simple, Tags};
use super::sink::{Group, Keys, Sink};
use crate::{FormatError, FormatErrorKind, Input, Result};
pub(crate) use simple::{big_integer, instant, local_date, local_time};
use simple::{decimal_data, simple_value, timestamp_data, utf8};
pub(crate) use sql::{INLINE, SLOT_LEN_BYTES, array_header_len_bytes, row_header_len_bytes};

/// How deep values nest: types that contain themselves can be as deep as they like.
pub(crate) const DEPTH_MAX: usize = 200;
/// How many values the bytes of one may hold: so many for each byte that was read, and so many always. Those that take no bytes are
/// bounded by nothing else.
const VALUES_PER_BYTE: usize = 8;
const VALUES_ALWAYS: usize = 1_024;

/// Reads one value, and all that it holds.
pub(crate) struct Walk {
    depth: usize,
    /// How many there were so far.
    values: usize,
    /// Where in its stream it begins.
    start: u64,
    /// Bytes that were read at once, and are looked at one by one.
    framed: usize,
}

/// Flags of a POJO.
pub(crate) const POJO_NULL: u8 = 1;
pub(crate) const POJO_EXACT: u8 = 2;
pub(crate) const POJO_NAMED: u8 = 4;
pub(crate) const POJO_REGISTERED: u8 = 8;

/// Constants of `RowKind`, in the order of their numbers.
pub(crate) const ROW_KINDS: [&str; 4] = ["INSERT", "UPDATE_BEFORE", "UPDATE_AFTER", "DELETE"];

impl Walk {
    pub(crate) fn new(input: &Input<'_>) -> Self {
        Self { depth: DEPTH_MAX, values: 0, start: input.offset(), framed: 0 }
    }

    /// How many values there were.
    pub(crate) fn values(&self) -> usize {
        self.values
    }

    /// Goes one level down.
    pub(crate) fn enter<S: Sink>(&mut self, input: &Input<'_>, sink: &S) -> Result<()> {
        let read = usize::try_from(input.offset().saturating_sub(self.start)).unwrap_or(usize::MAX);
        let justified = read.saturating_add(self.framed).saturating_mul(VALUES_PER_BYTE);
        let fits = self.values < justified.saturating_add(VALUES_ALWAYS) && sink.fits();
        match self.depth.checked_sub(1) {
            Some(depth) if fits => {
                (self.depth, self.values) = (depth, self.values + 1);
                Ok(())
            }
            None => Err(input.corrupt(format!("a value nests deeper than {DEPTH_MAX}"))),
            _ => Err(too_large(input)),
        }
    }

    /// Takes into account that `len` bytes were read at once.
    pub(crate) fn framed(&mut self, len: usize) {
        self.framed = self.framed.saturating_add(len);
    }

    /// Comes back from there.
    pub(crate) fn leave(&mut self) {
        self.depth += 1;
    }

    /// A value of `of`.
    pub(crate) fn value<S: Sink>(
        &mut self,
        of: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        match &of.kind {
            // It takes no bytes, and so has to be counted.
            Kind::Simple(Simple::NullValue) => {}
            Kind::Simple(_) if !sink.fits() => return Err(too_large(input)),
            Kind::Simple(simple) => return simple_value(*simple, input, sink),
            _ => {}
        }
        self.enter(input, sink)?;
        self.composite(of, input, sink)?;
        self.leave();
        Ok(())
    }

    fn composite<S: Sink>(
        &mut self,
        of: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        match &of.kind {
            Kind::Opaque => Err(opaque(input, &of.class)),
            Kind::Simple(simple) => simple_value(*simple, input, sink),
            Kind::Wrapped(inner) => self.value(inner, input, sink),
            Kind::List(element) => self.list(element, input, sink),
            Kind::LinkedList { masked, element } => self.linked(*masked, element, input, sink),
            Kind::Set(element) => {
                let count = self.flagged(element, true, input, sink)?;
                sink.close_set(count, Keys::Optional(element));
                Ok(())
            }
            Kind::Array(element) => {
                let count = self.flagged(element, false, input, sink)?;
                sink.close(Group::Seq, count);
                Ok(())
            }
            Kind::Map { null_keys, key, value } => self.map(*null_keys, key, value, input, sink),
            Kind::Tuple { fields, .. } => {
                sink.open();
                for (i, field) in fields.iter().enumerate() {
                    sink.item(i);
                    self.value(field, input, sink)?;
                }
                sink.close(Group::Tuple, fields.len());
                Ok(())
            }
            Kind::Row { kinds, fields } => self.row(*kinds, fields, input, sink),
            Kind::Nullable { padding, inner } => {
                if input.bool()? {
                    input.take(*padding)?;
                    sink.null();
                    return Ok(());
                }
                self.value(inner, input, sink)?;
                sink.some();
                Ok(())
            }
            Kind::Option(inner) => self.optional(inner, false, input, sink),
            Kind::Either { tags, left, right } => self.either(*tags, left, right, input, sink),
            Kind::Ttl(inner) => {
                self.pair(|input, sink| number_of_long(input, sink), inner, input, sink)
            }
            Kind::WindowKey(key) => {
                self.pair(|input, sink| number_of_long(input, sink), key, input, sink)
            }
            Kind::BufferEntry(element) => self.pair(
                |input, sink| {
                    sink.boolean(input.bool()?);
                    Ok(())
                },
                element,
                input,
                sink,
            ),
            Kind::Timer { key, namespace } => {
                sink.open();
                sink.item(0);
                sink.integer(input.i64()? ^ i64::MIN);
                sink.item(1);
                self.value(key, input, sink)?;
                sink.item(2);
                self.value(namespace, input, sink)?;
                sink.close(Group::Tuple, 3);
                Ok(())
            }
            Kind::Enum { class, constants } => {
                let at = input.clone();
                let index = input.i32()?;
                sink.constant(
                    indexed(constants, index).ok_or_else(|| {
                        at.corrupt(format!("enum {class} has no constant {index}"))
                    })?,
                );
                Ok(())
            }
            Kind::Pojo(pojo) => self.pojo(pojo, input, sink),
            Kind::Avro(avro) => self.avro(avro, avro.root(), input, sink),
            Kind::RowData(types) => self.row_data(types, input, sink),
            Kind::ArrayData(element) => self.array_data(element, input, sink),
            Kind::MapData(key, value) => self.map_data(key, value, input, sink),
            Kind::DecimalData { precision, scale } => decimal_data(*precision, *scale, input, sink),
            Kind::TimestampData { precision } => timestamp_data(*precision, input, sink),
            Kind::Framed => {
                sink.bytes(input.bytes32()?);
                Ok(())
            }
        }
    }

    /// A value with something before it.
    fn pair<S: Sink>(
        &mut self,
        first: impl FnOnce(&mut Input<'_>, &mut S) -> Result<()>,
        second: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        sink.open();
        sink.item(0);
        first(input, sink)?;
        sink.item(1);
        self.value(second, input, sink)?;
        sink.close(Group::Tuple, 2);
        Ok(())
    }

    fn list<S: Sink>(
        &mut self,
        element: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let count = input.count(1)?;
        sink.open();
        for i in 0..count {
            sink.item(i);
            self.value(element, input, sink)?;
        }
        sink.close(Group::Seq, count);
        Ok(())
    }

    fn linked<S: Sink>(
        &mut self,
        masked: bool,
        element: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let at = input.clone();
        let count = input.i32()?;
        let left = input.remaining().saturating_mul(8);
        let Some(count) = usize::try_from(count).ok().filter(|count| *count <= left) else {
            return Err(at.corrupt(format!("a list of {count} elements")));
        };
        let mask = input.take(if masked { count.div_ceil(8) } else { 0 })?;
        sink.open();
        for i in 0..count {
            self.enter(input, sink)?;
            sink.item(i);
            self.unless(is_masked(mask, i), element, input, sink)?;
            self.leave();
        }
        sink.close(Group::Seq, count);
        Ok(())
    }

    /// Nothing, or a value that is optional.
    fn unless<S: Sink>(
        &mut self,
        is_null: bool,
        of: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        if is_null {
            sink.null();
            return Ok(());
        }
        self.value(of, input, sink)?;
        sink.some();
        Ok(())
    }

    /// An optional value behind a flag, which is set where there is none if `null_flag`.
    fn optional<S: Sink>(
        &mut self,
        of: &Serializer,
        null_flag: bool,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let is_null = input.bool()? == null_flag;
        self.unless(is_null, of, input, sink)
    }

    /// Optional elements, each behind a flag; how many there were.
    fn flagged<S: Sink>(
        &mut self,
        element: &Serializer,
        null_flag: bool,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<usize> {
        let count = input.count(1)?;
        sink.open();
        for i in 0..count {
            sink.item(i);
            self.optional(element, null_flag, input, sink)?;
        }
        Ok(count)
    }

    fn map<S: Sink>(
        &mut self,
        null_keys: bool,
        key: &Serializer,
        value: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let count = input.count(1)?;
        sink.open_map();
        for i in 0..count {
            sink.key(i);
            match null_keys {
                true => self.optional(key, true, input, sink)?,
                false => self.value(key, input, sink)?,
            }
            sink.value();
            self.optional(value, true, input, sink)?;
        }
        sink.close_map(count, if null_keys { Keys::Optional(key) } else { Keys::Of(key) });
        Ok(())
    }

    fn row<S: Sink>(
        &mut self,
        kinds: bool,
        fields: &[Serializer],
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let first = if kinds { 2 } else { 0 };
        let mask = input.take((first + fields.len()).div_ceil(8))?;
        sink.open();
        for (i, field) in fields.iter().enumerate() {
            sink.item(i);
            self.unless(is_masked(mask, first + i), field, input, sink)?;
        }
        if kinds {
            let kind = usize::from(is_masked(mask, 0)) + 2 * usize::from(is_masked(mask, 1));
            sink.row_kind(kind);
        }
        sink.close(Group::Tuple, fields.len() + usize::from(kinds));
        Ok(())
    }

    fn either<S: Sink>(
        &mut self,
        tags: Tags,
        left: &Serializer,
        right: &Serializer,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
        let at = input.clone();
        let is_left = match (tags, input.u8()?) {
            (Tags::Java | Tags::Scala, flag) => flag != 0,
            (Tags::Union, 1) => true,
            (Tags::Union, 2) => false,
            (Tags::Union, tag) => return Err(at.corrupt(format!("a union has no tag {tag}"))),
        };
        let name = tags.names()[usize::from(!is_left)];
        sink.open_variant(name);
        self.value(if is_left { left } else { right }, input, sink)?;
        sink.close_variant(name);
        Ok(())
    }

    fn pojo<S: Sink>(&mut self, pojo: &Pojo, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
        let at = input.clone();
        let flags = input.u8()?;
        let subclass = match flags {
            POJO_NULL => {
                sink.null();
                return Ok(());
            }
            POJO_EXACT => {
                sink.open_struct();
                let by_name = pojo.by_name.as_deref();
                for (i, field) in pojo.fields.iter().enumerate() {
                    sink.field(i, &field.name, by_name.is_some());
                    self.optional(&field.serializer, true, input, sink)?;
                }
                sink.close_struct(pojo.fields.iter().map(|field| &field.name.name), by_name);
                if !pojo.subclasses.is_empty() {
                    sink.of_class(&pojo.class);
                }
                return Ok(());
            }
            POJO_REGISTERED => {
                let tag = usize::from(input.u8()?);
                let mut registered = pojo.subclasses.iter().filter(|of| of.registered);
                registered.nth(tag).ok_or_else(|| {
                    at.corrupt(format!("{} has no registered subclass {tag}", pojo.class))
                })?
            }
            POJO_NAMED => {
                let class = crate::text::read_utf(input)?;
                pojo.subclasses.iter().find(|of| *of.class == *class).ok_or_else(|| {
                    let message = format!("the snapshot has no serializer for the class {class}");
                    let what = "serialized value";
                    FormatError::new(FormatErrorKind::Incompatible, what, message).at(at.offset())
                })?
            }
            _ => return Err(at.corrupt(format!("flags {flags:#04x} of a POJO"))),
        };
        self.value(&subclass.serializer, input, sink)?;
        sink.of_class(&subclass.class);
        Ok(())
    }
}

#[cold]
fn too_large(input: &Input<'_>) -> FormatError {
    input.corrupt("a value is larger than its bytes justify")
}

/// That only the code of `class` can read what follows.
pub(crate) fn opaque(input: &Input<'_>, class: &str) -> FormatError {
    let message = format!("only Java code can read what {class} describes");
    FormatError::new(FormatErrorKind::Incompatible, "serialized value", message).at(input.offset())
}

/// Whether bit `at` is set, counted from the high bit of each byte.
pub(crate) fn is_masked(mask: &[u8], at: usize) -> bool {
    mask.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

/// The constant at `index`.
pub(crate) fn indexed(constants: &[Constant], index: i32) -> Option<&Constant> {
    usize::try_from(index).ok().and_then(|index| constants.get(index))
}

fn number_of_long<S: Sink>(input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    sink.integer(input.i64()?);
    Ok(())
}
