//! Old bytes into today's types.

use super::*;
use crate::codec::{Bincode, CodecId, ValueCodec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Serialize, Deserialize)]
struct Old {
    id: u16,
    name: String,
    gone: Vec<u8>,
    level: Level,
    score: f32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Level {
    Low,
    High(u8),
    Custom { of: i8 },
}

fn migrated<T: DeserializeOwned>(level: Level) -> crate::Result<T> {
    let old = Old { id: 7, name: "n".into(), gone: vec![1], level, score: 0.5 };
    let mut bytes = Vec::new();
    Bincode.encode(&old, &mut bytes)?;
    migrate(&CodecId::BINCODE2, &trace::<Old>()?, &bytes)
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct New {
    // Reordered, wider, optional, renamed, and new.
    score: f64,
    level: Option<NewLevel>,
    #[serde(alias = "name")]
    title: String,
    id: u64,
    #[serde(default)]
    added: i32,
    extra: Option<bool>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum NewLevel {
    Custom {
        of: i64,
        #[serde(default)]
        or: u8,
    },
    #[serde(alias = "Low")]
    Lowest,
    High(u32),
}

#[test]
fn structs_and_enums_follow_names() {
    let new = |level| New {
        score: 0.5,
        level: Some(level),
        title: "n".into(),
        id: 7,
        added: 0,
        extra: None,
    };
    assert_eq!(migrated::<New>(Level::Low).unwrap(), new(NewLevel::Lowest));
    assert_eq!(migrated::<New>(Level::High(3)).unwrap(), new(NewLevel::High(3)));
    let custom = NewLevel::Custom { of: -2, or: 0 };
    assert_eq!(migrated::<New>(Level::Custom { of: -2 }).unwrap(), new(custom));
}

#[test]
fn aliases_do_not_disturb_tracing() {
    let Schema::Struct { fields, .. } = trace::<New>().unwrap() else { panic!("no struct") };
    let names: Vec<_> = fields.iter().map(|field| &*field.name).collect();
    let Schema::Enum { variants, .. } = trace::<NewLevel>().unwrap() else { panic!("no enum") };
    let variants: Vec<_> = variants.iter().map(|variant| &*variant.name).collect();
    assert_eq!(variants, ["Custom", "Lowest", "High"]);
    assert_eq!(names, ["score", "level", "title", "id", "added", "extra"]);
}

#[test]
fn what_does_not_fit_is_named() {
    #[derive(Debug, Deserialize)]
    struct Needs {
        _missing: u8,
    }
    let e = migrated::<Needs>(Level::Low).unwrap_err();
    assert_eq!(e.kind, crate::FormatErrorKind::Incompatible);
    assert!(e.message.contains("Needs") && e.message.contains("_missing"), "{e}");
}
