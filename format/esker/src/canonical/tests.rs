use super::*;
use crate::manifest::{Ttl, TtlUpdate};
use crate::record::Extra;
use crate::schema::{Field, Shape, Variant};
use crate::{CodecId, Key, KeyGroup, Schema};
use proptest::prelude::*;

fn ordered(schema: Schema) -> TypeInfo {
    TypeInfo { codec: CodecId::ORDERED, schema }
}

fn state(kind: StateKind) -> StateInfo {
    StateInfo {
        id: 7,
        name: "s\"".into(),
        kind,
        namespace: None,
        user_key: None,
        value: Some(ordered(Schema::U64)),
        ttl: None,
        extra: Extra::new(),
    }
}

fn encoded(value: impl Key) -> Vec<u8> {
    value.with_encoded(<[u8]>::to_vec)
}

fn line(state: &StateInfo, user_key: &[u8], value: &[u8], time_ms: Option<i64>) -> String {
    let mut key = Vec::new();
    CompositeKey::new(7, KeyGroup(0), b"k", b"", user_key).encode_into(&mut key);
    let text = ordered(Schema::String);
    let mut canonical = Canonical::new("op", Some(&text), state);
    canonical.at(time_ms, Expired::Hidden);
    let mut out = "before".to_owned();
    let entry = Entry { key: &key, op: Op::Put, value };
    let shown = canonical.write(entry, &mut out).unwrap();
    assert_eq!((shown, canonical.check(entry)), (out != "before", Ok(())));
    let line = out.split_off("before".len());
    if shown && !line.contains("[6]") {
        // The way back; the key group alone was made up.
        let (mut key_back, mut value_back) = (Vec::new(), Vec::new());
        let parsed = Line::parse(&line).unwrap();
        let reader = LineReader::new(Some(&text), state);
        reader.entry(&parsed, 0, &mut key_back, &mut value_back).unwrap();
        let (mut parts, back) =
            (CompositeKey::decode(&key).unwrap(), CompositeKey::decode(&key_back).unwrap());
        let keyed = state.kind.is_keyed();
        parts.group = if keyed { KeyGroup::of(b"k") } else { KeyGroup(0) };
        if matches!(state.kind, StateKind::OperatorList | StateKind::OperatorUnion) {
            parts.key = [0; 8].to_vec().into();
        }
        assert_eq!((back, &value_back[..]), (parts, value), "{line}");
    }
    line
}

