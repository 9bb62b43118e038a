//! Sealed files: log records, parts and manifests.

use crate::seeds;
use esker_format::manifest::{MANIFEST_KIND, Manifest};
use esker_format::part::{PART_KIND, Part};
use esker_format::run::RunReader;
use esker_format::{Record, Result, frame, layout};
use std::borrow::Cow;
use std::fmt::Debug;

/// A sealed file of any kind that is known.
pub(crate) fn sealed(bytes: &[u8]) {
    for kind in ["log", PART_KIND, MANIFEST_KIND] {
        if let Ok((version, json)) = frame::open(kind, u32::MAX, bytes) {
            assert_eq!(frame::seal(kind, version, json), bytes, "a file has one form");
        }
    }
}

pub(crate) fn log_record(bytes: &[u8]) {
    file("log", bytes, Record::decode, Record::encode);
}

pub(crate) fn part(bytes: &[u8]) {
    file(PART_KIND, bytes, Part::decode, Part::encode);
}

pub(crate) fn manifest(bytes: &[u8]) {
    file(MANIFEST_KIND, bytes, Manifest::decode, Manifest::encode);
}

/// A sealed file, or the JSON of one: else no mutation would get behind the digest.
fn file<T: PartialEq + Debug>(
    kind: &'static str,
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
    encode: impl Fn(&T) -> Result<Vec<u8>>,
) {
    let sealed = match bytes.starts_with(b"esker-") {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(frame::seal(kind, 1, bytes)),
    };
    if let Ok(value) = decode(&sealed) {
        let again = encode(&value).unwrap();
        assert_eq!(decode(&again).unwrap(), value);
        assert_eq!(encode(&value).unwrap(), again, "a value has one form");
    }
}

/// What lies where, of any file: what verifies has no problem, and nothing lies outside.
pub(crate) fn layout(bytes: &[u8]) {
    let layout = layout::describe(bytes);
    let sound = RunReader::open_file(bytes).and_then(|run| run.verify(bytes)).is_ok()
        || Record::decode(bytes).is_ok()
        || Part::decode(bytes).is_ok()
        || Manifest::decode(bytes).is_ok();
    assert_eq!(layout.problems.is_empty(), sound, "{layout}");
    for field in &layout.fields {
        let end = field.offset.checked_add(field.len_bytes);
        assert!(end.is_some_and(|end| end <= bytes.len() as u64), "{field:?}");
    }
    assert!(layout.to_string().lines().count() > layout.fields.len());
}

pub(crate) fn layout_seeds() -> Vec<Vec<u8>> {
    [seeds::runs(), seeds::sealed()].concat()
}
