//! What becomes of each kind of `serde` type: it round-trips and migrates, or it is refused when it is traced,
//! with the reason. Nothing is traced by which bytes would be read as something else.

use super::tests::agree;
use super::*;
use crate::codec::{Bincode, CodecId, ValueCodec};
use crate::manifest::TypeInfo;
use crate::{FormatError, FormatErrorKind};
use proptest::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use std::borrow::Cow;
use std::fmt::Debug;
use std::num::{NonZeroI64, NonZeroU8, NonZeroU32, NonZeroU64, NonZeroU128};

/// What `value` is as a `New`, as a restore makes it.
fn migrated<Old, New>(value: &Old) -> crate::Result<New>
where
    Old: Serialize + DeserializeOwned,
    New: Serialize + DeserializeOwned,
{
    let stored = TypeInfo { codec: CodecId::BINCODE2, schema: trace::<Old>()? };
    let mut bytes = Vec::new();
    Bincode.encode(value, &mut bytes)?;
    match ValueCodec::<New>::migration(&Bincode, &stored)? {
        Some(migrate) => migrate(&bytes),
        None => Bincode.decode(&bytes),
    }
}

/// The case "round-trips and migrates".
fn kept<Old, New>(value: &Old, expected: &New)
where
    Old: Serialize + DeserializeOwned + PartialEq + Debug,
    New: Serialize + DeserializeOwned + PartialEq + Debug,
{
    agree(value);
    assert_eq!(migrated::<Old, Old>(value).unwrap(), *value);
    assert_eq!(migrated::<Old, New>(value).unwrap(), *expected);
}

/// The case "refused at open": tracing fails and says why.
#[track_caller]
fn refused<T: Serialize + DeserializeOwned>(why: &str) {
    let error = trace::<T>().unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::Incompatible, "{error}");
    assert!(error.message.contains(std::any::type_name::<T>()), "{error}");
    assert!(error.message.contains(why), "{why:?} is not in {error}");
}

