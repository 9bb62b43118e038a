//! Bytes that no Flink wrote: refused, or read as something that can be written again.

use super::super::{Kind, Serializer};
use super::values::{Vector, vectors};
use crate::{Input, Output};
use proptest::prelude::*;

/// What must hold for a serializer of any bytes, and any bytes as its value.
fn holds(serializer: &Serializer, bytes: &[u8]) {
    let mut skipped = Input::new("value", bytes);
    let is_skipped = serializer.skip(&mut skipped).is_ok();
    let mut checked = Input::new("value", bytes);
    let is_sound = serializer.check(&mut checked).is_ok();
    assert!(is_skipped || !is_sound);
    let mut shown = Input::new("value", bytes);
    let mut text = String::new();
    assert_eq!(serializer.write_json(&mut shown, &mut text).is_ok(), is_sound);
    let mut decoded = Input::new("value", bytes);
    let value = serializer.decode(&mut decoded);
    assert_eq!(value.is_ok(), is_sound);
    let mut hashed = Input::new("value", bytes);
    let hash = serializer.hash_bytes(&mut hashed);
    let Ok(value) = value else { return };
    for end in [skipped.position(), checked.position(), shown.position()] {
        assert_eq!(end, decoded.position());
    }
    if hash.is_ok() {
        assert_eq!(hashed.position(), decoded.position());
    }
    let mut again = Vec::new();
    if let Err(error) = serializer.encode(&value, &mut again) {
        // More digits than the type has can be read, as Flink does, and are not written.
        assert!(error.message.contains("DECIMAL("), "{text}: {error}");
        return;
    }
    if matches!(serializer.kind, Kind::Set(_)) {
        // Its elements are in another order.
        return;
    }
    let mut shown_again = String::new();
    serializer.write_json(&mut Input::new("value", &again), &mut shown_again).unwrap();
    assert_eq!(shown_again, text);
    let mut by_value = String::new();
    serializer.write_value_json(&value, &mut by_value).unwrap();
    assert_eq!(by_value, text);
}

