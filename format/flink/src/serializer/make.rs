//! Serializers that no snapshot recorded: the snapshots that Flink itself would write for them.

use super::kind::{Scalar, Simple};
use super::names::{self, FLINK};
use super::read::{COMPOSITE, NESTED};
use super::read_classes::OPTIONAL_MAP;
use super::{Kind, Serializer};
use crate::text::write_utf;
use crate::{Input, Output, Result};

const BASE: &str = "api.common.typeutils.base.";
const RUNTIME: &str = "api.java.typeutils.runtime.";

/// The most fields of Flink's tuples.
pub(crate) const TUPLE_FIELDS_MAX: usize = 25;

impl Serializer {
    /// One without parameters.
    pub(crate) fn simple(simple: Simple) -> Self {
        let class = names::of_simple(simple);
        let mut bytes = Vec::new();
        // The names of Flink's classes are short.
        let _ = write_utf(&class, &mut bytes);
        bytes.put_i32(3);
        let mut serializer = Self::parsed(class, Kind::Simple(simple), 0..bytes.len());
        serializer.bytes = bytes.into();
        serializer
    }

    /// Of a `String`.
    pub fn string() -> Self {
        Self::simple(Simple::String)
    }

    /// Of a `Long`.
    pub fn long() -> Self {
        Self::simple(Simple::Scalar(Scalar::Long))
    }

    /// Of what takes no bytes.
    #[cfg(test)]
    pub(crate) fn of_nothing() -> Self {
        Self::simple(Simple::NullValue)
    }

    /// Of the namespace of state that has none.
    pub fn void_namespace() -> Self {
        Self::simple(Simple::VoidNamespace)
    }

    /// Of the namespace of state in time windows.
    pub fn time_window() -> Self {
        Self::simple(Simple::TimeWindow)
    }

    /// Of a `List`, as list state has it.
    ///
    /// # Errors
    /// `Corrupt` if it nests deeper than serializers are read.
    pub fn list_of(element: &Self) -> Result<Self> {
        composite(&format!("{BASE}ListSerializerSnapshot"), 1, &[], &[element])
    }

    /// Of a `Map`, as map state has it.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn map_of(key: &Self, value: &Self) -> Result<Self> {
        composite(&format!("{BASE}MapSerializerSnapshot"), 1, &[], &[key, value])
    }

    /// Of a `Set`, which Flink 1 has no serializer for.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn set_of(element: &Self) -> Result<Self> {
        composite(&format!("{BASE}SetSerializerSnapshot"), 1, &[], &[element])
    }

    /// Of a tuple of at most 25 fields.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of); `Invalid` if it has more fields.
    pub fn tuple_of(fields: &[&Self]) -> Result<Self> {
        match fields.len() {
            0 => Ok(Self::simple(Simple::Tuple0)),
            count @ 1..=TUPLE_FIELDS_MAX => {
                let class = utf(&format!("{FLINK}api.java.tuple.Tuple{count}"))?;
                composite(&format!("{RUNTIME}TupleSerializerSnapshot"), 2, &class, fields)
            }
            count => {
                let message = format!("{count} fields, where Flink's have {TUPLE_FIELDS_MAX}");
                Err(crate::FormatError::invalid("tuple", message))
            }
        }
    }

    /// Of a row with its kind, whose fields may be null.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn row_of(fields: &[&Self]) -> Result<Self> {
        composite(&format!("{RUNTIME}RowSerializer$RowSerializerSnapshot"), 4, &[1], fields)
    }

    /// Of a value that may be null.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn nullable_of(inner: &Self) -> Result<Self> {
        let class = format!("{RUNTIME}NullableSerializer$NullableSerializerSnapshot");
        composite(&class, 2, &0_i32.to_be_bytes(), &[inner])
    }

    /// Of a Java array of objects of `class`.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of); `Invalid` if the name is longer than Java allows.
    pub fn array_of(class: &str, element: &Self) -> Result<Self> {
        let class = utf(class)?;
        composite(&format!("{BASE}GenericArraySerializerSnapshot"), 1, &class, &[element])
    }

    /// Of `Either`.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn either_of(left: &Self, right: &Self) -> Result<Self> {
        composite(&format!("{RUNTIME}JavaEitherSerializerSnapshot"), 1, &[], &[left, right])
    }

    /// Of a value of this one with the time of its last access, as state with TTL has it.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn with_ttl(&self) -> Result<Self> {
        let class = "runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot";
        composite(class, 2, &[], &[&Self::long(), self])
    }

    /// Of a timer.
    ///
    /// # Errors
    /// As for [`list_of`](Self::list_of).
    pub fn timer_of(key: &Self, namespace: &Self) -> Result<Self> {
        let class = "streaming.api.operators.TimerSerializerSnapshot";
        composite(class, 2, &[], &[key, namespace])
    }

    /// Of a Java enum.
    ///
    /// # Errors
    /// `Corrupt` if two constants have one name; `Invalid` if a name is longer than Java allows.
    pub fn enum_of(class: &str, constants: &[&str]) -> Result<Self> {
        let mut body = utf(class)?;
        body.put_i32(count(constants.len()));
        constants.iter().try_for_each(|constant| write_utf(constant, &mut body))?;
        whole(&format!("{BASE}EnumSerializer$EnumSerializerSnapshot"), 3, &body)
    }

    /// Of a POJO, whose fields may be null; the class declares all of them itself.
    ///
    /// # Errors
    /// As for [`enum_of`](Self::enum_of) and [`list_of`](Self::list_of).
    pub fn pojo_of(class: &str, fields: &[(&str, &Self)]) -> Result<Self> {
        let mut sorted: Vec<&(&str, &Self)> = fields.iter().collect();
        sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
        let mut body = utf(class)?;
        body.put_i64(OPTIONAL_MAP);
        body.put_i32(count(sorted.len()));
        for (name, serializer) in sorted {
            write_utf(name, &mut body)?;
            let declared = [utf(class)?, utf(name)?].concat();
            for frame in [declared.as_slice(), serializer.snapshot()] {
                body.put_bool(true);
                body.put_i32(count(frame.len()));
                body.extend_from_slice(frame);
            }
        }
        for _ in ["registered", "not registered"] {
            body.put_i64(OPTIONAL_MAP);
            body.put_i32(0);
        }
        whole(&format!("{RUNTIME}PojoSerializerSnapshot"), 2, &body)
    }
}

fn utf(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_utf(text, &mut bytes)?;
    Ok(bytes)
}

/// A count that Java can hold; one that it cannot is refused when the snapshot is read.
fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(-1)
}

fn composite(
    class: &str,
    outer_version: i32,
    outer: &[u8],
    nested: &[&Serializer],
) -> Result<Serializer> {
    let mut body = Vec::new();
    body.put_i32(COMPOSITE);
    body.put_i32(outer_version);
    body.extend_from_slice(outer);
    body.put_i32(NESTED);
    body.put_i32(1);
    body.put_i32(count(nested.len()));
    nested.iter().for_each(|part| part.write(&mut body));
    whole(class, 3, &body)
}

/// The serializer of a snapshot of Flink's class `class`.
fn whole(class: &str, version: i32, body: &[u8]) -> Result<Serializer> {
    let mut bytes = utf(&format!("{FLINK}{class}"))?;
    bytes.put_i32(version);
    bytes.extend_from_slice(body);
    Serializer::read(&mut Input::new("serializer snapshot", &bytes))
}
