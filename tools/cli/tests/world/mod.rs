//! A job of two operators with states of every kind the heap has, its checkpoints and a savepoint on
//! disk, and the lines that they should hold.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(unreachable_pub, reason = "of tests alone")]

use esker::backend::heap::{ListState, MapState, TimerState, ValueState};
use esker::backend::{EntrySink, KeyedState, ReducingState};
use esker::checkpoint::{Job, ReferenceSource, Retention};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{
    Manifest, Operator, PartRef, SnapshotKind, StateInfo, StateKind, TypeInfo,
};
use esker::format::part::Part;
use esker::format::record::Published;
use esker::format::run::{Entry, Op};
use esker::format::{
    Bincode, CodecId, Key, KeyGroup, KeyGroupRange, RelativeName, Schema, ValueCodec,
};
use esker::snapshot::*;
use esker::state::TimeDomain;
use esker::{Result, Store, block_on};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub const DELAYS: &str = "delays";
pub const AIRPORTS: &str = "airports";
const PARALLELISM: u32 = 2;
/// Of the operator whose subtasks number 0 and 1.
const KEYS: u32 = 120;

fn text() -> TypeInfo {
    TypeInfo { codec: CodecId::ORDERED, schema: Schema::String }
}

fn info(id: u32, name: &str, kind: StateKind, value: Option<TypeInfo>) -> StateInfo {
    let (namespace, user_key, ttl) = (None, None, None);
    StateInfo {
        id,
        name: name.into(),
        kind,
        namespace,
        user_key,
        value,
        ttl,
        extra: Default::default(),
    }
}

pub fn delays_states() -> Vec<StateInfo> {
    let number = || Some(ValueCodec::<u64>::info(&Bincode).unwrap());
    let windows = TypeInfo { codec: CodecId::ORDERED, schema: Schema::U32 };
    vec![
        info(1, "count", StateKind::Value, number()),
        info(2, "late", StateKind::List, Some(ValueCodec::<String>::info(&Bincode).unwrap())),
        StateInfo { user_key: Some(text()), ..info(3, "routes", StateKind::Map, number()) },
        StateInfo { namespace: Some(windows), ..info(4, "total", StateKind::Reducing, number()) },
        info(5, "wake", StateKind::TimerEvent, None),
        info(6, "offsets", StateKind::OperatorList, number()),
    ]
}

struct Subtask {
    count: ValueState<String, (), u64>,
    late: ListState<String, (), String>,
    routes: MapState<String, (), String, u64>,
    total: ReducingState<String, u32, u64, ValueState<String, u32, u64>>,
    wake: TimerState<String, ()>,
    lineage: Lineage,
}

impl Subtask {
    fn new(range: KeyGroupRange) -> Self {
        let total = ValueState::new(4, range, Bincode).unwrap();
        Self {
            count: ValueState::new(1, range, Bincode).unwrap(),
            late: ListState::new(2, range, Bincode).unwrap(),
            routes: MapState::new(3, range, Bincode).unwrap(),
            total: ReducingState::over(total, |sum, more| *sum += more),
            wake: TimerState::new(5, TimeDomain::Event, range).unwrap(),
            lineage: Lineage::default(),
        }
    }

    fn captures(&mut self) -> Captures {
        vec![
            self.count.capture_state(),
            self.late.capture_state(),
            self.routes.capture_state(),
            self.total.capture_state(),
            self.wake.capture_state(),
        ]
    }
}

/// The offsets of a subtask.
struct Offsets(u64);

impl OperatorCapture for Offsets {
    fn states(&self) -> Vec<(u32, u64)> {
        vec![(6, 2)]
    }

    fn write(&self, sink: &mut dyn EntrySink) -> Result<()> {
        for position in 0..2_u64 {
            let mut key = Vec::new();
            let at = position.to_be_bytes();
            CompositeKey::new(6, KeyGroup(0), &at, b"", b"").encode_into(&mut key);
            let mut value = Vec::new();
            ValueCodec::encode(&Bincode, &(self.0 * 10 + position), &mut value)?;
            sink.add(Entry { key: &key, op: Op::Put, value: &value })?;
        }
        Ok(())
    }
}

struct Manifests;

#[async_trait::async_trait]
impl ReferenceSource for Manifests {
    async fn references(
        &self,
        store: &Store,
        published: &Published,
    ) -> Result<BTreeSet<RelativeName>> {
        references(store, published).await
    }
}

/// A job that runs while it is written about.
pub struct World {
    pub store: Store,
    subtasks: Vec<Subtask>,
    airports: ValueState<u32, (), String>,
    airports_lineage: Lineage,
    job: Job,
    before: BTreeMap<String, Vec<PartRef>>,
    checkpoint: u64,
    pub lines: BTreeSet<String>,
}

