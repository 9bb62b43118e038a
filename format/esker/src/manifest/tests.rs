use super::*;
use crate::part::Part;
use crate::run::Op;
use crate::{CodecId, Schema};
use proptest::prelude::*;
use proptest::sample::Index;

fn of(codec: CodecId, schema: Schema) -> Option<TypeInfo> {
    Some(TypeInfo { codec, schema })
}

fn state(id: u32, name: &str, kind: StateKind) -> StateInfo {
    let user_key = matches!(kind, StateKind::Map | StateKind::OperatorBroadcast);
    let value = !matches!(kind, StateKind::TimerEvent | StateKind::TimerProcessing);
    StateInfo {
        id,
        name: name.to_owned(),
        kind,
        namespace: of(CodecId::ORDERED, Schema::U64).filter(|_| kind.is_keyed()),
        user_key: of(CodecId::ORDERED, Schema::String).filter(|_| user_key),
        value: of(CodecId::BINCODE2, Schema::Option(Box::new(Schema::F64))).filter(|_| value),
        ttl: None,
        extra: Extra::new(),
    }
}

fn part(dir: &str, number: u32) -> PartRef {
    PartRef { dir: dir.parse().unwrap(), digest: Digest::of(&number.to_le_bytes()) }
}

const KINDS: [StateKind; 10] = [
    StateKind::Value,
    StateKind::List,
    StateKind::Map,
    StateKind::Reducing,
    StateKind::Aggregating,
    StateKind::TimerEvent,
    StateKind::TimerProcessing,
    StateKind::OperatorList,
    StateKind::OperatorUnion,
    StateKind::OperatorBroadcast,
];

/// One operator with a state of every kind, one with neither keys nor states.
fn sample() -> Manifest {
    let mut states: Vec<_> = KINDS.iter().map(|k| state(*k as u32, k.name(), *k)).collect();
    states[0].ttl = Some(Ttl { duration_ms: Some(60_000), update: TtlUpdate::ReadAndWrite });
    states[1].ttl = Some(Ttl { duration_ms: None, update: TtlUpdate::Write });
    states[1].namespace = None;
    let count = Operator {
        uid: "count".into(),
        key: of(CodecId::ORDERED, Schema::String),
        states,
        dropped: vec![],
        parts: vec![part("chk-7-3", 0), part("chk-6-3", 1), part("chk-7-3", 2)],
        extra: Extra::new(),
    };
    let sink = Operator {
        uid: "sink".into(),
        key: None,
        states: vec![],
        dropped: vec![11, 12],
        parts: vec![part("parts", 3)],
        extra: Extra::new(),
    };
    Manifest {
        job: "a job".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint: 7,
        generation: 3,
        operators: vec![count, sink],
        extra: Extra::new(),
    }
}

fn decode_json(json: &str) -> Result<Manifest> {
    Manifest::decode(&frame::seal("metadata", 1, json.as_bytes()))
}

fn json_of(manifest: &Manifest) -> String {
    let bytes = manifest.encode().unwrap();
    let (_, json) = frame::open("metadata", 1, &bytes).unwrap();
    String::from_utf8(json.to_vec()).unwrap()
}

#[test]
fn a_manifest_comes_back() {
    assert_eq!(Manifest::decode(&sample().encode().unwrap()), Ok(sample()));
    let mut savepoint = sample();
    savepoint.kind = SnapshotKind::Savepoint;
    assert_eq!(Manifest::decode(&savepoint.encode().unwrap()), Ok(savepoint));
}

#[test]
fn the_json_of_version_1_is_as_specified() {
    let mut manifest = sample();
    manifest.operators[0].states.truncate(1);
    let digest = |n: u32| String::from(crate::digest::ShortDigest(Digest::of(&n.to_le_bytes())));
    let expected = format!(
        "{{\"job\":\"a job\",\"kind\":\"checkpoint\",\"checkpoint\":7,\"generation\":3,\
         \"dirs\":[\"chk-*-3\",\"parts\"],\"operators\":[{{\"uid\":\"count\",\
         \"key\":{{\"codec\":\"ordered\",\"schema\":\"string\"}},\
         \"states\":[{{\"id\":0,\"name\":\"value\",\"kind\":\"value\",\
         \"namespace\":{{\"codec\":\"ordered\",\"schema\":\"u64\"}},\
         \"value\":{{\"codec\":\"bincode2\",\"schema\":{{\"option\":\"f64\"}}}},\
         \"ttl\":{{\"durationMs\":60000,\"update\":\"read-and-write\"}}}}],\
         \"parts\":[\"0:0:{}\",\"0:1:{}\",\"0:0:{}\"]}},\
         {{\"uid\":\"sink\",\"states\":[],\"dropped\":[11,12],\"parts\":[\"1:{}\"]}}]}}",
        digest(0),
        digest(1),
        digest(2),
        digest(3),
    );
    assert_eq!(json_of(&manifest), expected);
}