#[test]
fn each_kind_has_its_line() {
    let head = r#"{"operator":"op","state":"s\"","kind":"#;
    let value = encoded(5_u64);
    assert_eq!(
        line(&state(StateKind::Value), b"", &value, None),
        format!(r#"{head}"value","key":"k","namespace":null,"value":5}}"#)
    );
    let map = StateInfo { user_key: Some(ordered(Schema::Bool)), ..state(StateKind::Map) };
    assert_eq!(
        line(&map, &[1], &value, None),
        format!(r#"{head}"map","key":"k","namespace":null,"userKey":true,"value":5}}"#)
    );
    let timers = StateInfo { value: None, ..state(StateKind::TimerEvent) };
    assert_eq!(
        line(&timers, &encoded(-2_i64), b"", None),
        format!(r#"{head}"timer-event","key":"k","namespace":null,"value":-2}}"#)
    );
    let list = [&[8][..], &value, &[8], &encoded(6_u64)].concat();
    assert_eq!(
        line(&state(StateKind::List), b"", &list, None),
        format!(r#"{head}"list","key":"k","namespace":null,"value":[5,6]}}"#)
    );
    assert_eq!(
        line(&state(StateKind::OperatorUnion), b"", &value, None),
        format!(r#"{head}"operator-union","value":5}}"#)
    );
    let broadcast = StateInfo {
        user_key: Some(ordered(Schema::String)),
        ..state(StateKind::OperatorBroadcast)
    };
    assert_eq!(
        line(&broadcast, b"", &value, None),
        format!(r#"{head}"operator-broadcast","userKey":"k","value":5}}"#)
    );
}

#[test]
fn what_is_expired_is_left_out() {
    let ttl = Some(Ttl { duration_ms: Some(10), update: TtlUpdate::Write });
    let value = [encoded(100_i64), encoded(5_u64)].concat();
    let with_ttl = StateInfo { ttl, ..state(StateKind::Value) };
    assert!(line(&with_ttl, b"", &value, Some(109)).ends_with(r#""value":5,"ttl":100}"#));
    assert_eq!(line(&with_ttl, b"", &value, Some(110)), "");
    assert!(line(&with_ttl, b"", &value, None).ends_with(r#""value":5,"ttl":100}"#));

    let later = [encoded(105_i64), encoded(6_u64)].concat();
    let list = [&[16][..], &value, &[16], &later].concat();
    let lists = StateInfo { ttl, ..state(StateKind::List) };
    assert!(line(&lists, b"", &list, Some(109)).ends_with(r#""value":[5,6],"ttl":[100,105]}"#));
    assert!(line(&lists, b"", &list, Some(110)).ends_with(r#""value":[6],"ttl":[105]}"#));
    assert_eq!(line(&lists, b"", &list, Some(115)), "");
}

#[test]
fn bytes_that_are_no_entry_of_the_state_are_refused() {
    let value = state(StateKind::Value);
    let text = ordered(Schema::String);
    let canonical = Canonical::new("op", Some(&text), &value);
    let mut key = Vec::new();
    CompositeKey::new(7, KeyGroup(0), b"k", b"", b"").encode_into(&mut key);
    let mut out = "before".to_owned();
    for (key, op, value) in [
        (&key[..], Op::Put, &[0; 7][..]),
        (&key, Op::Delete, b""),
        (&[0; 10], Op::Put, &[0; 8]),
        (b"", Op::Put, b""),
    ] {
        let entry = Entry { key, op, value };
        let refused = canonical.write(entry, &mut out).unwrap_err();
        assert_eq!(canonical.check(entry), Err(refused));
        assert_eq!(out, "before");
    }
    let keyless = Canonical::new("op", None, &value);
    assert!(keyless.write(Entry { key: &key, op: Op::Put, value: &[0; 8] }, &mut out).is_err());
}

/// Any type that a state can have, of some depth.
fn schemas() -> impl Strategy<Value = Schema> {
    let name = |name: &str| -> crate::schema::Name { name.into() };
    let leaf = prop_oneof![
        Just(Schema::Unit),
        Just(Schema::Bool),
        Just(Schema::U8),
        Just(Schema::U16),
        Just(Schema::U32),
        Just(Schema::U64),
        Just(Schema::U128),
        Just(Schema::I8),
        Just(Schema::I16),
        Just(Schema::I32),
        Just(Schema::I64),
        Just(Schema::I128),
        Just(Schema::F32),
        Just(Schema::F64),
        Just(Schema::Char),
        Just(Schema::String),
        Just(Schema::Bytes),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let some = || prop::collection::vec(inner.clone(), 0..4);
        let fields = || {
            some().prop_map(move |schemas| {
                let field = |(i, schema)| Field { name: format!("f{i}").as_str().into(), schema };
                schemas.into_iter().enumerate().map(field).collect::<Vec<_>>()
            })
        };
        let shape = prop_oneof![
            Just(Shape::Unit),
            boxed().prop_map(Shape::Newtype),
            some().prop_map(Shape::Tuple),
            fields().prop_map(Shape::Struct),
        ];
        let variants = prop::collection::vec(shape, 1..4).prop_map(|shapes| {
            let variant = |(i, shape)| Variant { name: format!("V{i}").as_str().into(), shape };
            shapes.into_iter().enumerate().map(variant).collect()
        });
        prop_oneof![
            boxed().prop_map(Schema::Option),
            boxed().prop_map(Schema::Option).prop_map(|inner| Schema::Option(Box::new(inner))),
            boxed().prop_map(Schema::Seq),
            boxed().prop_map(Schema::Set),
            (boxed(), boxed()).prop_map(|(key, value)| Schema::Map(key, value)),
            some().prop_map(Schema::Tuple),
            some().prop_map(move |fields| Schema::TupleStruct { name: name("T"), fields }),
            boxed().prop_map(move |inner| Schema::Newtype { name: name("N"), inner }),
            fields().prop_map(move |fields| Schema::Struct { name: name("S"), fields }),
            variants.prop_map(move |variants| Schema::Enum { name: name("E"), variants }),
        ]
    })
}

/// Bytes of which a decoder makes a value as often as not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![6 => 0..4_u8, 2 => 0x20..0x7f_u8, 1 => any::<u8>()], 0..48)
}

/// Whether something in a list or map of the value is there twice.
fn repeats(value: &crate::Value) -> bool {
    use crate::Value::{Map, Option, Seq, Struct, Tuple, Variant};
    let mut known = std::collections::HashSet::new();
    // By their text, as a NaN is not itself.
    let mut again = |value| !known.insert(format!("{value:?}"));
    match value {
        Seq(values) => values.iter().any(|v| again(v) || repeats(v)),
        Map(entries) => entries.iter().any(|(k, v)| again(k) || repeats(k) || repeats(v)),
        Tuple(values) => values.iter().any(repeats),
        Struct(fields) => fields.iter().any(|(_, v)| repeats(v)),
        Option(Some(held)) | Variant(_, Some(held)) => repeats(held),
        _ => false,
    }
}

proptest! {
    #[test]
    fn any_value_of_any_type_comes_back_from_its_text(schema in schemas(), bytes in bytes()) {
        let codec = CodecId::BINCODE2;
        let decoded = (0..=bytes.len())
            .find_map(|len| decode_value(&codec, &schema, &bytes[..len]).ok());
        if let Some(value) = decoded {
            let json = value.to_json();
            let back = crate::Value::parse_json(&schema, &json);
            // Bytes can repeat what is in a set or map, text must not.
            let is_twice = |error: &crate::FormatError| error.message.ends_with(" is there twice");
            if back.as_ref().err().is_some_and(is_twice) && repeats(&value) {
                return Ok(());
            }
            prop_assert!(back.is_ok(), "{json} {back:?}");
            let back = back.unwrap();
            prop_assert_eq!(back.to_json(), json.clone());
            // A NaN is not itself.
            if !json.contains("NaN") {
                let again = crate::encode_value(&codec, &schema, &back).unwrap();
                prop_assert_eq!(again, crate::encode_value(&codec, &schema, &value).unwrap());
            }
            // As another program would write it.
            let parsed: std::result::Result<serde_json::Value, _> = serde_json::from_str(&json);
            prop_assert!(parsed.is_ok());
            let spaced = json.replace(',', " ,\t").replace(['['], "[ ");
            if !json.contains('"') {
                prop_assert_eq!(crate::Value::parse_json(&schema, &spaced).unwrap().to_json(), json);
            }
        }
    }

    #[test]
    fn any_text_is_a_value_or_an_error_that_knows_its_place(
        schema in schemas(),
        text in r#"([\[\]{},:"0-9eE.+\-]|null|true|"some"|"f0"|"V1"|\\u[0-9a-f]{4}|.){0,24}"#,
    ) {
        if let Err(error) = crate::Value::parse_json(&schema, &text) {
            prop_assert_eq!(error.kind, crate::FormatErrorKind::Invalid);
            prop_assert!(error.offset.is_some_and(|at| at as usize <= text.len()));
        }
        let _ = Line::parse(&text);
    }
}

#[test]
fn strings_with_every_escape_are_read_as_other_parsers_read_them() {
    let read = |text: &str| crate::Value::parse_json(&Schema::String, text).ok();
    for text in [
        r#""plain""#,
        r#""a\"b\\c\/d\be\ff\ng\rh\ti""#,
        r#""\u00e9\u0041""#,
        r#""\ud83d\ude00!""#,
        r#""\ud83d""#,
        r#""\ud83dx""#,
        r#""\ud83d\u0041""#,
        r#""\ude00""#,
        r#""\u12""#,
        r#""\x""#,
        r#"""#,
        "\"a\nb\"",
        r#""a"b"#,
        r#""é😀""#,
        r#" "blank" "#,
        r#""\u00+1""#,
    ] {
        let theirs: Option<String> = serde_json::from_str(text).ok();
        assert_eq!(read(text), theirs.map(crate::Value::String), "{text}");
    }
}

#[test]
fn numbers_are_taken_whole_or_not_at_all() {
    let read = |schema: Schema, text: &str| {
        crate::Value::parse_json(&schema, text).ok().map(|value| value.to_json())
    };
    for (schema, text, expected) in [
        (Schema::U8, "255", Some("255")),
        (Schema::U8, "256", None),
        (Schema::U8, "-0", None),
        (Schema::U8, "1.0", None),
        (Schema::U8, "1e1", None),
        (Schema::U8, "01", None),
        (Schema::U8, "+1", None),
        (Schema::U8, "\"7\"", Some("7")),
        (Schema::I8, "-128", Some("-128")),
        (Schema::I8, "-129", None),
        (
            Schema::U128,
            "340282366920938463463374607431768211455",
            Some("340282366920938463463374607431768211455"),
        ),
        (Schema::U128, "340282366920938463463374607431768211456", None),
        (
            Schema::I128,
            "-170141183460469231731687303715884105728",
            Some("-170141183460469231731687303715884105728"),
        ),
        (Schema::F64, "1", Some("1.0")),
        (Schema::F64, "-0.0", Some("-0.0")),
        (Schema::F64, "1e3", Some("1000.0")),
        (Schema::F64, "1e400", None),
        (Schema::F64, "\"NaN\"", Some("\"NaN\"")),
        (Schema::F64, "\"inf\"", None),
        (Schema::F64, ".5", None),
        (Schema::F64, "5.", None),
        (Schema::F32, "1e39", None),
        (Schema::F32, "\"-Infinity\"", Some("\"-Infinity\"")),
        // Rounded once: by way of f64 it would be the even neighbour.
        (Schema::F32, "1.00000017881393432617187499", Some("1.0000001")),
    ] {
        assert_eq!(read(schema, text).as_deref(), expected, "{text}");
    }
}

#[test]
fn a_line_that_does_not_fit_its_state_is_refused_by_member_and_path() {
    let pair = Schema::Struct {
        name: "Pair".into(),
        fields: vec![
            Field { name: "a".into(), schema: Schema::U8 },
            Field { name: "b".into(), schema: Schema::Seq(Box::new(Schema::Bool)) },
        ],
    };
    let value = TypeInfo { codec: CodecId::BINCODE2, schema: pair };
    let value = StateInfo { value: Some(value), ..state(StateKind::Value) };
    let ttl = Some(Ttl { duration_ms: Some(10), update: TtlUpdate::Write });
    let timed = StateInfo { ttl, ..state(StateKind::List) };
    let wake = StateInfo { value: None, ..state(StateKind::TimerEvent) };
    let text = ordered(Schema::String);
    let refused = |state: &StateInfo, rest: &str, reason: &str| {
        let line = format!(r#"{{"operator":"op","state":"s",{rest}}}"#);
        let entry = Line::parse(&line).and_then(|line| {
            LineReader::new(Some(&text), state).entry(&line, 0, &mut Vec::new(), &mut Vec::new())
        });
        let error = entry.unwrap_err();
        assert!(error.message.contains(reason), "{error}");
    };
    let kv = r#""kind":"value","key":"k","namespace":null,"value""#;
    refused(
        &value,
        &format!(r#"{kv}:{{"a":300,"b":[]}}"#),
        "value.a: expected u8, 0 to 255, found 300",
    );
    refused(
        &value,
        &format!(r#"{kv}:{{"a":3,"b":[true,1]}}"#),
        "value.b[1]: expected true or false, found 1",
    );
    refused(&value, &format!(r#"{kv}:{{"a":3}}"#), r#"value: the field "b" is missing"#);
    refused(&value, &format!(r#"{kv}:{{"a":3,"a":3,"b":[]}}"#), r#"the field "a" is there twice"#);
    refused(
        &value,
        &format!(r#"{kv}:{{"a":3,"c":3}}"#),
        r#"the field "c" is unknown: expected an object with the fields of Pair: a, b"#,
    );
    refused(
        &value,
        &format!(r#"{kv}:7"#),
        "value: expected an object with the fields of Pair: a, b, found 7",
    );
    refused(&value, r#""kind":"value","key":"k""#, "value: is missing");
    refused(&value, r#""kind":"value","value":{}"#, "key: is missing");
    refused(&value, r#""kind":"value","key":7,"value":{}"#, "key: expected a string, found 7");
    refused(
        &value,
        r#""kind":"value","key":"k","namespace":1,"value":{}"#,
        "namespace: the state has none",
    );
    refused(
        &value,
        r#""kind":"value","key":"k","userKey":1,"value":{}"#,
        "userKey: the state has none",
    );
    refused(&value, &format!(r#"{kv}:{{"a":3,"b":[]}},"ttl":5"#), "ttl: the state has none");
    refused(&value, r#""kind":"map","key":"k","value":{}"#, "kind: expected value, found map");
    refused(&value, r#""kind":"value","kee":"k""#, "unknown field `kee`");
    refused(&value, r#""kind":"value","key":"k","key":"k""#, "duplicate field `key`");
    let list = r#""kind":"list","key":"k","value""#;
    refused(&timed, &format!("{list}:[1,2]"), "ttl: is missing");
    refused(
        &timed,
        &format!(r#"{list}:[1,2],"ttl":[7]"#),
        "ttl: expected a time for each of 2 elements, found 1",
    );
    refused(
        &timed,
        &format!(r#"{list}:[],"ttl":[]"#),
        "value: a list without elements is no entry",
    );
    refused(&timed, &format!(r#"{list}:[1,-2],"ttl":[7,8]"#), "value[1]: expected u64");
    refused(&wake, r#""kind":"timer-event","key":"k","value":1.5"#, "value: expected i64");
    refused(
        &state(StateKind::OperatorList),
        r#""kind":"operator-list","key":"k","value":1"#,
        "key: the state has none",
    );
}
