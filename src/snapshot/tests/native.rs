//! Native checkpoints of files that stand for a database.

use crate::backend::{LocalFile, NativeCapture, NativeState};
use crate::snapshot::{
    Chain, PartId, PartInput, SnapshotSettings, WrittenPart, fetch_native, write_native_part,
};
use crate::store::fault::{FaultStore, When};
use crate::{ErrorKind, Store, block_on};
use esker_format::KeyGroupRange;
use esker_format::manifest::SnapshotKind;
use esker_format::part::Part;
use std::path::Path;
use std::sync::Arc;

const GROUPS: KeyGroupRange = KeyGroupRange::ALL;

struct Files(Vec<LocalFile>, Vec<NativeState>);

impl NativeCapture for Files {
    fn engine(&self) -> &str {
        "files"
    }

    fn files(&self) -> crate::Result<Vec<LocalFile>> {
        Ok(self.0.clone())
    }

    fn states(&self) -> &[NativeState] {
        &self.1
    }
}

/// The files in `dir`; those with an extension are final and hold state 7.
fn database(dir: &Path) -> Arc<Files> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let is_final = path.extension().is_some();
            LocalFile {
                local: path.file_name().unwrap().to_str().unwrap().to_owned(),
                len_bytes: path.metadata().unwrap().len(),
                is_final,
                holds: is_final.then_some((7, GROUPS)),
                path,
            }
        })
        .collect();
    files.sort_by(|a, b| a.local.cmp(&b.local));
    let state = NativeState { id: 7, entries: 3, earliest_timer_ms: Some(-1), ttl_time_ms: None };
    Arc::new(Files(files, vec![state]))
}

pub(super) fn write(
    store: &Store,
    checkpoint: u64,
    dir: &Path,
    chain: &Chain,
) -> crate::Result<WrittenPart> {
    let kind = SnapshotKind::Checkpoint;
    let id = PartId { kind, checkpoint, generation: 1, operator: 0, subtask: 0 };
    let (captures, operator, chain) = (Vec::new(), None, chain.clone());
    let input = PartInput { id, range: GROUPS, captures, operator, chain };
    block_on(write_native_part(store, input, database(dir), &SnapshotSettings::default()))
}

pub(super) fn fetched(store: &Store, part: &Part) -> crate::Result<Vec<(String, Vec<u8>)>> {
    let dir = tempfile::tempdir().unwrap();
    let native = part.native.as_ref().unwrap();
    block_on(fetch_native(store, native, &[], dir.path(), &SnapshotSettings::default()))?;
    let files = database(dir.path());
    Ok(files.0.iter().map(|f| (f.local.clone(), std::fs::read(&f.path).unwrap())).collect())
}

fn files(of: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    of.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

#[test]
fn what_the_last_checkpoint_holds_is_not_put_again() {
    let (store, dir) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    put("1.sst", "one");
    put("CURRENT", "a");
    let first = write(&store, 1, dir.path(), &Chain::default()).unwrap();
    assert_eq!((first.names.len(), first.stats.written_len_bytes), (2, 4));
    assert_eq!(first.chain.part.states[0].entries, 3);
    Part::decode(&first.chain.part.encode().unwrap()).unwrap();

    put("2.sst", "two!");
    put("CURRENT", "b");
    let second = write(&store, 2, dir.path(), &first.chain).unwrap();
    assert_eq!((second.names.len(), second.stats.written_len_bytes), (2, 5));
    assert_eq!(second.stats.referenced_len_bytes, 8);
    let all = [("1.sst", "one"), ("2.sst", "two!"), ("CURRENT", "b")];
    assert_eq!(fetched(&store, &second.chain.part).unwrap(), files(&all));
    let before = [("1.sst", "one"), ("CURRENT", "a")];
    assert_eq!(fetched(&store, &first.chain.part).unwrap(), files(&before), "it is still there");

    // Of another length it is another file.
    put("1.sst", "another");
    let third = write(&store, 3, dir.path(), &second.chain).unwrap();
    assert_eq!(fetched(&store, &third.chain.part).unwrap()[0].1, b"another");
}

#[test]
fn a_damaged_file_is_named_with_what_is_lost() {
    let (store, dir) = (Store::open("memory://").unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("1.sst"), "one").unwrap();
    std::fs::write(dir.path().join("CURRENT"), "a").unwrap();
    let part = write(&store, 1, dir.path(), &Chain::default()).unwrap().chain.part;
    let [sst, current] = &part.native.as_ref().unwrap().files[..] else { panic!() };
    for (file, bad, lost) in [
        (sst, &b"onE"[..], "state=7 key groups 0-65535"),
        (sst, b"longer", "state=7 key groups 0-65535"),
        (current, b"b", "without it no state can be read"),
    ] {
        let good = block_on(store.get(&file.file)).unwrap().unwrap();
        block_on(store.put(&file.file, bad.to_vec().into())).unwrap();
        let error = fetched(&store, &part).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let text = error.to_string();
        assert!(text.contains(lost) && text.contains(file.file.as_str()), "{text}");
        block_on(store.put(&file.file, good)).unwrap();
    }
    block_on(store.delete(&sst.file)).unwrap();
    let text = fetched(&store, &part).unwrap_err().to_string();
    assert!(text.contains("state=7") && text.contains("missing"), "{text}");
}

#[test]
fn any_call_may_fail_and_the_next_checkpoint_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    for number in 1..=9 {
        std::fs::write(dir.path().join(format!("{number}.sst")), [number; 9]).unwrap();
    }
    for call in 1..=9 {
        let mut fault = None;
        let store = Store::open("memory://").unwrap().map_object_store(|objects| {
            let store = FaultStore::new(objects);
            fault = Some(store.clone());
            Arc::new(store)
        });
        fault.unwrap().fail_at(call, When::Before);
        let error = write(&store, 1, dir.path(), &Chain::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retry);
        let part = write(&store, 2, dir.path(), &Chain::default()).unwrap().chain.part;
        assert_eq!(fetched(&store, &part).unwrap().len(), 9);
    }
}
