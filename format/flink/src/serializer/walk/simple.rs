//! Values that hold no others.

use crate::serializer::kind::{Scalar, Simple};
use crate::serializer::logical::{COMPACT_PRECISION_MAX, MILLIS_PRECISION_MAX};
use crate::serializer::sink::{Group, Sink};
use crate::serializer::time::{Date, Moment, Time};
use crate::serializer::{END, ID, START, VALUE, number, time};
use crate::{Input, Result};

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
pub(super) fn simple_value<S: Sink>(of: Simple, input: &mut Input<'_>, sink: &mut S) -> Result<()> {
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
            sink.field(0, &VALUE, false);
            scalar(of, input, sink)?;
            sink.close_struct(std::iter::once(&VALUE.name), None);
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
            sink.field(0, &START, false);
            sink.integer(input.i64()?);
            sink.field(1, &END, false);
            sink.integer(input.i64()?);
            sink.close_struct([&START.name, &END.name].into_iter(), None);
        }
        Simple::CountWindow => {
            sink.open_struct();
            sink.field(0, &ID, false);
            sink.integer(input.i64()?);
            sink.close_struct(std::iter::once(&ID.name), None);
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
pub(super) fn utf8<S: Sink>(input: &mut Input<'_>, sink: &mut S) -> Result<()> {
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
        .filter(|moment| of == Simple::Instant || moment.millis().is_some())
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

pub(super) fn decimal_data<S: Sink>(
    precision: i32,
    scale: i32,
    input: &mut Input<'_>,
    sink: &mut S,
) -> Result<()> {
    let at = input.clone();
    let unscaled = match precision <= COMPACT_PRECISION_MAX {
        true => Some(input.i64()?.into()),
        false => number::small(input.bytes32()?),
    };
    let unscaled = unscaled.ok_or_else(|| at.corrupt("a decimal of more than 38 digits"))?;
    sink.made(|out| number::push_sql_decimal(unscaled, scale, out));
    Ok(())
}

pub(super) fn timestamp_data<S: Sink>(
    precision: i32,
    input: &mut Input<'_>,
    sink: &mut S,
) -> Result<()> {
    let at = input.clone();
    let millis = input.i64()?;
    let nanos = match precision <= MILLIS_PRECISION_MAX {
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
pub(super) fn sql_timestamp(millis: i64, nanos_of_milli: i32) -> Option<Moment> {
    let within = u32::try_from(nanos_of_milli).ok().filter(|nanos| *nanos < 1_000_000)?;
    let Moment { seconds, nanos } = Moment::of_millis(millis);
    Some(Moment { seconds, nanos: nanos + within })
}
