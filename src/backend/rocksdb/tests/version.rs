use super::super::*;
use crate::ErrorKind;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, DBCompressionType, Options};
use std::fs;
use std::path::Path;

/// The release that `tools/rocksdb-sys` links.
const RELEASE: &str = "11.8.1";

/// A database whose entries are in a file, compressed.
pub(super) fn flushed(dir: &Path, compression: DBCompressionType) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(compression);
    let database = DB::open(&options, dir).unwrap();
    for n in 0..10_000_u64 {
        database.put(n.to_be_bytes(), format!("the value of {n:08}")).unwrap();
    }
    database.flush().unwrap();
    database
}

#[test]
fn what_is_linked_opens_writes_compresses_flushes_and_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let raw = folder.path().join("raw");
    flushed(&raw, DBCompressionType::None);
    for compression in [DBCompressionType::Lz4, DBCompressionType::Zstd] {
        let dir = folder.path().join(format!("{compression:?}"));
        let database = flushed(&dir, compression);
        let checkpoint = dir.with_extension("checkpoint");
        Checkpoint::new(&database).unwrap().create_checkpoint(&checkpoint).unwrap();
        database.put(0_u64.to_be_bytes(), "later").unwrap();
        drop(database);

        assert_eq!(version_of(&checkpoint).unwrap(), RELEASE);
        assert!(len_bytes(&checkpoint) * 2 < len_bytes(&raw), "{compression:?} compresses nothing");
        let restored = DB::open_for_read_only(&Options::default(), &checkpoint, true).unwrap();
        for n in 0..10_000_u64 {
            let value = restored.get_pinned(n.to_be_bytes()).unwrap().unwrap();
            assert_eq!(*value, *format!("the value of {n:08}").into_bytes());
        }
    }
}

#[test]
fn what_is_no_database_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let kind_of = |dir: &Path| {
        let error = version_of(dir).unwrap_err();
        assert!(error.path().unwrap().starts_with(&*dir.to_string_lossy()), "{error}");
        error.kind()
    };
    assert_eq!(kind_of(folder.path()), ErrorKind::Invalid);
    assert_eq!(kind_of(&folder.path().join("nowhere")), ErrorKind::Invalid);
    fs::write(folder.path().join("OPTIONS-000007"), "[Version]\n").unwrap();
    assert_eq!(kind_of(folder.path()), ErrorKind::Corrupt);
}

#[test]
fn the_newest_file_of_options_counts() {
    let folder = tempfile::tempdir().unwrap();
    for (number, version) in [("000009", "1.0"), ("000010", "2.0"), ("1000000.dbtmp", "3.0")] {
        let text = format!("[Version]\n  rocksdb_version={version}\n");
        fs::write(folder.path().join(format!("OPTIONS-{number}")), text).unwrap();
    }
    assert_eq!(version_of(folder.path()).unwrap(), "2.0");
}

/// What the tables in `dir` take.
fn len_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap());
    let tables = files.filter(|file| file.path().extension().is_some_and(|end| end == "sst"));
    tables.map(|file| file.metadata().unwrap().len()).sum()
}
