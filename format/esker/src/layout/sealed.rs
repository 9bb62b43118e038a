//! The fields of a sealed file: its line, and each value of its JSON.

use super::Out;
use crate::manifest::{MANIFEST_KIND, Manifest};
use crate::part::{PART_KIND, Part};
use crate::{FormatError, Record};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

pub(super) const PREFIX: &[u8] = b"esker-";
/// The longest first line, and the longest kind that is worth repeating.
const LINE_LEN_BYTES_MAX: usize = 256;
/// Arrays and objects of at most so many bytes stand in one line.
const SHORT_LEN_BYTES: usize = 64;
const DEPTH_MAX: usize = 64;

/// Lists it all, and returns its kind.
pub(super) fn describe(file: &[u8], out: &mut Out) -> String {
    let line = file.iter().take(LINE_LEN_BYTES_MAX).position(|byte| *byte == b'\n');
    let text = line.and_then(|at| std::str::from_utf8(&file[..at]).ok());
    let Some(text) = text else {
        out.problem(Some(0), "no first line");
        return "unknown".to_owned();
    };
    let json_at = text.len() + 1;
    out.field(0, json_at as u64, "line", "");
    let mut at = 0;
    let names =
        ["kind", "version", "digest", "length"].into_iter().chain(std::iter::repeat("more"));
    out.inside(|out| {
        for (word, name) in text.split(' ').zip(names) {
            out.field(at, word.len() as u64, name, word);
            at += word.len() as u64 + 1;
        }
    });
    let json = &file[json_at..];
    out.field(json_at as u64, json.len() as u64, "JSON", "");
    match serde_json::from_slice::<&RawValue>(json) {
        Ok(raw) => out.inside(|out| walk(raw.get(), json_at as u64, DEPTH_MAX, out)),
        Err(error) => {
            let before: usize =
                json.split_inclusive(|b| *b == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
            let at = json_at + before + error.column().saturating_sub(1);
            out.problem(Some(at.min(file.len()) as u64), format!("JSON: {error}"));
        }
    }
    let kind = text.split(' ').next().unwrap_or_default();
    let kind = kind.strip_prefix("esker-").unwrap_or_default();
    if let Err(error) = verify(kind, file) {
        out.error(0, &error);
    }
    kind.to_owned()
}

fn verify(kind: &str, file: &[u8]) -> Result<(), FormatError> {
    match kind {
        "log" => Record::decode(file).map(drop),
        PART_KIND => Part::decode(file).map(drop),
        MANIFEST_KIND => Manifest::decode(file).map(drop),
        _ => Err(FormatError::corrupt("sealed file", "no known kind").at(0)),
    }
}

/// Lists the members or elements of `text`, which begins at `base`.
fn walk(text: &str, base: u64, depth: usize, out: &mut Out) {
    let Some(depth) = depth.checked_sub(1) else {
        return out.problem(Some(base), "nested deeper than is listed");
    };
    // Parts of the text lie in it, so their addresses tell where.
    let at = |part: &str| base + (part.as_ptr() as usize - text.as_ptr() as usize) as u64;
    if text.starts_with('{') {
        let Ok(Members(members)) = serde_json::from_str(text) else { return };
        for (name, raw) in members {
            value(name, raw.get(), at(raw.get()), depth, out);
        }
    } else if text.starts_with('[') {
        let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(text) else { return };
        for (number, raw) in elements.iter().enumerate() {
            value(format!("[{number}]"), raw.get(), at(raw.get()), depth, out);
        }
    } else {
        out.field(base, text.len() as u64, "value", text);
    }
}

fn value(name: String, text: &str, at: u64, depth: usize, out: &mut Out) {
    let holds = text.starts_with(['{', '[']) && text.len() > SHORT_LEN_BYTES;
    out.field(at, text.len() as u64, name, if holds { "" } else { text });
    if holds {
        out.inside(|out| walk(text, at, depth, out));
    }
}

/// The members of an object in their order, unread.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
