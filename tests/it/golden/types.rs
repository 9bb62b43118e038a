//! Values and keys of every type that a schema can have.

use super::{Program, Subtasks, ranges, stored};
use esker::backend::{Backend, BackendFactory, MapCalls, ValueCalls};
use esker::format::manifest::Manifest;
use esker::format::{
    Bincode, CodecId, Key, KeyGroup, Ordered, Result, Schema, ValueCodec, bincode_key,
};
use esker::state::{MapDescriptor, ValueDescriptor};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

pub(super) struct EveryType;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Everything {
    unsigned: (u8, u16, u32, u64, u128),
    signed: (i8, i16, i32, i64, i128),
    single: f32,
    double: f64,
    flag: bool,
    letter: char,
    text: String,
    bytes: Blob,
    unit: (),
    marker: Marker,
    maybe: Option<u32>,
    nested: Option<Option<u8>>,
    list: Vec<u16>,
    array: [i8; 2],
    map: BTreeMap<String, Option<f64>>,
    wrapped: Wrapped,
    pair: Pair,
    choices: Vec<Choice>,
    tree: Node,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Marker;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Wrapped(u64);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pair(i32, String);

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Choice {
    Unit,
    One(u32),
    Two(u32, i32),
    Named { of: Box<Option<Choice>>, at: (u8, char) },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Node {
    name: String,
    children: Vec<Node>,
}

/// Bytes, as serde knows them.
#[derive(Debug, Clone)]
struct Blob(Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Blob;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> std::result::Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        from.deserialize_byte_buf(Bytes)
    }
}

/// A codec of a shape that it brings with it.
#[derive(Clone)]
struct Shaped(Schema);

impl<T: Serialize + serde::de::DeserializeOwned> ValueCodec<T> for Shaped {
    fn id(&self) -> CodecId {
        CodecId::BINCODE2
    }

