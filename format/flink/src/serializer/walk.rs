//! Values, read once for all that can become of them (SPEC.md, "Values").

use super::Serializer;
use super::kind::{Constant, Kind, Scalar, Simple, Tags};
use super::sink::{Group, Keys, Sink};
use super::time::{Date, Moment, Time};
use super::{number, time};
use crate::{FormatError, FormatErrorKind, Input, Result};

/// How deep values nest: types that contain themselves can be as deep as they like.
pub(crate) const DEPTH_MAX: usize = 200;
/// How many values the bytes of one may hold: so many for each byte, and so many always.
const VALUES_PER_BYTE: usize = 8;
const VALUES_ALWAYS: usize = 65_536;

/// Reads one value, and all that it holds.
pub(crate) struct Walk {
    depth: usize,
    values: usize,
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
        let values = input.remaining().saturating_mul(VALUES_PER_BYTE);
        Self { depth: DEPTH_MAX, values: values.saturating_add(VALUES_ALWAYS) }
    }

    /// Goes one level down.
    pub(crate) fn enter<S: Sink>(&mut self, input: &Input<'_>, sink: &S) -> Result<()> {
        match (self.depth.checked_sub(1), self.values.checked_sub(1), sink.fits()) {
            (Some(depth), Some(values), true) => {
                (self.depth, self.values) = (depth, values);
                Ok(())
            }
            (None, ..) => Err(input.corrupt(format!("a value nests deeper than {DEPTH_MAX}"))),
            _ => Err(input.corrupt("a value is larger than its bytes justify")),
        }
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

    fn pojo<S: Sink>(
        &mut self,
        pojo: &super::kind::Pojo,
        input: &mut Input<'_>,
        sink: &mut S,
    ) -> Result<()> {
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

#[inline]
fn scalar<S: Sink>(of: Scalar, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    match of {
        Scalar::Boolean => sink.boolean(input.bool()?),
        Scalar::Byte => sink.integer(input.u8()?.cast_signed().into()),
        Scalar::Short => sink.integer(input.i16()?.into()),
        Scalar::Int => sink.integer(input.i32()?.into()),
        Scalar::Long => sink.integer(input.i64()?),
        Scalar::Char => sink.char(input.u16()?),
        Scalar::Float => sink.float(input.f32()?),
        Scalar::Double => sink.double(input.f64()?),
    }
    Ok(())
}

fn array<S: Sink>(of: Scalar, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    let count = input.count(of.len_bytes())?;
    if S::SKIPS || of == Scalar::Byte {
        sink.bytes(input.take(count * of.len_bytes())?);
        return Ok(());
    }
    sink.open();
    for i in 0..count {
        sink.item(i);
        scalar(of, input, sink)?;
    }
    sink.close(Group::Seq, count);
    Ok(())
}

#[inline]
fn simple_value<S: Sink>(of: Simple, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    match of {
        Simple::Scalar(of) => scalar(of, input, sink),
        Simple::String => string(input, sink),
        _ => less_simple(of, input, sink),
    }
}

#[inline]
fn string<S: Sink>(input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    match crate::text::string_len(input)? {
        Some(len) => sink.text(input, len),
        None => {
            sink.null();
            Ok(())
        }
    }
}

fn less_simple<S: Sink>(of: Simple, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    match of {
        Simple::Scalar(of) => scalar(of, input, sink)?,
        Simple::Boxed(of) => {
            sink.open_struct();
            sink.field(0, &super::VALUE, false);
            scalar(of, input, sink)?;
            sink.close_struct(std::iter::once(&super::VALUE.name), None);
        }
        Simple::Array(of) => array(of, input, sink)?,
        Simple::String => string(input, sink)?,
        Simple::StringValue => {
            let len = crate::text::plain_len(input)?;
            sink.text(input, len)?;
        }
        Simple::StringArray => {
            let count = input.count(1)?;
            sink.open();
            for i in 0..count {
                sink.item(i);
                string(input, sink)?;
                sink.some();
            }
            sink.close(Group::Seq, count);
        }
        Simple::StringData => utf8(input, sink)?,
        Simple::Void | Simple::VoidNamespace | Simple::Null => {
            input.u8()?;
            sink.unit();
        }
        Simple::NullValue => sink.empty(),
        Simple::GlobalWindow => {
            input.u8()?;
            sink.empty();
        }
        Simple::TimeWindow => {
            sink.open_struct();
            sink.field(0, &super::START, false);
            sink.integer(input.i64()?);
            sink.field(1, &super::END, false);
            sink.integer(input.i64()?);
            sink.close_struct([&super::START.name, &super::END.name].into_iter(), None);
        }
        Simple::CountWindow => {
            sink.open_struct();
            sink.field(0, &super::ID, false);
            sink.integer(input.i64()?);
            sink.close_struct(std::iter::once(&super::ID.name), None);
        }
        Simple::Tuple0 => {
            input.u8()?;
            sink.open();
            sink.close(Group::Tuple, 0);
        }
        Simple::SortedLong => sink.integer(input.i64()? ^ i64::MIN),
        Simple::BigInteger | Simple::BigDecimal => big(of == Simple::BigDecimal, input, sink)?,
        Simple::Variant => {
            let at = input.clone();
            let lens = (input.i32()?, input.i32()?);
            let (Ok(value), Ok(metadata)) = (usize::try_from(lens.0), usize::try_from(lens.1))
            else {
                return Err(at.corrupt(format!("a variant of {lens:?} bytes")));
            };
            sink.open();
            sink.item(0);
            sink.bytes(input.take(value)?);
            sink.item(1);
            sink.bytes(input.take(metadata)?);
            sink.close(Group::Tuple, 2);
        }
        Simple::Bitmap => sink.bytes(input.bytes32()?),
        _ => moment(of, input, sink)?,
    }
    Ok(())
}

/// Text in UTF-8 after its length.
pub(crate) fn utf8<S: Sink>(input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    let at = input.clone();
    let bytes = input.bytes32()?;
    if S::SKIPS {
        return Ok(());
    }
    sink.utf8(str::from_utf8(bytes).map_err(|_| at.corrupt("text is no UTF-8"))?);
    Ok(())
}

/// The bytes of a `BigInteger` in two's complement; `None` is null.
pub(crate) fn big_integer<'a>(input: &mut Input<'a>) -> Result<Option<&'a [u8]>> {
    let at = input.clone();
    Ok(Some(match input.i32()? {
        0 => return Ok(None),
        1 => &[0],
        2 => &[1],
        3 => &[10],
        len => {
            let len = usize::try_from(len).ok().and_then(|len| len.checked_sub(4));
            match len {
                Some(len) if len > 0 => input.take(len)?,
                _ => return Err(at.corrupt("a BigInteger without bytes")),
            }
        }
    }))
}

