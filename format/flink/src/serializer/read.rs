//! Serializer snapshots from their bytes (SPEC.md, "Serializer snapshots").

use super::kind::{Kind, Tags};
use super::{Serializer, names};
use crate::text::read_utf;
use crate::{FormatError, Input, Result};
use std::ops::Range;

/// How deep serializers nest: fewer levels than esker's schemas and codecs take for the same.
pub(crate) const DEPTH_MAX: usize = 40;

/// Precedes the outer part of a composite.
pub(crate) const COMPOSITE: i32 = 911_108;
/// Precedes nested snapshots.
pub(crate) const NESTED: i32 = 1_333_245;

/// The fewest bytes that a snapshot takes: the length of its class name, and its version.
pub(crate) const SNAPSHOT_LEN_BYTES_MIN: usize = 6;

/// Reads snapshots, counting how deep they nest.
pub(crate) struct Reader<'r, 'a> {
    pub(crate) input: &'r mut Input<'a>,
    /// Where in its stream the outermost snapshot begins: what ranges count from.
    base: u64,
    depth: usize,
    /// The lengths of bodies of classes that are not known, where somebody found them out.
    gaps: &'r [Gap],
}

/// How long the body of a snapshot is whose class is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Where the snapshot begins in its stream.
    pub(crate) snapshot_at: u64,
    pub(crate) body_len: usize,
}

impl<'r, 'a> Reader<'r, 'a> {
    pub(crate) fn new(input: &'r mut Input<'a>, gaps: &'r [Gap]) -> Self {
        let base = input.offset();
        Self { input, base, depth: DEPTH_MAX, gaps }
    }

    /// The same, reading the frame `input` that lies within.
    pub(crate) fn within<'f, 'b>(&self, input: &'f mut Input<'b>) -> Reader<'f, 'b>
    where
        'r: 'f,
    {
        Reader { input, base: self.base, depth: self.depth, gaps: self.gaps }
    }

    pub(crate) fn at(&self) -> usize {
        usize::try_from(self.input.offset().saturating_sub(self.base)).unwrap_or(usize::MAX)
    }

    /// How many levels may follow.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// A snapshot; its ranges still have no bytes.
    pub(crate) fn snapshot(&mut self) -> Result<Serializer> {
        let start = self.at();
        let Some(deeper) = self.depth.checked_sub(1) else {
            return Err(self.input.corrupt(format!("serializers nest deeper than {DEPTH_MAX}")));
        };
        self.depth = deeper;
        let at = self.input.clone();
        let class = read_utf(self.input)?;
        let version = self.input.i32()?;
        let kind = match self.gaps.iter().find(|gap| gap.snapshot_at == at.offset()) {
            Some(gap) => self.input.take(gap.body_len).map(|_| Kind::Opaque)?,
            None => self.body(&class, version, &at)?,
        };
        self.depth += 1;
        Ok(Serializer::parsed(class, kind, Range { start, end: self.at() }))
    }

    fn body(&mut self, class: &str, version: i32, at: &Input<'a>) -> Result<Kind> {
        let unknown = || unknown(at, class, version);
        let Some(last) = names::last_part(class) else { return self.other(class, version, at) };
        if let Some(simple) = names::simple(last) {
            match version {
                3 => {}
                2 => drop(read_utf(self.input)?),
                _ => return Err(unknown()),
            }
            return Ok(Kind::Simple(simple));
        }
        match last {
            "EnumSerializer$EnumSerializerSnapshot" if version == 3 => self.enumeration(),
            "PojoSerializerSnapshot" if version == 2 => self.pojo(),
            "KryoSerializerSnapshot" if version == 2 => self.kryo(),
            "CopyableValueSerializer$CopyableValueSerializerSnapshot"
            | "ValueSerializer$ValueSerializerSnapshot"
                if version == 2 =>
            {
                read_utf(self.input)?;
                Ok(Kind::Opaque)
            }
            "AvroSerializerSnapshot" if (1..=3).contains(&version) => self.avro(version),
            "RowDataSerializer$RowDataSerializerSnapshot" if version <= 3 => self.row_data(),
            "BinaryRowDataSerializer$BinaryRowDataSerializerSnapshot" if version <= 3 => {
                self.input.i32()?;
                Ok(Kind::Framed)
            }
            "DecimalDataSerializer$DecimalSerializerSnapshot" if version <= 3 => {
                let (precision, scale) = (self.input.i32()?, self.input.i32()?);
                super::logical::check_decimal(precision, scale).map_err(|why| at.corrupt(why))?;
                Ok(Kind::DecimalData { precision, scale })
            }
            "TimestampDataSerializer$TimestampDataSerializerSnapshot" if version <= 3 => {
                Ok(Kind::TimestampData { precision: self.input.i32()? })
            }
            "ArrayDataSerializer$ArrayDataSerializerSnapshot" if version <= 3 => self.array_data(),
            "MapDataSerializer$MapDataSerializerSnapshot" if version <= 3 => self.map_data(),
            "SortedMapSerializerSnapshot" if version <= 3 => {
                self.java_object()?;
                let mut nested = self.nested()?;
                two(&mut nested, at).map(|(key, value)| map(false, key, value))
            }
            "TtlAwareSerializerSnapshot" if version == 1 => {
                self.input.bool()?;
                Ok(Kind::Wrapped(Box::new(self.snapshot()?)))
            }
            "JavaSerializer$JavaSerializerSnapshot" if version == 3 => Ok(Kind::Opaque),
            _ => self.composite(class, version, at),
        }
    }

