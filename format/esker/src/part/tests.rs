use super::*;
use crate::run::Op;
use proptest::prelude::*;
use proptest::sample::Index;

fn range(first: u16, last: u16) -> KeyGroupRange {
    KeyGroupRange::new(first, last).unwrap()
}

/// Run `number` of a job that runs for months.
pub(crate) fn run(number: u32, range: KeyGroupRange, base: Vec<KeyGroupRange>) -> RunRef {
    let digest = Digest::of(&number.to_le_bytes());
    let file = format!("shared/12/{}-7.999.{number}-{digest}.run", 1_000_000 + number);
    RunRef {
        file: file.parse().unwrap(),
        len_bytes: 123_456_789,
        digest,
        index: IndexLocation {
            offset: 123_400_000,
            len_bytes: 123_456_789 - 123_400_000 - 64,
            digest: Digest::of(&number.to_be_bytes()),
        },
        range,
        base,
        entries: 10_000_000,
    }
}

fn stats() -> StateStats {
    let mut stats = StateStats::default();
    stats.count(Op::Put, &[0, 0, 0, 1, 4, 0, b'k', 0, 0, 0, 0], b"v");
    stats.count(Op::Delete, &[0, 0, 0, 1, 4, 0, b'l', 0, 0, 0, 0], b"");
    stats
}

pub(crate) fn sample() -> Part {
    let mut operator_run = run(3, KeyGroupRange::ALL, vec![KeyGroupRange::ALL]);
    operator_run.file = "at-the-root".parse().unwrap();
    Part {
        runs: vec![
            run(1, range(0, 65), vec![range(0, 65)]),
            run(2, range(10, 65), vec![range(10, 20), range(22, 65)]),
        ],
        operator_run: Some(operator_run),
        native: None,
        states: vec![
            PartState {
                id: 1,
                entries: 5,
                earliest_timer_ms: None,
                ttl_time_ms: Some(-1),
                stats: stats(),
                extra: Extra::new(),
            },
            PartState {
                id: 7,
                entries: 1,
                earliest_timer_ms: Some(i64::MIN),
                ttl_time_ms: None,
                stats: StateStats::default(),
                extra: Extra::new(),
            },
        ],
        extra: Extra::new(),
    }
}

/// The part of a native checkpoint.
pub(crate) fn native_sample() -> Part {
    let file = |number: u8, local: &str, holds| {
        let digest = Digest::of(&[number]);
        let file = format!("shared/12/7-0.3.{number}-{digest}.sst").parse().unwrap();
        NativeFile { local: local.into(), file, len_bytes: 1000, digest, holds }
    };
    let files = vec![
        file(1, "000017.sst", Some((1, range(3, 65)))),
        file(2, "CURRENT", None),
        file(3, "MANIFEST-000005", None),
    ];
    let native = Native { engine: "rocksdb".into(), files, extra: Extra::new() };
    Part { runs: Vec::new(), operator_run: None, native: Some(native), ..sample() }
}

fn decode_json(json: &str) -> Result<Part> {
    Part::decode(&frame::seal("part", 1, json.as_bytes()))
}

fn json_of(part: &Part) -> String {
    let bytes = part.encode().unwrap();
    let (_, json) = frame::open("part", 1, &bytes).unwrap();
    String::from_utf8(json.to_vec()).unwrap()
}

#[test]
fn a_part_comes_back() {
    assert_eq!(Part::decode(&sample().encode().unwrap()), Ok(sample()));
}

#[test]
fn a_native_part_comes_back() {
    let part = native_sample();
    assert_eq!(Part::decode(&part.encode().unwrap()), Ok(part.clone()));
    let digest = |byte: u8| String::from(crate::digest::ShortDigest(Digest::of(&[byte])));
    let expected = format!(
        "\"native\":{{\"engine\":\"rocksdb\",\"files\":[\
         [\"000017.sst\",[0,\"7-0.3.1-*.sst\",1000,\"{}\"],[1,3,65]],\
         [\"CURRENT\",[0,\"7-0.3.2-*.sst\",1000,\"{}\"],null],",
        digest(1),
        digest(2)
    );
    let json = json_of(&part);
    assert!(json.contains(&expected), "{json}");
    let files = |part: &Part| part.files().map(|file| file.file.clone()).collect::<Vec<_>>();
    assert_eq!(files(&part).len(), 3);
    assert_eq!(files(&sample()).last().map(RelativeName::as_str), Some("at-the-root"));
}