#[test]
fn unknown_fields_are_kept_at_every_level() {
    let json = json_of(&sample()).replacen("\"id\":0,", "\"id\":0,\"new\":[1.5],", 1);
    let json = json.replacen("\"uid\":\"sink\",", "\"uid\":\"sink\",\"newer\":-1,", 1);
    let json = json.replacen('{', "{\"newest\":{\"a\":null},", 1);
    let manifest = decode_json(&json).unwrap();
    assert_eq!(manifest.operators[0].states[0].extra["new"], serde_json::json!([1.5]));
    assert_eq!(manifest.operators[1].extra["newer"], serde_json::json!(-1));
    assert_eq!(manifest.extra["newest"], serde_json::json!({"a": null}));
    assert_eq!(Manifest::decode(&manifest.encode().unwrap()), Ok(manifest));
}

type Spoil = fn(&mut Manifest);

#[test]
fn bad_manifests_are_refused_by_writer_and_reader() {
    let bad: [(&str, Spoil); 17] = [
        ("operators do not ascend by uid: operator=\"count\"", |m| m.operators.swap(0, 1)),
        ("operators do not ascend", |m| m.operators[1].uid = "count".into()),
        ("parts=0, there are 1 to 65536: operator=\"sink\"", |m| m.operators[1].parts.clear()),
        ("parts=65537", |m| m.operators[1].parts = vec![part("parts", 3); 65_537]),
        ("state ids do not ascend: state=\"list\" id=0", |m| m.operators[0].states[1].id = 0),
        ("two states share a name", |m| m.operators[0].states[1].name = "value".into()),
        ("the operator has no key type", |m| m.operators[0].key = None),
        ("kind=map needs a user key type", |m| m.operators[0].states[2].user_key = None),
        ("kind=value needs a value type", |m| m.operators[0].states[0].value = None),
        ("two fields or variants share the name=x: state=\"value\"", |m| {
            let x = crate::schema::Field { name: "x".into(), schema: Schema::U8 };
            let twice = Schema::Struct { name: "S".into(), fields: vec![x.clone(), x] };
            m.operators[0].states[0].value = of(CodecId::BINCODE2, twice);
        }),
        ("kind=list has no user keys", |m| {
            m.operators[0].states[1].user_key = of(CodecId::ORDERED, Schema::U8);
        }),
        ("kind=timer-event has no values", |m| {
            m.operators[0].states[5].value = of(CodecId::ORDERED, Schema::U8);
        }),
        ("ids of dropped states do not ascend: id=11", |m| m.operators[1].dropped[1] = 11),
        ("a state has the id of one that was dropped: state=\"list\" id=1", |m| {
            m.operators[0].dropped = vec![1];
        }),
        ("kind=timer-processing has no TTL", |m| {
            m.operators[0].states[6].ttl = m.operators[0].states[0].ttl;
        }),
        ("kind=operator-union has no namespaces", |m| {
            m.operators[0].states[8].namespace = of(CodecId::ORDERED, Schema::U8);
        }),
        ("kind=operator-broadcast needs a user key type", |m| {
            m.operators[0].states[9].user_key = None;
        }),
    ];
    for (text, spoil) in bad {
        let mut manifest = sample();
        spoil(&mut manifest);
        let error = manifest.encode().unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Invalid, "{error}");
        assert!(error.message.contains(text), "{error}");
        let json = serde_json::to_string(&v1::Manifest::of(&manifest).unwrap()).unwrap();
        let error = decode_json(&json).unwrap_err();
        assert_eq!(error.kind, FormatErrorKind::Corrupt, "{error}");
        assert!(error.message.contains(text), "{error}");
    }
    for dir in ["chk-*", &"a".repeat(256)] {
        let mut manifest = sample();
        manifest.operators[0].parts[0].dir = dir.parse().unwrap();
        assert_eq!(manifest.encode().unwrap_err().kind, FormatErrorKind::Invalid);
    }
}

