//! What a serializer does, once its snapshot is parsed.

use super::Serializer;
use super::avro::Avro;
use super::logical::Logical;
use esker_format::schema::Name;
use std::sync::Arc;

/// The kinds of serializer; what they hold is what decides their bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Only Java code with the right classes can read its values.
    Opaque,
    Simple(Simple),
    /// Writes what the one inside writes.
    Wrapped(Box<Serializer>),
    /// `int` count, then the elements.
    List(Box<Serializer>),
    /// The same, with a bit mask of those that are null.
    LinkedList {
        masked: bool,
        element: Box<Serializer>,
    },
    /// A flag before each element says that it is null.
    Set(Box<Serializer>),
    /// A flag before each element says that it is not null.
    Array(Box<Serializer>),
    Map {
        /// Whether a flag says which keys are null.
        null_keys: bool,
        key: Box<Serializer>,
        value: Box<Serializer>,
    },
    /// Fields one after the other; of a case class by its name.
    Tuple {
        case_class: Option<Name>,
        fields: Vec<Serializer>,
    },
    Row {
        /// Whether the kind of change is written.
        kinds: bool,
        fields: Vec<Serializer>,
    },
    Nullable {
        padding: usize,
        inner: Box<Serializer>,
    },
    Either {
        tags: Tags,
        left: Box<Serializer>,
        right: Box<Serializer>,
    },
    /// Scala's.
    Option(Box<Serializer>),
    Ttl(Box<Serializer>),
    Timer {
        key: Box<Serializer>,
        namespace: Box<Serializer>,
    },
    /// A window's end or slice, then the key.
    WindowKey(Box<Serializer>),
    /// What an interval join keeps: whether it was joined, then the element.
    BufferEntry(Box<Serializer>),
    Enum {
        class: Name,
        constants: Vec<Constant>,
    },
    Pojo(Box<Pojo>),
    Avro(Arc<Avro>),
    /// `int` length, then a row in SQL's binary form.
    RowData(Vec<Logical>),
    ArrayData(Box<Logical>),
    MapData(Box<Logical>, Box<Logical>),
    DecimalData {
        precision: i32,
        scale: i32,
    },
    TimestampData {
        precision: i32,
    },
    /// `int` length, then bytes of which nothing more is known.
    Framed,
}

/// How the alternatives of a value are told apart, and what they are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `org.apache.flink.types.Either`: a flag for the left.
    Java,
    /// `scala.util.Either`: the same.
    Scala,
    /// `TaggedUnion` of window joins: a byte, 1 or 2.
    Union,
}

/// Serializers that have no parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simple {
    Scalar(Scalar),
    /// Flink's mutable box of one.
    Boxed(Scalar),
    /// A Java array of them.
    Array(Scalar),
    String,
    /// The mutable one, which cannot be null.
    StringValue,
    StringArray,
    StringData,
    Void,
    VoidNamespace,
    NullValue,
    Null,
    GlobalWindow,
    TimeWindow,
    CountWindow,
    Tuple0,
    BigInteger,
    BigDecimal,
    Date,
    SqlDate,
    SqlTime,
    SqlTimestamp,
    LocalDate,
    LocalTime,
    LocalDateTime,
    Instant,
    /// A `Long` whose bytes sort as it does.
    SortedLong,
    Variant,
    Bitmap,
}

impl Simple {
    /// Whether its bytes have a form for null.
    pub(crate) fn has_null(self) -> bool {
        matches!(
            self,
            Self::String
                | Self::BigInteger
                | Self::BigDecimal
                | Self::Date
                | Self::SqlDate
                | Self::SqlTime
                | Self::SqlTimestamp
                | Self::LocalDate
                | Self::LocalTime
                | Self::LocalDateTime
                | Self::Instant
        )
    }
}

/// Java's primitive types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Boolean,
    Byte,
    Short,
    Int,
    Long,
    Char,
    Float,
    Double,
}

impl Scalar {
    pub(crate) const ALL: [(&'static str, Self); 8] = [
        ("Boolean", Self::Boolean),
        ("Byte", Self::Byte),
        ("Short", Self::Short),
        ("Int", Self::Int),
        ("Long", Self::Long),
        ("Char", Self::Char),
        ("Float", Self::Float),
        ("Double", Self::Double),
    ];

    /// What one takes, in bytes.
    pub(crate) fn len_bytes(self) -> usize {
        match self {
            Self::Boolean | Self::Byte => 1,
            Self::Short | Self::Char => 2,
            Self::Int | Self::Float => 4,
            Self::Long | Self::Double => 8,
        }
    }
}

/// A name and its text as JSON, ready to be copied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) name: Name,
    pub(crate) json: Box<str>,
}

impl Constant {
    pub(crate) fn new(name: &str) -> Self {
        let mut json = String::with_capacity(name.len() + 2);
        esker_format::schema::write_json_string(name, &mut json);
        Self { name: name.into(), json: json.into() }
    }
}

/// A class with public fields or accessors.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pojo {
    pub(crate) class: Name,
    /// In the order in which they are written.
    pub(crate) fields: Vec<PojoField>,
    /// Positions of the fields by name, where that is another order.
    pub(crate) by_name: Option<Box<[usize]>>,
    /// Registered ones first; a value says which by position or by name.
    pub(crate) subclasses: Vec<Subclass>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PojoField {
    pub(crate) name: Constant,
    pub(crate) serializer: Serializer,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subclass {
    pub(crate) class: Name,
    /// Whether a value names it by its position.
    pub(crate) registered: bool,
    pub(crate) serializer: Serializer,
}

impl Pojo {
    /// One of these fields; the name of a field that is there twice otherwise.
    pub(crate) fn new(
        class: Name,
        fields: Vec<PojoField>,
        subclasses: Vec<Subclass>,
    ) -> Result<Self, String> {
        let by_name = order_by_name(fields.iter().map(|field| &*field.name.name))?;
        Ok(Self { class, fields, by_name, subclasses })
    }
}

/// The positions of `names` in the order of Java's strings, by UTF-16 units, if they are in another; a name that is
/// there twice otherwise.
pub(crate) fn order_by_name<'n>(
    names: impl Iterator<Item = &'n str>,
) -> Result<Option<Box<[usize]>>, String> {
    let names: Vec<&str> = names.collect();
    let mut order: Vec<(usize, &str)> = names.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.encode_utf16().cmp(b.encode_utf16()));
    if let Some(twice) = order.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        return Err(twice[0].1.to_owned());
    }
    let is_sorted = order.iter().enumerate().all(|(i, (at, _))| i == *at);
    Ok((!is_sorted).then(|| order.into_iter().map(|(at, _)| at).collect()))
}
