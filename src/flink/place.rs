//! Where the files of a snapshot are: by the paths that `_metadata` has, by prefixes that a user maps, or, of a checkpoint
//! that was moved, below the job's folder as it lies now.

use crate::format::RelativeName;
use crate::store::shown;
use crate::{Error, ErrorKind, Result, Store, block_on};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Hexadecimal digits of a job's id, which names the folder of its checkpoints.
const JOB_ID_LEN: usize = 32;

/// A file that is there.
#[derive(Debug, Clone)]
pub struct FlinkFile {
    /// The store that it is in.
    pub store: Store,
    /// Its name there.
    pub name: RelativeName,
    /// Path or URL, for whoever reads about it.
    pub path: String,
    /// Its size in bytes.
    pub len_bytes: u64,
}

impl FlinkFile {
    /// Its path, where it lies on a local disk.
    #[cfg_attr(not(all(feature = "rocksdb", unix)), allow(dead_code, reason = "what links it"))]
    pub(super) fn local_path(&self) -> Option<std::path::PathBuf> {
        self.store.local_path(&self.name)
    }
}

/// Where a snapshot lies, and from there its files.
pub(super) struct Place {
    /// The folder above that of the snapshot: a checkpoint's job. The snapshot's own where there is none.
    above: Store,
    /// The snapshot's folder below that; none if it is `above` itself.
    folder: Option<RelativeName>,
    /// Prefixes of paths, and what stands in their place.
    maps: Vec<(String, String)>,
    /// By folder of a disk, or by bucket.
    stores: Mutex<BTreeMap<String, Store>>,
    /// By the path in `_metadata`.
    found: Mutex<BTreeMap<String, Arc<FlinkFile>>>,
}