    fn composite(&mut self, class: &str, version: i32, at: &Input<'a>) -> Result<Kind> {
        let Some(last) = names::last_part(class).filter(|last| is_composite(last)) else {
            return self.other(class, version, at);
        };
        let outer = match version {
            1 | 2 => version,
            3 => {
                let found = self.input.i32()?;
                if found != COMPOSITE {
                    let message = format!("a composite serializer begins {found}, not {COMPOSITE}");
                    return Err(self.input.corrupt(message));
                }
                self.input.i32()?
            }
            _ => return Err(unknown(at, class, version)),
        };
        let outer = self.outer(last, outer)?;
        let nested = self.nested()?;
        composed(last, outer, nested, at)
    }

    /// What a composite writes itself.
    fn outer(&mut self, last: &str, version: i32) -> Result<Outer> {
        let mut outer = Outer::default();
        match last {
            "GenericArraySerializerSnapshot"
            | "TupleSerializerSnapshot"
            | "ScalaCaseClassSerializerSnapshot"
            | "Tuple2CaseClassSerializerSnapshot"
            | "TraversableSerializerSnapshot" => outer.class = read_utf(self.input)?,
            "RowSerializer$RowSerializerSnapshot" => {
                outer.flag = match version {
                    ..3 => false,
                    3 => true,
                    4.. => self.input.bool()?,
                };
            }
            "NullableSerializer$NullableSerializerSnapshot" => outer.number = self.input.i32()?,
            "LinkedListSerializer$LinkedListSerializerSnapshot" if version >= 3 => {
                outer.flag = self.input.bool()?;
            }
            "ExternalSerializer$ExternalSerializerSnapshot" => {
                self.java_object()?;
                self.input.bool()?;
            }
            "NFAStateSerializerSnapshot" if version >= 2 => drop(self.input.bool()?),
            "TwoPhaseCommitSinkFunction$StateSerializerSnapshot" if version >= 4 => {
                self.input.bool()?;
            }
            _ => {}
        }
        Ok(outer)
    }

    /// The snapshots that a composite holds.
    pub(crate) fn nested(&mut self) -> Result<Vec<Serializer>> {
        let at = self.input.clone();
        let (magic, version) = (self.input.i32()?, self.input.i32()?);
        if (magic, version) != (NESTED, 1) {
            let message = format!(
                "nested serializers begin {magic} and {version}, where {NESTED} and 1 were expected"
            );
            return Err(at.corrupt(message));
        }
        let count = self.input.count(SNAPSHOT_LEN_BYTES_MIN)?;
        (0..count).map(|_| self.snapshot()).collect()
    }

    /// A class that is not known. A composite that writes nothing itself says where it ends.
    fn other(&mut self, class: &str, version: i32, at: &Input<'a>) -> Result<Kind> {
        let mut ahead = self.input.clone();
        let is_composite = version == 3
            && matches!(ahead.i32(), Ok(COMPOSITE))
            && ahead.i32().is_ok()
            && matches!(ahead.clone().i32(), Ok(NESTED));
        if !is_composite {
            return Err(unknown(at, class, version));
        }
        *self.input = ahead;
        self.nested()?;
        Ok(Kind::Opaque)
    }
}

/// Composites whose outer part is known.
fn is_composite(last: &str) -> bool {
    matches!(
        last,
        "ListSerializerSnapshot"
            | "ArrayListSerializerSnapshot"
            | "MapSerializerSnapshot"
            | "SetSerializerSnapshot"
            | "GenericArraySerializerSnapshot"
            | "TupleSerializerSnapshot"
            | "RowSerializer$RowSerializerSnapshot"
            | "NullableSerializer$NullableSerializerSnapshot"
            | "JavaEitherSerializerSnapshot"
            | "TtlStateFactory$TtlSerializerSnapshot"
            | "TimerSerializerSnapshot"
            | "RawValueDataSerializer$RawValueDataSerializerSnapshot"
            | "LinkedListSerializer$LinkedListSerializerSnapshot"
            | "WindowKeySerializer$WindowKeySerializerSnapshot"
            | "ExternalSerializer$ExternalSerializerSnapshot"
            | "ScalaCaseClassSerializerSnapshot"
            | "Tuple2CaseClassSerializerSnapshot"
            | "ScalaOptionSerializerSnapshot"
            | "ScalaEitherSerializerSnapshot"
            | "TraversableSerializerSnapshot"
            | "MapViewSerializerSnapshot"
            | "ListViewSerializerSnapshot"
            | "NullAwareMapSerializerSnapshot"
            | "IntervalJoinOperator$BufferEntrySerializerSnapshot"
            | "CoGroupedStreams$UnionSerializerSnapshot"
            | "NFAStateSerializerSnapshot"
            | "TwoPhaseCommitSinkFunction$StateSerializerSnapshot"
    )
}

