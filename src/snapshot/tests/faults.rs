//! Damage is named, a dropped call leaves nothing that counts, and the runtime does not matter.

use super::world::*;
use crate::snapshot::*;
use crate::{ErrorKind, block_on};
use esker_format::composite::CompositeKey;
use esker_format::{Key, KeyGroup, KeyGroupRange, RelativeName};

#[test]
fn a_flipped_bit_in_any_file_is_an_error_that_names_it() {
    let job = job();
    let published = &job.written.as_ref().unwrap().published;
    let names = block_on(references(&job.store, published)).unwrap();
    assert!(names.len() > 6);
    for name in names {
        let good = block_on(job.store.get(&name)).unwrap().unwrap();
        let is_run = name.as_str().ends_with(".run");
        for at in [good.len() / 3, good.len() / 2, good.len() - 70] {
            let mut bad = good.to_vec();
            bad[at] ^= 4;
            block_on(job.store.put(&name, bad.into())).unwrap();
            match job.restored(3) {
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                    assert_eq!(error.path(), Some(name.as_str()), "{error}");
                }
                // What does not count any more is not read, and cannot do harm.
                Ok(restored) => assert!(is_run && restored.model == job.model, "{name}"),
            }
        }
        block_on(job.store.delete(&name)).unwrap();
        match job.restored(3) {
            Err(error) => assert_eq!(error.path(), Some(name.as_str()), "{error}"),
            Ok(_) => panic!("{name} is missing and nobody says so"),
        }
        block_on(job.store.put(&name, good)).unwrap();
    }
    assert_eq!(job.restored(3).unwrap().model, job.model);
}

#[test]
fn a_salvaging_reader_passes_over_damage_and_says_what_it_was() {
    let mut job = Job::new(1, SnapshotSettings { file_len_bytes: 1 << 20, ..small() });
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job.checkpoint(true);
    let runs = job.lineages[0].chain().part.runs.clone();
    assert_eq!(runs.len(), 1);
    let name = &runs[0].file;
    let good = block_on(job.store.get(name)).unwrap().unwrap();
    let mut bad = good.to_vec();
    bad[good.len() / 3] ^= 1;
    block_on(job.store.put(name, bad.into())).unwrap();

    let strict = block_on(ChainReader::open(&job.store, &runs)).unwrap();
    let error = strict.merge(KeyGroupRange::ALL, None, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.path(), Some(name.as_str()));
    assert!(error.to_string().contains("key group"), "{error}");

    let reader = block_on(ChainReader::open_salvaging(&job.store, &runs)).unwrap();
    let mut found = 0;
    let count = &mut |_: esker_format::run::Entry<'_>| {
        found += 1;
        Ok(())
    };
    reader.merge(KeyGroupRange::ALL, None, count).unwrap();
    let damage = reader.damage();
    assert_eq!(damage.len(), 1);
    assert_eq!(found + damage[0].entries.unwrap(), KEYS);
    let lost = damage[0].lost[0];
    assert_eq!((damage[0].lost.len(), lost.state), (1, Some(1)));
    assert!(lost.range.count() < 65_536 / 10, "one block of many: {lost:?}");
    // What is there is read or named. A run of key groups in full has no filter: what is not there can
    // meet the damage too.
    let prefix = |key: u64| {
        let mut prefix = Vec::new();
        key.with_encoded(|key| {
            CompositeKey::new(1, KeyGroup::of(key), key, b"", b"").encode_into(&mut prefix);
        });
        prefix
    };
    let (mut met, mut met_in_vain) = (0, 0);
    for key in 0..2 * KEYS {
        let mut value = None;
        let got = strict.get(&prefix(key), &mut |entry| {
            value = Some(entry.value.to_vec());
            Ok(())
        });
        match got {
            Ok(()) => assert_eq!(value.is_some(), key < KEYS),
            Err(_) if key < KEYS => met += 1,
            Err(_) => met_in_vain += 1,
        }
    }
    // Of the key behind the block, a clear could stand at its end.
    let lost = damage[0].entries.unwrap();
    assert!((lost..=lost + 1).contains(&met), "{met} of {lost}");
    assert!(met_in_vain > 0, "{met_in_vain} of {met}");
    assert!(strict.get(b"no key", &mut |_| Ok(())).is_err());
    block_on(job.store.delete(name)).unwrap();
    let reader = block_on(ChainReader::open_salvaging(&job.store, &runs)).unwrap();
    let damage = reader.damage();
    assert_eq!(damage[0].entries, Some(KEYS));
    assert_eq!(damage[0].lost, [Lost { state: None, range: KeyGroupRange::ALL }]);
}