#[test]
fn bad_json_is_refused() {
    let good = json_of(&sample());
    assert!(decode_json(&good).is_ok());
    for (from, to) in [
        ("\"chk-*-3\"", "\"../chk-*\""),
        ("\"chk-*-3\"", "\"\""),
        ("\"chk-*-3\"", "\"chk-3\""),
        ("\"chk-*-3\"", "\"chk-*-*\""),
        ("\"parts\"]", "\"*\"]"),
        ("\"parts\"]", "\"C:\"]"),
        ("\"0:0:", "\"2:0:"),
        ("\"0:0:", "\"0:8:"),
        ("\"0:0:", "\"0:00:"),
        ("\"0:0:", "\"+0:0:"),
        ("\"0:0:", "\"0:0:0:"),
        ("\"0:0:", "\"1:0:"),
        ("\"0:0:", "\"0:"),
        ("\"0:0:", "\"0:0:A"),
        ("\"0:0:", "7,\"0:0:"),
        ("\"timer-event\",\"namespace\"", "\"timer-of-the-future\",\"namespace\""),
        ("\"durationMs\"", "\"durationS\""),
        ("\"schema\":\"string\"", "\"schema\":\"u256\""),
        ("\"checkpoint\":7", "\"checkpoint\":7,\"checkpoint\":7"),
        ("\"kind\":\"checkpoint\"", "\"kind\":\"other\""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert_eq!(decode_json(&bad).unwrap_err().kind, FormatErrorKind::Corrupt, "{to}");
    }
    let newer = frame::seal("metadata", 2, b"a shape of the future");
    assert_eq!(Manifest::decode(&newer).unwrap_err().kind, FormatErrorKind::UnsupportedVersion);
}

#[test]
fn every_flipped_byte_is_found() {
    let good = sample().encode().unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(Manifest::decode(&bad).is_err(), "byte {at}");
    }
}

/// One subtask of 1,000 changes: it writes its part, and the manifest of all.
#[test]
fn a_change_of_one_subtask_of_a_thousand_costs_at_most_64_kib() {
    let range = KeyGroupRange::of_subtask(999, 1000).unwrap();
    let mut changed = Part {
        runs: (0..48).map(|n| crate::part::tests::run(n, range, vec![range])).collect(),
        ..crate::part::tests::sample()
    };
    for state in &mut changed.states {
        for i in 0..100_u8 {
            let key = [&[0, 0, 0, 9, 0xff, i][..], &[b'k'; 16], &[0; 4]].concat();
            state.stats.count(Op::Put, &key, &[0; 200][..i.into()]);
        }
    }
    let part_bytes = changed.encode().unwrap().len();
    let mut manifest = sample();
    manifest.checkpoint = 990_001;
    manifest.operators.truncate(1);
    let mut total = |parts: Vec<PartRef>| {
        manifest.operators[0].parts = parts;
        let bytes = manifest.encode().unwrap();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest);
        (bytes.len(), bytes.len() + part_bytes)
    };
    let (alike, alike_total) = total((0..1000).map(|n| part("chk-123456-12", n)).collect());
    assert!(alike < 50 << 10, "{alike}");
    // Each of the 1,000 was last changed by a checkpoint of its own.
    let apart = |n: u32, step: u32| part(&format!("chk-{}-12", 990_000 - n * step), n);
    let (_, recent) = total((0..1000).map(|n| apart(n, 1)).collect());
    let (_, ancient) = total((0..1000).map(|n| apart(n, 9)).collect());
    let sizes = (part_bytes, alike, alike_total, recent, ancient);
    assert!(recent <= 63 << 10 && ancient <= 64 << 10, "{sizes:?}");
}

proptest! {
    #[test]
    fn every_manifest_comes_back(
        dirs in proptest::collection::vec("[a-z0-9/-]{1,9}", 1..6),
        picks in proptest::collection::vec((any::<Index>(), any::<u32>()), 1..60),
        name: String,
        durations in proptest::collection::vec(any::<Option<u64>>(), 10),
    ) {
        let dirs: Vec<RelativeName> = dirs.iter().filter_map(|dir| dir.parse().ok()).collect();
        prop_assume!(!dirs.is_empty());
        let mut manifest = sample();
        manifest.job.clone_from(&name);
        let operator = &mut manifest.operators[0];
        operator.parts = picks.iter().map(|(at, n)| part(at.get(&dirs).as_str(), *n)).collect();
        for (state, duration_ms) in operator.states.iter_mut().zip(durations) {
            if let Some(ttl) = &mut state.ttl {
                ttl.duration_ms = duration_ms;
            }
        }
        prop_assert_eq!(Manifest::decode(&manifest.encode().unwrap()), Ok(manifest));
    }

    #[test]
    fn arbitrary_json_never_panics(json: String, at: Index, bytes: Vec<u8>) {
        let _ = Manifest::decode(&bytes);
        let _ = decode_json(&json);
        let good = json_of(&sample());
        let at = at.index(good.len());
        let _ = decode_json(&format!("{}{json}{}", &good[..at], &good[at..]));
        let _ = decode_json(&format!("{}{}", &good[..at], &good[(at + 1).min(good.len())..]));
    }
}