#[derive(Default)]
struct Outer {
    class: String,
    flag: bool,
    number: i32,
}

fn composed(last: &str, outer: Outer, mut nested: Vec<Serializer>, at: &Input<'_>) -> Result<Kind> {
    let mut one = || one(&mut nested, at);
    Ok(match last {
        "ListSerializerSnapshot" | "ArrayListSerializerSnapshot" => Kind::List(one()?),
        "TraversableSerializerSnapshot" => Kind::List(one()?),
        "SetSerializerSnapshot" => Kind::Set(one()?),
        "GenericArraySerializerSnapshot" => Kind::Array(one()?),
        "ScalaOptionSerializerSnapshot" => Kind::Option(one()?),
        "WindowKeySerializer$WindowKeySerializerSnapshot" => Kind::WindowKey(one()?),
        "IntervalJoinOperator$BufferEntrySerializerSnapshot" => Kind::BufferEntry(one()?),
        "RawValueDataSerializer$RawValueDataSerializerSnapshot" => Kind::Framed,
        "ExternalSerializer$ExternalSerializerSnapshot"
        | "MapViewSerializerSnapshot"
        | "ListViewSerializerSnapshot" => Kind::Wrapped(one()?),
        "LinkedListSerializer$LinkedListSerializerSnapshot" => {
            Kind::LinkedList { masked: outer.flag, element: one()? }
        }
        "NullableSerializer$NullableSerializerSnapshot" => {
            let padding = usize::try_from(outer.number)
                .map_err(|_| at.corrupt(format!("a padding of {} bytes", outer.number)))?;
            Kind::Nullable { padding, inner: one()? }
        }
        "MapSerializerSnapshot" | "NullAwareMapSerializerSnapshot" => {
            let (key, value) = two(&mut nested, at)?;
            map(last != "MapSerializerSnapshot", key, value)
        }
        "TimerSerializerSnapshot" => {
            let (key, namespace) = two(&mut nested, at)?;
            Kind::Timer { key, namespace }
        }
        "TtlStateFactory$TtlSerializerSnapshot" => Kind::Ttl(two(&mut nested, at)?.1),
        "JavaEitherSerializerSnapshot" => either(Tags::Java, two(&mut nested, at)?),
        "ScalaEitherSerializerSnapshot" => either(Tags::Scala, two(&mut nested, at)?),
        "CoGroupedStreams$UnionSerializerSnapshot" => either(Tags::Union, two(&mut nested, at)?),
        "TupleSerializerSnapshot" => Kind::Tuple { case_class: None, fields: nested },
        "ScalaCaseClassSerializerSnapshot" | "Tuple2CaseClassSerializerSnapshot" => {
            Kind::Tuple { case_class: Some(outer.class.as_str().into()), fields: nested }
        }
        "RowSerializer$RowSerializerSnapshot" => Kind::Row { kinds: outer.flag, fields: nested },
        _ => Kind::Opaque,
    })
}

fn map(null_keys: bool, key: Box<Serializer>, value: Box<Serializer>) -> Kind {
    Kind::Map { null_keys, key, value }
}

fn either(tags: Tags, (left, right): (Box<Serializer>, Box<Serializer>)) -> Kind {
    Kind::Either { tags, left, right }
}

fn one(nested: &mut Vec<Serializer>, at: &Input<'_>) -> Result<Box<Serializer>> {
    let count = nested.len();
    match (nested.pop(), count) {
        (Some(only), 1) => Ok(Box::new(only)),
        _ => Err(at.corrupt(format!("{count} nested serializers, where it has 1"))),
    }
}

fn two(nested: &mut Vec<Serializer>, at: &Input<'_>) -> Result<(Box<Serializer>, Box<Serializer>)> {
    let count = nested.len();
    match (nested.pop(), nested.pop(), count) {
        (Some(second), Some(first), 2) => Ok((Box::new(first), Box::new(second))),
        _ => Err(at.corrupt(format!("{count} nested serializers, where it has 2"))),
    }
}

fn unknown(at: &Input<'_>, class: &str, version: i32) -> FormatError {
    let message = format!(
        "serializer snapshot {class} of version {version} is not known; its length is not written, so that \
         nothing after it can be read"
    );
    at.unsupported(message)
}