#[test]
fn the_json_of_version_1_is_as_specified() {
    let mut part = sample();
    part.runs.truncate(1);
    part.operator_run = None;
    part.states.truncate(1);
    let digest = |bytes: [u8; 4]| String::from(crate::digest::ShortDigest(Digest::of(&bytes)));
    let expected = format!(
        "{{\"dirs\":[\"shared/12\"],\"runs\":[[\
         [0,\"1000001-7.999.1-*.run\",123456789,\"{}\"],[123400000,\"{}\"],\
         10000000,[0,65],true]],\"states\":[{{\"id\":1,\"entries\":5,\"ttlTimeMs\":-1,\
         \"stats\":{{\"entries\":2,\"live\":1,\"keyBytes\":22,\"valueBytes\":1,\
         \"keySizes\":[[4,2]],\"valueSizes\":[[0,1],[1,1]],\"slices\":[[1,23]],\
         \"largest\":[[\"04006b00000000\",11,1],[\"04006c00000000\",11,0]]}}}}]}}",
        digest([1, 0, 0, 0]),
        digest([0, 0, 0, 1]),
    );
    assert_eq!(json_of(&part), expected);
}

#[test]
fn unknown_fields_are_kept() {
    let json = json_of(&sample()).replace("\"id\":1,", "\"id\":1,\"new\":[1.5],");
    let json = json.replacen('{', "{\"newer\":{\"a\":null},", 1);
    let part = decode_json(&json).unwrap();
    assert_eq!(part.states[0].extra["new"], serde_json::json!([1.5]));
    assert_eq!(part.extra["newer"], serde_json::json!({"a": null}));
    assert_eq!(Part::decode(&part.encode().unwrap()), Ok(part));
}

#[test]
fn a_folder_of_runs_with_a_placeholder_is_refused() {
    let json = json_of(&sample()).replace("\"shared/12\"", "\"sha*red/12\"");
    let error = decode_json(&json).unwrap_err();
    assert_eq!(error.kind, FormatErrorKind::Corrupt, "{error}");
    assert!(error.message.contains("folder=\"sha*red/12\""), "{error}");
}

type Spoil = fn(&mut Part);

#[test]
fn bad_parts_are_refused_by_writer_and_reader() {
    let bad: [(&str, Spoil); 9] = [
        ("bases overlap", |part| part.runs[1].base = vec![range(10, 20), range(20, 65)]),
        ("bases overlap, touch", |part| part.runs[1].base = vec![range(10, 20), range(21, 65)]),
        ("leave the run's range", |part| part.runs[1].base = vec![range(9, 20)]),
        ("leave the run's range", |part| part.runs[1].base = vec![range(65, 66)]),
        ("the index does not lie", |part| part.runs[0].index.offset = 15),
        ("the index does not lie", |part| part.runs[0].index.offset = u64::MAX),
        ("not complete", |part| part.operator_run.as_mut().unwrap().base.clear()),
        ("state ids do not ascend", |part| part.states[1].id = 1),
        ("largest entries of a state", |part| part.states[0].stats.largest.reverse()),
    ];
    for (text, spoil) in bad {
        let mut part = sample();
        spoil(&mut part);
        let error = part.encode().unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Invalid, "{error}");
        assert!(error.message.contains(text), "{error}");
        let json = serde_json::to_string(&v1::Part::of(&part).unwrap()).unwrap();
        let error = decode_json(&json).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Corrupt, "{error}");
        assert!(error.message.contains(text), "{error}");
    }
    type SpoilNative = fn(&mut Native);
    let bad: [(&str, SpoilNative); 5] = [
        ("do not ascend", |native| native.files.swap(0, 1)),
        ("no name of a file", |native| native.files[0].local = "..".into()),
        ("no name of a file", |native| native.files[0].local = "../CURRENT".into()),
        ("two files of a database", |native| {
            native.files[0] = NativeFile { local: "0".into(), ..native.files[1].clone() }
        }),
        ("an engine's name", |native| native.engine.clear()),
    ];
    for (text, spoil) in bad {
        let mut part = native_sample();
        part.native.iter_mut().for_each(spoil);
        let error = part.encode().unwrap_err();
        assert!(error.kind == FormatErrorKind::Invalid && error.message.contains(text), "{error}");
        let error = decode_json(&serde_json::to_string(&v1::Part::of(&part).unwrap()).unwrap());
        let error = error.unwrap_err();
        assert!(error.kind == FormatErrorKind::Corrupt && error.message.contains(text), "{error}");
    }
    let both = Part { native: native_sample().native, ..sample() };
    assert!(both.encode().unwrap_err().message.contains("beside the files of a database"));
    let mut part = sample();
    part.runs[0].index.len_bytes += 1;
    assert_eq!(part.encode().unwrap_err().kind, FormatErrorKind::Invalid);
    let mut part = sample();
    part.runs[0].file = "shared/a*.run".parse().unwrap();
    assert_eq!(part.encode().unwrap_err().kind, FormatErrorKind::Invalid);
}

