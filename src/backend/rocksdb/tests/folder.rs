//! Whose folder it is, what is left there, and what of the disk shows.

use super::super::{RocksBackend, RocksBackends, RocksOptions};
use super::{backend, options};
use crate::backend::{Backend, BackendFactory, ValueCalls};
use crate::state::ValueDescriptor;
use crate::{Error, ErrorKind};
use esker_format::KeyGroupRange;
use std::fs;
use std::path::{Path, PathBuf};

const ALL: KeyGroupRange = KeyGroupRange::ALL;

fn refused(dir: &Path, options: &RocksOptions) -> Error {
    RocksBackend::new(dir, "all", ALL, options).err().unwrap()
}

#[test]
fn a_folder_is_one_backends_and_goes_with_it() {
    let (first, folder) = backend();
    let dir = folder.path().join("db");
    let error = refused(&dir, &options());
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.path(), Some(&*dir.to_string_lossy()));
    assert!(dir.join("CURRENT").exists(), "the other one's database is touched");
    drop(first);
    assert!(!dir.exists());
}

#[test]
fn what_a_crash_left_is_cleared_and_other_files_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("db");
    drop(super::version::flushed(&dir, rocksdb::DBCompressionType::None));
    fs::write(dir.join("mine.txt"), "mine").unwrap();
    let mut backend = RocksBackend::new(&dir, "all", ALL, &options()).unwrap();
    let open = |backend: &mut RocksBackend| {
        backend.open(ValueDescriptor::<u64, u64>::new("value")).unwrap()
    };
    let value = open(&mut backend);
    assert_eq!(backend.state(value).unwrap().get(&1, &()).unwrap(), None);
    backend.state(value).unwrap().update(&1, &(), 7).unwrap();
    drop(backend);
    let mut again = RocksBackend::new(&dir, "all", ALL, &options()).unwrap();
    let value = open(&mut again);
    assert_eq!(again.state(value).unwrap().get(&1, &()).unwrap(), None);
    drop(again);
    let left: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
}

#[test]
fn a_capture_keeps_the_folder() {
    let (mut backend, folder) = backend();
    backend.open(ValueDescriptor::<u64, u64>::new("value")).unwrap();
    let captures = backend.capture().unwrap();
    drop(backend);
    assert!(folder.path().join("db").exists());
    drop(captures);
    assert!(!folder.path().join("db").exists());
}

#[test]
fn folders_of_a_base_are_cleared_but_for_those_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    let first = RocksBackends::new(&base, options()).unwrap();
    let (a, b) = (first.make("a", ALL, None).unwrap(), first.make("b", ALL, None).unwrap());
    drop(super::version::flushed(&base.join("backend-7"), rocksdb::DBCompressionType::None));
    let second = RocksBackends::new(&base, options()).unwrap();
    let c = second.make("c", ALL, None).unwrap();
    let mut left: Vec<PathBuf> =
        fs::read_dir(&base).unwrap().map(|entry| entry.unwrap().path()).collect();
    left.sort();
    assert_eq!(left, [0, 1, 2].map(|number| base.join(format!("backend-{number}"))));
    drop((a, b, c));
    assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
}

#[test]
fn options_of_rocksdb_are_passed_through_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("db");
    let error = refused(&dir, &options().with_rocksdb("write_bufer_size=1"));
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("write_bufer_size"), "{error}");
    let options = options().with_rocksdb("max_open_files=77;compression=kNoCompression");
    let backend = RocksBackend::new(&dir, "all", ALL, &options).unwrap();
    let files = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path());
    let mut said = files.filter(|path| path.to_string_lossy().contains("OPTIONS-"));
    let said = fs::read_to_string(said.next().unwrap()).unwrap();
    assert!(said.contains("max_open_files=77") && said.contains("compression=kNoCompression"));
    drop(backend);
}

#[test]
fn a_damaged_file_is_named_and_poisons() {
    let (mut backend, folder) = backend();
    let value = backend.open(ValueDescriptor::<u64, u64>::new("value")).unwrap();
    for key in 0..10_000 {
        backend.state(value).unwrap().update(&key, &(), key).unwrap();
    }
    backend.state(value).unwrap().cells.family.compact();
    let files = fs::read_dir(folder.path().join("db")).unwrap().map(|file| file.unwrap().path());
    for table in files.filter(|path| path.extension().is_some_and(|end| end == "sst")) {
        let mut bytes = fs::read(&table).unwrap();
        let end = bytes.len() / 2;
        bytes[..end].iter_mut().for_each(|byte| *byte ^= 0xff);
        fs::write(&table, bytes).unwrap();
    }
    let state = backend.state(value).unwrap();
    let error = (0..10_000).find_map(|key| state.get(&key, &()).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains(".sst"), "{error}");
    assert_eq!(state.update(&1, &(), 7).unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(backend.capture().err().unwrap().kind(), ErrorKind::Poisoned);
}