fn mutated(bytes: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, to) in changes {
        let len = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(at % len) {
            *byte = *to;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_snapshot_is_refused_or_written_as_it_was(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        cut in any::<usize>(),
    ) {
        for Vector { snapshot, value, .. } in vectors() {
            let mut bytes = mutated(&snapshot, &changes);
            if cut % 3 == 0 {
                bytes.truncate(cut % bytes.len());
            }
            let mut input = Input::new("snapshot", &bytes);
            if let Ok(serializer) = Serializer::read(&mut input) {
                let mut out = Vec::new();
                serializer.write(&mut out);
                prop_assert_eq!(&out[..], &bytes[..input.position()]);
                let _ = (serializer.schema(), serializer.length(), serializer.opaque());
                let _ = serializer.check(&mut Input::new("value", &value));
            }
        }
    }

    #[test]
    fn any_value_is_refused_or_shown_alike(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        random in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for vector in vectors() {
            let serializer = vector.serializer();
            holds(&serializer, &mutated(&vector.value, &changes));
            holds(&serializer, &random);
        }
    }
}

#[test]
fn cut_values_are_refused() {
    for vector in vectors() {
        let serializer = vector.serializer();
        for len in 0..vector.value.len() {
            let bytes = &vector.value[..len];
            if let Err(error) = serializer.check(&mut Input::new("value", bytes)) {
                assert!(error.offset.is_some(), "{}: {error}", vector.name);
            } else {
                // What needs fewer bytes than there were: a mask that the rest belonged to.
                panic!("{}: {len} of {} bytes", vector.name, vector.value.len());
            }
        }
    }
}

#[test]
fn counts_and_depth_are_bounded() {
    let list = Serializer::parse_spec("list<void>").unwrap();
    let mut bytes = Vec::new();
    bytes.put_i32(i32::MAX);
    assert!(list.check(&mut Input::new("value", &bytes)).is_err());
    let nested = |count: usize| {
        let mut serializer = Serializer::long();
        for _ in 0..count {
            serializer = Serializer::list_of(&serializer)?;
        }
        Ok::<_, crate::FormatError>(serializer)
    };
    assert!(nested(39).is_ok());
    let error = nested(40).unwrap_err();
    assert!(error.message.contains("deeper"), "{error}");
}

/// What takes no bytes is bounded by the bytes around it, in each value of many.
#[test]
fn values_without_bytes_are_bounded() {
    let nothing = Serializer::of_nothing();
    let list = Serializer::list_of(&nothing).unwrap();
    let of = |count: i32| {
        let mut bytes = count.to_be_bytes().to_vec();
        bytes.resize(200_000, 0);
        bytes
    };
    assert!(list.check(&mut Input::new("value", &of(1_000))).is_ok());
    let error = list.check(&mut Input::new("value", &of(100_000))).unwrap_err();
    assert!(error.message.contains("than its bytes justify"), "{error}");
    // Many of something do not count against each other.
    let tuples =
        Serializer::list_of(&Serializer::tuple_of(&[&Serializer::long()]).unwrap()).unwrap();
    let bytes = [&50_000_i32.to_be_bytes()[..], &[7; 400_000]].concat();
    assert!(tuples.check(&mut Input::new("value", &bytes)).is_ok());
}

#[test]
fn classes_that_are_not_known_are_named() {
    let mut bytes = Vec::new();
    crate::text::write_utf("com.example.MySerializer$MySnapshot", &mut bytes).unwrap();
    bytes.put_i32(7);
    bytes.extend([1, 2, 3]);
    let mut input = Input::new("snapshot", &bytes).based_at(100);
    let error = Serializer::read(&mut input).unwrap_err();
    assert_eq!(error.kind, crate::FormatErrorKind::UnsupportedVersion);
    assert_eq!(error.offset, Some(100));
    assert!(error.message.contains("com.example.MySerializer$MySnapshot of version 7"), "{error}");
    let opaque = Serializer::opaque_snapshot("com.example.MySerializer$MySnapshot", 7, &[1, 2, 3]);
    let mut out = Vec::new();
    let opaque = opaque.unwrap();
    opaque.write(&mut out);
    assert_eq!(out, bytes);
    let mut text = String::new();
    opaque.write_framed_json(&mut Input::new("value", &[0xab]), &mut text).unwrap();
    assert_eq!(text, r#"{"opaque":"com.example.MySerializer$MySnapshot","bytes":"ab"}"#);
}

/// A composite of a class that is not known says where it ends, as long as it writes nothing of its own.
#[test]
fn unknown_composites_are_passed_over() {
    let mut known = Vec::new();
    Serializer::parse_spec("list<long>").unwrap().write(&mut known);
    let class_len = usize::from(u16::from_be_bytes([known[0], known[1]]));
    let mut bytes = Vec::new();
    crate::text::write_utf("com.example.TreeSnapshot", &mut bytes).unwrap();
    bytes.extend_from_slice(&known[2 + class_len..]);
    let len = bytes.len();
    bytes.extend([9; 5]);
    let mut input = Input::new("snapshot", &bytes);
    let serializer = Serializer::read(&mut input).unwrap();
    assert_eq!(input.position(), len);
    assert_eq!(serializer.opaque(), Some("com.example.TreeSnapshot"));
}

/// A POJO's value of a subclass that the snapshot lacks is shown as bytes, and the others as they are.
#[test]
fn subclasses_that_are_not_known_are_shown_as_bytes() {
    let shape = vectors().into_iter().find(|vector| vector.name == "pojo with subclasses").unwrap();
    let serializer = shape.serializer();
    let mut value = vec![4];
    crate::text::write_utf("com.example.Triangle", &mut value).unwrap();
    value.push(2);
    let error = serializer.check(&mut Input::new("value", &value)).unwrap_err();
    assert_eq!(error.kind, crate::FormatErrorKind::Incompatible);
    let mut text = String::new();
    let mut input = Input::new("value", &value);
    serializer.write_framed_json(&mut input, &mut text).unwrap();
    assert!(input.is_empty());
    assert!(
        text.starts_with(r#"{"opaque":"org.apache.flink.api.java.typeutils.runtime.PojoSer"#),
        "{text}"
    );
}
