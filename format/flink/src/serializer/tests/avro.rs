//! Avro, whose bytes no program here could make: snapshots and values put together by hand.

use super::super::Serializer;
use super::values::{json, unhex};
use crate::text::{write_string, write_utf};
use crate::{FormatErrorKind, Input, Output, Schema, Value};
use esker_format::schema::Shape;
use esker_format::{CodecId, decode_value, encode_value};

const CLASS: &str = "org.apache.flink.formats.avro.typeutils.AvroSerializerSnapshot";

/// The snapshot of `schema`, as each version writes it.
fn snapshot(version: i32, schema: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_utf(CLASS, &mut bytes).unwrap();
    bytes.put_i32(version);
    match version {
        3 => {
            write_string(Some("com.example.Thing"), &mut bytes).unwrap();
            write_string(Some(schema), &mut bytes).unwrap();
        }
        2 => {
            write_utf("com.example.Thing", &mut bytes).unwrap();
            write_utf(schema, &mut bytes).unwrap();
        }
        _ => write_utf(schema, &mut bytes).unwrap(),
    }
    bytes
}

fn read(version: i32, schema: &str) -> crate::Result<Serializer> {
    let bytes = snapshot(version, schema);
    let mut input = Input::new("snapshot", &bytes);
    let serializer = Serializer::read(&mut input)?;
    input.end()?;
    let mut out = Vec::new();
    serializer.write(&mut out);
    assert_eq!(out, bytes);
    Ok(serializer)
}

