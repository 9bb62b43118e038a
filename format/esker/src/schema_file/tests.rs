//! Schema files as text, and what is refused of them.

use super::*;
use crate::{CodecId, Schema, trace};
use proptest::prelude::*;
use serde::Serialize;

const TEXT: &str = r#"{
  "esker-schema": 1,
  "operators": [
    {
      "uid": "carriers",
      "key": {"codec": "ordered", "schema": "string"},
      "states": [
        {
          "name": "days",
          "kind": "map",
          "ttl": {"durationMs": 3600000, "update": "read-and-write"},
          "namespace": {"codec": "ordered", "schema": "u32"},
          "userKey": {"codec": "ordered", "schema": {"tuple": ["i32", "string"]}},
          "value": {
            "codec": "bincode2",
            "schema": {
              "struct": {
                "name": "Day",
                "fields": [
                  {"name": "flights", "schema": "u32"},
                  {
                    "name": "worst",
                    "schema": {
                      "option": {
                        "enum": {
                          "name": "Cause",
                          "variants": [
                            {"name": "Weather", "shape": "unit"},
                            {"name": "After", "shape": {"newtype": {"ref": "Day"}}},
                            {
                              "name": "Other",
                              "shape": {
                                "struct": [
                                  {"name": "minutes", "schema": "f32"}
                                ]
                              }
                            }
                          ]
                        }
                      }
                    }
                  }
                ]
              }
            }
          }
        },
        {"name": "wake", "kind": "timer-event"}
      ]
    },
    {
      "uid": "source",
      "states": [
        {
          "name": "offsets",
          "kind": "operator-list",
          "value": {"codec": "bincode2", "schema": "u64"}
        },
        {"name": "rules", "kind": "operator-union", "value": {"codec": "mine", "schema": "unit"}}
      ]
    }
  ]
}
"#;

#[derive(Serialize, serde::Deserialize)]
struct Day {
    flights: u32,
    worst: Option<Cause>,
}

#[derive(Serialize, serde::Deserialize)]
enum Cause {
    Weather,
    After(Box<Day>),
    Other { minutes: f32 },
}

#[test]
fn a_file_has_one_text_whatever_its_order_and_layout_were() {
    let mut file = SchemaFile::parse(TEXT).unwrap();
    assert_eq!(file.to_text().unwrap(), TEXT);
    file.operators.reverse();
    file.operators.iter_mut().for_each(|operator| operator.states.reverse());
    assert_eq!(file.to_text().unwrap(), TEXT);
    let compact: serde_json::Value = serde_json::from_str(TEXT).unwrap();
    assert_eq!(SchemaFile::parse(&compact.to_string()).unwrap().to_text().unwrap(), TEXT);
}