    fn schema(&self) -> Result<Schema> {
        Ok(self.0.clone())
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<()> {
        Bincode.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        Bincode.decode(bytes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Route {
    from: String,
    by: Option<Choice>,
}
bincode_key!(Route);

impl Program for EveryType {
    const NAME: &'static str = "every-type";

    fn open<F: BackendFactory>(
        factory: &F,
        parallelism: u32,
        manifest: Option<&Manifest>,
        fill: bool,
    ) -> Vec<(&'static str, Subtasks<F::Backend>)> {
        let make = |uid: &'static str, open: &dyn Fn(&mut F::Backend)| {
            let subtask = |range| {
                let mut backend = factory.make(uid, range, stored(manifest, uid)).unwrap();
                open(&mut backend);
                (backend, None)
            };
            (uid, ranges(parallelism).map(subtask).collect::<Subtasks<F::Backend>>())
        };
        vec![
            make("structs", &|backend| values(backend, fill)),
            make("texts", &|backend| keys::<_, String>(backend, fill, &["".into(), "a\0é".into()])),
            make("bytes", &|backend| keys::<_, Vec<u8>>(backend, fill, &[vec![], vec![0, 255]])),
            make("wide", &|backend| keys(backend, fill, &[i128::MIN, -1, i128::MAX])),
            make("narrow", &|backend| keys(backend, fill, &[0_u8, 255])),
            make("tuples", &|backend| {
                let pairs = [(true, 'é', "a\0".to_owned(), i16::MIN), (false, '\0', "".into(), 7)];
                keys(backend, fill, &pairs);
            }),
        ]
    }
}

/// States of values of every type, by keys that are structs.
fn values<B: Backend>(backend: &mut B, fill: bool) {
    let everything = ValueDescriptor::<Route, Everything>::new("everything");
    let everything = backend.open(everything).unwrap();
    let ordered = ValueDescriptor::<Route, (u64, String)>::with_codec("ordered", Ordered);
    let ordered = backend.open(ordered).unwrap();
    let set = Shaped(Schema::Set(Box::new(Schema::U16)));
    let set = backend.open(ValueDescriptor::<Route, Vec<u16>>::with_codec("set", set)).unwrap();
    let opaque = Shaped(Schema::Opaque { name: "Secret".into() });
    let opaque = ValueDescriptor::<Route, (u8, String)>::with_codec("opaque", opaque);
    let opaque = backend.open(opaque).unwrap();
    let floats = MapDescriptor::<Route, i64, f64>::new("floats");
    let floats = backend.open(floats).unwrap();
    let maybe = backend.open(ValueDescriptor::<Route, Option<bool>>::new("maybe")).unwrap();
    let range = backend.range();
    for number in (0..4_u32).filter(|_| fill) {
        let route = route(number);
        if !range.contains(route.with_encoded(KeyGroup::of)) {
            continue;
        }
        let state = backend.state(everything).unwrap();
        state.update(&route, &(), value(number)).unwrap();
        let pair = (u64::MAX - u64::from(number), format!("a\0{number}"));
        backend.state(ordered).unwrap().update(&route, &(), pair).unwrap();
        let numbers = (0..number as u16 * 2).rev().map(|n| n * 200).collect();
        backend.state(set).unwrap().update(&route, &(), numbers).unwrap();
        let secret = (number as u8, "secret".to_owned());
        backend.state(opaque).unwrap().update(&route, &(), secret).unwrap();
        let of_floats =
            [0.1, -0.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX, 16_777_217.0];
        for (at, float) in (-3..).zip(of_floats) {
            backend.state(floats).unwrap().put(&route, &(), &at, float).unwrap();
        }
        let flag = [None, Some(false), Some(true)][number as usize % 3];
        backend.state(maybe).unwrap().update(&route, &(), flag).unwrap();
    }
}

/// A state of numbers, by keys of a type.
fn keys<B: Backend, K: Key>(backend: &mut B, fill: bool, keys: &[K]) {
    let numbers = backend.open(ValueDescriptor::<K, i64>::new("numbers")).unwrap();
    let range = backend.range();
    for (number, key) in (-1..).zip(keys) {
        if fill && range.contains(key.with_encoded(KeyGroup::of)) {
            backend.state(numbers).unwrap().update(key, &(), number).unwrap();
        }
    }
}

fn route(number: u32) -> Route {
    let by = match number {
        0 => None,
        1 => Some(Choice::Unit),
        2 => Some(Choice::Two(7, -7)),
        _ => Some(Choice::Named { of: Box::new(Some(Choice::One(1))), at: (1, '"') }),
    };
    Route { from: format!("A{number}"), by }
}

fn value(number: u32) -> Everything {
    let leaf = |name: &str| Node { name: name.to_owned(), children: Vec::new() };
    let end = number == 0;
    let choices = vec![
        Choice::Unit,
        Choice::One(number),
        Choice::Two(1, -1),
        Choice::Named { of: Box::new(Some(Choice::One(2))), at: (3, 'x') },
        Choice::Named { of: Box::new(None), at: (0, '\u{10ffff}') },
    ];
    Everything {
        unsigned: if end {
            (u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX)
        } else {
            (0, 250, 251, 65_536, u128::from(number))
        },
        signed: if end {
            (i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN)
        } else {
            (-1, 0, 125, -126, i128::MAX)
        },
        single: [f32::NAN, 0.1, -0.0, f32::MAX][number as usize % 4],
        double: [f64::NEG_INFINITY, 0.1, -0.0, f64::from_bits(1)][number as usize % 4],
        flag: end,
        letter: ['\0', '"', 'é', '😀'][number as usize % 4],
        text: ["", "\u{1}\t\\\"", "é😀", "plain"][number as usize % 4].to_owned(),
        bytes: Blob((0..number as u8).map(|byte| byte.wrapping_mul(127)).collect()),
        unit: (),
        marker: Marker,
        maybe: (!end).then_some(number),
        nested: [None, Some(None), Some(Some(0)), Some(Some(255))][number as usize % 4],
        list: (0..number as u16).map(|n| n * 1000).collect(),
        array: [-128, 127],
        map: (0..number)
            .map(|n| (format!("k{n}"), (n > 0).then_some(f64::from(n) / 3.0)))
            .collect(),
        wrapped: Wrapped(u64::from(number)),
        pair: Pair(-1, number.to_string()),
        choices: choices.into_iter().skip(number as usize).collect(),
        tree: Node {
            name: "root".to_owned(),
            children: vec![leaf("a"), Node { name: "b".into(), children: vec![leaf("c")] }],
        },
    }
}
