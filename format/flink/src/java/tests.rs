#![allow(clippy::unwrap_used, reason = "tests")]

use super::read;
use crate::{FormatErrorKind, Input};

fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::text::write_utf(text, &mut out).unwrap();
    out
}

fn class(name: &str, flags: u8, fields: &[(u8, &str)]) -> Vec<u8> {
    let mut out = [&[0x72][..], &text(name), &[0; 8], &[flags]].concat();
    out.extend((fields.len() as u16).to_be_bytes());
    for (code, name) in fields {
        out.push(*code);
        out.extend(text(name));
        if matches!(code, b'L' | b'[') {
            out.extend([&[0x74][..], &text("Lx;")].concat());
        }
    }
    out.push(0x78);
    out
}

fn stream(parts: &[&[u8]]) -> Vec<u8> {
    [&[0xac, 0xed, 0, 5][..], &parts.concat()].concat()
}

/// The type of a nullable `INT`, from FORMAT of Flink's own classes.
pub(crate) fn int_type() -> Vec<u8> {
    let package = "org.apache.flink.table.types.logical.";
    stream(&[
        &[0x73, 0x72],
        &text(&format!("{package}IntType")),
        &[0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0x78, 0x72],
        &text(&format!("{package}LogicalType")),
        &[0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 2, b'Z'],
        &text("isNullable"),
        b"L",
        &text("typeRoot"),
        &[0x74],
        &text("Lorg/apache/flink/table/types/logical/LogicalTypeRoot;"),
        &[0x78, 0x70, 1, 0x7e, 0x72],
        &text(&format!("{package}LogicalTypeRoot")),
        &[0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0x78, 0x72],
        &text("java.lang.Enum"),
        &[0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0, 0, 0x78, 0x70, 0x74],
        &text("INTEGER"),
    ])
}

#[test]
fn a_type_with_its_ancestors_and_an_enum() {
    let bytes = [int_type(), vec![1, 2, 3]].concat();
    let mut input = Input::new("object", &bytes);
    let graph = read(&mut input).unwrap();
    assert_eq!(input.rest(), [1, 2, 3]);
    let root = graph.root();
    assert_eq!(graph.class(root), Some("org.apache.flink.table.types.logical.IntType"));
    assert_eq!(graph.number(root, "isNullable"), Some(1));
    assert_eq!(graph.constant(graph.reference(root, "typeRoot").unwrap()), Some("INTEGER"));
    assert_eq!(graph.number(root, "length"), None);
}

#[test]
fn lists_strings_and_references() {
    // An `ArrayList` of two: a text, and the same again.
    let list = class("java.util.ArrayList", 3, &[(b'I', "size")]);
    let bytes = stream(&[
        &[0x73],
        &list,
        &[0x70, 0, 0, 0, 2, 0x77, 4, 0, 0, 0, 2, 0x74],
        &text("x"),
        // Handles: the class, the object, the text.
        &[0x71, 0, 0x7e, 0, 2, 0x78],
    ]);
    let mut input = Input::new("object", &bytes);
    let graph = read(&mut input).unwrap();
    input.end().unwrap();
    let elements = graph.elements(graph.root()).unwrap();
    assert_eq!(elements.len(), 2);
    assert_eq!(elements[0], elements[1]);
    assert_eq!(graph.number(graph.root(), "size"), Some(2));
}

#[test]
fn arrays_externalizable_classes_and_long_texts() {
    let bytes = stream(&[
        &[0x75],
        &class("[Ljava.lang.Object;", 2, &[]),
        &[0x70, 0, 0, 0, 4, 0x75],
        &class("[I", 2, &[]),
        &[0x70, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x73],
        &class("java.time.Ser", 0x0c, &[]),
        &[0x70, 0x77, 2, 1, 2, 0x7a, 0, 0, 0, 1, 9, 0x78, 0x7c, 0, 0, 0, 0, 0, 0, 0, 1, b'y', 0x70],
    ]);
    let mut input = Input::new("object", &bytes);
    let graph = read(&mut input).unwrap();
    input.end().unwrap();
    let elements = graph.elements(graph.root()).unwrap();
    assert_eq!(elements.len(), 4);
    assert_eq!(graph.class(elements[1]), Some("java.time.Ser"));
    assert_eq!(elements[3], super::NULL);
}

#[test]
fn what_cannot_be_read_is_named() {
    let proxy = stream(&[&[0x73, 0x7d, 0, 0, 0, 1], &text("java.util.Comparator")]);
    let error = read(&mut Input::new("object", &proxy)).unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::UnsupportedVersion);
    assert!(error.message.contains("java.util.Comparator"), "{error}");
    let old = stream(&[&[0x73], &class("a.Old", 4, &[]), &[0x70]]);
    let error = read(&mut Input::new("object", &old)).unwrap_err();
    assert!(error.message.contains("a.Old"), "{error}");
    let deep = stream(&[&class("a.B", 2, &[])[1..0], &[0x79; 1000]]);
    let error = read(&mut Input::new("object", &deep)).unwrap_err();
    assert!(error.message.contains("deeper"), "{error}");
    for damaged in [
        stream(&[&[0x71, 0, 0x7e, 0, 0]]),
        stream(&[&[0x75], &class("[I", 2, &[]), &[0x70, 0x7f, 0xff, 0xff, 0xff]]),
        stream(&[&[0x20]]),
        stream(&[&[0x73, 0x70]]),
        vec![0xac, 0xed, 0, 4, 0x70],
    ] {
        let error = read(&mut Input::new("object", &damaged)).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Corrupt, "{error}");
    }
}
