//! Tracing, and values through bytes and JSON.

use super::*;
use crate::codec::{Bincode, CodecId, ValueCodec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: i64,
    lines: Vec<Line>,
    state: Option<State>,
    wide: (u128, i128),
    pair: Pair<u8>,
    other: Pair<String>,
    unit: (),
    nested: Option<Option<u8>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line(String, f64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair<T> {
    a: T,
    b: Option<T>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    Open,
    Sent(char),
    Split(Box<Order>, u8),
    Lost { by: Vec<State>, code: [u8; 2] },
}

fn line() -> impl Strategy<Value = Line> {
    (".{0,5}", -1e9..1e9_f64).prop_map(|(text, price)| Line(text, price))
}

fn order(state: Option<State>, id: i64, lines: Vec<Line>, wide: (u128, i128)) -> Order {
    let pair = Pair { a: 1, b: None };
    let other = Pair { a: String::new(), b: Some("x".into()) };
    Order { id, lines, state, wide, pair, other, unit: (), nested: Some(None) }
}

/// Schema, sample, bytes and JSON agree.
pub(super) fn agree<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> String {
    let schema = trace::<T>().unwrap();
    check_sample(&schema, &Bincode, value).unwrap();
    let mut bytes = Vec::new();
    Bincode.encode(value, &mut bytes).unwrap();
    let id = CodecId::BINCODE2;
    let dynamic = decode_value(&id, &schema, &bytes).unwrap();
    assert_eq!(encode_value(&id, &schema, &dynamic).unwrap(), bytes);
    assert_eq!(migrate::<T>(&id, &schema, &bytes).unwrap(), *value);
    let json = dynamic.to_json();
    assert_eq!(Value::parse_json(&schema, &json).unwrap(), dynamic);
    let stored = serde_json::to_string(&schema).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&stored).unwrap(), schema);
    json
}

proptest! {
    #[test]
    fn values_round_trip(
        id in any::<i64>(),
        lines in prop::collection::vec(line(), 0..3),
        wide in any::<(u128, i128)>(),
        c in any::<char>(),
    ) {
        let inner = order(Some(State::Sent(c)), id, lines.clone(), wide);
        let split = State::Split(Box::new(inner.clone()), 1);
        let lost = State::Lost { by: vec![State::Open, split], code: [1, 2] };
        agree(&order(Some(lost), id, lines.clone(), wide));
        let json = agree(&order(None, id, lines, (1, -1)));
        let schema = trace::<Order>().unwrap();
        prop_assert_eq!(Value::parse_json(&schema, &json).unwrap().to_json(), json);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let schema = trace::<Order>().unwrap();
        if let Ok(value) = decode_value(&CodecId::BINCODE2, &schema, &bytes) {
            prop_assert_eq!(encode_value(&CodecId::BINCODE2, &schema, &value).unwrap(), bytes);
        }
    }
}

#[test]
fn json_is_canonical() {
    let text = |v: Value| v.to_json();
    assert_eq!(text(Value::F64(1.0)), "1.0");
    assert_eq!(text(Value::F32(0.1)), "0.1");
    assert_eq!(text(Value::F64(f64::NAN)), "\"NaN\"");
    assert_eq!(text(Value::F32(f32::NEG_INFINITY)), "\"-Infinity\"");
    assert_eq!(text(Value::Bytes(vec![0, 0xab])), "\"00ab\"");
    assert_eq!(text(Value::String("é\"\\\n\u{1}\u{7f}".into())), "\"é\\\"\\\\\\n\\u0001\u{7f}\"");
    assert_eq!(text(Value::Unsigned(u128::MAX)), u128::MAX.to_string());
    assert_eq!(agree(&Some(Some(5_u8))), "{\"some\":5}");
    assert_eq!(agree(&Some(None::<u8>)), "{\"some\":null}");
    assert_eq!(agree(&None::<Option<u8>>), "null");
    assert_eq!(agree(&State::Open), "\"Open\"");
    assert_eq!(agree(&State::Sent('x')), "{\"Sent\":\"x\"}");
    let lost = State::Lost { by: vec![], code: [1, 2] };
    assert_eq!(agree(&lost), "{\"Lost\":{\"by\":[],\"code\":[1,2]}}");
    assert_eq!(
        agree(&BTreeMap::from([(2_u8, "b".to_string()), (1, "a".into())])),
        "[[1,\"a\"],[2,\"b\"]]"
    );
}

#[test]
fn sets_and_maps_come_in_order_of_their_bytes() {
    let map: HashMap<u8, u8> = (0..50).map(|i| (i, i)).collect();
    let set: HashSet<u8> = (0..50).collect();
    let schema = trace::<(HashMap<u8, u8>, HashSet<u8>)>().unwrap();
    let mut bytes = Vec::new();
    Bincode.encode(&(map.clone(), set.clone()), &mut bytes).unwrap();
    let json = decode_value(&CodecId::BINCODE2, &schema, &bytes).unwrap().to_json();
    assert!(json.starts_with("[[[0,0],[1,1],[2,2]") && json.ends_with("48,49]]"), "{json}");
    check_sample(&schema, &Bincode, &(map, set)).unwrap();
}

