#![allow(clippy::unwrap_used, reason = "tests, helpers included")]
use super::*;
use crate::metadata::KeyedHandle;
use crate::testing::goldens;

/// Headers of keyed state and where their streams are from.
fn keyed_headers() -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    for golden in goldens() {
        for (_, handle) in golden.keyed() {
            let header = match handle {
                KeyedHandle::KeyGroups(handle) => {
                    let mut stream = golden.stream(&handle.stream);
                    stream.truncate(handle.header_len(stream.len() as u64) as usize);
                    stream
                }
                KeyedHandle::Incremental(handle) => golden.stream(&handle.meta),
                _ => continue,
            };
            headers.push((golden.name.clone(), header));
        }
    }
    headers
}

#[test]
fn keyed_headers_of_goldens_are_written_as_they_were() {
    let headers = keyed_headers();
    assert!(headers.len() > 100, "{}", headers.len());
    for (name, bytes) in headers {
        let header = KeyedHeader::read(&mut Input::new("test", &bytes)).unwrap();
        assert_eq!(header.lost, None, "{name}");
        let mut again = Vec::new();
        header.write(&mut again).unwrap();
        assert!(again == bytes, "{name}");
        for state in &header.states {
            let keyed = state.kind == StateKind::KeyValue;
            assert_eq!(state.keyed_type().is_some(), keyed, "{name}: {}", state.name);
        }
    }
}

#[test]
fn operator_headers_of_goldens_are_written_as_they_were() {
    let mut versions = std::collections::BTreeSet::new();
    let mut compressed = 0;
    for golden in goldens() {
        for (handle, stream, len) in golden.operator_streams() {
            let header = OperatorHeader::read(&mut Input::new("test", &stream[..len])).unwrap();
            assert_eq!(header.lost, None);
            for state in &handle.states {
                assert!(header.state(&state.name).is_some(), "{}: {}", golden.name, state.name);
            }
            let mut again = Vec::new();
            header.write(&mut again).unwrap();
            if header.compressed {
                compressed += 1;
                again.extend(snappy::IDENTIFIER);
            }
            assert!(again == stream[..len], "{}", golden.name);
            versions.insert(header.compressible);
        }
    }
    assert_eq!((versions.len(), compressed > 0), (2, true));
}

/// Text as `writeUTF` has it.
fn utf(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    crate::text::write_utf(text, &mut out).unwrap();
    out
}

/// The header, with another class in the place of `class` the first `times` that it stands there; each body gets `body` appended.
fn with_unknown(header: &[u8], class: &str, times: usize, body: &[u8]) -> Vec<u8> {
    let stored = utf(class);
    let mut found = Vec::new();
    let (mut at, mut left) = (0, times);
    while at < header.len() {
        if left > 0 && header[at..].starts_with(&stored) {
            found.extend(utf(UNKNOWN));
            found.extend(&header[at + stored.len()..at + stored.len() + 4]);
            found.extend(body);
            at += stored.len() + 4;
            left -= 1;
        } else {
            found.push(header[at]);
            at += 1;
        }
    }
    assert_eq!(left, 0, "{class}");
    found
}

const UNKNOWN: &str = "com.example.LedgerSerializer$Snapshot";

/// That of most states.
fn long_header() -> Vec<u8> {
    let headers = keyed_headers().into_iter();
    let headers =
        headers.filter(|(name, _)| name.starts_with("2.3.0/hashmap-savepoint-canonical/"));
    headers.map(|(_, header)| header).max_by_key(Vec::len).unwrap()
}

