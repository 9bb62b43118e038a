//! Golden files: the bytes that version 1 is, and bytes that must be refused.
//!
//! `ESKER_BLESS=1 cargo test --package esker-format --test golden` writes them anew. Files of `v1/`
//! may change only in the commit that changes the format, or the bytes that zstd compresses to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, helpers included")]

use esker_format::composite::CompositeKey;
use esker_format::record::{Decision, Extra, Nonce, Record};
use esker_format::run::{Entry, FOOTER_LEN_BYTES, Op, RunOptions, RunReader, RunWriter};
use esker_format::{Digest, FormatError, FormatErrorKind, KeyGroup, frame, layout};
use std::path::PathBuf;

#[path = "golden/manifest.rs"]
mod manifest;

/// Compares `bytes` with the golden file `name`, and of version 1 their layout with the text beside it.
fn check(name: &str, bytes: &[u8]) {
    check_file(name, bytes);
    if name.starts_with("v1/") {
        let layout = layout::describe(bytes);
        assert_eq!(layout.problems, [], "{name}");
        check_file(&format!("{name}.txt"), layout.to_string().as_bytes());
    }
}

/// Compares `bytes` with the golden file `name`, or writes it if that was asked for.
fn check_file(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("ESKER_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let differs = golden.iter().zip(bytes).position(|(a, b)| a != b);
    assert!(
        golden == bytes,
        "{name} differs: {} bytes there, {} written, first difference at {differs:?}",
        golden.len(),
        bytes.len(),
    );
}

/// Three states: values, a map with a clear and a delete, lists in windows; several blocks.
fn sample_run() -> Vec<u8> {
    let mut entries = Vec::new();
    let mut add = |state: u32, key: &[u8], namespace: &[u8], user_key: &[u8], op, value: &[u8]| {
        let group = KeyGroup::of(key);
        let mut encoded = Vec::new();
        CompositeKey::new(state, group, key, namespace, user_key).encode_into(&mut encoded);
        entries.push((encoded, op, value.to_vec()));
    };
    for i in 0..40_u8 {
        add(1, &[b'k', i], b"", b"", Op::Put, format!("value {i}").as_bytes());
    }
    add(2, b"with a \0 in it", b"", b"", Op::Clear, b"");
    add(2, b"with a \0 in it", b"", b"field", Op::Put, &[0xff, 0x00]);
    add(2, b"other", b"", b"gone", Op::Delete, b"");
    add(7, b"key", b"window", b"", Op::Append, b"an element");
    entries.sort();

    let mut writer =
        RunWriter::new(RunOptions { block_len_bytes: 256, zstd_level: 1, filter_bits_per_key: 8 });
    for (key, op, value) in &entries {
        writer.add(Entry { key, op: *op, value }).unwrap();
    }
    let (file, _) = writer.finish().unwrap();
    file
}

fn claim() -> Record {
    Record {
        generation: 3,
        nonce: Nonce(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
        decision: Decision::Claim(Extra::new()),
        extra: Extra::new(),
    }
}

fn read_run(bytes: &[u8]) -> Result<(), FormatError> {
    RunReader::open_file(bytes)?.verify(bytes).map(|_| ())
}

/// The golden file `name` is `bytes`, and is refused with just this kind and text.
fn refused(
    name: &str,
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<(), FormatError>,
    kind: FormatErrorKind,
    text: &str,
) {
    check(&format!("bad/{name}"), bytes);
    let error = read(bytes).unwrap_err();
    assert_eq!((error.kind, error.to_string().as_str()), (kind, text), "{name}");
}

#[test]
fn run_v1_is_written_and_read() {
    let run = sample_run();
    check("v1/sample.run", &run);
    let stats = RunReader::open_file(&run).unwrap().verify(&run).unwrap();
    let entries: Vec<_> = stats.iter().map(|(state, stats)| (*state, stats.entries)).collect();
    assert_eq!(entries, [(1, 40), (2, 3), (7, 1)]);
}

#[test]
fn claim_v1_is_written_and_read() {
    let bytes = claim().encode().unwrap();
    check("v1/claim.log", &bytes);
    assert_eq!(Record::decode(&bytes).unwrap(), claim());
}

#[test]
fn bad_runs_are_refused() {
    use FormatErrorKind::{Corrupt, UnsupportedVersion};
    let good = sample_run();

    let mut flipped = good.clone();
    flipped[20] ^= 0x10;
    let text = "run block: digest differs; it holds state 1 key group 3598 up to \
                state 1 key group 19960 at byte 16";
    refused("flipped.run", &flipped, read_run, Corrupt, text);

    let cut = &good[..good.len() - 1];
    let text = "run footer: not the end of a run: cut off, or another kind of file at byte 64";
    refused("cut.run", cut, read_run, Corrupt, text);

    let mut newer = good.clone();
    newer[8] = 2;
    let footer_version = newer.len() - FOOTER_LEN_BYTES + 48;
    newer[footer_version] = 2;
    let text = "run header: version 2, this esker reads up to 1: use a newer one";
    refused("newer.run", &newer, read_run, UnsupportedVersion, text);

    let location = RunReader::open_file(&good).unwrap().index().filter.unwrap();
    let (filter_at, index_at) = (location.offset as usize, good.len() - FOOTER_LEN_BYTES);
    let mut flipped = good.clone();
    flipped[filter_at] ^= 1;
    let text = format!("run filter: digest differs at byte {filter_at}");
    refused("flipped-filter.run", &flipped, read_run, Corrupt, &text);

    // All digests fit, but the filter denies what the run holds.
    let mut denying = good.clone();
    let filter_end = filter_at + location.len_bytes as usize;
    denying[filter_at..filter_end].fill(0);
    let digest = Digest::of(&denying[filter_at..filter_end]).0;
    let old = good.windows(32).position(|bytes| bytes == location.digest.0).unwrap();
    denying[old..old + 32].copy_from_slice(&digest);
    let index = Digest::of(&denying[filter_end..index_at]).0;
    denying[index_at + 16..index_at + 48].copy_from_slice(&index);
    let text = "run block: the filter denies an entry at byte 16";
    refused("denying-filter.run", &denying, read_run, Corrupt, text);

    let text = "run header: not a run at byte 0";
    refused("not-a-run.run", b"state, key, value\n1, a, b\n", read_run, Corrupt, text);
}

#[test]
fn bad_records_are_refused() {
    use FormatErrorKind::{Corrupt, Incompatible, UnsupportedVersion};
    let read = |bytes: &[u8]| Record::decode(bytes).map(|_| ());
    let good = claim().encode().unwrap();
    let json_at = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;

    let mut flipped = good.clone();
    flipped[json_at + 2] ^= 1;
    let text = format!("log: the digest differs at byte {json_at}");
    refused("flipped.log", &flipped, read, Corrupt, &text);

    let mut digest = good.clone();
    let digit = "esker-log 1 blake3:".len();
    digest[digit] = if digest[digit] == b'0' { b'1' } else { b'0' };
    refused("wrong-digest.log", &digest, read, Corrupt, &text);

    let (cut, len) = (&good[..good.len() - 1], good.len() - json_at);
    let text =
        format!("log: bytes={len} are announced, bytes={} follow at byte {json_at}", len - 1);
    refused("cut.log", cut, read, Corrupt, &text);

    let newer = frame::seal("log", 2, &good[json_at..]);
    let text = "log: version=2 is newer than the newest known=1";
    refused("newer.log", &newer, read, UnsupportedVersion, text);

    let other = frame::seal("other", 1, b"{}");
    let text = "log: a file of another kind: kind=\"other\"";
    refused("another-kind.log", &other, read, Incompatible, text);

    let sealed = frame::seal("log", 1, b"[]");
    check("bad/not-a-record.log", &sealed);
    let error = Record::decode(&sealed).unwrap_err();
    assert_eq!((error.kind, error.what), (Corrupt, "log record"));
}