#[test]
fn what_a_set_or_map_holds_twice_is_refused_with_its_path() {
    type Nested = (HashMap<Vec<u8>, u8>, Vec<HashSet<(u8, String)>>, Vec<u8>);
    let schema = trace::<Nested>().unwrap();
    for (text, wrong) in [
        (r#"[[[[1],7],[[1,2],7]],[[[1,"a"],[2,"a"]],[[1,"a"]]],[3,3]]"#, None),
        (r#"[[[[1],7],[[2],7],[[1],8]],[],[]]"#, Some((18, ".0[2]: the key is there twice"))),
        (
            r#"[[],[[],[[1,"a"],[2,"a"], [1,"\u0061"]]],[]]"#,
            Some((26, ".1[1][2]: the element is there twice")),
        ),
    ] {
        let found = Value::parse_json(&schema, text).map_err(|e| (e.offset, e.message));
        let expected = wrong.map(|(at, message): (u64, &str)| (Some(at), message.to_owned()));
        assert_eq!(found.err(), expected, "{text}");
    }
}

#[derive(Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: Pair<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    A(u8),
    B(String),
}

#[derive(Serialize, Deserialize)]
struct Skips {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<u8>,
    b: u8,
}

#[derive(Serialize, Deserialize)]
#[serde(try_from = "u8")]
struct Validated(u8);

impl TryFrom<u8> for Validated {
    type Error = &'static str;

    fn try_from(v: u8) -> Result<Self, Self::Error> {
        if v > 9 { Ok(Self(v)) } else { Err("must be above 9") }
    }
}

#[test]
fn untraceable_types_are_named() {
    fn refused<T: Serialize + DeserializeOwned>(name: &str) {
        let e = trace::<T>().unwrap_err();
        assert_eq!(e.kind, crate::FormatErrorKind::Incompatible);
        assert!(e.message.contains(name), "{e}");
    }
    refused::<Flat>("Flat");
    refused::<Untagged>("Untagged");
    refused::<Skips>("Skips");
    refused::<Validated>("must be above 9");
}

#[test]
fn a_wrong_schema_is_found_by_a_sample() {
    assert!(check_sample(&Schema::U32, &Bincode, &State::Sent('x')).is_err());
    let opaque = Schema::Opaque { name: "State".into() };
    check_sample(&opaque, &Bincode, &State::Sent('x')).unwrap();
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Expr {
    Add(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Lit(std::num::NonZeroU32),
    Late(Option<Link>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Link {
    next: Option<Box<Link>>,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    A,
    B(Box<Expr>),
}

#[test]
fn recursive_types_are_traced() {
    let lit = || Box::new(Expr::Lit(std::num::NonZeroU32::MIN));
    let kind = Some(Kind::B(lit()));
    let link = Link { next: Some(Box::new(Link { next: None, kind: Some(Kind::A) })), kind };
    let late = Expr::Not(Box::new(Expr::Late(Some(link.clone()))));
    agree(&Expr::Add(lit(), Box::new(late)));
    agree(&link);
}

#[test]
fn references_that_lead_nowhere_are_errors() {
    let id = CodecId::BINCODE2;
    assert!(decode_value(&id, &Schema::Ref("x".into()), &[]).is_err());
    let inner = Box::new(Schema::Ref("a".into()));
    let endless = Schema::Newtype { name: "a".into(), inner };
    assert!(decode_value(&id, &endless, &[]).is_err());
    assert!(Value::parse_json(&endless, "null").is_err());
}

#[test]
fn values_out_of_proportion_to_the_bytes_are_refused() {
    let seq = |inner: Schema| Schema::Seq(Box::new(inner));
    let newtype = |inner: Schema| Schema::Newtype { name: "N".into(), inner: Box::new(inner) };
    // 2^20 elements without bytes; as many of a byte each, in newtypes that hold them twice over.
    let bytes = [252, 0, 0, 0x10, 0];
    let error = decode_value(&CodecId::BINCODE2, &seq(Schema::Unit), &bytes).unwrap_err();
    assert!(error.message.contains("more values than its bytes justify"), "{error}");
    let bytes = [&bytes[..], &[7; 1 << 20]].concat();
    let wrapped = seq(newtype(newtype(Schema::U8)));
    assert!(decode_value(&CodecId::BINCODE2, &wrapped, &bytes).is_ok());
}

#[test]
fn names_that_are_there_twice_are_refused() {
    let field = |name: &str| Field { name: name.into(), schema: Schema::U8 };
    let fields = |a, b| Schema::Struct { name: "S".into(), fields: vec![field(a), field(b)] };
    let variants = |a: &str, b: &str, shape: Shape| Schema::Enum {
        name: "E".into(),
        variants: vec![
            Variant { name: a.into(), shape: Shape::Unit },
            Variant { name: b.into(), shape },
        ],
    };
    let good = variants("A", "B", Shape::Newtype(Box::new(fields("x", "y"))));
    assert_eq!(Schema::Option(Box::new(good)).check_names(), Ok(()));
    for bad in [
        fields("x", "x"),
        variants("A", "A", Shape::Unit),
        variants("A", "B", Shape::Struct(vec![field("x"), field("x")])),
        variants("A", "B", Shape::Newtype(Box::new(fields("x", "x")))),
        Schema::Tuple(vec![Schema::U8, fields("x", "x")]),
    ] {
        assert!(bad.check_names().is_err(), "{bad:?}");
    }
}