#[track_caller]
fn cannot_migrate<Old, New>(value: &Old, why: &[&str])
where
    Old: Serialize + DeserializeOwned,
    New: Serialize + DeserializeOwned + Debug,
{
    let error: FormatError = migrated::<Old, New>(value).unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::Incompatible, "{error}");
    why.iter().for_each(|why| assert!(error.message.contains(why), "{why:?} is not in {error}"));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tree {
    value: i32,
    kind: Leaf,
    children: Vec<Tree>,
    twin: Option<Box<Tree>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Leaf {
    Green,
    Fallen(u8),
    On { branch: Box<Leaf> },
}

/// Wider, reordered, renamed and with more, at every depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct NewTree {
    #[serde(default)]
    label: String,
    children: Vec<NewTree>,
    #[serde(alias = "value")]
    amount: i64,
    kind: Option<NewLeaf>,
    twin: Option<Box<NewTree>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum NewLeaf {
    Budding,
    On {
        branch: Box<NewLeaf>,
    },
    #[serde(alias = "Fallen")]
    Down(u32),
    Green,
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let plain = prop_oneof![Just(Leaf::Green), any::<u8>().prop_map(Leaf::Fallen)];
    plain.prop_recursive(3, 4, 1, |inner| {
        inner.prop_map(|branch| Leaf::On { branch: Box::new(branch) })
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let plain = (any::<i32>(), leaf()).prop_map(|(value, kind)| {
        let (children, twin) = (Vec::new(), None);
        Tree { value, kind, children, twin }
    });
    plain.prop_recursive(3, 12, 3, |inner| {
        let twin = prop::option::of(inner.clone().prop_map(Box::new));
        let children = prop::collection::vec(inner, 0..3);
        (any::<i32>(), leaf(), children, twin).prop_map(|(value, kind, children, twin)| Tree {
            value,
            kind,
            children,
            twin,
        })
    })
}

fn new_leaf(old: &Leaf) -> NewLeaf {
    match old {
        Leaf::Green => NewLeaf::Green,
        Leaf::Fallen(n) => NewLeaf::Down((*n).into()),
        Leaf::On { branch } => NewLeaf::On { branch: Box::new(new_leaf(branch)) },
    }
}

fn new_tree(old: &Tree) -> NewTree {
    NewTree {
        label: String::new(),
        children: old.children.iter().map(new_tree).collect(),
        amount: old.value.into(),
        kind: Some(new_leaf(&old.kind)),
        twin: old.twin.as_deref().map(|twin| Box::new(new_tree(twin))),
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Numbers {
    small: NonZeroU8,
    wide: NonZeroU128,
    signed: NonZeroI64,
    huge: i128,
    unsigned: u128,
    single: f32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wider {
    small: NonZeroU64,
    wide: Option<NonZeroU128>,
    signed: i128,
    huge: (i128,),
    unsigned: u128,
    single: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ids {
    id: uuid::Uuid,
    of: Vec<uuid::Uuid>,
    at: chrono::DateTime<chrono::Utc>,
    day: chrono::NaiveDate,
    time: chrono::NaiveTime,
    local: chrono::NaiveDateTime,
    month: chrono::Month,
    weekday: Option<chrono::Weekday>,
    took: std::time::Duration,
    ip: std::net::IpAddr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FewerIds {
    at: Option<chrono::DateTime<chrono::FixedOffset>>,
    id: Option<uuid::Uuid>,
}

/// As `serde_bytes` writes and reads bytes: borrowed where it can.
#[derive(Debug, Clone, PartialEq)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Borrowed {
    blob: Blob,
    cow: Cow<'static, [u8]>,
    text: Cow<'static, str>,
    boxed: Box<[u8]>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Owned {
    blob: Vec<u8>,
    cow: Box<[u8]>,
    text: String,
}

/// A map that keeps the order of its entries.
#[derive(Debug, Clone, PartialEq)]
struct InOrder(Vec<(u16, u8)>);

impl Serialize for InOrder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = InOrder;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut entries: A,
            ) -> Result<InOrder, A::Error> {
                let mut found = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    found.push(entry);
                }
                Ok(InOrder(found))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Recursive types, with alias, default, `Option` and wider integers at every depth: kept.
    #[test]
    fn recursive_types_are_kept(tree in tree()) {
        kept(&tree, &new_tree(&tree));
    }

    /// `NonZero`, 128 bits, wider floats: kept.
    #[test]
    fn numbers_are_kept(
        small in 1_u8..,
        wide in 1_u128..,
        signed in any::<i64>().prop_filter("not 0", |n| *n != 0),
        huge: i128,
        unsigned: u128,
        single in any::<f32>(),
    ) {
        let numbers = Numbers {
            small: small.try_into().unwrap(),
            wide: wide.try_into().unwrap(),
            signed: signed.try_into().unwrap(),
            huge,
            unsigned,
            single,
        };
        agree(&numbers);
        let Numbers { small, wide, signed, unsigned, single, .. } = numbers.clone();
        // A tuple of one part is not the part.
        cannot_migrate::<Numbers, Wider>(&numbers, &["path=.huge"]);
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Huge {
            small: NonZeroU64,
            wide: Option<NonZeroU128>,
            signed: i128,
            huge: i128,
            unsigned: u128,
            single: f64,
        }
        let signed = i128::from(signed.get());
        let single = f64::from(single);
        kept(&numbers, &Huge { small: small.into(), wide: Some(wide), signed, huge, unsigned, single });
    }

    /// UUIDs, dates and times, addresses: kept.
    #[test]
    fn ids_and_times_are_kept(
        id: u128,
        of in prop::collection::vec(any::<u128>(), 0..3),
        seconds in -60_000_000_000_i64..200_000_000_000,
        nanos in 0_u32..1_000_000_000,
        month in 1_u8..13,
        weekday in prop::option::of(0_u8..7),
        ip: u32,
    ) {
        let at = chrono::DateTime::from_timestamp(seconds, nanos).unwrap();
        let ids = Ids {
            id: uuid::Uuid::from_u128(id),
            of: of.into_iter().map(uuid::Uuid::from_u128).collect(),
            at,
            day: at.date_naive(),
            time: at.time(),
            local: at.naive_utc(),
            month: month.try_into().unwrap(),
            weekday: weekday.map(|day| day.try_into().unwrap()),
            took: std::time::Duration::new(seconds.unsigned_abs(), nanos),
            ip: std::net::IpAddr::V4(ip.into()),
        };
        let at = Some(at.fixed_offset());
        kept(&ids, &FewerIds { at, id: Some(ids.id) });
    }

    /// Bytes that borrow where they can: kept, as bytes and as sequences of them.
    #[test]
    fn bytes_are_kept(blob: Vec<u8>, cow: Vec<u8>, text: String) {
        let borrowed = Borrowed {
            blob: Blob(blob.clone()),
            cow: cow.clone().into(),
            text: text.clone().into(),
            boxed: cow.clone().into(),
        };
        kept(&borrowed, &Owned { blob, cow: cow.into(), text });
    }

    /// Maps that keep an order keep it when they are migrated.
    #[test]
    fn order_is_kept(entries in prop::collection::hash_map(any::<u16>(), any::<u8>(), 0..9)) {
        let map = InOrder(entries.into_iter().collect());
        let expected = (map.clone(), 0_u64);
        prop_assert_eq!(migrated::<_, (InOrder, u64)>(&(map, 0_u8)).unwrap(), expected);
    }
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Pair {
    a: u8,
    b: Option<u16>,
}

/// Types that no codec without names can hold: refused when they are traced.
#[test]
fn what_needs_names_is_refused_when_it_is_traced() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        pair: Pair,
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        A(u8),
        B(String),
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Internal {
        A(Pair),
        B { x: u8 },
    }
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        A(u8),
        B(String),
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Within<T> {
        of: Vec<Option<T>>,
    }
    refused::<Flat>("flatten");
    refused::<Untagged>("untagged");
    refused::<Internal>("internally tagged");
    refused::<Adjacent>("adjacently tagged");
    refused::<Within<Flat>>("flatten");
    refused::<Within<Untagged>>("untagged");
    refused::<Within<Internal>>("internally tagged");
    refused::<Within<Adjacent>>("adjacently tagged");
}

/// A type that makes room for what it reads, or divides by it, or refuses it by a panic, opens as it did.
#[test]
fn types_are_not_tried_with_what_they_cannot_take() {
    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Raw {
        room: u64,
        by: u32,
        of: f64,
    }
    #[derive(Debug, Clone, Serialize, Deserialize)]
    #[serde(from = "Raw", into = "Raw")]
    struct Sketch {
        raw: Raw,
        _cells: Vec<u8>,
    }
    impl From<Raw> for Sketch {
        fn from(raw: Raw) -> Self {
            assert!(raw.of.is_finite());
            let cells = vec![1; (raw.room / u64::from(raw.by)) as usize];
            Self { raw, _cells: cells }
        }
    }
    impl From<Sketch> for Raw {
        fn from(sketch: Sketch) -> Self {
            sketch.raw
        }
    }
    trace::<Sketch>().unwrap();
}

/// A field that is left out under a condition is found by values at the edges of its type.
#[test]
fn fields_that_are_not_always_written_are_refused_when_they_are_traced() {
    fn is_default<T: Default + PartialEq>(value: &T) -> bool {
        *value == T::default()
    }
    macro_rules! skips {
        ($($name:ident $type:ty, $condition:literal;)*) => {$({
            #[derive(Debug, Serialize, Deserialize)]
            struct $name {
                before: u8,
                #[serde(default, skip_serializing_if = $condition)]
                field: $type,
                after: u8,
            }
            refused::<$name>("the field field is left out (skip_serializing_if)");
            #[derive(Debug, Serialize, Deserialize)]
            enum Within {
                A,
                B($name),
                C { deep: Vec<Option<($name, u8)>> },
            }
            refused::<Within>("the field field is left out (skip_serializing_if)");
        })*};
    }
    fn is_negative(value: &i32) -> bool {
        *value < 0
    }
    fn is_nan(value: &f64) -> bool {
        value.is_nan()
    }
    skips! {
        Nothing Option<u8>, "Option::is_none";
        Something Option<u8>, "Option::is_some";
        EmptyVec Vec<u8>, "Vec::is_empty";
        EmptyText String, "String::is_empty";
        EmptyMap std::collections::BTreeMap<u8, u8>, "std::collections::BTreeMap::is_empty";
        Zero u32, "is_default";
        Wide u128, "is_default";
        False bool, "is_default";
        ZeroFloat f32, "is_default";
        DefaultPair Pair, "is_default";
        Negative i32, "is_negative";
        Nan f64, "is_nan";
    }
}

/// A condition that no edge meets is met by nothing that gets as far as bytes.
#[test]
fn a_field_that_is_left_out_after_all_is_refused_when_it_is_written() {
    fn is_42(value: &u32) -> bool {
        *value == 42
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Odd {
        a: u8,
        #[serde(default, skip_serializing_if = "is_42")]
        b: u32,
    }
    agree(&Odd { a: 1, b: 41 });
    let mut out = vec![9];
    let error = Bincode.encode(&vec![Odd { a: 1, b: 42 }], &mut out).unwrap_err();
    assert_eq!((error.kind, &out[..]), (FormatErrorKind::Invalid, &[9][..]));
    assert!(error.message.contains("the field b is left out"), "{error}");
}

/// What serde writes and what it asks for must be of one shape.
#[test]
fn types_that_write_something_else_than_they_read_are_refused() {
    #[derive(Debug, Serialize, Deserialize)]
    #[allow(dead_code, reason = "what is not written is not read")]
    struct Half {
        #[serde(skip_serializing, default)]
        a: u8,
        b: u8,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Other {
        #[serde(skip_deserializing)]
        a: u8,
        b: u8,
    }
    fn as_text<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct AsText {
        #[serde(serialize_with = "as_text")]
        a: u32,
    }
    refused::<Half>("the schema does not read what the codec writes");
    refused::<Other>("the schema does not read what the codec writes");
    refused::<AsText>("the schema does not read what the codec writes");
}

/// What serde never writes is no part of the type: kept without it.
#[test]
fn skipped_fields_are_no_part_of_the_type() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Cached {
        a: u8,
        #[serde(skip)]
        cache: Option<u64>,
    }
    kept(&Cached { a: 1, cache: None }, &Cached { a: 1, cache: None });
    let Schema::Struct { fields, .. } = trace::<Cached>().unwrap() else { panic!("no struct") };
    assert_eq!(fields.len(), 1);
}

/// What would lose something without a word is refused, with the path, the old type and the new one.
#[test]
fn values_that_do_not_fit_are_refused_by_path_with_both_types() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Of<T> {
        list: Vec<(u8, T)>,
    }
    let of = |value| Of { list: vec![(0, value)] };
    let both = |old: &str, new: &str| format!("stored as {old}, asked for as {new}");
    cannot_migrate::<Of<f64>, Of<f32>>(
        &of(0.1),
        &["path=.list[].1: the f64 0.1 has no equal f32", &both("\"f64\"", "\"f32\"")],
    );
    assert_eq!(migrated::<Of<f64>, Of<f32>>(&of(0.5)).unwrap(), Of { list: vec![(0, 0.5)] });
    cannot_migrate::<Of<u64>, Of<f64>>(
        &Of { list: vec![(0, (1 << 53) + 1)] },
        &["path=.list[].1", "may have no equal f64"],
    );
    cannot_migrate::<Of<u16>, Of<u8>>(
        &Of { list: vec![(0, 300)] },
        &["path=.list[].1: invalid value: integer `300`", &both("\"u16\"", "\"u8\"")],
    );
    cannot_migrate::<Of<[u8; 3]>, Of<[u8; 2]>>(
        &Of { list: vec![(0, [1, 2, 3])] },
        &["path=.list[].1: 1 parts more than the type has"],
    );
    cannot_migrate::<Of<(u8, u8)>, Of<(u8,)>>(&Of { list: vec![(0, (1, 2))] }, &["1 parts more"]);
    cannot_migrate::<Of<Vec<u8>>, Of<Pair>>(
        &Of { list: vec![(0, vec![1, 0])] },
        &["path=.list[].1: a sequence is no struct"],
    );
    type Map = std::collections::BTreeMap<String, u8>;
    cannot_migrate::<Of<Map>, Of<Pair>>(
        &Of { list: vec![(0, [("a".into(), 1), ("z".into(), 2)].into())] },
        &["path=.list[].1: a map is no struct"],
    );
    cannot_migrate::<Of<Pair>, Of<Map>>(
        &Of { list: vec![(0, Pair::default())] },
        &["path=.list[].1: a struct is no map"],
    );
    cannot_migrate::<Of<Blob>, Of<String>>(
        &Of { list: vec![(0, Blob(b"text".to_vec()))] },
        &["path=.list[].1: bytes is no string", &both("\"bytes\"", "\"string\"")],
    );
    cannot_migrate::<Of<u16>, Of<NonZeroU32>>(
        &Of { list: vec![(0, 0)] },
        &["path=.list[].1: invalid value: integer `0`"],
    );
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Long {
        A,
        B(u8),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Short {
        A,
    }
    cannot_migrate::<Of<Long>, Of<Short>>(
        &Of { list: vec![(0, Long::B(1))] },
        &["path=.list[].1: unknown variant `B`"],
    );
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        a: u8,
    }
    cannot_migrate::<Of<Pair>, Of<Strict>>(
        &Of { list: vec![(0, Pair::default())] },
        &["path=.list[].1: unknown field `b`"],
    );
}

/// What only the program can read is not offered to another type.
#[test]
fn opaque_values_and_foreign_codecs_are_not_migrated() {
    let opaque = Schema::Tuple(vec![Schema::U8, Schema::Opaque { name: "Mine".into() }]);
    for (codec, schema, why) in [
        (CodecId::BINCODE2, opaque, "knows the shape of path=.1"),
        (CodecId::new("mine"), Schema::U8, "only the codec that wrote it reads it"),
    ] {
        let stored = TypeInfo { codec, schema };
        let error = ValueCodec::<String>::migration(&Bincode, &stored).err().unwrap();
        assert_eq!(error.kind, FormatErrorKind::Incompatible);
        assert!(error.message.contains(why), "{error}");
    }
}