fn big<S: Sink>(is_decimal: bool, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    let Some(bytes) = big_integer(input)? else {
        sink.null();
        return Ok(());
    };
    match is_decimal {
        true => {
            let scale = input.i32()?;
            sink.made(|out| number::push_big_decimal(bytes, scale, out));
        }
        false => sink.made(|out| number::push_big_integer(bytes, out)),
    }
    Ok(())
}

/// A `LocalDate`; `None` is null.
pub(crate) fn local_date(input: &mut Input<'_>) -> Result<Option<Date>> {
    let at = input.clone();
    let (year, month, day) = (input.i32()?, input.u8()?, input.u8()?);
    if year == i32::MIN {
        return Ok(None);
    }
    let date = Date::new(year, month, day);
    date.map(Some).ok_or_else(|| at.corrupt(format!("there is no day {year}-{month}-{day}")))
}

/// A `LocalTime`; `None` is null.
pub(crate) fn local_time(input: &mut Input<'_>) -> Result<Option<Time>> {
    let at = input.clone();
    let (hour, minute, second, nanos) = (input.u8()?, input.u8()?, input.u8()?, input.i32()?);
    if hour == 0x80 {
        return Ok(None);
    }
    let time = u32::try_from(nanos).ok().and_then(|nanos| Time::new(hour, minute, second, nanos));
    time.map(Some).ok_or_else(|| {
        at.corrupt(format!("there is no time {hour}:{minute}:{second} and {nanos} ns"))
    })
}