const THING: &str = r#"{"type":"record","name":"Thing","namespace":"com.example","fields":[
    {"name":"z_long","type":"long"}, {"name":"text","type":{"type":"string","avro.java.string":"String"}},
    {"name":"maybe","type":["null","int"],"default":null}, {"name":"other","type":["string","null"]},
    {"name":"bytes","type":"bytes"}, {"name":"hash","type":{"type":"fixed","name":"Hash","size":2}},
    {"name":"color","type":{"type":"enum","name":"Color","symbols":["RED","GREEN"]}},
    {"name":"again","type":"Color"}, {"name":"list","type":{"type":"array","items":"double"}},
    {"name":"map","type":{"type":"map","values":["null","long"]}},
    {"name":"any","type":["null","string",{"type":"record","name":"Inner","fields":[{"name":"flag","type":"boolean"}]},"com.example.Color"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

/// A value of it, field by field in the order of the schema.
const VALUE: &[&str] = &[
    "ffffffffffffffff",                                            // z_long = -1
    "00000003c3a961",                                              // text = "éa"
    "00000000",                                                    // maybe = null
    "00000000 00000001 78",                                        // other = "x"
    "00000002 00ff",                                               // bytes
    "0102",                                                        // hash
    "00000001",                                                    // color = GREEN
    "00000000",                                                    // again = RED
    "02 3ff8000000000000 c000000000000000 01 0000000000000000 00", // two blocks
    "02 00000001 62 00000000 00000001 61 00000001 0000000000000005 00",
    "00000002 01",      // any = Inner
    "00000000000003e8", // at
];

const JSON: &str = r#"{"again":"RED","any":{"flag":true},"at":1000,"bytes":"00ff","color":"GREEN","hash":"0102","list":[1.5,-2.0,0.0],"map":[["a",5],["b",null]],"maybe":null,"other":"x","text":"éa","z_long":-1}"#;

fn value() -> Vec<u8> {
    unhex(&VALUE.concat().replace(' ', ""))
}

#[test]
fn every_version_is_read_by_its_own_schema() {
    for version in 1..=3 {
        let serializer = read(version, THING).unwrap();
        assert_eq!(json(&serializer, &value()), JSON);
        let bytes = value();
        for skip in [Serializer::skip, Serializer::check] {
            let mut input = Input::new("value", &bytes);
            skip(&serializer, &mut input).unwrap();
            input.end().unwrap();
        }
    }
}

#[test]
fn values_go_to_esker_and_back() {
    let serializer = read(3, THING).unwrap();
    let schema = serializer.schema();
    schema.check_names().unwrap();
    schema.check_references().unwrap();
    let decoded = serializer.decode(&mut Input::new("value", &value())).unwrap();
    let encoded = encode_value(&CodecId::BINCODE2, &schema, &decoded).unwrap();
    assert_eq!(decode_value(&CodecId::BINCODE2, &schema, &encoded).unwrap(), decoded);
    let mut out = Vec::new();
    serializer.encode(&decoded, &mut out).unwrap();
    assert_eq!(json(&serializer, &out), JSON);
    assert_eq!(serializer.decode(&mut Input::new("value", &out)).unwrap(), decoded);
    // All items in one block, and an empty array without one.
    let array = read(3, r#"{"type":"array","items":"int"}"#).unwrap();
    let mut out = Vec::new();
    let of = |values: &[i128]| Value::Seq(values.iter().map(|v| Value::Signed(*v)).collect());
    array.encode(&of(&[7, 8]), &mut out).unwrap();
    array.encode(&of(&[]), &mut out).unwrap();
    assert_eq!(
        out,
        unhex("02000000070000000800".to_owned().as_str())
            .into_iter()
            .chain([0])
            .collect::<Vec<_>>()
    );
}

#[test]
fn types_may_contain_themselves() {
    let node = r#"{"type":"record","name":"Node","fields":[
        {"name":"value","type":"int"},{"name":"next","type":["null","Node"]}]}"#;
    let serializer = read(3, node).unwrap();
    let bytes =
        unhex("0000000100000001000000020000000100000003 00000000".replace(' ', "").as_str());
    let text = r#"{"next":{"next":{"next":null,"value":3},"value":2},"value":1}"#;
    assert_eq!(json(&serializer, &bytes), text);
    let schema = serializer.schema();
    schema.check_references().unwrap();
    let Schema::Struct { fields, .. } = &schema else { panic!("{schema}") };
    assert_eq!(fields[0].schema, Schema::Option(Box::new(Schema::Ref("Node".into()))));
    let value = serializer.decode(&mut Input::new("value", &bytes)).unwrap();
    let encoded = encode_value(&CodecId::BINCODE2, &schema, &value).unwrap();
    assert_eq!(decode_value(&CodecId::BINCODE2, &schema, &encoded).unwrap(), value);
    // As deep as one likes, up to a limit.
    let deep = unhex(&"0000000100000001".repeat(10_000));
    let error = serializer.skip(&mut Input::new("value", &deep)).unwrap_err();
    assert!(error.message.contains("deeper"), "{error}");
}

#[test]
fn unions_of_several_are_variants() {
    let serializer = read(3, r#"["null","long","string"]"#).unwrap();
    let Schema::Enum { variants, .. } = serializer.schema() else { panic!() };
    assert!(matches!(&variants[1].shape, Shape::Newtype(of) if **of == Schema::I64));
    for (hex, text) in
        [("00000000", "null"), ("000000010000000000000005", "5"), ("000000020000000178", "\"x\"")]
    {
        assert_eq!(json(&serializer, &unhex(hex)), text);
        let value = serializer.decode(&mut Input::new("value", &unhex(hex))).unwrap();
        let mut out = Vec::new();
        serializer.encode(&value, &mut out).unwrap();
        assert_eq!(out, unhex(hex));
    }
    let error = serializer.skip(&mut Input::new("value", &unhex("00000003"))).unwrap_err();
    assert_eq!((error.kind, error.offset), (FormatErrorKind::Corrupt, Some(0)));
}

#[test]
fn schemas_that_are_none_are_refused() {
    for (schema, why) in [
        ("{", "EOF"),
        ("7", "text, an array or an object"),
        (r#""Unknown""#, "Unknown"),
        (r#"{"type":"record","name":"A"}"#, "fields"),
        (
            r#"{"type":"record","name":"A","fields":[{"name":"x","type":"int"},{"name":"x","type":"int"}]}"#,
            "two fields x",
        ),
        (r#"{"type":"enum","name":"E","symbols":["A","A"]}"#, "two symbols A"),
        (r#"{"type":"fixed","name":"F","size":-1}"#, "size"),
        (r#"["int","int"]"#, "two of int"),
        (r#"{"type":"array"}"#, "items"),
        (r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":2}]"#, "twice"),
    ] {
        let error = read(3, schema).unwrap_err();
        assert!(error.message.contains(why), "{schema}: {error}");
    }
    let deep = format!("{}\"int\"{}", r#"{"type":"array","items":"#.repeat(50), "}".repeat(50));
    assert!(read(3, &deep).unwrap_err().message.contains("deeper"));
}

/// Few bytes of JSON that stand for very many types are not written out.
#[test]
fn schemas_that_double_are_opaque() {
    let mut schema = r#"{"type":"record","name":"R0","fields":[]}"#.to_owned();
    for i in 1..30 {
        let before = i - 1;
        schema = format!(
            r#"{{"type":"record","name":"R{i}","fields":[{{"name":"a","type":{schema}}},{{"name":"b","type":"R{before}"}}]}}"#
        );
    }
    let serializer = read(3, &schema).unwrap();
    assert_eq!(serializer.opaque(), Some(CLASS));
    assert!(matches!(serializer.schema(), Schema::Opaque { .. }));
}