impl Place {
    pub(super) fn new(
        above: Store,
        folder: Option<RelativeName>,
        maps: &[(String, String)],
    ) -> Self {
        let maps = maps.iter().map(|(from, to)| (plain(from).to_owned(), plain(to).to_owned()));
        Self {
            above,
            folder,
            maps: maps.collect(),
            stores: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// The name of a file that lies beside `_metadata`.
    ///
    /// # Errors
    /// `Corrupt` if the path leaves the folder.
    pub(super) fn beside(&self, path: &str) -> Result<RelativeName> {
        Ok(RelativeName::new(match &self.folder {
            Some(folder) => format!("{folder}/{path}"),
            None => path.to_owned(),
        })?)
    }

    /// The snapshot's own folder.
    pub(super) fn folder(&self) -> Store {
        self.folder.as_ref().map_or_else(|| self.above.clone(), |folder| self.above.below(folder))
    }

    /// The store that [`beside`](Self::beside) names files of.
    pub(super) fn store(&self) -> &Store {
        &self.above
    }

    /// The file of a relative path.
    ///
    /// # Errors
    /// `Corrupt` if it is missing or outside of the folder; the store's.
    pub(super) fn relative(&self, path: &str) -> Result<Arc<FlinkFile>> {
        if let Some(found) = lock(&self.found).get(path) {
            return Ok(Arc::clone(found));
        }
        let name = self.beside(path)?;
        let shown = format!("{}/{name}", self.above);
        match self.look(&self.above, name, &shown)? {
            Some(found) => Ok(self.keep(path, found)),
            None => {
                let message = "the file is missing, and belongs beside _metadata";
                Err(Error::new(ErrorKind::Corrupt, message).at_path(shown))
            }
        }
    }

    /// The file of an absolute path: where a map says, where the path says, or below the job's folder.
    ///
    /// # Errors
    /// `Corrupt`, with all that was tried, if it is nowhere; the store's where that is why it was not found.
    pub(super) fn absolute(&self, path: &str) -> Result<Arc<FlinkFile>> {
        if let Some(found) = lock(&self.found).get(path) {
            return Ok(Arc::clone(found));
        }
        let mut tried = Vec::new();
        let mut failed = None;
        for candidate in self.candidates(path) {
            match self.try_one(&candidate) {
                Ok((_, Some(found))) => return Ok(self.keep(path, found)),
                Ok((shown, None)) => tried.push(shown),
                Err(error) => {
                    tried.push(error.to_string());
                    failed.get_or_insert(error);
                }
            }
        }
        let kind = failed.as_ref().map_or(ErrorKind::Corrupt, Error::kind);
        let message = format!(
            "the file is nowhere: tried {}; map the prefix of its path to where it is now",
            tried.join(", ")
        );
        let error = Error::new(kind, message).at_path(shown(path));
        Err(match failed {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }

    fn keep(&self, path: &str, found: FlinkFile) -> Arc<FlinkFile> {
        let found = Arc::new(found);
        lock(&self.found).insert(path.to_owned(), Arc::clone(&found));
        found
    }

    /// Where `path` may be, the likeliest first.
    fn candidates(&self, path: &str) -> Vec<Candidate> {
        let path = plain(path);
        let mapped = self.maps.iter().filter_map(|(from, to)| {
            path.strip_prefix(from.as_str()).map(|rest| Candidate::Absolute(format!("{to}{rest}")))
        });
        let mut candidates: Vec<_> = mapped.collect();
        candidates.push(Candidate::Absolute(path.to_owned()));
        if self.folder.is_some() {
            candidates.extend(below_job(path).map(|tail| Candidate::Below(tail.to_owned())));
        }
        // With an entropy that Flink puts into paths, what belongs beside `_metadata` has an absolute one too.
        let name = path.rsplit('/').next().and_then(|name| self.beside(name).ok());
        candidates.extend(name.map(|name| Candidate::Below(name.to_string())));
        candidates
    }

    fn try_one(&self, candidate: &Candidate) -> Result<(String, Option<FlinkFile>)> {
        match candidate {
            Candidate::Below(name) => {
                let shown = format!("{}/{name}", self.above);
                let name = RelativeName::new(name.as_str())?;
                Ok((shown.clone(), self.look(&self.above, name, &shown)?))
            }
            Candidate::Absolute(path) => {
                let said = shown(path);
                let Some((store, name)) = self.open(path)? else { return Ok((said, None)) };
                let found = self.look(&store, name, &said)?;
                Ok((said, found))
            }
        }
    }

    fn look(&self, store: &Store, name: RelativeName, path: &str) -> Result<Option<FlinkFile>> {
        let len_bytes = block_on(store.head(&name)).map_err(|error| error.at_path(path))?;
        let (store, path) = (store.clone(), path.to_owned());
        Ok(len_bytes.map(|len_bytes| FlinkFile { store, name, path, len_bytes }))
    }

    /// The store of an absolute path and the file's name there; none if its folder is not there.
    fn open(&self, path: &str) -> Result<Option<(Store, RelativeName)>> {
        let (root, name) = match path.split_once("://") {
            None => match path.rsplit_once('/') {
                // A folder that is missing would be made.
                Some((folder, name)) if Path::new(path).is_file() => {
                    (folder.to_owned() + "/", name)
                }
                _ => return Ok(None),
            },
            Some((scheme, rest)) => match rest.split_once('/') {
                Some((authority, name)) => (format!("{scheme}://{authority}"), name),
                None => return Ok(None),
            },
        };
        let name = RelativeName::new(name)?;
        if let Some(store) = lock(&self.stores).get(&root) {
            return Ok(Some((store.clone(), name)));
        }
        let store = Store::open(&root)?;
        lock(&self.stores).insert(root, store.clone());
        Ok(Some((store, name)))
    }
}

enum Candidate {
    /// A path or URL.
    Absolute(String),
    /// A name below the folder above.
    Below(String),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A path without what names a local disk, and a bucket by the scheme that stores have for it.
fn plain(path: &str) -> &str {
    match path.strip_prefix("file:") {
        // An empty authority, or `localhost`, is this machine.
        Some(rest) => match rest.strip_prefix("//") {
            Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
            None => rest,
        },
        None => path,
    }
}

/// What of `path` is below the folder that its job has among checkpoints: behind a job's id, or from `chk-…`, `shared` or
/// `taskowned` on.
fn below_job(path: &str) -> Option<&str> {
    let segments = || {
        let mut start = 0;
        path.split('/').map(move |segment| {
            let at = start;
            start += segment.len() + 1;
            (segment, at)
        })
    };
    let is_id = |segment: &str| {
        segment.len() == JOB_ID_LEN && segment.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_part = |segment: &str| {
        let number = segment.strip_prefix("chk-");
        matches!(segment, "shared" | "taskowned")
            || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let behind_id = segments().filter(|(segment, _)| is_id(segment)).last();
    let behind_id = behind_id.map(|(segment, at)| at + segment.len() + 1);
    let from_part = || segments().filter(|(segment, _)| is_part(segment)).last().map(|(_, at)| at);
    let start = behind_id.filter(|start| *start < path.len()).or_else(from_part)?;
    path.get(start..).filter(|tail| !tail.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_tail_of_a_path_is_what_lies_in_the_jobs_folder() {
        let id = "c39e05bdb05319125f1f153e2a356333";
        for (path, tail) in [
            (format!("/ckp/{id}/shared/0ec7"), Some("shared/0ec7")),
            (
                format!("s3://b/{id}/taskowned/job_{id}_tm_1/2"),
                Some(&*format!("taskowned/job_{id}_tm_1/2")),
            ),
            (format!("/a/{id}/{id}/dstl/x"), Some("dstl/x")),
            ("/ckp/flights/chk-12/9".into(), Some("chk-12/9")),
            ("/ckp/shared/flights/shared/9".into(), Some("shared/9")),
            ("/ckp/chk-/9".into(), None),
            (format!("/ckp/{id}"), None),
            (format!("/{}/9", "g".repeat(32)), None),
        ] {
            assert_eq!(below_job(&path), tail, "{path}");
        }
    }

    #[test]
    fn local_paths_have_many_forms() {
        for path in ["file:/a/b", "file:///a/b", "file://localhost/a/b", "/a/b"] {
            assert_eq!(plain(path), "/a/b");
        }
        assert_eq!(plain("s3://a/b"), "s3://a/b");
    }

    #[test]
    fn a_moved_file_is_found_by_its_tail_or_by_a_map() {
        let id = "c39e05bdb05319125f1f153e2a356333";
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_str().unwrap();
        std::fs::create_dir_all(folder.path().join("job/shared")).unwrap();
        std::fs::create_dir_all(folder.path().join("elsewhere/chk-1")).unwrap();
        std::fs::write(folder.path().join("job/shared/1"), "one").unwrap();
        std::fs::write(folder.path().join("elsewhere/2"), "by map").unwrap();
        let chk = || Some(RelativeName::new("chk-1").unwrap());
        let above = || Store::open(&format!("{at}/job")).unwrap();
        let map = [("file:///gone/".to_owned(), format!("{at}/elsewhere/"))];
        let place = Place::new(above(), chk(), &map);
        let len = |path: &str| place.absolute(path).map(|file| file.len_bytes);
        assert_eq!(len(&format!("file:/gone/{id}/shared/1")).unwrap(), 3);
        assert_eq!(len("file:/gone/2").unwrap(), 6);
        assert_eq!(len(&format!("{at}/elsewhere/2")).unwrap(), 6);
        // Folders are not made, and all that was tried is said.
        let missing = len(&format!("file:/gone/{id}/shared/3")).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Corrupt);
        let said = missing.to_string();
        for part in [
            format!("tried {at}/elsewhere/{id}/shared/3"),
            format!("/gone/{id}/shared/3"),
            format!("{at}/job/shared/3"),
            format!("{at}/job/chk-1/3"),
        ] {
            assert!(said.contains(&part), "{part}: {said}");
        }
        assert!(!folder.path().join("elsewhere").join(id).exists());
        assert!(place.relative("../shared/1").is_err());
        assert_eq!(place.relative("9").unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
