//! Serializers made of schemas, and values that are none of theirs.

use super::super::Serializer;
use super::values::{json, readable, unhex};
use crate::{FormatErrorKind, Input, Schema, Value};
use esker_format::schema::{Field, Shape, Variant};

#[test]
fn made_snapshots_are_those_of_flink() {
    let made = |spec: &str| {
        let mut out = Vec::new();
        Serializer::parse_spec(spec).unwrap().write(&mut out);
        out
    };
    let mut seen = 0;
    for vector in readable() {
        let spec = match vector.name.as_str() {
            "list<string>" | "list<list<long>>" | "map<string,long>" | "string[]" | "boolean[]"
            | "byte[]" | "int[]" | "char[]" | "set" | "either" | "tuple0" => match &*vector.name {
                "set" => "set<string>",
                "either" => "either<string,long>",
                "tuple0" => "tuple<void>",
                name => name,
            },
            "tuple2" => "tuple<string,long>",
            "row" => "row<string,int,long,localtime>",
            "nullable long" => "nullable<long>",
            "ttl of fixed" => "ttl<long>",
            "string" | "long" | "instant" | "localdate" | "bigint" => &vector.name,
            "bigdec" => "decimal",
            "TimeWindow" => "timewindow",
            "VoidNamespace" => "voidnamespace",
            "GlobalWindow" => "globalwindow",
            _ => continue,
        };
        if vector.name == "tuple0" {
            let mut out = Vec::new();
            Serializer::tuple_of(&[]).unwrap().write(&mut out);
            assert_eq!(out, vector.snapshot);
            continue;
        }
        assert_eq!(made(spec), vector.snapshot, "{}", vector.name);
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
    let find = |name: &str| readable().into_iter().find(|vector| vector.name == name).unwrap();
    let timer = Serializer::timer_of(&Serializer::long(), &Serializer::void_namespace()).unwrap();
    let mut out = Vec::new();
    timer.write(&mut out);
    assert_eq!(out, find("timer").snapshot);
    let level = "SerializerVectors$Level";
    let level = Serializer::enum_of(level, &["BRONZE", "SILVER", "GOLD"]).unwrap();
    let mut out = Vec::new();
    level.write(&mut out);
    assert_eq!(out, find("enum").snapshot);
    let int = Serializer::parse_spec("int").unwrap();
    let fields = [("number", &int), ("name", &Serializer::string())];
    let street = Serializer::pojo_of("SerializerVectors$Street", &fields).unwrap();
    let mut out = Vec::new();
    street.write(&mut out);
    assert_eq!(out, find("pojo small").snapshot);
}

/// What Flink has for a schema of its own is what the schema came from, or writes the same values.
#[test]
fn schemas_become_serializers_of_their_values() {
    let mut seen = 0;
    for vector in readable() {
        let serializer = vector.serializer();
        let made = match Serializer::of_schema(&serializer.schema()) {
            Ok(made) => made,
            Err(error) => {
                assert_eq!(error.kind, FormatErrorKind::Incompatible);
                continue;
            }
        };
        let value = serializer.decode(&mut vector.input()).unwrap();
        if vector.json == "null" && made.schema() != serializer.schema() {
            continue;
        }
        let mut out = Vec::new();
        made.encode(&value, &mut out).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        // The order of a set is lost, and what is an empty object is `Void`.
        if !matches!(vector.name.as_str(), "set" | "NullValue" | "GlobalWindow") {
            assert_eq!(json(&made, &out), json(&serializer, &vector.value), "{}", vector.name);
        }
        seen += 1;
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn what_has_no_java_type_is_refused_by_path() {
    let field = |name: &str, schema| Field { name: name.into(), schema };
    let of = |schema| Schema::Struct {
        name: "com.example.Event".into(),
        fields: vec![field("a", schema)],
    };
    let unnamed = Schema::Struct { name: "Event".into(), fields: Vec::new() };
    let variant = |name: &str, shape| Variant { name: name.into(), shape };
    let full = Schema::Enum {
        name: "com.example.Kind".into(),
        variants: vec![variant("A", Shape::Newtype(Box::new(Schema::U8)))],
    };
    let plain = Schema::Enum { name: "Kind".into(), variants: vec![variant("A", Shape::Unit)] };
    let list = |schema| Schema::Seq(Box::new(schema));
    for (schema, path) in [
        (of(list(unnamed)), "path=value.a[]"),
        (Schema::Option(Box::new(full)), "path=value:"),
        (Schema::Map(Box::new(Schema::U8), Box::new(plain)), "path=value{value}"),
        (of(Schema::Ref("com.example.Event".into())), "path=value.a"),
        (Schema::Tuple(vec![Schema::Opaque { name: "x".into() }]), "path=value.0"),
        (Schema::Tuple(vec![Schema::U8; 26]), "26 fields"),
    ] {
        let error = Serializer::of_schema(&schema).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Incompatible);
        assert!(error.message.contains(path), "{error}");
    }
    let unsigned =
        Serializer::of_schema(&Schema::Tuple(vec![Schema::U8, Schema::U32, Schema::U64])).unwrap();
    let value = Value::Tuple(
        vec![255, u128::from(u32::MAX), u64::MAX.into()].into_iter().map(Value::Unsigned).collect(),
    );
    let mut out = Vec::new();
    unsigned.encode(&value, &mut out).unwrap();
    assert_eq!(json(&unsigned, &out), r#"[255,4294967295,"18446744073709551615"]"#);
}

#[test]
fn values_of_another_type_are_refused() {
    let text = || Value::String("x".into());
    let refused = [
        ("long", text()),
        ("int", Value::Signed(1 << 31)),
        ("byte", Value::Unsigned(128)),
        ("char", Value::Char('😀')),
        ("localdate", Value::String("2023-02-29".into())),
        ("localtime", text()),
        ("instant", Value::String("2020-01-01T00:00:00".into())),
        ("date", Value::String("2020-01-01T00:00:00.0001Z".into())),
        ("bigint", Value::String("1.5".into())),
        ("decimal", Value::String("1,5".into())),
        ("tuple<long,long>", Value::Tuple(vec![Value::Signed(1)])),
        ("list<long>", Value::Signed(1)),
        ("map<long,long>", Value::Seq(Vec::new())),
        ("timewindow", Value::Unit),
        ("void", text()),
        ("either<long,long>", Value::Variant("Middle".into(), Some(Box::new(Value::Signed(1))))),
    ];
    for (spec, value) in refused {
        let serializer = Serializer::parse_spec(spec).unwrap();
        let error = serializer.encode(&value, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Invalid, "{spec}: {error}");
    }
}

/// Vectors of Flink's own classes, in FORMAT.
#[test]
fn vectors_of_single_values() {
    let vectors = [
        ("decimal", "0000000604d200000002", r#""12.34""#),
        ("decimal", "0000000100000000", r#""0""#),
        ("bigint", "00000005ff", r#""-1""#),
        ("bigint", "000000060080", r#""128""#),
        ("localdate", "000007e8021d", r#""2024-02-29""#),
        ("map<string,long>", "00000002026b000000000000000001026e01", r#"[["k",1],["n",null]]"#),
        ("row<string,int,long>", "5002610000000000000007", r#"["a",null,7]"#),
    ];
    for (spec, hex, text) in vectors {
        assert_eq!(json(&Serializer::parse_spec(spec).unwrap(), &unhex(hex)), text);
    }
}

/// Key groups of keys, by Flink's own hash and its mixing.
#[test]
fn key_groups_are_those_of_flink() {
    let group = |serializer: &Serializer, value: &Value, max: u32| {
        let hash = serializer.hash(value).unwrap();
        u32::from(crate::key_group::key_group(hash, max))
    };
    let text = |text: &str| Value::String(text.into());
    let vectors = [
        ("string", text("a"), 81, 3025),
        ("string", text("hello"), 35, 2723),
        ("string", text(""), 94, 2526),
        ("string", text("€😀"), 93, 2653),
        ("long", Value::Signed(1), 86, 4054),
        ("long", Value::Signed(-1), 94, 2526),
        ("int", Value::Signed(-1), 80, 2896),
        ("tuple<string,long>", Value::Tuple(vec![text("a"), Value::Signed(5)]), 80, 3280),
        ("boolean", Value::Bool(true), 77, 3533),
        ("double", Value::F64(1.5), 65, 833),
        ("decimal", text("1.10"), 121, 3449),
        ("localdate", text("2024-02-29"), 30, 414),
        ("row<string,long>", Value::Tuple(vec![text("a"), Value::Signed(1)]), 7, 2695),
    ];
    for (spec, value, of_128, of_4096) in vectors {
        let serializer = Serializer::parse_spec(spec).unwrap();
        assert_eq!(group(&serializer, &value, 128), of_128, "{spec} {value:?}");
        assert_eq!(group(&serializer, &value, 4096), of_4096, "{spec} {value:?}");
    }
    // A row of SQL: BIGINT 42 without its text, of a serializer for both.
    let rows = readable().into_iter().find(|vector| vector.name == "rowdata small").unwrap();
    let mut input = Input::new("key", &rows.value);
    assert_eq!(Some(rows.serializer().hash_bytes(&mut input).unwrap()), rows.hash);
}