/// A class that is not known is passed over, wherever it stands: the rest of the header says how long its body is.
#[test]
fn unknown_classes_are_passed_over() {
    let bytes = long_header();
    let known = KeyedHeader::read(&mut Input::new("test", &bytes)).unwrap();
    let base = "org.apache.flink.api.common.typeutils.base.";
    for (class, times, body) in [
        ("LongSerializer$LongSerializerSnapshot", 1, &b"\0\0\0\x07ledger, in euros\0\0"[..]),
        ("LongSerializer$LongSerializerSnapshot", 5, &utf("some text")),
        ("BigDecSerializer$BigDecSerializerSnapshot", 1, &[0; 100]),
        ("StringSerializer$StringSerializerSnapshot", 2, &[2; 7]),
        ("InstantSerializer$InstantSerializerSnapshot", 1, b""),
    ] {
        let class = format!("{base}{class}");
        let damaged = with_unknown(&bytes, &class, times, body);
        let started = std::time::Instant::now();
        let header = KeyedHeader::read(&mut Input::new("test", &damaged)).unwrap();
        println!("{times} {class}: {:?} of {} bytes", started.elapsed(), damaged.len());
        assert_eq!(header.lost, None, "{class}");
        let names = |header: &KeyedHeader| {
            header.states.iter().map(|state| state.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&header), names(&known));
        let serializers = header.states.iter().flat_map(|state| &state.serializers);
        let opaque = serializers.filter(|(_, serializer)| serializer.opaque() == Some(UNKNOWN));
        let opaque = opaque.count() + usize::from(header.key.opaque() == Some(UNKNOWN));
        // That of a time of last access counts as a long whatever its class says.
        assert!(opaque > 0 && opaque <= times || class.contains("Long"), "{class}: {opaque}");
        let mut again = Vec::new();
        header.write(&mut again).unwrap();
        assert!(again == damaged);
    }
}

/// Inside a POJO every field's serializer stands in a frame, which says where it ends.
#[test]
fn frames_hold_what_is_unknown() {
    let bytes = long_header();
    let known = KeyedHeader::read(&mut Input::new("test", &bytes)).unwrap();
    let class = "org.apache.flink.api.common.typeutils.base.LongSerializer$LongSerializerSnapshot";
    let unknown = class.replace("org.apache.flink", "com.example.long");
    let mut damaged = bytes.clone();
    for at in 0..bytes.len() - class.len() {
        if bytes[at..].starts_with(class.as_bytes()) {
            damaged[at..at + class.len()].copy_from_slice(unknown.as_bytes());
        }
    }
    let header = KeyedHeader::read(&mut Input::new("test", &damaged)).unwrap();
    assert_eq!(header.lost, None);
    assert_eq!(header.states.len(), known.states.len());
    let mut again = Vec::new();
    header.write(&mut again).unwrap();
    assert!(again == damaged);
}

/// Where nothing tells how long a body is, what stands in front of it is still read.
#[test]
fn what_cannot_be_passed_over_is_lost() {
    let bytes = long_header();
    let known = KeyedHeader::read(&mut Input::new("test", &bytes)).unwrap();
    let class = "org.apache.flink.api.common.typeutils.base.LongSerializer$LongSerializerSnapshot";
    // One that could be two.
    let two = [&utf("a.B")[..], &[0, 0, 0, 3], &utf("c.D"), &[0, 0, 0, 3]].concat();
    for times in [1, 2] {
        let damaged = with_unknown(&bytes, class, times, &two);
        let header = KeyedHeader::read(&mut Input::new("test", &damaged)).unwrap();
        let lost = header.lost.clone().unwrap();
        assert!(lost.reason.message.contains(UNKNOWN), "{}", lost.reason);
        let first = header.states.len();
        assert_eq!(header.states, known.states[..first]);
        assert_eq!(lost.first.as_ref(), Some(&known.states[first].name));
        assert_eq!(header.state_count(), known.states.len());
        assert!(header.write(&mut Vec::new()).unwrap_err().message.contains(UNKNOWN));
    }
}

#[test]
fn refusals_say_where() {
    let bytes = long_header();
    let error = |bytes: &[u8]| KeyedHeader::read(&mut Input::new("test", bytes)).unwrap_err();
    assert_eq!(error(&[0, 0, 0, 5, 0]).kind, FormatErrorKind::UnsupportedVersion);
    assert_eq!(error(&[0, 0, 1, 5, 0]).kind, FormatErrorKind::Corrupt);
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(
        error(&longer).to_string(),
        format!("test: 1 bytes follow its end at byte {}", bytes.len())
    );
    for len in (0..bytes.len()).step_by(97) {
        assert!(error(&bytes[..len]).offset.is_some_and(|offset| offset <= len as u64), "{len}");
    }
}
