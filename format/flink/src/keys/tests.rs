#![allow(clippy::unwrap_used, reason = "tests, helpers included")]
use super::*;
use crate::FormatErrorKind;
use proptest::prelude::*;

/// A header of one state: keys of `key`, namespaces of `namespace`, and user keys that are text where it is a map.
fn header(key: &str, namespace: Serializer, keyed: KeyedStateType) -> KeyedHeader {
    let (string, long) = (Serializer::string(), Serializer::long());
    let value = match keyed {
        KeyedStateType::Map => Serializer::map_of(&string, &long).unwrap(),
        _ => long,
    };
    let state = StateMeta::keyed("state", keyed, namespace, value);
    KeyedHeader::new(Serializer::parse_spec(key).unwrap(), vec![state])
}

/// What Flink writes for a key of text in a namespace of text, both of which can be of any length.
#[test]
fn lengths_follow_parts_that_are_both_of_any_length() {
    let header = header("string", Serializer::string(), KeyedStateType::Map);
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let parts = KeyParts {
        key: b"\x03kk",
        namespace: b"\x03ns",
        user_key: Some(b"\x02u"),
        timestamp_ms: None,
    };
    let written = b"\x07\x03kk\x03\x03ns\x03\x02u";
    let mut out = Vec::new();
    put_key_group(7, 1, &mut out);
    format.put(&parts, &mut out);
    assert_eq!(out, written);
    let (group, rest) = split_key_group(written, 1).unwrap();
    assert_eq!((group, format.split(rest)), (7, Ok(parts)));
    for (at, byte) in [(3, 4), (7, 2)] {
        let mut other = rest.to_vec();
        other[at] = byte;
        let error = format.split(&other).unwrap_err();
        assert_eq!((error.kind, error.offset), (FormatErrorKind::Corrupt, Some(at as u64)));
        assert!(error.message.contains("another length"), "{error}");
    }
}

/// As many bytes as the length needs, the low one first.
#[test]
fn lengths_take_as_many_bytes_as_they_need() {
    for (len, stored) in [(0, &[0][..]), (3, &[3]), (255, &[0xff]), (256, &[0, 1]), (300, &[44, 1])]
    {
        let mut out = Vec::new();
        put_length(len, &mut out);
        assert_eq!(out, stored, "{len}");
    }
    let header = header("byte[]", Serializer::string(), KeyedStateType::Value);
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let key = [&300_i32.to_be_bytes()[..], &[7; 300]].concat();
    let bytes = [&key[..], &[0x30, 1], b"\x01\x01"].concat();
    let parts = KeyParts { key: &key, namespace: b"\x01", user_key: None, timestamp_ms: None };
    assert_eq!(format.split(&bytes), Ok(parts));
    let mut out = Vec::new();
    format.put(&parts, &mut out);
    assert_eq!(out, bytes);
}

/// One part of a known length tells where the other ends. `VoidNamespace` counts as such, though it takes a byte.
#[test]
fn no_lengths_follow_where_one_part_says_its_own() {
    let window = [&1_i64.to_be_bytes()[..], &2_i64.to_be_bytes()].concat();
    for (key, namespace, key_bytes, namespace_bytes) in [
        ("string", Serializer::void_namespace(), &b"\x03kk"[..], &[0][..]),
        ("string", Serializer::time_window(), b"\x03kk", &window),
        ("long", Serializer::string(), &[0, 0, 0, 0, 0, 0, 0, 9], b"\x03ns"),
    ] {
        let header = header(key, namespace, KeyedStateType::Map);
        let format = KeyFormat::of(&header, &header.states[0]).unwrap();
        let bytes = [key_bytes, namespace_bytes, b"\x02u"].concat();
        let parts = KeyParts {
            key: key_bytes,
            namespace: namespace_bytes,
            user_key: Some(b"\x02u"),
            timestamp_ms: None,
        };
        assert_eq!(format.split(&bytes), Ok(parts), "{key}");
        let mut out = Vec::new();
        format.put(&parts, &mut out);
        assert_eq!(out, bytes, "{key}");
    }
    // A tuple with a `VoidNamespace` in it is of any length, as Java counts.
    let tuple = Serializer::tuple_of(&[&Serializer::void_namespace()]).unwrap();
    let header = header("string", tuple, KeyedStateType::Value);
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    assert!(format.split(b"\x03kk\x03\x00\x01").is_ok());
    assert!(format.split(b"\x03kk\x00").is_err());
}

