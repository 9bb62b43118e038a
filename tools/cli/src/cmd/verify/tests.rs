//! Damage of every sort, anywhere in a snapshot, is found and named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../../tests/world/mod.rs"]
pub(super) mod world;

use super::{Args, Named, run};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Status};
use crate::snapshot::{Checked, Checker, Depth, SnapshotAt, find_snapshot};
use esker::format::part::RunRef;
use esker::format::run::RunReader;
use esker::format::{RelativeName, frame};
use esker::store::fault::{Call, FaultStore};
use esker_test_support::soak;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use world::{files, made};

/// Files that are damaged, of each snapshot.
const DAMAGED: u32 = 200;

/// Verifies by digests.
pub(super) fn verify(folder: &Path) -> (Outcome, String) {
    verify_to(folder, false)
}

/// Verifies every entry if it is to be `deep`.
pub(super) fn verify_to(folder: &Path, deep: bool) -> (Outcome, String) {
    let files = vec![folder.to_str().unwrap().to_owned()];
    let args = Args { named: Named { files, json: false }, deep, flink: FlinkArgs::default() };
    let mut out = Vec::new();
    let outcome = run(&args, &mut out).unwrap();
    (outcome, String::from_utf8(out).unwrap())
}

pub(super) fn name(file: &Path, root: &Path) -> String {
    file.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

/// Verifies `root` while `file` holds `bytes`, or nothing: whether it is deep or not, of damage it says the
/// same.
fn with(root: &Path, file: &PathBuf, bytes: Option<&[u8]>) -> (Outcome, String) {
    let good = std::fs::read(file).unwrap();
    match bytes {
        Some(bytes) => std::fs::write(file, bytes).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
    let found = verify(root);
    assert_eq!(verify_to(root, true), found);
    std::fs::write(file, good).unwrap();
    found
}

#[test]
fn what_is_sound_is_said_to_be() {
    let folder = made(3).0;
    let (outcome, out) = verify(&folder.path().join("job"));
    assert_eq!((outcome, out.lines().count()), (Outcome::Yes, 4), "{out}");
    assert!(out.lines().all(|line| line.starts_with("ok ")), "{out}");
    assert_eq!(verify_to(&folder.path().join("job"), true), (outcome, out));
    let (outcome, out) = verify(&folder.path().join("save"));
    assert!(outcome == Outcome::Yes && out.contains("/save savepoint: "), "{out}");
    assert_eq!(verify_to(&folder.path().join("save"), true), (outcome, out));
    let (outcome, out) = verify(folder.path());
    assert!(outcome == Outcome::No && out.contains("neither a snapshot nor a job"), "{out}");
}

#[test]
fn a_flipped_bit_anywhere_is_found_and_its_file_named() {
    let (folder, started) = (made(3).0, Instant::now());
    let (seed, flips) = (soak::seed(), soak::count(DAMAGED) as usize);
    let mut random = fastrand::Rng::with_seed(seed);
    for root in [folder.path().join("job"), folder.path().join("save")] {
        let files = files(&root);
        assert!(files.len() > 8);
        for round in 0..flips {
            // Every file in its turn, as long as there are turns.
            let file = &files[round * files.len() / flips.min(files.len()) % files.len()];
            let mut bad = std::fs::read(file).unwrap();
            let (at, bit) = (random.usize(..bad.len()), random.u32(..8));
            bad[at] ^= 1 << bit;
            let (outcome, out) = with(&root, file, Some(&bad));
            let file = name(file, &root);
            assert_eq!(outcome, Outcome::No, "{file} byte {at} bit {bit}: {out}");
            let sequence = file.strip_prefix("log/").map(|n| n.trim_start_matches('0'));
            let named = sequence.map_or(file.clone(), |number| format!("sequence={number}"));
            assert!(out.contains(&named), "{file} byte {at} bit {bit}: {out}");
        }
        assert_eq!(verify(&root).0, Outcome::Yes);
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "flipped bits: ESKER_SEED={seed} 2 snapshots, {flips} of {DAMAGED} each; {seconds:.1} s"
    );
}

#[test]
fn cut_missing_padded_and_swapped_files_are_found_and_named() {
    let (folder, started, mut damaged) = (made(3).0, Instant::now(), 0);
    let files_max = soak::count(DAMAGED) as usize;
    for root in [folder.path().join("job"), folder.path().join("save")] {
        let files = files(&root);
        let shown = files.iter().filter(|file| !name(file, &root).starts_with("log/"));
        let shown: Vec<_> = shown.collect();
        for (number, file) in shown.iter().enumerate().step_by(1 + shown.len() / files_max) {
            let good = std::fs::read(file).unwrap();
            let other = std::fs::read(shown[(number + 1) % shown.len()]).unwrap();
            let cut = &good[..good.len() * 2 / 3];
            let padded = [&good[..], b"\0"].concat();
            for bad in [None, Some(&[][..]), Some(cut), Some(&padded), Some(&other)] {
                let (outcome, out) = with(&root, file, bad);
                let is_save = name(file, &root) == "_metadata" && bad.is_none();
                let named = out.contains(&name(file, &root)) || is_save;
                assert!(outcome == Outcome::No && named, "{file:?}: {out}");
            }
            damaged += 1;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("cut, missing, padded and swapped: {damaged} files, 5 ways each; {seconds:.1} s");
}

#[test]
fn a_manifest_that_is_newer_or_leaves_its_root_is_refused_by_name() {
    let folder = made(3).0;
    let root = folder.path().join("save");
    let file = root.join("_metadata");
    let good = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
    let newer = good.replacen("esker-metadata 1 ", "esker-metadata 2 ", 1);
    let (outcome, out) = with(&root, &file, Some(newer.as_bytes()));
    assert!(outcome == Outcome::No && out.starts_with("refused "), "{out}");
    assert!(out.contains("_metadata: metadata: version=2 is newer"), "{out}");

    let json = good.split_once('\n').unwrap().1;
    assert!(json.contains(r#""parts""#));
    let leaving =
        frame::seal("metadata", 1, json.replacen(r#""parts""#, r#""../x""#, 1).as_bytes());
    let (outcome, out) = with(&root, &file, Some(&leaving));
    assert!(outcome == Outcome::No && out.starts_with("damaged "), "{out}");
    assert!(out.contains("_metadata: ") && out.contains("a segment that is `.` or `..`"), "{out}");
}

#[test]
fn damage_is_named_by_states_and_key_groups_and_all_of_it() {
    let folder = made(3).0;
    let root = folder.path().join("save");
    let runs: Vec<_> =
        files(&root).into_iter().filter(|f| f.extension().is_some_and(|e| e == "run")).collect();
    for run in &runs {
        let mut bad = std::fs::read(run).unwrap();
        bad[30] ^= 1;
        std::fs::write(run, bad).unwrap();
    }
    let (outcome, out) = verify(&root);
    assert_eq!(outcome, Outcome::No);
    for run in &runs {
        let line = out.lines().find(|line| line.contains(&name(run, &root))).unwrap();
        assert!(line.contains("lost may be ") && line.contains(" key groups "), "{line}");
    }
}

#[test]
fn a_log_that_is_damaged_does_not_hide_the_checkpoints() {
    let folder = made(3).0;
    let root = folder.path().join("job");
    let record = files(&root.join("log")).pop().unwrap();
    let (outcome, out) = with(&root, &record, Some(b"esker-log"));
    assert_eq!(outcome, Outcome::No);
    assert_eq!(out.lines().filter(|line| line.starts_with("ok ")).count(), 3, "{out}");
    assert_eq!(out.lines().filter(|line| line.contains("log record ")).count(), 1, "{out}");
}

/// What is found where a disk does not give back some bytes of files.
fn unreadable(at: &SnapshotAt, depth: Depth, lost: &[(&RelativeName, Range<u64>)]) -> Checked {
    let store = at.store.clone().map_object_store(|objects| {
        let faults = FaultStore::new(objects);
        lost.iter().for_each(|(file, bytes)| faults.lose(file.as_str(), bytes.clone()));
        Arc::new(faults)
    });
    let at = SnapshotAt { store, ..at.clone() };
    Checker::new(depth).check(&at, &|_| {}).unwrap()
}

#[test]
fn a_run_that_is_sound_only_when_it_is_read_again_is_told() {
    let folder = made(2).0;
    let job = folder.path().join("job");
    let at = find_snapshot(job.to_str().unwrap(), None).unwrap();
    let run = at.open().unwrap().parts[0][0].as_ref().unwrap().runs[0].clone();
    let (file, aside) = (job.join(run.file.as_str()), folder.path().join("aside"));
    for (depth, told) in [(Depth::Files, 1), (Depth::Entries, 0)] {
        std::fs::copy(&file, &aside).unwrap();
        let mut bad = std::fs::read(&file).unwrap();
        bad[30] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let store = at.store.clone().map_object_store(|objects| {
            let faults = FaultStore::new(objects);
            let (path, from, to) = (run.file.to_string(), aside.clone(), file.clone());
            // What is open by then is what was there.
            let heals = move |call: &Call| {
                if call.path == path && call.len_bytes > 0 {
                    let _ = std::fs::rename(&from, &to);
                }
            };
            match depth {
                Depth::Files => faults.on_done(heals),
                // A first read, of nothing, comes before.
                Depth::Entries => std::fs::rename(&aside, &file).unwrap(),
            }
            Arc::new(faults)
        });
        let at = SnapshotAt { store, ..at.clone() };
        let checked = Checker::new(depth).check(&at, &|_| {}).unwrap();
        assert_eq!((checked.harms.len(), checked.doubts.len()), (0, told), "{checked:?}");
        let doubts = checked.doubts.iter();
        assert!(doubts.into_iter().all(|(of, why)| *of == run.file && why.contains("digest")));
    }
}

#[test]
fn sectors_that_cannot_be_read_are_damage_of_what_lies_there_and_all_else_is_checked() {
    let folder = made(2).0;
    let job = folder.path().join("job");
    let at = find_snapshot(job.to_str().unwrap(), None).unwrap();
    let snapshot = at.open().unwrap();
    let run_of = |operator: usize| -> RunRef {
        snapshot.parts[operator][0].as_ref().unwrap().runs.last().unwrap().clone()
    };
    let (run, other) = (run_of(0), run_of(1));
    let reader =
        RunReader::open_file(&std::fs::read(job.join(run.file.as_str())).unwrap()).unwrap();
    let blocks = &reader.index().blocks;
    let said = "cannot read the file: Input/output error (os error 5)";
    let index = other.index.offset..other.index.offset + 1;
    let sector = |number: usize| blocks[number].offset + 3..blocks[number].offset + 4;
    // Two that follow each other are one.
    let harms = unreadable(&at, Depth::Files, &[(&run.file, sector(1)), (&run.file, sector(2))]);
    let [harm] = &harms.harms[..] else { panic!("{:?}", harms.harms) };
    assert_eq!(harm.entries, Some(u64::from(blocks[1].entries + blocks[2].entries)));
    assert_eq!(harm.lost.len(), 1, "{harm:?}");
    let both = [(&run.file, sector(0)), (&run.file, sector(2)), (&other.file, index)];
    for depth in [Depth::Files, Depth::Entries] {
        let harms = unreadable(&at, depth, &both).harms;
        let told: Vec<_> = harms.iter().map(|h| (h.status, h.file.as_deref(), h.entries)).collect();
        let of_block = |number: usize| {
            (Status::Damaged, Some(run.file.as_str()), Some(u64::from(blocks[number].entries)))
        };
        let whole = (Status::Damaged, Some(other.file.as_str()), Some(other.entries));
        assert_eq!(told, [of_block(0), of_block(2), whole]);
        assert!(harms.iter().all(|harm| harm.message == said), "{harms:?}");
        assert!(harms[..2].iter().all(|harm| harm.lost[0].state == "names"));
        assert!(harms[2].lost.iter().any(|lost| lost.state == "count"), "{harms:?}");
        // Header and filter take no entry with them, and the footer none either.
        let filter = reader.index().filter.unwrap().offset;
        for at_byte in [1, filter, run.len_bytes - 1] {
            let harms = unreadable(&at, depth, &[(&run.file, at_byte..at_byte + 1)]).harms;
            assert!(harms.len() == 1 && harms[0].message == said, "{at_byte}: {harms:?}");
            assert!(harms[0].lost.is_empty(), "{at_byte}: {harms:?}");
        }
    }
    let part = snapshot.manifest.operators[1].parts[0].name().unwrap();
    for file in [&part, &at.manifest] {
        let harms = unreadable(&at, Depth::Files, &[(file, 0..1)]).harms;
        assert!(harms.len() == 1 && harms[0].message == said, "{harms:?}");
        assert_eq!(
            (harms[0].status, harms[0].file.as_deref()),
            (Status::Damaged, Some(file.as_str()))
        );
    }
}
