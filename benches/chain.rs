//! What does a chain of checkpoints cost? Bytes written for each byte changed, over 400 checkpoints
//! of 1 %, and the time to restore ten of them beside that of a full one
//! (docs/decisions/0002). `cargo bench -p esker --bench chain [-- <entries> [<merge factor>]]`.
#![allow(missing_docs, clippy::unwrap_used)]

use esker::backend::heap::{KeyedState, ValueState};
use esker::format::manifest::{Manifest, Operator, SnapshotKind, StateInfo, StateKind};
use esker::format::{KeyGroupRange, Ordered, ValueCodec};
use esker::snapshot::*;
use esker::{Store, block_on};
use std::time::{Duration, Instant};

const CHECKPOINTS: u64 = 400;
const UID: &str = "op";

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A rank of 0 to `n`, by Zipf's law with exponent 0.99, the sum taken for an integral.
    fn zipf(&mut self, n: u64) -> u64 {
        let power = (n as f64).powf(0.01);
        let rank = (self.unit() * (power - 1.0) + 1.0).powf(100.0) as u64;
        rank.clamp(1, n) - 1
    }
}

type State = ValueState<u64, (), u64>;

fn key(rank: u64) -> u64 {
    rank.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn state() -> State {
    State::new(1, KeyGroupRange::ALL, Ordered).unwrap()
}

fn write(
    store: &Store,
    state: &mut State,
    lineage: &mut Lineage,
    (checkpoint, settings): (u64, &SnapshotSettings),
) -> WriteStats {
    let (captures, chain) = lineage.begin(vec![state.capture_state()], 3);
    let kind = SnapshotKind::Checkpoint;
    let id = PartId { kind, checkpoint, generation: 1, operator: 0, subtask: 0 };
    let input = PartInput { id, range: KeyGroupRange::ALL, captures, operator: None, chain };
    let written = block_on(write_part(store, input, settings)).unwrap();
    lineage.completed(written.chain);
    written.stats
}

fn manifest(store: &Store, lineage: &Lineage, checkpoint: u64) -> Manifest {
    let info = ValueCodec::<u64>::info(&Ordered).unwrap();
    let extra = Default::default;
    let stored = StateInfo {
        id: 1,
        name: "counts".into(),
        kind: StateKind::Value,
        namespace: None,
        user_key: None,
        value: Some(info.clone()),
        ttl: None,
        extra: extra(),
    };
    let states = vec![stored];
    let key = Some(info);
    let operator = Operator { uid: UID.into(), key, states, parts: vec![], extra: extra() };
    let manifest = Manifest {
        job: "bench".into(),
        kind: SnapshotKind::Checkpoint,
        checkpoint,
        generation: 1,
        operators: vec![],
        extra: extra(),
    };
    let parts = vec![(lineage.chain().part.clone(), None)];
    let written = block_on(write_manifest(store, manifest, vec![NewOperator { operator, parts }]));
    written.unwrap().manifest
}

fn restored(store: &Store, manifest: &Manifest, settings: &SnapshotSettings) -> Duration {
    let mut state = state();
    let stored = manifest.operators[0].states[0].clone();
    let mut targets = [Target { stored, state: &mut state }];
    let start = Instant::now();
    block_on(restore(store, manifest, UID, KeyGroupRange::ALL, &mut targets, settings)).unwrap();
    start.elapsed()
}

fn resident_bytes(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn chain(entries: u64, zipf: bool, settings: &SnapshotSettings) {
    let store = Store::open("memory://").unwrap();
    let (mut state, mut lineage, mut rng) = (state(), Lineage::default(), Rng(7));
    for rank in 0..entries {
        let _ = state.update(&key(rank), &(), rank).unwrap();
    }
    let full = write(&store, &mut state, &mut lineage, (0, settings));
    let first = manifest(&store, &lineage, 0);
    let drawn: Vec<u64> = (0..10).map(|_| rng.next() % CHECKPOINTS + 1).collect();
    let (mut written, mut changed, mut times) = (0, 0, Vec::new());
    let (mut files_max, mut depth_max, mut held_max, mut worst) = (0, 0, 0, 0.0_f64);
    for checkpoint in 1..=CHECKPOINTS {
        for _ in 0..entries / 100 {
            let rank = if zipf { rng.zipf(entries) } else { rng.next() % entries };
            state.update(&key(rank), &(), rng.next() % entries).unwrap();
        }
        let stats = write(&store, &mut state, &mut lineage, (checkpoint, settings));
        written += stats.written_len_bytes;
        changed += stats.changed_len_bytes;
        times.push(stats.time);
        files_max = files_max.max(lineage.chain().part.runs.len());
        depth_max = depth_max.max(lineage.chain().depth());
        held_max = held_max.max(stats.referenced_len_bytes);
        if drawn.contains(&checkpoint) {
            let newest = manifest(&store, &lineage, checkpoint);
            let mut ratios: Vec<f64> = (0..3)
                .map(|_| {
                    let full = restored(&store, &first, settings).as_secs_f64();
                    restored(&store, &newest, settings).as_secs_f64() / full
                })
                .collect();
            ratios.sort_by(f64::total_cmp);
            worst = worst.max(ratios[1]);
        }
    }
    times.sort_unstable();
    let law = if zipf { "zipf 0.99" } else { "uniform" };
    println!("{entries} entries, {law}, 400 x 1 %, merge factor {}:", settings.merge_factor);
    println!(
        "  full: {} bytes in {:.0?}; checkpoint: median {:.1?}, slowest {:.1?}",
        full.written_len_bytes,
        full.time,
        times[times.len() / 2],
        times[times.len() - 1],
    );
    println!(
        "  bytes written / bytes of changes {:.2}; held at most {:.2} of a full one",
        written as f64 / changed as f64,
        held_max as f64 / full.written_len_bytes as f64,
    );
    println!("  runs at most {files_max}, over one key group {depth_max}");
    println!("  restore / restore of a full one, the worst of ten: {worst:.2} (median of 3 each)");
}

fn memory(entries: u64, settings: &SnapshotSettings) {
    let before = resident_bytes("VmRSS");
    let mut state = state();
    for rank in 0..entries {
        let _ = state.update(&key(rank), &(), rank).unwrap();
    }
    let held = resident_bytes("VmRSS") - before;
    let folder = std::env::temp_dir().join(format!("esker-bench-{}", std::process::id()));
    let store = Store::open(&folder.to_string_lossy()).unwrap();
    let mut lineage = Lineage::default();
    // The high-water mark starts again from here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let start = resident_bytes("VmRSS");
    let stats = write(&store, &mut state, &mut lineage, (0, settings));
    let peak = resident_bytes("VmHWM") - start;
    for rank in 0..entries / 100 {
        let _ = state.update(&key(rank * 97), &(), rank).unwrap();
    }
    let none = SnapshotSettings { merge_factor: 0.0, ..settings.clone() };
    let delta = write(&store, &mut state, &mut lineage, (1, &none));
    drop(std::fs::remove_dir_all(&folder));
    println!(
        "{entries} entries to local disk: full {:.0?}, {:.1} bytes an entry, {} runs, peak extra \
         memory {:.1} MB = {:.3} of the state's {:.0} MB; 1 % without merge {:.0?}, {:.1} bytes each",
        stats.time,
        stats.written_len_bytes as f64 / entries as f64,
        lineage.chain().part.runs.len(),
        peak as f64 / 1e6,
        peak as f64 / held.max(1) as f64,
        held as f64 / 1e6,
        delta.time,
        delta.written_len_bytes as f64 / delta.changed_entries.max(1) as f64,
    );
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let entries = args.next().and_then(|arg| arg.parse().ok()).unwrap_or(1_000_000);
    let merge_factor = args.next().and_then(|arg| arg.parse().ok());
    let mut settings = SnapshotSettings::default();
    settings.merge_factor = merge_factor.unwrap_or(settings.merge_factor);
    if entries > 2_000_000 {
        return memory(entries, &settings);
    }
    memory(entries, &settings);
    chain(entries, false, &settings);
    chain(entries, true, &settings);
}
