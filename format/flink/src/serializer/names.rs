//! The classes of serializer snapshots, by name.

use super::kind::{Scalar, Simple};

/// Where Flink's own classes are; the last part of a name is enough there, as packages move between releases.
pub(crate) const FLINK: &str = "org.apache.flink.";

/// The last part of a class of Flink.
pub(crate) fn last_part(class: &str) -> Option<&str> {
    class.strip_prefix(FLINK).map(|rest| rest.rsplit_once('.').map_or(rest, |(_, last)| last))
}

/// Serializers without parameters, by what their class is called before `Serializer`.
const SIMPLE: &[(&str, Simple)] = &[
    ("String", Simple::String),
    ("StringValue", Simple::StringValue),
    ("StringArray", Simple::StringArray),
    ("StringData", Simple::StringData),
    ("Void", Simple::Void),
    ("VoidNamespace", Simple::VoidNamespace),
    ("NullValue", Simple::NullValue),
    ("Null", Simple::Null),
    ("BigInt", Simple::BigInteger),
    ("BigDec", Simple::BigDecimal),
    ("Date", Simple::Date),
    ("SqlDate", Simple::SqlDate),
    ("SqlTime", Simple::SqlTime),
    ("SqlTimestamp", Simple::SqlTimestamp),
    ("LocalDate", Simple::LocalDate),
    ("LocalTime", Simple::LocalTime),
    ("LocalDateTime", Simple::LocalDateTime),
    ("Instant", Simple::Instant),
    ("SortedLong", Simple::SortedLong),
    ("Variant", Simple::Variant),
    ("Bitmap", Simple::Bitmap),
];

/// The serializer without parameters whose snapshot is of the class that ends in `last`.
pub(crate) fn simple(last: &str) -> Option<Simple> {
    match last {
        "Tuple0SerializerSnapshot" => return Some(Simple::Tuple0),
        "TimeWindow$Serializer$TimeWindowSerializerSnapshot" => return Some(Simple::TimeWindow),
        "GlobalWindow$Serializer$GlobalWindowSerializerSnapshot" => {
            return Some(Simple::GlobalWindow);
        }
        "CountWindow$Serializer$CountWindowSerializerSnapshot" => return Some(Simple::CountWindow),
        _ => {}
    }
    let (outer, inner) = last.split_once('$')?;
    let stem = outer.strip_suffix("Serializer")?;
    if inner.strip_suffix("Snapshot") != Some(outer) {
        return None;
    }
    if let Some((_, simple)) = SIMPLE.iter().find(|(name, _)| *name == stem) {
        return Some(*simple);
    }
    let scalar = |name: &str| Scalar::ALL.iter().find(|(known, _)| *known == name).map(|s| s.1);
    if let Some(name) = stem.strip_suffix("PrimitiveArray") {
        return scalar(name).map(Simple::Array);
    }
    match stem.strip_suffix("Value") {
        Some(name) => scalar(name).map(Simple::Boxed),
        None => scalar(stem).map(Simple::Scalar),
    }
}

/// The full name of the snapshot of a serializer without parameters, as Flink writes it.
pub(crate) fn of_simple(simple: Simple) -> String {
    const BASE: &str = "org.apache.flink.api.common.typeutils.base.";
    let nested =
        |package: &str, stem: &str| format!("{package}{stem}Serializer${stem}SerializerSnapshot");
    let scalar =
        |of: Scalar| Scalar::ALL.iter().find(|(_, known)| *known == of).map_or("", |s| s.0);
    let stem = || SIMPLE.iter().find(|(_, known)| *known == simple).map_or("", |s| s.0);
    match simple {
        Simple::Tuple0 => {
            "org.apache.flink.api.java.typeutils.runtime.Tuple0SerializerSnapshot".into()
        }
        Simple::TimeWindow | Simple::GlobalWindow => {
            let name = if simple == Simple::TimeWindow { "TimeWindow" } else { "GlobalWindow" };
            let package = "org.apache.flink.streaming.api.windowing.windows.";
            format!("{package}{name}$Serializer${name}SerializerSnapshot")
        }
        Simple::CountWindow => "org.apache.flink.table.runtime.operators.window.\
            CountWindow$Serializer$CountWindowSerializerSnapshot"
            .into(),
        Simple::VoidNamespace => nested("org.apache.flink.runtime.state.", stem()),
        Simple::StringData => nested("org.apache.flink.table.runtime.typeutils.", stem()),
        Simple::Null => nested("org.apache.flink.table.dataview.", stem()),
        Simple::SortedLong => nested("org.apache.flink.table.runtime.operators.sink.", stem()),
        Simple::StringArray => nested(&format!("{BASE}array."), stem()),
        Simple::Array(of) => {
            nested(&format!("{BASE}array."), &format!("{}PrimitiveArray", scalar(of)))
        }
        Simple::Boxed(of) => nested(BASE, &format!("{}Value", scalar(of))),
        Simple::Scalar(of) => nested(BASE, scalar(of)),
        _ => nested(BASE, stem()),
    }
}
