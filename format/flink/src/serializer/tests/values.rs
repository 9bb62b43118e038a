//! What Flink's own serializers wrote, value by value (`golden/serializers`).

use super::super::{Kind, Serializer};
use crate::{FormatErrorKind, Input, Value};
use esker_format::{CodecId, decode_value, encode_value};

/// A line of a file of vectors.
pub(super) struct Vector {
    pub(super) name: String,
    pub(super) length: i32,
    pub(super) snapshot: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) hash: Option<i32>,
    pub(super) json: String,
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

pub(super) fn vectors() -> Vec<Vector> {
    let mut found: Vec<Vector> = Vec::new();
    for file in [
        include_str!("../../../golden/serializers/1.20.5.tsv"),
        include_str!("../../../golden/serializers/2.3.0.tsv"),
    ] {
        for line in file.lines() {
            let [name, length, snapshot, value, hash, json] =
                line.split('\t').collect::<Vec<_>>()[..]
            else {
                panic!("{line}")
            };
            let snapshot = match snapshot {
                "=" => found.last().unwrap().snapshot.clone(),
                hex => unhex(hex),
            };
            found.push(Vector {
                name: name.to_owned(),
                length: length.parse().unwrap(),
                snapshot,
                value: unhex(value),
                hash: hash.parse().ok(),
                json: json.to_owned(),
            });
        }
    }
    assert!(found.len() > 440);
    found
}

/// Those that need no Java to be read. Flink 1 leaves lists and maps in POJOs to Kryo.
pub(super) fn readable() -> Vec<Vector> {
    let mut found = vectors();
    found.retain(|vector| vector.serializer().opaque().is_none());
    assert!(found.len() > 430, "{}", found.len());
    found
}

impl Vector {
    pub(super) fn serializer(&self) -> Serializer {
        let mut input = Input::new("snapshot", &self.snapshot);
        let serializer =
            Serializer::read(&mut input).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        input.end().unwrap();
        serializer
    }

    pub(super) fn input(&self) -> Input<'_> {
        Input::new("value", &self.value)
    }
}

pub(super) fn json(serializer: &Serializer, bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut input = Input::new("value", bytes);
    serializer.write_json(&mut input, &mut out).unwrap();
    assert!(input.is_empty(), "{} bytes follow {out}", input.remaining());
    out
}

#[test]
fn snapshots_are_written_as_they_were() {
    for vector in vectors() {
        let serializer = vector.serializer();
        let mut out = Vec::new();
        serializer.write(&mut out);
        assert_eq!(out, vector.snapshot, "{}", vector.name);
        let length = serializer.length().map_or(-1, |length| length as i32);
        assert_eq!(length, vector.length, "{}", vector.name);
    }
}

#[test]
fn values_are_shown_as_java_shows_them() {
    for vector in vectors() {
        let serializer = vector.serializer();
        if serializer.opaque().is_some() {
            assert!(vector.json == "opaque" || vector.name == "pojo");
            assert!(serializer.opaque().unwrap().ends_with("KryoSerializerSnapshot"));
            if vector.name == "kryo" {
                let error = serializer.skip(&mut vector.input()).unwrap_err();
                assert_eq!(error.kind, FormatErrorKind::Incompatible);
            }
            continue;
        }
        assert_eq!(json(&serializer, &vector.value), vector.json, "{}", vector.name);
        for skip in [Serializer::skip, Serializer::check] {
            let mut input = vector.input();
            skip(&serializer, &mut input).unwrap();
            input.end().unwrap();
        }
    }
}

/// Whether the bytes of `value` do not say in which order entries are.
fn has_order(value: &Value) -> bool {
    match value {
        Value::Map(entries) => entries.len() < 2,
        Value::Seq(values) | Value::Tuple(values) => values.iter().all(has_order),
        Value::Struct(fields) => fields.iter().all(|(_, value)| has_order(value)),
        Value::Option(Some(value)) | Value::Variant(_, Some(value)) => has_order(value),
        _ => true,
    }
}

#[test]
fn values_are_encoded_as_flink_does() {
    for vector in readable() {
        let serializer = vector.serializer();
        let value = serializer.decode(&mut vector.input()).unwrap();
        let mut out = Vec::new();
        serializer.encode(&value, &mut out).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        // What is kept free for long nulls: more than one way to write them, of which keys have the other.
        let is_one_of_two = vector.name == "rowdata" && vector.json.starts_with("[null");
        if has_order(&value) && !matches!(serializer.kind, Kind::Set(_)) && !is_one_of_two {
            assert_eq!(out, vector.value, "{} {}", vector.name, vector.json);
        }
        let again = serializer.decode(&mut Input::new("value", &out)).unwrap();
        // Not by `==`: NaN is not itself.
        assert_eq!(format!("{again:?}"), format!("{value:?}"), "{}", vector.name);
    }
}

/// Null where a schema has no place for it, because Java allows it everywhere.
fn has_bare_null(vector: &Vector) -> bool {
    let names = ["list<string>", "map<null,string>", "tuple2", "tuple3 nested"];
    vector.json == "null" || names.contains(&vector.name.as_str()) && vector.json.contains("null")
}

#[test]
fn values_are_those_of_their_schema() {
    for vector in readable() {
        let serializer = vector.serializer();
        let schema = serializer.schema();
        schema.check_names().unwrap();
        schema.check_references().unwrap();
        let value = serializer.decode(&mut vector.input());
        let value = value.unwrap_or_else(|e| panic!("{} {}: {e}", vector.name, vector.json));
        let encoded = encode_value(&CodecId::BINCODE2, &schema, &value);
        if has_bare_null(&vector) && encoded.is_err() {
            continue;
        }
        let encoded = encoded.unwrap_or_else(|e| panic!("{} {}: {e}", vector.name, vector.json));
        let decoded = decode_value(&CodecId::BINCODE2, &schema, &encoded).unwrap();
        // Not by `==`: NaN is not itself.
        assert_eq!(format!("{decoded:?}"), format!("{value:?}"), "{}", vector.name);
    }
}

#[test]
fn hash_codes_are_javas() {
    let mut known = 0;
    for vector in vectors() {
        let serializer = vector.serializer();
        let mut input = vector.input();
        match serializer.hash_bytes(&mut input) {
            Ok(hash) => {
                input.end().unwrap();
                assert_eq!(hash, vector.hash.unwrap_or(0), "{} {}", vector.name, vector.json);
                known += 1;
            }
            Err(error) => assert_eq!(error.kind, FormatErrorKind::Incompatible, "{error}"),
        }
    }
    assert!(known > 250, "{known}");
}
