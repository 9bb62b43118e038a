//! Snapshots of 1,000,000 values: capture, full and incremental writes, restore; and of 100,000
//! entries, the run alone.

mod common;

use criterion::{Criterion, Throughput};
use esker_benches::heap::update;
use esker_benches::keys;
use esker_benches::snapshot::subtask::{Subtask, restored};
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, Op, RunOptions, RunReader, RunWriter};
use esker_format::{KeyGroup, KeyGroupRange};

const ENTRIES: usize = 1_000_000;
const RUN_ENTRIES: usize = 100_000;

fn main() -> Result<(), String> {
    let mut criterion = common::criterion();
    snapshot(&mut criterion)?;
    run(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

fn snapshot(criterion: &mut Criterion) -> Result<(), String> {
    let mut group = criterion.benchmark_group("snapshot.1m");
    group.sample_size(10);
    let keys = keys::in_range(ENTRIES, KeyGroupRange::ALL);
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &keys)?;
    let changed = keys::uniform(&keys, ENTRIES / 100);
    group.bench_function("capture", |bencher| {
        let setup = |state: &mut _| update(state, &changed[..common::BATCH], 2);
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    setup(&mut subtask.state);
                    let start = std::time::Instant::now();
                    let capture = subtask.state.capture();
                    let time = start.elapsed();
                    drop(capture);
                    time
                })
                .sum()
        });
    });
    group.throughput(Throughput::Elements(ENTRIES as u64));
    group.bench_function("write-full", |bencher| bencher.iter(|| subtask.full()));
    subtask.full()?;
    let manifest = subtask.manifest()?;
    group.bench_function("restore", |bencher| {
        bencher.iter_with_large_drop(|| restored(&subtask.store, &manifest, subtask.range));
    });
    group.throughput(Throughput::Elements(changed.len() as u64));
    group.bench_function("write-1pct", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|round| {
                    update(&mut subtask.state, &changed, round);
                    subtask.checkpoint().map_or_else(|_| Default::default(), |stats| stats.time)
                })
                .sum()
        });
    });
    group.finish();
    Ok(())
}

fn run(criterion: &mut Criterion) -> Result<(), String> {
    let mut group = criterion.benchmark_group("run.100k");
    group.throughput(Throughput::Elements(RUN_ENTRIES as u64));
    let mut entries: Vec<(Vec<u8>, [u8; 8])> = keys::in_range(RUN_ENTRIES, KeyGroupRange::ALL)
        .into_iter()
        .map(|key| {
            let (bytes, mut out) = (key.to_be_bytes(), Vec::new());
            let composite = CompositeKey::new(1, KeyGroup::of(&bytes), &bytes, b"", b"");
            composite.encode_into(&mut out);
            (out, keys::mixed(key).to_be_bytes())
        })
        .collect();
    entries.sort_unstable();
    let file = written(&entries)?;
    group.bench_function("write", |bencher| bencher.iter(|| written(&entries)));
    group.bench_function("read", |bencher| bencher.iter(|| read(&file)));
    if read(&file)? != RUN_ENTRIES {
        return Err("the run has another number of entries".to_owned());
    }
    group.finish();
    Ok(())
}

fn written(entries: &[(Vec<u8>, [u8; 8])]) -> Result<Vec<u8>, String> {
    let mut writer = RunWriter::new(RunOptions::default());
    let mut file = Vec::new();
    for (key, value) in entries {
        writer.add(Entry { key, op: Op::Put, value }).map_err(|e| e.to_string())?;
        if writer.pending_bytes() > 1 << 20 {
            file.extend(writer.take_output());
        }
    }
    file.extend(writer.finish().map_err(|e| e.to_string())?.0);
    Ok(file)
}

/// Opens the run, verifies every block, and counts the entries.
fn read(file: &[u8]) -> Result<usize, String> {
    let reader = RunReader::open_file(file).map_err(|e| e.to_string())?;
    let mut count = 0;
    for (number, handle) in reader.index().blocks.iter().enumerate() {
        let start = handle.offset as usize;
        let block = reader.block(number, &file[start..start + handle.len_bytes as usize]);
        let counted = block.and_then(|block| {
            block.for_each(|entry| {
                std::hint::black_box(entry.value);
                count += 1;
                Ok(())
            })
        });
        counted.map_err(|e| e.to_string())?;
    }
    Ok(count)
}