#[test]
fn what_a_file_says_of_a_type_is_what_tracing_says() {
    let file = SchemaFile::parse(TEXT).unwrap();
    let days = file.operator("carriers").unwrap().state("days").unwrap();
    assert_eq!(days.value.as_ref().unwrap().schema, trace::<Day>().unwrap());
    assert_eq!(StateSchema::of(&days.info(7)), *days);
    assert_eq!(file.operator("source").unwrap().key, None);
}

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place() {
    for (from, to, said) in [
        ("{\n  \"esker-schema\": 1,", "", "expected an object with the member `esker-schema`"),
        (r#""esker-schema": 1"#, r#""esker": 1"#, "missing field `esker-schema`"),
        (r#""esker-schema": 1"#, r#""esker-schema": 0"#, "there is no version=0"),
        (r#""uid": "source""#, r#""uid": "carriers""#, "operator=carriers: it is there twice"),
        ("rules", "offsets", "operator=source: state=offsets: it is there twice"),
        (r#""kind": "map""#, r#""kind": "mop""#, "unknown variant `mop`"),
        (r#""kind": "map""#, r#""kind": "list""#, "state=days: kind=list has no user keys"),
        (r#""name": "wake", "#, r#""name": "wake", "vlaue": 1, "#, "unknown field `vlaue`"),
        (r#"{"ref": "Day"}"#, r#"{"ref": "Dai"}"#, "value: no type around it is called name=Dai"),
        (r#""name": "worst""#, r#""name": "flights""#, "two fields or variants share the name"),
        (r#""schema": "u32""#, r#""schema": "u33""#, "unknown variant `u33`"),
        (
            "      \"key\": {\"codec\": \"ordered\", \"schema\": \"string\"},\n",
            "",
            "state=days: keyed state, but the operator has no key type",
        ),
        ("  ]\n}\n", "  ]\n}\nx", "trailing characters at line"),
    ] {
        let text = TEXT.replacen(from, to, 1);
        assert_ne!(text, TEXT, "{from}");
        let error = SchemaFile::parse(&text).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Invalid, "{error}");
        assert!(error.message.contains(said), "{said:?} is not in {error}");
    }
    let newer = TEXT.replace(r#""esker-schema": 1"#, r#""esker-schema": 2, "new": []"#);
    let error = SchemaFile::parse(&newer).unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::UnsupportedVersion);
    assert_eq!(error.message, "version=2 is newer than the newest known=1");
    let twice = TEXT.replace(r#""esker-schema": 1"#, r#""esker-schema": 1, "esker-schema": 1"#);
    assert!(SchemaFile::parse(&twice).is_err());
}

#[test]
fn text_out_of_all_proportion_is_refused() {
    let error = SchemaFile::parse(&" ".repeat(SCHEMA_FILE_LEN_BYTES_MAX + 1)).unwrap_err();
    assert!(error.message.contains("bytes, at most"), "{error}");
    let deep = format!(r#"{{"esker-schema":1,"operators":{}"#, "[".repeat(100_000));
    assert!(SchemaFile::parse(&deep).is_err());
}

#[test]
fn a_file_that_could_not_be_read_is_not_written() {
    let mut file = SchemaFile::parse(TEXT).unwrap();
    file.operators.push(file.operators[0].clone());
    assert_eq!(file.to_text().unwrap_err().kind, FormatErrorKind::Invalid);
}

fn schema() -> impl Strategy<Value = Schema> {
    let leaf = prop_oneof![
        Just(Schema::U8),
        Just(Schema::String),
        ".{0,12}".prop_map(|name| Schema::Opaque { name: name.into() })
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Schema::Option(Box::new(inner))),
            (inner.clone(), inner.clone())
                .prop_map(|(key, value)| Schema::Map(Box::new(key), Box::new(value))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Schema::Tuple),
            (".{0,6}", prop::collection::btree_map(".{0,6}", inner, 0..4)).prop_map(
                |(name, fields)| Schema::Struct {
                    name: name.into(),
                    fields: fields
                        .into_iter()
                        .map(|(name, schema)| crate::schema::Field { name: name.into(), schema })
                        .collect(),
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn any_file_comes_back_from_its_text(
        types in prop::collection::btree_map(".{0,8}", (schema(), any::<Option<u64>>()), 0..4),
        uid: String,
    ) {
        let codec = CodecId::BINCODE2;
        let states = types.into_iter().map(|(name, (schema, duration_ms))| StateSchema {
            name,
            kind: StateKind::Value,
            namespace: None,
            user_key: None,
            value: Some(TypeInfo { codec: codec.clone(), schema }),
            ttl: Some(Ttl { duration_ms, update: crate::manifest::TtlUpdate::Write }),
            reads: duration_ms.is_some().then(Reads::default),
        });
        let key = Some(TypeInfo { codec: CodecId::ORDERED, schema: Schema::U64 });
        let operator = OperatorSchema { uid, key, states: states.collect() };
        let file = SchemaFile { operators: vec![operator] };
        let text = file.to_text().unwrap();
        prop_assert_eq!(SchemaFile::parse(&text).unwrap(), file);
        prop_assert_eq!(text.chars().last(), Some('\n'));
    }

    #[test]
    fn arbitrary_text_never_panics(text: String, at in 0..TEXT.len(), junk in ".{0,3}") {
        let _ = SchemaFile::parse(&text);
        let changed = format!("{}{junk}{}", &TEXT[..at], &TEXT[at..]);
        let _ = SchemaFile::parse(&changed);
    }
}