/// A moment and how it was written; `None` is null.
pub(crate) fn instant(of: Simple, input: &mut Input<'_>) -> Result<Option<Moment>> {
    let at = input.clone();
    let whole = input.i64()?;
    if of == Simple::Date {
        return Ok((whole != i64::MIN).then(|| Moment::of_millis(whole)));
    }
    let nanos = input.i32()?;
    if whole == i64::MIN {
        return Ok(None);
    }
    let seconds = if of == Simple::Instant { whole } else { whole.div_euclid(1000) };
    let moment = u32::try_from(nanos).ok().map(|nanos| Moment { seconds, nanos });
    moment
        .filter(|moment| moment.is_possible())
        .map(Some)
        .ok_or_else(|| at.corrupt(format!("there is no moment {seconds} s and {nanos} ns")))
}

fn moment<S: Sink>(of: Simple, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    match of {
        Simple::SqlDate | Simple::SqlTime => match input.i64()? {
            i64::MIN => sink.null(),
            millis => sink.integer(millis),
        },
        Simple::LocalDate => match local_date(input)? {
            Some(date) => sink.made(|out| date.push(out)),
            None => sink.null(),
        },
        Simple::LocalTime => match local_time(input)? {
            Some(time) => sink.made(|out| time.push(out)),
            None => sink.null(),
        },
        Simple::LocalDateTime => {
            let at = input.clone();
            match (local_date(input)?, local_time(input)?) {
                (Some(date), Some(time)) => sink.made(|out| time::push_civil(date, time, out)),
                (None, None) => sink.null(),
                _ => return Err(at.corrupt("half of a date and time is null")),
            }
        }
        _ => match instant(of, input)? {
            Some(moment) => sink.made(|out| moment.push(out)),
            None => sink.null(),
        },
    }
    Ok(())
}

fn decimal_data<S: Sink>(
    precision: i32,
    scale: i32,
    input: &mut Input<'_>,
    sink: &mut S,
) -> Result<()> {
    let at = input.clone();
    let unscaled = match precision <= super::logical::COMPACT_PRECISION_MAX {
        true => Some(input.i64()?.into()),
        false => number::small(input.bytes32()?),
    };
    let unscaled = unscaled.ok_or_else(|| at.corrupt("a decimal of more than 38 digits"))?;
    sink.made(|out| number::push_sql_decimal(unscaled, scale, out));
    Ok(())
}

fn timestamp_data<S: Sink>(precision: i32, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
    let at = input.clone();
    let millis = input.i64()?;
    let nanos = match precision <= super::logical::MILLIS_PRECISION_MAX {
        true => 0,
        false => input.i32()?,
    };
    let moment = sql_timestamp(millis, nanos)
        .ok_or_else(|| at.corrupt(format!("{nanos} ns of a millisecond")))?;
    let (date, time) = moment.civil();
    sink.made(|out| time::push_civil(date, time, out));
    Ok(())
}

/// The moment that a SQL timestamp is, if it is one.
pub(crate) fn sql_timestamp(millis: i64, nanos_of_milli: i32) -> Option<Moment> {
    let within = u32::try_from(nanos_of_milli).ok().filter(|nanos| *nanos < 1_000_000)?;
    let Moment { seconds, nanos } = Moment::of_millis(millis);
    Some(Moment { seconds, nanos: nanos + within })
}