fn range(subtask: u32) -> KeyGroupRange {
    KeyGroupRange::of_subtask(subtask, PARALLELISM).unwrap()
}

fn settings() -> SnapshotSettings {
    SnapshotSettings { file_len_bytes: 8192, block_len_bytes: 512, ..SnapshotSettings::default() }
}

impl World {
    pub fn new(root: &Path) -> Self {
        Self::in_store(Store::open(root.to_str().unwrap()).unwrap())
    }

    pub fn in_store(store: Store) -> Self {
        let job = block_on(Job::claim(store.clone(), Arc::new(Manifests))).unwrap();
        Self {
            store,
            subtasks: (0..PARALLELISM).map(|i| Subtask::new(range(i))).collect(),
            airports: ValueState::new(1, KeyGroupRange::ALL, Bincode).unwrap(),
            airports_lineage: Lineage::default(),
            job,
            before: BTreeMap::new(),
            checkpoint: 0,
            lines: BTreeSet::new(),
        }
    }

    /// Changes a part of everything; `round` goes up from 0.
    pub fn change(&mut self, round: u64) {
        for number in (0..KEYS).filter(|n| round == 0 || n % 3 == 0) {
            let key = format!("carrier-{number}");
            let group = key.with_encoded(KeyGroup::of);
            let at = (0..PARALLELISM).position(|i| range(i).contains(group)).unwrap();
            let subtask = &mut self.subtasks[at];
            subtask.count.update(&key, &(), round + u64::from(number)).unwrap();
            subtask.late.append(&key, &(), format!("flight \"{round}\"")).unwrap();
            for route in ["ATL", "JFK"] {
                subtask.routes.put(&key, &(), &format!("{route}{round}"), round).unwrap();
            }
            if round > 0 {
                subtask.routes.remove(&key, &(), &"ATL0".to_owned()).unwrap();
                subtask.count.clear(&key, &()).unwrap();
            }
            subtask.total.add(&key, &(round as u32), 7).unwrap();
            subtask.wake.register(1000 + i64::from(number), &key, &()).unwrap();
        }
        for code in 0..40 {
            self.airports.update(&code, &(), format!("airport {code}, {round}\n")).unwrap();
        }
        self.lines = expected(round);
    }

    fn inputs(&mut self, kind: SnapshotKind) -> Vec<(Operator, Vec<PartInput>)> {
        let (checkpoint, generation) = (self.checkpoint, self.job.generation());
        let id = |operator, subtask| PartId { kind, checkpoint, generation, operator, subtask };
        let savepoint = kind == SnapshotKind::Savepoint;
        let begin = |lineage: &mut Lineage, captures: Captures| {
            if savepoint {
                lineage.set_aside(checkpoint, captures.clone());
                return (vec![captures], Chain::default());
            }
            lineage.begin(checkpoint, captures, 3)
        };
        let mut parts = Vec::new();
        for (number, subtask) in self.subtasks.iter_mut().enumerate() {
            let captured = subtask.captures();
            let (captures, chain) = begin(&mut subtask.lineage, captured);
            let number = number as u32;
            let operator: Option<Arc<dyn OperatorCapture>> =
                Some(Arc::new(Offsets(u64::from(number))));
            let (id, range) = (id(1, number), range(number));
            parts.push(PartInput { id, range, captures, operator, chain });
        }
        let captured = vec![self.airports.capture_state()];
        let (captures, chain) = begin(&mut self.airports_lineage, captured);
        let (id, range) = (id(0, 0), KeyGroupRange::ALL);
        let airports = PartInput { id, range, captures, operator: None, chain };
        let operator = |uid: &str, key: TypeInfo, states| Operator {
            uid: uid.into(),
            key: Some(key),
            states,
            dropped: Vec::new(),
            parts: Vec::new(),
            extra: Default::default(),
        };
        let code = TypeInfo { codec: CodecId::ORDERED, schema: Schema::U32 };
        let value = Some(ValueCodec::<String>::info(&Bincode).unwrap());
        let names = vec![info(1, "names", StateKind::Value, value)];
        vec![
            (operator(AIRPORTS, code, names), vec![airports]),
            (operator(DELAYS, text(), delays_states()), parts),
        ]
    }

