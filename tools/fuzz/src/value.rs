//! Values by a schema: bytes of both codecs, and JSON.
//!
//! An input is a byte that chooses, a schema in JSON, a zero byte, and the value.

use esker_format::{CodecId, Schema, Value, decode_value, encode_value};

/// A codec, a schema, and what is left.
pub(crate) fn split(input: &[u8]) -> Option<(CodecId, Schema, &[u8])> {
    let (choice, rest) = input.split_first()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let schema: Schema = serde_json::from_slice(&rest[..end]).ok()?;
    // As every schema of a manifest.
    schema.check_names().ok()?;
    let codec = if choice & 1 == 0 { CodecId::ORDERED } else { CodecId::BINCODE2 };
    Some((codec, schema, &rest[end + 1..]))
}

pub(crate) fn value(input: &[u8]) {
    let Some((codec, schema, bytes)) = split(input) else { return };
    let text = serde_json::to_string(&schema).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema);

    let Ok(value) = decode_value(&codec, &schema, bytes) else { return };
    let again = encode_value(&codec, &schema, &value).unwrap();
    let back = decode_value(&codec, &schema, &again).unwrap();
    let json = value.to_json();
    // By their text, as a NaN is not itself.
    assert_eq!(back.to_json(), json);
    assert_eq!(again.len(), bytes.len());
    // Both codecs have one form for a value, but for the order within sets and maps.
    if codec == CodecId::ORDERED || !(text.contains("\"set\"") || text.contains("\"map\"")) {
        assert_eq!(again, bytes);
    }
    match Value::parse_json(&schema, &json) {
        Ok(parsed) => assert_eq!(parsed.to_json(), json),
        // Bytes can repeat what is in a set or map, text must not.
        Err(error) => assert!(error.message.ends_with(" is there twice"), "{error}"),
    }
}

/// The value of a schema, as JSON.
pub(crate) fn json(input: &[u8]) {
    let Some((_, schema, bytes)) = split(input) else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(value) = Value::parse_json(&schema, text) else { return };
    let json = value.to_json();
    let _: serde_json::Value = serde_json::from_str(&json).unwrap();
    for codec in [CodecId::ORDERED, CodecId::BINCODE2] {
        if let Ok(bytes) = encode_value(&codec, &schema, &value) {
            let back = decode_value(&codec, &schema, &bytes).unwrap();
            // Sets and maps are sorted only once they have bytes.
            assert_eq!(encode_value(&codec, &schema, &back).unwrap().len(), bytes.len());
        }
    }
}

const NODE: &str =
    r#"{"struct":{"name":"Node","fields":[{"name":"next","schema":{"option":{"ref":"Node"}}}]}}"#;
const ENUM: &str = r#"{"enum":{"name":"E","variants":[{"name":"A","shape":"unit"},{"name":"B","shape":{"newtype":"u64"}},{"name":"C","shape":{"tuple":["string","bytes"]}},{"name":"D","shape":{"struct":[{"name":"x","schema":"f64"}]}}]}}"#;
const FLAT: &str =
    r#"{"tuple":["u8","i16","u32","i64","u128","bool","char","string","bytes","unit"]}"#;
const NESTED: &str =
    r#"{"map":["string",{"seq":{"option":{"set":{"newtype":{"name":"W","inner":"f32"}}}}}]}"#;

/// An input of the form above.
pub(crate) fn input(choice: u8, schema: &str, value: &[u8]) -> Vec<u8> {
    [&[choice], schema.as_bytes(), &[0], value].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let flat = [
        &[7, 0x80, 1, 0, 0, 0, 9, 0x80, 0, 0, 0, 0, 0, 0, 2][..],
        &[0; 16],
        &[1, 0, 0, 0, 65],
        b"a\0\xffb\0\0cd\0\0",
    ]
    .concat();
    // A million elements without bytes, if 16 KiB were to justify as many.
    let units = [&[252, 0, 0, 0x10, 0][..], &[7; 16 << 10]].concat();
    vec![
        input(1, r#"{"tuple":[{"seq":"unit"},{"opaque":{"name":"rest"}}]}"#, &units),
        input(0, FLAT, &flat),
        input(1, FLAT, &[7, 4, 9, 4, 251, 0, 1, 1, b'A', 2, b'h', b'i', 1, 9]),
        input(0, r#""string""#, "ü".as_bytes()),
        input(0, r#"{"tuple":["bytes",{"tuple":["i8","string"]}]}"#, b"a\0\xffb\0\0\x80c"),
        input(1, NODE, &[1, 1, 1, 0]),
        input(1, ENUM, &[1, 251, 0, 1]),
        input(1, ENUM, &[2, 1, b'x', 2, 1, 2]),
        input(1, NESTED, &[1, 1, b'k', 2, 0, 1, 1, 0, 0, 128, 63]),
        input(1, r#"{"opaque":{"name":"mine"}}"#, b"anything"),
    ]
}

pub(crate) fn json_seeds() -> Vec<Vec<u8>> {
    vec![
        input(0, FLAT, br#"[7,-2,9,2,"5",true,"A","hi","09",null]"#),
        input(0, NODE, br#"{"next":{"next":null}}"#),
        input(0, ENUM, br#""A""#),
        input(0, ENUM, br#"{"C":["x","01ff"]}"#),
        input(0, ENUM, br#"{"D":{"x":-1.5}}"#),
        input(0, NESTED, br#"[["k",[null,[1.0,"NaN"]]]]"#),
        input(0, r#"{"option":{"option":"unit"}}"#, br#"{"some":{"some":null}}"#),
    ]
}