/// The time of a timer comes first, so that the order of bytes is that of time; no lengths follow its parts.
#[test]
fn timers_begin_with_their_time() {
    let string = Serializer::string();
    let timer = Serializer::timer_of(&string, &string).unwrap();
    let states = vec![StateMeta::timers("timers", timer)];
    let header = KeyedHeader::new(string, states);
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let bytes = b"\x7f\xff\xff\xff\xff\xff\xff\xff\x03kk\x03ns";
    let parts =
        KeyParts { key: b"\x03kk", namespace: b"\x03ns", user_key: None, timestamp_ms: Some(-1) };
    assert_eq!(format.split(bytes), Ok(parts));
    let mut out = Vec::new();
    format.put(&parts, &mut out);
    assert_eq!(out, bytes);
    assert!(format.split(&[&bytes[..], &[0]].concat()).is_err());
}

fn opaque() -> Serializer {
    Serializer::opaque_snapshot("com.example.Secret", 1, b"").unwrap()
}

/// A key that cannot be read ends where what follows it fits, if that is one place.
#[test]
fn keys_that_cannot_be_read_end_where_the_rest_fits() {
    let mut header = header("string", Serializer::void_namespace(), KeyedStateType::Value);
    header.key = opaque();
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let parts = format.split(b"anything\0").unwrap();
    assert_eq!((parts.key, parts.namespace), (&b"anything"[..], &b"\0"[..]));
    // Both of any length: the lengths tell.
    let mut header = self::header("string", Serializer::string(), KeyedStateType::Value);
    header.key = opaque();
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let parts = format.split(b"abcde\x05\x03ns\x03").unwrap();
    assert_eq!((parts.key, parts.namespace), (&b"abcde"[..], &b"\x03ns"[..]));
    let error = format.split(b"abcde").unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::Incompatible);
    assert!(error.message.contains("com.example.Secret"), "{error}");
    // No key, no namespace and four characters, or four bytes and neither of the others.
    let mut header = self::header("string", Serializer::string(), KeyedStateType::Map);
    header.key = opaque();
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let error = format.split(b"\x00\x01\x01\x05\x04\x01\x01\x01").unwrap_err();
    assert!(error.message.contains("several ways"), "{error}");
    let mut header = self::header("string", opaque(), KeyedStateType::Value);
    header.key = opaque();
    let format = KeyFormat::of(&header, &header.states[0]).unwrap();
    let error = format.split(b"abcde").unwrap_err();
    assert!(error.message.contains("nothing tells"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        key in "\\PC{0,300}",
        namespace in "\\PC{0,9}",
        user_key in prop::collection::vec(any::<u8>(), 0..9),
        fixed in any::<bool>(),
    ) {
        let text = |text: &str| {
            let mut out = Vec::new();
            crate::text::write_string(Some(text), &mut out).unwrap();
            out
        };
        let of_namespace = if fixed { Serializer::long() } else { Serializer::string() };
        let header = header("string", of_namespace, KeyedStateType::Map);
        let format = KeyFormat::of(&header, &header.states[0]).unwrap();
        let namespace = if fixed { vec![9; 8] } else { text(&namespace) };
        let key = text(&key);
        let parts = KeyParts { key: &key, namespace: &namespace, user_key: Some(&user_key), timestamp_ms: None };
        let mut out = Vec::new();
        format.put(&parts, &mut out);
        prop_assert_eq!(format.split(&out), Ok(parts));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40), hidden in any::<bool>()) {
        let mut header = header("string", Serializer::string(), KeyedStateType::Map);
        if hidden {
            header.key = opaque();
        }
        let format = KeyFormat::of(&header, &header.states[0]).unwrap();
        if let Ok(parts) = format.split(&bytes) {
            let mut out = Vec::new();
            format.put(&parts, &mut out);
            prop_assert_eq!(out, bytes);
        }
    }
}
