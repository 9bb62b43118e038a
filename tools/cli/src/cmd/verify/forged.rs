//! Snapshots whose digests are all sound and that are wrong nevertheless, as a faulty writer's are.

use super::tests::world::{AIRPORTS, DELAYS, World, files};
use super::tests::{name, verify, verify_to};
use crate::outcome::Outcome;
use crate::snapshot::{Filter, each_line, find_snapshot, lines};
use esker::backend::KeyedState;
use esker::backend::heap::ValueState;
use esker::block_on;
use esker::format::canonical::Expired;
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Manifest, PartRef, SnapshotKind, Ttl, TtlUpdate};
use esker::format::part::{Native, NativeFile, Part};
use esker::format::run::{Entry, IndexLocation, Op, RunOptions, RunWriter, StateStats};
use esker::format::{Bincode, Digest, Key, KeyGroup, KeyGroupRange, RelativeName};
use esker::snapshot::*;
use std::path::Path;

/// Changes the first part of `operator`, and what names it, in the savepoint at `root`.
fn forge(root: &Path, operator: &str, change: impl FnOnce(&mut Part, &Path)) {
    let path = root.join("_metadata");
    let mut manifest = Manifest::decode(&std::fs::read(&path).unwrap()).unwrap();
    let operator = manifest.operators.iter_mut().find(|found| found.uid == operator).unwrap();
    let part_path = |part: &PartRef| root.join(part.name().unwrap().as_str());
    let bytes = std::fs::read(part_path(&operator.parts[0])).unwrap();
    let mut part = Part::decode(&bytes).unwrap();
    change(&mut part, root);
    let bytes = part.encode().unwrap();
    operator.parts[0].digest = Digest::of(&bytes);
    std::fs::write(part_path(&operator.parts[0]), bytes).unwrap();
    std::fs::write(path, manifest.encode().unwrap()).unwrap();
}

/// Puts a run of one entry, of state 1 in key group `group`, in the place of those of `part`.
fn one_run(part: &mut Part, root: &Path, group: KeyGroup, (key, value): (&[u8], &[u8])) {
    let mut writer = RunWriter::new(RunOptions::default());
    let mut composite = Vec::new();
    CompositeKey::new(1, group, key, b"", b"").encode_into(&mut composite);
    writer.add(Entry { key: &composite, op: Op::Put, value }).unwrap();
    let (bytes, summary) = writer.finish().unwrap();
    let file = RelativeName::new(format!("{}.run", summary.digest)).unwrap();
    std::fs::write(root.join(file.as_str()), &bytes).unwrap();
    let run = &mut part.runs[0];
    run.index = IndexLocation {
        offset: summary.index_offset,
        len_bytes: summary.index_len_bytes,
        digest: summary.index_digest,
    };
    (run.file, run.digest, run.len_bytes) = (file, summary.digest, summary.len_bytes);
    run.entries = 1;
    part.runs.truncate(1);
    part.states[0].stats = summary.index.stats[&1].clone();
    part.states[0].entries = 1;
}

