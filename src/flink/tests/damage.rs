//! Snapshots of real Flink's, damaged: what is wrong is said, with the file, and nothing panics.

use super::copied::{Copied, copied, open};
use crate::ErrorKind;
use crate::flink::{FlinkDamage, FlinkFilter, FlinkMeasures};
use esker_flink::Metadata;
use esker_flink::metadata::{Slot, StreamKind};
use std::fs;
use std::path::Path;

/// One of each form, those that are databases last.
const NAMES: [&str; 8] = [
    "hashmap-savepoint-canonical",
    "hashmap-savepoint-canonical-snappy",
    "hashmap-checkpoint-full",
    "hashmap-checkpoint-full-snappy",
    "hashmap-checkpoint-changelog",
    "hashmap-checkpoint-unaligned",
    "rocksdb-checkpoint-merged",
    "rocksdb-checkpoint-full-heaptimers",
];

/// Those that this build can read.
fn copies() -> impl Iterator<Item = Copied> {
    let is_readable = |name: &&str| cfg!(feature = "rocksdb") || !name.starts_with("rocksdb-");
    NAMES.into_iter().filter(is_readable).map(copied)
}

fn named(damage: &FlinkDamage, of: &str) {
    let FlinkDamage { error, .. } = damage;
    assert!(error.path().is_some(), "{of}: {error}");
    assert_ne!(error.kind(), ErrorKind::Poisoned, "{of}: {error}");
}

/// What `verify` finds, or why nothing could be opened. All else is asked for too, and does not panic.
fn verified(path: &Path, of: &str) -> Vec<FlinkDamage> {
    let snapshot = match open(path) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(error.path().is_some(), "{of}: {error}");
            assert!(
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported),
                "{of}: {error}"
            );
            let (operator, subtask, state) = (String::new(), None, None);
            return vec![FlinkDamage {
                operator,
                subtask,
                state,
                key_groups: None,
                entries: None,
                error,
            }];
        }
    };
    let filter = FlinkFilter::default();
    let damage = snapshot.verify(&mut |_| {}).unwrap().damage;
    let of_lines = snapshot.lines(&filter, &mut |_| {}, &mut |_| Ok(())).unwrap();
    let of_states = snapshot.states(&filter).unwrap().damage;
    let (_, of_measure): (FlinkMeasures, _) = snapshot.measure(&filter, &mut |_| {}).unwrap();
    let _not_damaged = (snapshot.in_flight(), snapshot.sizes(), snapshot.files());
    for damage in damage.iter().chain(&of_lines).chain(&of_states).chain(&of_measure) {
        named(damage, of);
    }
    // `verify` finds what they find who read the data.
    assert!(of_lines.is_empty() || !damage.is_empty(), "{of}: {of_lines:#?}");
    damage
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

#[test]
fn a_file_that_is_missing_or_cut_off_is_always_found() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut damaged = 0;
    for copied in copies() {
        assert!(verified(&copied.path, "as it was").is_empty());
        let others = copied.files.len() - 1;
        let shown = [0, 1, 1 + numbers.below(others), 1 + numbers.below(others)];
        for (file, end) in
            shown.iter().filter_map(|n| copied.files.get(*n).zip(copied.ends.get(*n)))
        {
            let bytes = fs::read(file).unwrap();
            let end = *end as usize;
            for len in [0, numbers.below(end), end - 1] {
                fs::write(file, &bytes[..len]).unwrap();
                let of = format!("{} cut to {len} of {}", file.display(), bytes.len());
                // What stands behind the last operator says nothing of state.
                let is_properties =
                    file.ends_with("_metadata") && Metadata::read(&bytes[..len]).is_ok();
                assert!(is_properties || !verified(&copied.path, &of).is_empty(), "{of}");
                damaged += 1;
            }
            if !file.ends_with("_metadata") {
                fs::remove_file(file).unwrap();
                let of = format!("{} missing", file.display());
                let found = verified(&copied.path, &of);
                let name = file.file_name().unwrap().to_str().unwrap();
                let said = found.iter().any(|damage| damage.error.path().unwrap().contains(name));
                assert!(said, "{of}: {found:#?}");
            }
            fs::write(file, &bytes).unwrap();
        }
    }
    assert!(damaged >= 30, "{damaged}");
}

#[test]
fn flipped_bits_are_found_or_read_and_never_panic() {
    let mut numbers = Numbers(0x0123_4567_89ab_cdef);
    let (mut found, mut tried) = (0, 0);
    for copied in copies() {
        for turn in 0..10 {
            let number = if turn < 4 { 0 } else { numbers.below(copied.files.len()) };
            let Some(file) = copied.files.get(number) else { continue };
            let bytes = fs::read(file).unwrap();
            let mut changed = bytes.clone();
            if changed.is_empty() {
                continue;
            }
            let at = numbers.below(changed.len());
            changed[at] ^= 1 << numbers.below(8);
            fs::write(file, &changed).unwrap();
            let of = format!("{} with byte {at} flipped", file.display());
            found += usize::from(!verified(&copied.path, &of).is_empty());
            tried += 1;
            fs::write(file, &bytes).unwrap();
        }
    }
    assert!(tried >= 50 && found * 4 >= tried, "{found} of {tried}");
}

#[test]
fn lengths_of_handles_that_are_wrong_are_found() {
    let mut changed = 0;
    for copied in copies() {
        let file = copied.path.join("_metadata");
        let bytes = fs::read(&file).unwrap();
        for more in [1, -1] {
            let mut metadata = Metadata::read(&bytes).unwrap();
            let mut is_changed = false;
            metadata
                .visit_streams_mut(|site, handle| {
                    if site.slot == Slot::KeyedChanges && more < 0 {
                        // More than is said is no loss.
                        return Ok(());
                    }
                    let len = match &mut handle.kind {
                        StreamKind::File { len_bytes: Some(len), .. }
                        | StreamKind::Relative { len_bytes: Some(len), .. } => len,
                        _ => return Ok(()),
                    };
                    if !is_changed && *len > 0 {
                        *len = len.saturating_add_signed(more);
                        is_changed = true;
                    }
                    Ok::<_, ()>(())
                })
                .unwrap();
            if !is_changed {
                continue;
            }
            changed += 1;
            fs::write(&file, metadata.write().unwrap()).unwrap();
            let of = format!("{} by {more}", copied.path.display());
            let found = verified(&copied.path, &of);
            assert!(
                found.iter().any(|d| d.error.to_string().contains("_metadata says")),
                "{of}: {found:#?}"
            );
        }
        fs::write(&file, &bytes).unwrap();
    }
    assert!(changed >= 4, "{changed}");
}