#[test]
fn what_is_missing_is_listed_by_name() {
    let job = job();
    let path = &job.written.as_ref().unwrap().published.manifest_path;
    let open = block_on(open_snapshot(&job.store, path)).unwrap();
    let run = open.runs()[1].file.clone();
    let part = open.manifest.operators[0].parts[1].name().unwrap();
    block_on(job.store.delete(&run)).unwrap();
    let missing = block_on(open.missing_runs()).unwrap();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].error.path(), Some(run.as_str()));
    block_on(job.store.delete(&part)).unwrap();
    let open = block_on(open_snapshot(&job.store, path)).unwrap();
    assert_eq!(open.damage[0].error.path(), Some(part.as_str()));
    assert!(open.parts[0][0].is_some() && open.parts[0][1].is_none());
}

fn input(job: &mut Job) -> PartInput {
    use crate::backend::KeyedState;
    let (captures, chain) =
        job.lineages[0].begin(job.checkpoint + 1, vec![job.states[0].capture_state()], 3);
    let kind = esker_format::manifest::SnapshotKind::Checkpoint;
    let id = PartId { kind, checkpoint: 9, generation: 1, operator: 0, subtask: 0 };
    PartInput { id, range: KeyGroupRange::ALL, captures, operator: None, chain }
}

fn full_job() -> Job {
    let mut job = Job::new(1, small());
    (0..KEYS).for_each(|key| job.set(key, Some(key)));
    job
}

#[test]
fn parts_are_written_under_every_runtime_and_under_none() {
    let single = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut job = full_job();
    let (a, b, c) = (input(&mut job), input(&mut full_job()), input(&mut full_job()));
    let (store, settings) = (job.store.clone(), job.settings.clone());
    let of = |written: crate::Result<WrittenPart>| written.unwrap().stats.full_entries;
    assert_eq!(of(single.block_on(write_part(&store, a, &settings))), KEYS);
    let task = async move { write_part(&store, b, &settings).await };
    assert_eq!(of(multi.block_on(multi.spawn(task)).unwrap()), KEYS);
    assert_eq!(of(block_on(write_part(&job.store, c, &job.settings))), KEYS);
}

#[test]
fn a_dropped_write_leaves_files_that_nothing_names_and_no_thread_at_work() {
    use std::future::Future;
    let mut job = full_job();
    let input = input(&mut job);
    let capture = std::sync::Arc::downgrade(&input.captures[0][0]);
    let (store, settings) = (job.store.clone(), job.settings.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut write = Box::pin(write_part(&store, input, &settings));
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(write.as_mut().poll(context).is_ready())
        });
        assert!(!polled.await, "written in one poll");
    });
    // The captures are given back once the threads have ended.
    job.lineages.clear();
    let start = std::time::Instant::now();
    while capture.strong_count() > 0 {
        assert!(start.elapsed().as_secs() < 20, "a thread holds the capture");
        std::thread::yield_now();
    }
}

#[test]
fn wrong_settings_are_refused_by_field() {
    let good = SnapshotSettings::default();
    assert!(good.check().is_ok());
    let bad = [
        ("threads", SnapshotSettings { threads: 0, ..good.clone() }),
        ("file_len_bytes", SnapshotSettings { file_len_bytes: 0, ..good.clone() }),
        ("merge_factor", SnapshotSettings { merge_factor: f64::NAN, ..good.clone() }),
        ("runs_max", SnapshotSettings { runs_max: 3, ..good.clone() }),
    ];
    for (field, settings) in bad {
        assert!(settings.check().unwrap_err().to_string().contains(field));
    }
    let name = RelativeName::new("chk-1-1/_metadata").unwrap();
    let store = crate::Store::open("memory://").unwrap();
    let error = block_on(read_manifest(&store, &name, None)).unwrap_err();
    assert_eq!(error.path(), Some("chk-1-1/_metadata"));
}

/// A capture that cannot be written.
struct Panics;

impl crate::backend::StateCapture for Panics {
    fn id(&self) -> u32 {
        1
    }

    fn entries(&self) -> u64 {
        1
    }

    fn write_full(
        &self,
        _: KeyGroupRange,
        _: &mut dyn crate::backend::EntrySink,
    ) -> crate::Result<()> {
        panic!("an encoder's own")
    }

    fn write_changes(
        &self,
        range: KeyGroupRange,
        sink: &mut dyn crate::backend::EntrySink,
    ) -> crate::Result<()> {
        self.write_full(range, sink)
    }
}

#[test]
fn a_thread_that_dies_is_a_checkpoint_that_failed() {
    let mut job = full_job();
    let captures: Vec<Captures> = vec![vec![std::sync::Arc::new(Panics)]];
    let input = PartInput { captures, ..input(&mut job) };
    let error = block_on(write_part(&job.store, input, &job.settings)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error}");
}