#[test]
fn bad_json_is_refused() {
    let good = json_of(&sample());
    assert!(decode_json(&good).is_ok());
    for (from, to) in [
        ("\"shared/12\"", "\"../12\""),
        ("\"shared/12\"", "\"/shared/12\""),
        ("\"shared/12\"", "\"shared/12\",\"shared/12\""),
        ("[0,\"1000001", "[9,\"1000001"),
        ("7.999.1-*.run", "*-*.run"),
        ("1000001-7.999", "a/1000001-7.999"),
        ("[0,65]", "[66,65]"),
        ("[0,65]", "[0,65536]"),
        ("[0,65],true", "[0,65],[[66,65]]"),
        ("[0,65],true", "[0,65],1"),
        ("\"states\":[", "\"states\":[{},"),
        ("\"live\":1", "\"live\":1,\"unknown\":1"),
        ("\"live\":1", "\"live\":-1"),
        ("[[4,2]]", "[[30,2]]"),
        ("[[4,2]]", "[[4,0]]"),
        ("[[0,1],[1,1]]", "[[0,1],[0,1]]"),
        ("[[1,23]]", "[[64,23]]"),
        ("04006b", "04006"),
        ("04006b", "04006B"),
        ("\",11,1]", "\",12,1]"),
        ("\",11,1]", "\",3,1]"),
        ("\",11,0]", "\",11,2]"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert_eq!(decode_json(&bad).unwrap_err().kind, FormatErrorKind::Corrupt, "{to}");
    }
    let long = good.replacen("shared/12", &"a".repeat(256), 1);
    assert!(decode_json(&long).unwrap_err().message.contains("limit is 255"));
    let newer = frame::seal("part", 2, b"a shape of the future");
    assert_eq!(Part::decode(&newer).unwrap_err().kind, FormatErrorKind::UnsupportedVersion);
}

#[test]
fn every_flipped_byte_is_found() {
    let good = sample().encode().unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(Part::decode(&bad).is_err(), "byte {at}");
    }
}

prop_compose! {
    fn runs()(first in 0..=u16::MAX, len in 0..=u16::MAX, cuts: Vec<u8>, number in 0..9_u32, dir in "[a-z*]{0,3}") -> RunRef {
        let whole = range(first, first.saturating_add(len));
        let mut base = Vec::new();
        let mut at = u32::from(first);
        for pair in cuts.chunks_exact(2) {
            let (start, end) = (at + u32::from(pair[0]), at + u32::from(pair[0]) + u32::from(pair[1]));
            if end > u32::from(whole.last()) {
                break;
            }
            base.push(range(start as u16, end as u16));
            at = end + 2;
        }
        let mut run = run(number, whole, base);
        if !dir.is_empty() {
            run.file = format!("{dir}/{number}").parse().unwrap();
        }
        run
    }
}

proptest! {
    #[test]
    fn every_part_comes_back_or_was_refused(runs in proptest::collection::vec(runs(), 0..20)) {
        let star = runs.iter().any(|run| run.file.as_str().contains('*'));
        let part = Part { runs, ..sample() };
        match part.encode() {
            Ok(bytes) => prop_assert_eq!(Part::decode(&bytes), Ok(part)),
            Err(error) => prop_assert!(star, "{error}"),
        }
    }

    #[test]
    fn arbitrary_json_never_panics(json: String, at: Index, bytes: Vec<u8>) {
        let _ = Part::decode(&bytes);
        let _ = decode_json(&json);
        let good = json_of(&sample());
        let at = at.index(good.len());
        let _ = decode_json(&format!("{}{json}{}", &good[..at], &good[at..]));
        let _ = decode_json(&format!("{}{}", &good[..at], &good[(at + 1).min(good.len())..]));
    }
}

#[test]
fn more_runs_or_bases_than_can_be_compared_are_refused() {
    let all = range(0, u16::MAX);
    let bases = |count: u16| (0..count).map(|at| range(at * 2, at * 2)).collect::<Vec<_>>();
    let of = |runs: Vec<RunRef>| Part { runs, ..sample() };
    let many = |count: u32| of((0..count).map(|number| run(number, all, vec![])).collect());
    let full = |last| of(vec![run(1, all, bases(1 << 15)), run(2, all, bases(last))]);
    for (good, bad) in [
        (many(4096), many(4097)),
        (full(1 << 15), {
            let mut part = full(1 << 15);
            part.runs.push(run(3, all, bases(1)));
            part
        }),
    ] {
        let kind = |part: &Part, kind| check::check(part, kind).unwrap_err().kind;
        assert!(good.encode().is_ok());
        assert_eq!(bad.encode().unwrap_err().kind, FormatErrorKind::Invalid);
        assert_eq!(kind(&bad, FormatErrorKind::Corrupt), FormatErrorKind::Corrupt);
    }
}
