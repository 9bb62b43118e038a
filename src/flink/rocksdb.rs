//! Feature `rocksdb`: the files of a RocksDB of Flink's, fetched for the while and opened to be read.

use super::ordered::ordered;
use super::stream::FlinkStream;
use crate::{Error, ErrorKind, Result};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, LogLevel, MergeOperands, Options,
    ReadOptions,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use tempfile::TempDir;

/// By this name Flink's databases know the operator that joins what was appended to a list.
const MERGE_OPERATOR: &str = "stringappendtest";
/// Stands between the elements of a list.
const DELIMITER: u8 = b',';
/// Index blocks and the like of all families; entries are read once, and kept by none.
const CACHE_LEN_BYTES: usize = 16 << 20;
/// What is fetched of a file at once.
const PIECE_LEN_BYTES: u64 = 8 << 20;
/// What is read ahead of an iterator.
const READAHEAD_LEN_BYTES: usize = 2 << 20;

/// A database of Flink's, open to be read, in a temporary folder that goes with it.
pub(super) struct Database {
    db: DB,
    dir: TempDir,
    /// The files that stand behind local names.
    files: BTreeMap<String, String>,
}

impl Database {
    /// Fetches `files`, each with its name in the database's folder, and opens them. Whole files of a local disk are
    /// linked and not copied. The disk has to have room for the others.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, if one is missing or not as long as stated, has a name that leaves the folder, or
    /// is refused by RocksDB; the stores'; `Retry` if the temporary folder fails.
    pub(super) fn open(files: &[(String, FlinkStream)]) -> Result<Self> {
        let dir = tempfile::tempdir().map_err(|error| failed(&error, &std::env::temp_dir()))?;
        ordered(files, |(name, stream), _| fetch(name, stream, dir.path()), &mut |()| Ok(()))?;
        let names = files.iter().map(|(name, stream)| (name.clone(), stream.path().to_owned()));
        let files: BTreeMap<_, _> = names.collect();
        match open(dir.path()) {
            Ok(db) => Ok(Self { db, dir, files }),
            Err(error) => Err(refused(&error, dir.path(), &files)),
        }
    }

    /// Calls `f` with each key and value of the column family `family` from `from` on and before `to`, in order of keys,
    /// until it returns false. There is nothing in a family that is not there.
    ///
    /// # Errors
    /// `Corrupt`, naming the file, if RocksDB finds damage; those of `f`.
    pub(super) fn each(
        &self,
        family: &str,
        (from, to): (&[u8], Option<&[u8]>),
        f: &mut dyn FnMut(&[u8], &[u8]) -> Result<bool>,
    ) -> Result<()> {
        let Some(handle) = self.db.cf_handle(family) else { return Ok(()) };
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(READAHEAD_LEN_BYTES);
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let mut entries = self.db.raw_iterator_cf_opt(handle, options);
        entries.seek(from);
        while let Some((key, value)) = entries.item() {
            if !f(key, value)? {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(|error| refused(&error, self.dir.path(), &self.files))
    }
}

fn open(dir: &Path) -> std::result::Result<DB, rocksdb::Error> {
    let cache = Cache::new_lru_cache(CACHE_LEN_BYTES);
    let options = || {
        let mut options = Options::default();
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&cache);
        options.set_block_based_table_factory(&blocks);
        options.set_merge_operator_associative(MERGE_OPERATOR, joined);
        options.set_log_level(LogLevel::Fatal);
        options
    };
    let families = DB::list_cf(&options(), dir)?;
    let families = families.into_iter().map(|name| ColumnFamilyDescriptor::new(name, options()));
    DB::open_cf_descriptors_read_only(&options(), dir, families, false)
}

/// The elements that were appended behind those that were there.
fn joined(_key: &[u8], existing: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let mut all = existing.map(<[u8]>::to_vec);
    for operand in operands {
        match &mut all {
            Some(all) => {
                all.push(DELIMITER);
                all.extend_from_slice(operand);
            }
            None => all = Some(operand.to_vec()),
        }
    }
    Some(all.unwrap_or_default())
}

fn fetch(name: &str, stream: &FlinkStream, dir: &Path) -> Result<()> {
    if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\', '\0']) {
        let message = format!("a file of a database with a name that leaves its folder: {name:?}");
        return Err(Error::new(ErrorKind::Corrupt, message).at_path(stream.path()));
    }
    let to = dir.join(name);
    if linked(stream, &to) {
        return Ok(());
    }
    let mut file = File::create_new(&to).map_err(|error| failed(&error, &to))?;
    let mut start = 0;
    while start < stream.len_bytes() {
        let end = stream.len_bytes().min(start + PIECE_LEN_BYTES);
        let piece = stream.read(start..end)?;
        file.write_all(&piece).map_err(|error| failed(&error, &to))?;
        start = end;
    }
    Ok(())
}

/// Makes `to` a link to the file that `stream` is all of, if that is on a local disk.
fn linked(stream: &FlinkStream, to: &Path) -> bool {
    #[cfg(unix)]
    if stream.is_whole_file()
        && let Some(path) = stream.file().and_then(super::place::FlinkFile::local_path)
    {
        return std::os::unix::fs::symlink(path, to).is_ok();
    }
    let _ = (stream, to);
    false
}

fn failed(error: &io::Error, path: &Path) -> Error {
    let message = match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full: free space, then try again".to_owned(),
        _ => format!("cannot write the file: {error}"),
    };
    Error::new(ErrorKind::Retry, message).at_path(path.to_string_lossy())
}

/// What RocksDB says, with the names of its folder put back to those of the snapshot.
fn refused(error: &rocksdb::Error, dir: &Path, files: &BTreeMap<String, String>) -> Error {
    let said = error.to_string();
    let local = |name: &&String| said.contains(&format!("{}/{name}", dir.display()));
    let file = files.keys().find(local).and_then(|name| Some((name, files.get(name)?)));
    let kind = match error.kind() {
        rocksdb::ErrorKind::IOError | rocksdb::ErrorKind::Busy => ErrorKind::Retry,
        _ => ErrorKind::Corrupt,
    };
    let said = said.replace(&format!("{}/", dir.display()), "");
    let error = Error::new(kind, format!("RocksDB does not read the database: {said}"));
    match file {
        Some((_, path)) => error.at_path(path),
        None => error,
    }
}
