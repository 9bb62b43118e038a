//! What an expression gives, as a value of a schema.

use super::*;
use crate::codec::{Bincode, CodecId, ValueCodec};
use crate::schema::{decode_value, trace};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tree {
    id: u16,
    small: f32,
    name: Option<String>,
    twice: Option<Option<i8>>,
    kind: Kind,
    below: Vec<Tree>,
    by: BTreeMap<(u8, char), Wrap>,
    seen: BTreeSet<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Wrap(Option<bool>);

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Kind {
    Plain,
    One(Option<u8>),
    Pair(u8, String),
    Named { at: i64 },
}

fn tree() -> impl Strategy<Value = Tree> {
    let kind = prop_oneof![
        Just(Kind::Plain),
        any::<Option<u8>>().prop_map(Kind::One),
        any::<(u8, String)>().prop_map(|(a, b)| Kind::Pair(a, b)),
        any::<i64>().prop_map(|at| Kind::Named { at }),
    ];
    let leaf = (
        any::<(u16, f32)>(),
        any::<Option<String>>(),
        any::<Option<Option<i8>>>(),
        kind,
        prop::collection::btree_map(any::<(u8, char)>(), any::<Option<bool>>(), 0..3),
        any::<BTreeSet<i64>>(),
    );
    let leaf = leaf.prop_map(|((id, small), name, twice, kind, by, seen)| {
        let by = by.into_iter().map(|(key, held)| (key, Wrap(held))).collect();
        Tree { id, small, name, twice, kind, below: Vec::new(), by, seen }
    });
    (leaf.clone(), prop::collection::vec(leaf, 0..3))
        .prop_map(|(tree, below)| Tree { below, ..tree })
}

/// What an expression sees of a value.
fn loosened(value: &Value) -> Value {
    let pair = |name: &str, held: &Value| (Value::String(name.to_owned()), loosened(held));
    match value {
        Value::Option(None) => Value::Unit,
        Value::Option(Some(held)) => match &**held {
            Value::Unit | Value::Option(_) => Value::Map(vec![pair("some", held)]),
            _ => loosened(held),
        },
        Value::Signed(v) if *v >= 0 => Value::Unsigned(v.cast_unsigned()),
        Value::F32(v) => Value::F64((*v).into()),
        Value::Char(c) => Value::String((*c).into()),
        Value::Seq(items) | Value::Tuple(items) => Value::Seq(items.iter().map(loosened).collect()),
        Value::Map(entries) => {
            let pair = |(k, v): &(Value, Value)| Value::Seq(vec![loosened(k), loosened(v)]);
            Value::Seq(entries.iter().rev().map(pair).collect())
        }
        Value::Struct(fields) => {
            Value::Map(fields.iter().rev().map(|(name, held)| pair(name, held)).collect())
        }
        Value::Variant(name, None) => Value::String(name.to_string()),
        Value::Variant(name, Some(held)) => Value::Map(vec![pair(name, held)]),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn what_an_expression_sees_of_a_value_fits_as_it_was(tree in tree()) {
        let schema = trace::<Tree>().unwrap();
        let mut bytes = Vec::new();
        Bincode.encode(&tree, &mut bytes).unwrap();
        let value = decode_value(&CodecId::BINCODE2, &schema, &bytes).unwrap();
        let fitted = loosened(&value).fit(&schema).unwrap();
        // `NaN` is not itself.
        prop_assert_eq!(fitted.to_json(), value.to_json());
    }
}

fn refused(schema: &Schema, loose: Value) -> String {
    loose.fit(schema).unwrap_err().message
}

#[test]
fn what_does_not_fit_is_refused_with_its_place() {
    let text = |text: &str| Value::String(text.to_owned());
    let entry = |name: &str, held: Value| (text(name), held);
    let option = Schema::Option(Box::new(Schema::U8));
    let kind = trace::<Kind>().unwrap();
    let set = Schema::Set(Box::new(Schema::U8));
    let map = Schema::Map(Box::new(Schema::U8), Box::new(Schema::Bool));
    for (schema, loose, said) in [
        (Schema::U8, Value::Signed(256), "expected u8, 0 to 255, found int 256"),
        (Schema::U8, Value::Signed(-1), "expected u8, 0 to 255, found int -1"),
        (Schema::U64, Value::F64(1.0), "expected u64, 0 to 18446744073709551615, found double 1.0"),
        (Schema::U8, text("1"), "expected u8, 0 to 255, found string \"1\""),
        (Schema::I8, Value::Unsigned(128), "expected i8, -128 to 127, found uint 128"),
        (Schema::F64, Value::Signed(1), "expected a double, found int 1"),
        (Schema::F32, Value::F64(1e300), "expected a double, found double 1"),
        (Schema::Char, text("ab"), "expected a string of one character, found string \"ab\""),
        (Schema::Bytes, text("00"), "expected bytes, found string \"00\""),
        (Schema::String, Value::Bytes(vec![0]), "expected a string, found bytes \"00\""),
        (Schema::Bool, Value::Unit, "expected true or false, found null"),
        (option.clone(), text("x"), "expected u8, 0 to 255, found string \"x\""),
        (
            Schema::Option(Box::new(option)),
            Value::Unsigned(1),
            "expected null or {\"some\": …}, found uint 1",
        ),
        (
            Schema::Tuple(vec![Schema::U8, Schema::U8]),
            Value::Seq(vec![Value::Unsigned(1)]),
            "expected a list of 2, found list [1]",
        ),
        (
            Schema::Seq(Box::new(Schema::U8)),
            Value::Seq(vec![Value::Unsigned(1), Value::Unit]),
            "[1]: expected u8, 0 to 255, found null",
        ),
        (set, Value::Seq(vec![Value::Unsigned(1); 2]), "the element uint 1 is there twice"),
        (
            map.clone(),
            Value::Map(vec![(Value::Unsigned(1), Value::Unit)]),
            "{uint 1}: expected true or false, found null",
        ),
        (map, Value::Seq(vec![Value::Unit]), "[0]: expected [key, value], found null"),
        (
            kind.clone(),
            text("Other"),
            "expected a variant of Kind, \"A\" or {\"A\": …}: Plain, One, Pair, Named, found \
             string \"Other\"",
        ),
        (kind.clone(), text("One"), "expected {\"One\": …}"),
        (
            kind.clone(),
            Value::Map(vec![entry("Plain", Value::Unit)]),
            "the variant Plain holds nothing",
        ),
        (
            kind.clone(),
            Value::Map(vec![entry("Named", Value::Map(Vec::new()))]),
            "::Named: the field \"at\" is missing",
        ),
        (
            kind,
            Value::Map(vec![entry("Named", Value::Map(vec![entry("to", Value::Unit)]))]),
            "::Named: the field string \"to\" is unknown: expected a map with the fields of Named",
        ),
    ] {
        let found = refused(&schema, loose);
        assert!(found == said || said.ends_with("double 1") && found.starts_with(said), "{found}");
    }
}
