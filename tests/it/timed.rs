//! Small savepoints, of which it is known when each subtask was captured.

use esker::backend::EntrySink;
use esker::format::composite::CompositeKey;
use esker::format::manifest::{
    Manifest, Operator, SnapshotKind, StateInfo, StateKind, Ttl, TtlUpdate, TypeInfo,
};
use esker::format::run::{Entry, Op};
use esker::format::{CodecId, Key, KeyGroup, KeyGroupRange, Schema};
use esker::processor::{EntrySource, OperatorSources, SubtaskSource, write_savepoint};
use esker::snapshot::SnapshotSettings;
use esker::{Result, Store, block_on};
use esker_conformance::store::new_store;
use std::sync::Arc;

/// The id of its state.
pub(crate) const SEEN: u32 = 3;

/// A key, the time of its last update, and a value.
pub(crate) type Seen = (u64, i64, u8);

/// Entries in the order of runs.
struct Sorted(Vec<(KeyGroup, Vec<u8>, Vec<u8>)>);

impl EntrySource for Sorted {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        let within = self.0.iter().filter(|(group, ..)| range.contains(*group));
        for (_, key, value) in within {
            sink.add(Entry { key, op: Op::Put, value })?;
        }
        Ok(())
    }

    fn len_bytes(&self) -> u64 {
        self.0.len() as u64 * 20
    }
}

/// A savepoint of one operator, `shop`, with one state, `seen`, of bytes by `u64`, which live for 100 ms: of each
/// subtask the time of its capture. Entries go to the subtask that owns them, wherever they stand.
pub(crate) fn savepoint(job: &str, subtasks: &[(i64, &[Seen])]) -> (Store, Manifest) {
    let of = |schema| TypeInfo { codec: CodecId::ORDERED, schema };
    let state = StateInfo {
        id: SEEN,
        name: "seen".into(),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: Some(of(Schema::U8)),
        ttl: Some(Ttl { duration_ms: Some(100), update: TtlUpdate::Write }),
        extra: Default::default(),
    };
    let mut all: Vec<_> = subtasks
        .iter()
        .flat_map(|(_, seen)| *seen)
        .map(|(number, time_ms, value)| {
            let (mut encoded, mut key, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
            number.encode_into(&mut encoded);
            let group = KeyGroup::of(&encoded);
            CompositeKey::new(SEEN, group, &encoded, b"", b"").encode_into(&mut key);
            time_ms.encode_into(&mut bytes);
            bytes.push(*value);
            (group, key, bytes)
        })
        .collect();
    all.sort();
    let keyed: Arc<dyn EntrySource> = Arc::new(Sorted(all));
    let source = |(time_ms, _): &(i64, &[Seen])| SubtaskSource {
        keyed: Some(Arc::clone(&keyed)),
        operator: None,
        ttl_times_ms: [(SEEN, *time_ms)].into(),
    };
    let operator = Operator {
        uid: "shop".into(),
        key: Some(of(Schema::U64)),
        states: vec![state],
        dropped: Vec::new(),
        parts: Vec::new(),
        extra: Default::default(),
    };
    let operators =
        vec![OperatorSources { operator, subtasks: subtasks.iter().map(source).collect() }];
    let manifest = Manifest {
        job: job.into(),
        kind: SnapshotKind::Savepoint,
        checkpoint: 5,
        generation: 1,
        operators: Vec::new(),
        extra: Default::default(),
    };
    let store = new_store();
    let settings = SnapshotSettings::default();
    let written = block_on(write_savepoint(&store, manifest, operators, &settings, &|_| {}));
    (store, written.unwrap().manifest)
}
