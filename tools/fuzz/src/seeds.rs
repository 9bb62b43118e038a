//! Golden files as seeds, and samples of what has none.

use esker_format::manifest::{
    MANIFEST_KIND, Manifest, Operator, PartRef, SnapshotKind, StateInfo, StateKind, Ttl, TtlUpdate,
    TypeInfo,
};
use esker_format::part::{PART_KIND, Part, PartState, RunRef};
use esker_format::record::{Base, Decision, Extra, Hold, Nonce, Published, Record, Retire};
use esker_format::run::{IndexLocation, RunReader, StateStats};
use esker_format::{CodecId, Digest, KeyGroupRange, Schema};
use std::path::Path;

/// The golden files, good and bad, whose name ends in `.extension`, or `_extension`.
fn golden(extension: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../format/esker/golden");
    let mut paths = Vec::new();
    for dir in std::fs::read_dir(root).unwrap() {
        let files = std::fs::read_dir(dir.unwrap().path()).unwrap();
        paths.extend(files.map(|file| file.unwrap().path()));
    }
    let ends = [format!(".{extension}"), format!("_{extension}")];
    paths.retain(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

pub(crate) fn runs() -> Vec<Vec<u8>> {
    golden("run")
}

pub(crate) fn composite_keys() -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    for run in runs() {
        if let Ok(reader) = RunReader::open_file(&run) {
            keys.extend(reader.index().blocks.iter().map(|block| block.first_key.clone()));
        }
    }
    keys
}

pub(crate) fn sealed() -> Vec<Vec<u8>> {
    [log_records(), parts(), manifests()].concat()
}

/// Files, and the JSON that they hold.
fn with_json(files: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let json = |file: &Vec<u8>| {
        let line = file.iter().position(|byte| *byte == b'\n')?;
        Some(file[line + 1..].to_vec())
    };
    let json: Vec<_> = files.iter().filter_map(json).collect();
    [files, json].concat()
}

pub(crate) fn log_records() -> Vec<Vec<u8>> {
    let published = Published {
        checkpoint: 7,
        manifest_path: "chk-7-3/_metadata".parse().unwrap(),
        manifest_digest: Digest::of(b"a manifest"),
        extra: Extra::new(),
    };
    let retire = Retire {
        checkpoints: [5, 6].into(),
        condemned: ["shared/3/a.run", "b"].map(|name| name.parse().unwrap()).into(),
        extra: Extra::new(),
    };
    let base = Base {
        claim_generation: 3,
        claim_nonce: Nonce(9),
        checkpoint_last: 8,
        checkpoints: vec![published.clone()],
        holds: [(7, ["audit".to_owned()].into())].into(),
        condemned: retire.condemned.clone(),
        extra: Extra::from_iter([("unknown".to_owned(), serde_json::json!([1.5, {"a": null}]))]),
    };
    let hold = Hold { checkpoint: 7, name: "audit".into(), extra: Extra::new() };
    let decisions = [
        Decision::Publish(published),
        Decision::Retire(retire),
        Decision::Hold(hold.clone()),
        Decision::Release(hold),
        Decision::Base(base),
    ];
    let mut files = golden("log");
    files.extend(decisions.map(|decision| {
        let record = Record { generation: 3, nonce: Nonce(171), decision, extra: Extra::new() };
        record.encode().unwrap()
    }));
    with_json(files)
}

pub(crate) fn parts() -> Vec<Vec<u8>> {
    let digest = Digest::of(b"a run");
    let run = |file: String, first, base: Vec<KeyGroupRange>| RunRef {
        file: file.parse().unwrap(),
        len_bytes: 5_000,
        digest,
        index: IndexLocation { offset: 4_000, len_bytes: 936, digest: Digest::of(b"an index") },
        range: KeyGroupRange::new(first, u16::MAX).unwrap(),
        base,
        entries: 12,
    };
    let state = |id, earliest_timer_ms| PartState {
        id,
        entries: 12,
        earliest_timer_ms,
        ttl_time_ms: earliest_timer_ms,
        stats: StateStats {
            entries: 12,
            live: 12,
            key_bytes: 200,
            value_bytes: 300,
            ..StateStats::default()
        },
        extra: Extra::new(),
    };
    let part = Part {
        runs: vec![
            run(format!("shared/3/6-0-{digest}.run"), 0, vec![KeyGroupRange::ALL]),
            run(format!("shared/3/7-0-{digest}.run"), 9, vec![]),
            run("plain".into(), 9, vec![KeyGroupRange::new(9, 20).unwrap()]),
        ],
        operator_run: Some(run("operator".into(), 0, vec![KeyGroupRange::ALL])),
        native: None,
        states: vec![state(1, None), state(7, Some(-3))],
        extra: Extra::new(),
    };
    let mut files = golden(PART_KIND);
    files.push(part.encode().unwrap());
    with_json(files)
}

pub(crate) fn manifests() -> Vec<Vec<u8>> {
    let info = |schema| Some(TypeInfo { codec: CodecId::ORDERED, schema });
    let state = |id, name: &str, kind, user_key, value| StateInfo {
        id,
        name: name.into(),
        kind,
        namespace: info(Schema::U64),
        user_key,
        value,
        ttl: None,
        extra: Extra::new(),
    };
    let mut value = state(1, "value", StateKind::Value, None, info(Schema::Bytes));
    value.ttl = Some(Ttl { duration_ms: Some(60_000), update: TtlUpdate::ReadAndWrite });
    let part =
        |dir: &str| PartRef { dir: dir.parse().unwrap(), digest: Digest::of(dir.as_bytes()) };
    let operator = |uid: &str, states, parts: &[&str]| Operator {
        uid: uid.into(),
        key: info(Schema::String),
        states,
        dropped: vec![3],
        parts: parts.iter().map(|dir| part(dir)).collect(),
        extra: Extra::new(),
    };
    let states = vec![
        value,
        state(2, "map", StateKind::Map, info(Schema::String), info(Schema::Char)),
        state(4, "timers", StateKind::TimerEvent, None, None),
    ];
    let manifest = Manifest {
        job: "a job".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint: 7,
        generation: 3,
        operators: vec![
            operator("count", states, &["chk-7-3", "chk-6-3", "chk-7-3"]),
            operator("sink", vec![], &["parts"]),
        ],
        extra: Extra::new(),
    };
    let mut files = golden(MANIFEST_KIND);
    files.push(manifest.encode().unwrap());
    with_json(files)
}
