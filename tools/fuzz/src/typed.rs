//! Bytes into Rust types: both codecs, and migration.

use crate::value::split;
use esker_format::{Bincode, Key, ValueCodec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
struct Node {
    next: Option<Box<Node>>,
    children: Vec<Node>,
    units: Vec<()>,
    names: BTreeMap<String, Option<Shape>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    A,
    B(u64),
    C(String, Vec<u8>),
    D { x: i128, y: Option<char> },
}

/// The first byte chooses the type.
pub(crate) fn typed(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 12 {
        0 => bincode::<Node>(bytes),
        1 => bincode::<Shape>(bytes),
        2 => bincode::<(u8, i16, u32, i64, u128, bool, char, String)>(bytes),
        3 => bincode::<Vec<Option<Box<[u8]>>>>(bytes),
        4 => bincode::<Vec<()>>(bytes),
        5 => bincode::<[Vec<u16>; 3]>(bytes),
        6 => key::<String>(bytes),
        7 => key::<Vec<u8>>(bytes),
        8 => key::<(String, u64, Vec<u8>)>(bytes),
        9 => key::<((String, i32), (), char)>(bytes),
        10 => key::<(bool, i128)>(bytes),
        _ => key::<()>(bytes),
    }
}

fn bincode<T>(bytes: &[u8])
where
    T: PartialEq + Debug + Serialize + for<'de> Deserialize<'de>,
{
    let Ok(value) = ValueCodec::<T>::decode(&Bincode, bytes) else { return };
    let mut again = Vec::new();
    Bincode.encode(&value, &mut again).unwrap();
    assert_eq!(ValueCodec::<T>::decode(&Bincode, &again).unwrap(), value);
}

fn key<K: Key + Debug>(bytes: &[u8]) {
    let Ok(key) = K::decode(bytes) else { return };
    let mut again = Vec::new();
    key.encode_into(&mut again);
    assert_eq!(again, bytes, "two keys are equal if and only if their bytes are");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 1, 0, 0, 0, 0, 0, 3, 1, 1, b'k', 1, 1, 9],
        vec![1, 3, 251, 0, 1, 1, b'A'],
        vec![2, 7, 4, 9, 4, 251, 0, 1, 1, b'A', 2, b'h', b'i'],
        vec![3, 2, 0, 1, 2, 5, 6],
        vec![4, 251, 0, 1],
        vec![5, 1, 2, 0, 1, 251, 0, 1],
        b"\x06text".to_vec(),
        b"\x08a\0\xffb\0\0\0\0\0\0\0\0\0\x07rest".to_vec(),
        b"\x09a\0\0\x80\0\0\x01\0\0\0A".to_vec(),
    ]
}

/// What was stored by one type, read as others.
pub(crate) fn migrate(input: &[u8]) {
    let Some((codec, schema, bytes)) = split(input) else { return };
    let _ = esker_format::migrate::<Node>(&codec, &schema, bytes);
    let _ = esker_format::migrate::<Shape>(&codec, &schema, bytes);
    let _ = esker_format::migrate::<Vec<Option<i64>>>(&codec, &schema, bytes);
    let _ = esker_format::migrate::<BTreeMap<String, f64>>(&codec, &schema, bytes);
    let _ = esker_format::migrate::<serde_json::Value>(&codec, &schema, bytes);
}