#[test]
fn a_snapshot_that_contradicts_itself_is_found_and_says_how() {
    type Change = fn(&mut Part, &Path);
    // Whether entries have to be read to find it.
    let (shallow, deep) = (false, true);
    let cases: [(bool, &str, Change, &[&str]); 9] = [
        (
            deep,
            DELAYS,
            |part, _| part.states[0].entries += 1,
            &["entries=", "its runs have", "delays/count"],
        ),
        (
            shallow,
            DELAYS,
            |part, _| part.states[1].stats.value_bytes += 1,
            &["not the sums", "delays/late"],
        ),
        (
            deep,
            DELAYS,
            |part, _| part.states[4].earliest_timer_ms = Some(5),
            &["earliest timer Some(5)", "delays/wake"],
        ),
        (
            shallow,
            DELAYS,
            |part, _| part.runs[0].entries += 1,
            &["its part says", ".run: run index: entries="],
        ),
        (
            shallow,
            DELAYS,
            |part, _| part.runs[0].digest = Digest::of(b"x"),
            &["the digest of the whole file differs"],
        ),
        (
            deep,
            AIRPORTS,
            |part, root| {
                one_run(part, root, KeyGroup::of(b"\0\0\0\x01\0"), (b"\0\0\0\x01\0", b"\x01a"))
            },
            &["as the state's types", "airports/names"],
        ),
        (
            shallow,
            DELAYS,
            |part, _| part.runs[0].range = KeyGroupRange::ALL,
            &["key groups 0-65535 are not its"],
        ),
        (
            deep,
            AIRPORTS,
            |part, root| one_run(part, root, KeyGroup(7), (b"\0\0\0\x01", b"\x01a")),
            &["a key group that is not its key's", "airports/names key groups 7-"],
        ),
        (
            deep,
            AIRPORTS,
            |part, root| {
                one_run(part, root, KeyGroup::of(b"\0\0\0\x01"), (b"\0\0\0\x01", b"\x01a"))
            },
            &[],
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("job"));
    world.change(0);
    for (number, (deep, operator, change, expected)) in cases.into_iter().enumerate() {
        let root = folder.path().join(format!("save-{number}"));
        world.savepoint(&root);
        assert_eq!(verify(&root).0, Outcome::Yes);
        forge(&root, operator, change);
        let (outcome, out) = verify_to(&root, true);
        let wanted = if expected.is_empty() { Outcome::Yes } else { Outcome::No };
        assert_eq!(outcome, wanted, "case {number}: {out}");
        let shallow = verify(&root);
        match deep {
            true => assert_eq!(shallow.0, Outcome::Yes, "case {number}: {}", shallow.1),
            false => assert_eq!(shallow, (outcome, out.clone()), "case {number}"),
        }
        assert!(expected.iter().all(|text| out.contains(text)), "case {number}: {out}");
    }
}

#[test]
fn a_manifest_in_the_place_of_another_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("job");
    let mut world = World::new(&root);
    world.change(0);
    let first = world.checkpoint();
    world.change(1);
    let second = world.checkpoint();
    std::fs::copy(root.join(first).join("_metadata"), root.join(&second).join("_metadata"))
        .unwrap();
    let (outcome, out) = verify(&root.join(&second));
    assert!(outcome == Outcome::No && out.contains("the manifest is that of another"), "{out}");
    let file = files(&root.join(&second)).into_iter().find(|file| file.ends_with("_metadata"));
    let (outcome, out) = verify(&root);
    assert!(outcome == Outcome::No && out.contains(&name(&file.unwrap(), &root)), "{out}");
}

#[test]
fn what_is_expired_is_shown_only_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("job"));
    world.change(0);
    let root = folder.path().join("save");
    world.savepoint(&root);
    let path = root.join("_metadata");
    let mut manifest = Manifest::decode(&std::fs::read(&path).unwrap()).unwrap();
    let ttl = Ttl { duration_ms: Some(10), update: TtlUpdate::Write };
    manifest.operators[0].states[0].ttl = Some(ttl);
    std::fs::write(&path, manifest.encode().unwrap()).unwrap();
    // Updated at 100 ms: alive at 109, expired at 110.
    let mut value = (100_i64.cast_unsigned() ^ 1 << 63).to_be_bytes().to_vec();
    value.extend_from_slice(b"\x01a");
    for (time_ms, expired, lines) in
        [(109, Expired::Hidden, 1), (110, Expired::Hidden, 0), (110, Expired::Shown, 1)]
    {
        forge(&root, AIRPORTS, |part, root| {
            let key = b"\0\0\0\x01";
            one_run(part, root, KeyGroup::of(key), (key, &value));
            part.states[0].ttl_time_ms = Some(time_ms);
        });
        assert_eq!(verify_to(&root, true).0, Outcome::Yes);
        let at = find_snapshot(root.to_str().unwrap(), None).unwrap();
        let snapshot = block_on(open_snapshot(&at.store, &at.manifest)).unwrap();
        let filter = Filter { operator: Some(AIRPORTS.into()), expired, ..Filter::default() };
        let mut found = Vec::new();
        let mut keep = |line: &str| {
            found.push(line.to_owned());
            Ok(())
        };
        assert_eq!(each_line(&snapshot, &filter, &mut |_| {}, &mut keep).unwrap(), []);
        assert_eq!(found.len(), lines, "{time_ms} {expired:?}");
    }
    let all = world.lines.iter().filter(|line| line.contains(DELAYS)).cloned();
    let mut lines = lines(root.to_str().unwrap()).unwrap();
    lines.sort();
    assert_eq!(lines, all.collect::<Vec<_>>());
}

