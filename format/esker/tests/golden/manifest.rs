//! A part of the sample run, and a manifest of that part.

use super::{check, refused, sample_run};
use esker_format::manifest::{
    Manifest, Operator, PartRef, SnapshotKind, StateInfo, StateKind, Ttl, TtlUpdate, TypeInfo,
};
use esker_format::part::{Native, NativeFile, Part, PartState, RunRef};
use esker_format::record::Extra;
use esker_format::run::{FOOTER_LEN_BYTES, IndexLocation, RunReader};
use esker_format::{CodecId, Digest, FormatError, FormatErrorKind, KeyGroupRange, Schema, frame};

fn sample_part() -> Part {
    let run = sample_run();
    let stats = RunReader::open_file(&run).unwrap().verify(&run).unwrap();
    let (len_bytes, digest) = (run.len() as u64, Digest::of(&run));
    let footer = &run[run.len() - FOOTER_LEN_BYTES..];
    let runs = vec![RunRef {
        file: format!("shared/3/7-0.0.0-{digest}.run").parse().unwrap(),
        len_bytes,
        digest,
        index: IndexLocation::from_footer(footer, len_bytes).unwrap(),
        range: KeyGroupRange::ALL,
        base: vec![KeyGroupRange::new(0, 32_767).unwrap()],
        entries: stats.values().map(|stats| stats.entries).sum(),
    }];
    let states = stats.into_iter().map(|(id, stats)| PartState {
        id,
        entries: stats.live,
        earliest_timer_ms: None,
        ttl_time_ms: (id == 1).then_some(1_750_000_000_000),
        stats,
        extra: Extra::new(),
    });
    Part { runs, operator_run: None, native: None, states: states.collect(), extra: Extra::new() }
}

fn native_part() -> Part {
    let file = |local: &str, kind: &str, holds| {
        let digest = Digest::of(local.as_bytes());
        let file = format!("shared/3/7-0.0-{digest}.{kind}").parse().unwrap();
        NativeFile { local: local.to_owned(), file, len_bytes: 4096, digest, holds }
    };
    let files = vec![
        file("000012.sst", "sst", Some((1, KeyGroupRange::new(0, 32_767).unwrap()))),
        file("CURRENT", "native", None),
        file("MANIFEST-000004", "native", None),
    ];
    let native = Native { engine: "rocksdb".to_owned(), files, extra: Extra::new() };
    let states = sample_part().states;
    let (runs, operator_run, extra) = (Vec::new(), None, Extra::new());
    Part { runs, operator_run, native: Some(native), states, extra }
}

fn state(id: u32, name: &str, kind: StateKind, value: Schema) -> StateInfo {
    StateInfo {
        id,
        name: name.to_owned(),
        kind,
        namespace: None,
        user_key: None,
        value: Some(TypeInfo { codec: CodecId::BINCODE2, schema: value }),
        ttl: None,
        extra: Extra::new(),
    }
}

fn sample_manifest() -> Manifest {
    let bytes = |schema| Some(TypeInfo { codec: CodecId::ORDERED, schema });
    let mut total = state(1, "total", StateKind::Value, Schema::String);
    total.ttl = Some(Ttl { duration_ms: Some(86_400_000), update: TtlUpdate::Write });
    let mut fields = state(2, "fields", StateKind::Map, Schema::Bytes);
    fields.user_key = bytes(Schema::String);
    let mut windows = state(7, "windows", StateKind::List, Schema::String);
    windows.namespace = bytes(Schema::String);
    let digest = Digest::of(&sample_part().encode().unwrap());
    let operator = Operator {
        uid: "count".to_owned(),
        key: bytes(Schema::Bytes),
        states: vec![total, fields, windows],
        dropped: vec![5],
        parts: vec![PartRef { dir: "chk-7-3".parse().unwrap(), digest }],
        extra: Extra::new(),
    };
    Manifest {
        job: "sample".to_owned(),
        kind: SnapshotKind::Checkpoint,
        checkpoint: 7,
        generation: 3,
        operators: vec![operator],
        extra: Extra::new(),
    }
}