    fn write(&mut self, store: &Store, kind: SnapshotKind) -> WrittenManifest {
        let (mut operators, mut written) = (Vec::new(), Vec::new());
        for (operator, inputs) in self.inputs(kind) {
            let mut before =
                self.before.get(&operator.uid).cloned().unwrap_or_default().into_iter();
            let mut parts: Vec<(Part, Option<PartRef>)> = Vec::new();
            for input in inputs {
                let part = block_on(write_part(store, input, &settings())).unwrap();
                parts.push((
                    part.chain.part.clone(),
                    before.next().filter(|_| kind == SnapshotKind::Checkpoint),
                ));
                written.push(part.chain);
            }
            operators.push(NewOperator { operator, parts });
        }
        let manifest = Manifest {
            job: "flights".into(),
            kind,
            checkpoint: self.checkpoint,
            generation: self.job.generation(),
            operators: Vec::new(),
            extra: Default::default(),
        };
        let manifest = block_on(write_manifest(store, manifest, operators)).unwrap();
        if kind == SnapshotKind::Checkpoint {
            let mut written = written.into_iter();
            self.airports_lineage.completed(self.checkpoint, written.next().unwrap());
            for (subtask, chain) in self.subtasks.iter_mut().zip(written) {
                subtask.lineage.completed(self.checkpoint, chain);
            }
            let operators = manifest.manifest.operators.iter();
            self.before = operators.map(|o| (o.uid.clone(), o.parts.clone())).collect();
        }
        manifest
    }

    /// Writes and publishes the next checkpoint; its folder.
    pub fn checkpoint(&mut self) -> String {
        let basis = (self.checkpoint > 0).then_some(self.checkpoint);
        self.checkpoint += 1;
        self.job.begin(self.checkpoint, basis).unwrap();
        let written = self.write(&self.store.clone(), SnapshotKind::Checkpoint);
        let mut names = block_on(references(&self.store, &written.published)).unwrap();
        names.remove(&written.published.manifest_path);
        block_on(self.job.publish(written.published, names)).unwrap();
        format!("chk-{}-{}", self.checkpoint, self.job.generation())
    }

    pub fn savepoint(&mut self, folder: &Path) {
        self.savepoint_in(&Store::open(folder.to_str().unwrap()).unwrap());
    }

    pub fn savepoint_in(&mut self, store: &Store) {
        self.write(store, SnapshotKind::Savepoint);
    }

    /// Retires all but the newest `count` checkpoints.
    pub fn keep(&mut self, count: u32) {
        let retention = Retention::last(std::num::NonZeroU32::new(count).unwrap());
        block_on(self.job.retain(&retention)).unwrap();
    }

    pub fn hold(&mut self, checkpoint: u64, name: &str) {
        block_on(self.job.hold(checkpoint, name)).unwrap();
    }
}

/// What stands in a snapshot after `last` rounds of change, one line each.
fn expected(last: u64) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut line = |operator: &str, state: &str, kind: &str, rest: String| {
        let head = format!(r#"{{"operator":"{operator}","state":"{state}","kind":"{kind}""#);
        assert!(lines.insert(format!("{head}{rest}}}")));
    };
    for number in 0..KEYS {
        let rounds: Vec<u64> = (0..=last).filter(|r| *r == 0 || number % 3 == 0).collect();
        let changed = rounds.len() > 1;
        let key = format!(r#","key":"carrier-{number}""#);
        let plain = format!(r#"{key},"namespace":null"#);
        if !changed {
            line(DELAYS, "count", "value", format!(r#"{plain},"value":{number}"#));
        }
        let late: Vec<_> = rounds.iter().map(|r| format!(r#""flight \"{r}\"""#)).collect();
        line(DELAYS, "late", "list", format!(r#"{plain},"value":[{}]"#, late.join(",")));
        for round in &rounds {
            for route in ["ATL", "JFK"] {
                if !(changed && route == "ATL" && *round == 0) {
                    let entry = format!(r#"{plain},"userKey":"{route}{round}","value":{round}"#);
                    line(DELAYS, "routes", "map", entry);
                }
            }
            let total = format!(r#"{key},"namespace":{round},"value":7"#);
            line(DELAYS, "total", "reducing", total);
        }
        line(DELAYS, "wake", "timer-event", format!(r#"{plain},"value":{}"#, 1000 + number));
    }
    for subtask in 0..u64::from(PARALLELISM) {
        for position in 0..2 {
            let value = subtask * 10 + position;
            line(DELAYS, "offsets", "operator-list", format!(r#","value":{value}"#));
        }
    }
    for code in 0..40 {
        let rest = format!(r#","key":{code},"namespace":null,"value":"airport {code}, {last}\n""#);
        line(AIRPORTS, "names", "value", rest);
    }
    lines
}

/// Copies a folder and all below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// All files below a folder, in order.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// A folder with the job `job` of so many checkpoints and the savepoint `save`.
pub fn made(checkpoints: u64) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("job"));
    for round in 0..checkpoints {
        world.change(round);
        world.checkpoint();
    }
    world.savepoint(&folder.path().join("save"));
    (folder, world)
}