/// What a snapshot is after a change of parallelism: runs that count for a part of their key groups.
#[test]
fn a_checkpoint_of_a_rescaled_job_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("job");
    let mut world = World::new(&root);
    for round in 0..3 {
        world.change(round);
        world.checkpoint();
    }
    let mut manifest_path = root.join("chk-3-1/_metadata");
    for (number, parallelism) in [(4, 3), (5, 2), (6, 5), (7, 1)] {
        let mut manifest = Manifest::decode(&std::fs::read(&manifest_path).unwrap()).unwrap();
        manifest.operators.retain(|operator| operator.uid == AIRPORTS);
        let (mut parts, settings) = (Vec::new(), SnapshotSettings::default());
        for subtask in 0..parallelism {
            let range = KeyGroupRange::of_subtask(subtask, parallelism).unwrap();
            let mut state = ValueState::<u32, (), String>::new(1, range, Bincode).unwrap();
            let stored = manifest.operators[0].states[0].clone();
            let mut targets = [Target { stored, state: &mut state }];
            let restored =
                restore(&world.store, &manifest, AIRPORTS, range, &mut targets, &settings);
            let chain = block_on(restored).unwrap().chain;
            for code in 0..20_u32 {
                if range.contains(code.with_encoded(KeyGroup::of)) {
                    state.update(&code, &(), format!("in {number}")).unwrap();
                }
            }
            let id = PartId {
                kind: SnapshotKind::Checkpoint,
                checkpoint: number,
                generation: 1,
                operator: 0,
                subtask,
            };
            let captures = vec![vec![state.capture_state()]];
            let input = PartInput { id, range, captures, operator: None, chain };
            let part = block_on(write_part(&world.store, input, &settings)).unwrap();
            parts.push((part.chain.part, None));
        }
        manifest.checkpoint = number;
        let operators = vec![NewOperator { operator: manifest.operators.remove(0), parts }];
        let written = block_on(write_manifest(&world.store, manifest, operators)).unwrap();
        manifest_path = root.join(written.published.manifest_path.as_str());
        let (outcome, out) = verify_to(manifest_path.parent().unwrap(), true);
        assert!(outcome == Outcome::Yes && out.contains(" 40 entries"), "{out}");
        assert_eq!(lines(manifest_path.parent().unwrap().to_str().unwrap()).unwrap().len(), 40);
    }
}

#[test]
fn files_of_a_database_are_checked_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(&folder.path().join("job"));
    world.change(0);
    let root = folder.path().join("save");
    world.savepoint(&root);
    let groups = KeyGroupRange::new(3, 9).unwrap();
    forge(&root, AIRPORTS, |part, root| {
        part.runs.clear();
        part.states[0].stats = StateStats::default();
        let file = |local: &str, holds| {
            let bytes = format!("bytes of {local}");
            std::fs::write(root.join(local), &bytes).unwrap();
            let (digest, len_bytes) = (Digest::of(bytes.as_bytes()), bytes.len() as u64);
            NativeFile {
                local: local.into(),
                file: local.parse().unwrap(),
                len_bytes,
                digest,
                holds,
            }
        };
        let files = vec![file("1.sst", Some((1, groups))), file("CURRENT", None)];
        let extra = Default::default();
        part.native = Some(Native { engine: "rocksdb".into(), files, extra });
    });
    let (outcome, out) = verify(&root);
    assert_eq!(outcome, Outcome::Yes, "{out}");

    let at = find_snapshot(root.to_str().unwrap(), None).unwrap();
    let snapshot = block_on(open_snapshot(&at.store, &at.manifest)).unwrap();
    let mut found = Vec::new();
    let mut keep = |line: &str| {
        found.push(line.to_owned());
        Ok(())
    };
    let harms = each_line(&snapshot, &Filter::default(), &mut |_| {}, &mut keep).unwrap();
    let why = match cfg!(feature = "rocksdb") {
        true => "RocksDB does not open the files of the part: ",
        false => "`cargo xtask rocksdb`, then `cargo build --release --features rocksdb`",
    };
    assert!(harms.len() == 1 && harms[0].message.contains(why), "{harms:?}");
    assert_eq!(harms[0].lost.len(), 1, "{harms:?}");
    found.sort();
    let others: Vec<_> = world.lines.iter().filter(|line| line.contains(DELAYS)).cloned().collect();
    assert_eq!(found, others);

    for (name, lost) in [("1.sst", "airports/names key groups 3-9"), ("CURRENT", "0-65535")] {
        let (path, good) = (root.join(name), std::fs::read(root.join(name)).unwrap());
        let mut flipped = good.clone();
        flipped[4] ^= 1;
        for bad in [Some(&flipped[..]), Some(&good[1..]), None] {
            match bad {
                Some(bad) => std::fs::write(&path, bad).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let (outcome, out) = verify(&root);
            assert_eq!(outcome, Outcome::No, "{out}");
            assert!(out.contains(name) && out.contains(lost), "{out}");
        }
        std::fs::write(&path, good).unwrap();
    }
}