#[test]
fn manifest_and_part_v1_are_written_and_read() {
    let (part, manifest) = (sample_part(), sample_manifest());
    check("v1/sample.part", &part.encode().unwrap());
    let native = native_part();
    check("v1/native.part", &native.encode().unwrap());
    assert_eq!(Part::decode(&native.encode().unwrap()).unwrap(), native);
    check("v1/_metadata", &manifest.encode().unwrap());
    assert_eq!(Part::decode(&part.encode().unwrap()).unwrap(), part);
    assert_eq!(Manifest::decode(&manifest.encode().unwrap()).unwrap(), manifest);
}

/// The JSON of a sealed file with `from` replaced by `to`, sealed anew.
fn changed(kind: &'static str, sealed: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (_, json) = frame::open(kind, 1, sealed).unwrap();
    let json = std::str::from_utf8(json).unwrap();
    let bad = json.replacen(from, to, 1);
    assert_ne!(bad, json);
    frame::seal(kind, 1, bad.as_bytes())
}

fn flipped(sealed: &[u8]) -> (Vec<u8>, usize) {
    let json_at = sealed.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut bad = sealed.to_vec();
    bad[json_at + 2] ^= 1;
    (bad, json_at)
}

#[test]
fn bad_parts_are_refused() {
    use FormatErrorKind::{Corrupt, UnsupportedVersion};
    let read = |bytes: &[u8]| -> Result<(), FormatError> { Part::decode(bytes).map(|_| ()) };
    let good = sample_part().encode().unwrap();

    let (bad, json_at) = flipped(&good);
    let text = format!("part: the digest differs at byte {json_at}");
    refused("flipped.part", &bad, read, Corrupt, &text);

    let newer = frame::seal("part", 2, b"{}");
    let text = "part: version=2 is newer than the newest known=1";
    refused("newer.part", &newer, read, UnsupportedVersion, text);

    let bad = changed("part", &good, "shared/3", "../3");
    let name = sample_part().runs[0].file.to_string().replace("shared/", "../");
    let text = format!("name: a segment that is `.` or `..`: name={name:?}");
    refused("leaves-its-root.part", &bad, read, Corrupt, &text);

    let bad = changed("part", &native_part().encode().unwrap(), "\"000012.sst\"", "\"../012.sst\"");
    let text = "part: no name of a file in a database: local=\"../012.sst\"";
    refused("leaves-its-database.part", &bad, read, Corrupt, text);

    let bad = changed("part", &good, "[[0,32767]]", "[[0,10],[11,20]]");
    let file = &sample_part().runs[0].file;
    let text =
        format!("part: bases overlap, touch, or leave the run's range: base=11-20: file={file}");
    refused("bases-touch.part", &bad, read, Corrupt, &text);
}

#[test]
fn bad_manifests_are_refused() {
    use FormatErrorKind::{Corrupt, UnsupportedVersion};
    let read = |bytes: &[u8]| -> Result<(), FormatError> { Manifest::decode(bytes).map(|_| ()) };
    let good = sample_manifest().encode().unwrap();

    let (bad, json_at) = flipped(&good);
    let text = format!("metadata: the digest differs at byte {json_at}");
    refused("flipped.metadata", &bad, read, Corrupt, &text);

    let newer = frame::seal("metadata", 2, b"{}");
    let text = "metadata: version=2 is newer than the newest known=1";
    refused("newer.metadata", &newer, read, UnsupportedVersion, text);

    let bad = changed("metadata", &good, "\"chk-*-3\"", "\"/chk-*-3\"");
    let text = "name: an empty segment: name=\"/chk-7-3\"";
    refused("leaves-its-root.metadata", &bad, read, Corrupt, text);

    let bad = changed("metadata", &good, "\"kind\":\"list\"", "\"kind\":\"map\"");
    let text =
        "manifest: kind=map needs a user key type: state=\"windows\" id=7: operator=\"count\"";
    refused("no-user-key.metadata", &bad, read, Corrupt, text);
}
