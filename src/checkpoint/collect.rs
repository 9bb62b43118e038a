//! Finds the files of a job that nothing needs, and deletes them, beside its owner or without one; what those are is
//! decided in [`orphan`](super::orphan).

use super::driver::{read_records, refused, retried};
use super::job::{CALLS_IN_FLIGHT, ReferenceSource};
use super::log::References;
use super::orphan::{Judge, Verdict};
use crate::format::RelativeName;
use crate::store::{Leftover, Store, sleep};
use crate::{Error, ErrorKind, Result};
use futures::{StreamExt, stream};
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How often the log is read anew because its owner retired what was to be read.
const READ_COUNT_MAX: usize = 16;

/// A file in a job's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Its name below the job's root.
    pub name: RelativeName,
    /// Its size in bytes.
    pub len_bytes: u64,
    /// When it was written, in milliseconds since 1970, by the store's clock.
    pub modified_ms: i64,
    /// Whether a process was writing it, and may be; on local disks alone.
    pub is_half_written: bool,
    /// What is to be thought of it.
    pub verdict: Verdict,
}

/// A retained checkpoint that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unread {
    /// Its number.
    pub checkpoint: u64,
    /// Why.
    pub error: Error,
}

/// How fast files are deleted, at most; per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// So many files.
    Files(NonZeroU64),
    /// So many bytes.
    Bytes(NonZeroU64),
}

impl Rate {
    /// How long `files` of `len_bytes` together take.
    fn time_of(self, files: u64, len_bytes: u64) -> Duration {
        let (done, per_second) = match self {
            Self::Files(per_second) => (files, per_second),
            Self::Bytes(per_second) => (len_bytes, per_second),
        };
        let millis = u128::from(done) * 1000 / u128::from(per_second.get());
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

/// Which of the files that nothing needs are deleted, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Which {
    /// Those alone that were written before, in milliseconds since 1970 by the store's clock.
    pub modified_before_ms: Option<i64>,
    /// At most so fast.
    pub rate: Option<Rate>,
}

impl Which {
    /// Whether `file` is one of them.
    pub fn takes(&self, file: &File) -> bool {
        let is_old = self.modified_before_ms.is_none_or(|before| file.modified_ms < before);
        file.verdict.may_go() && is_old
    }
}

/// The files of a job and what is to be thought of each, as they were found at one time.
///
/// It stays true of what [may go](Verdict::may_go), whatever the job's owner does; what is to stay may be
/// something else by now. Memory: all names of the job.
#[derive(Debug)]
pub struct Collection {
    store: Store,
    judge: Judge,
    files: Vec<File>,
    leftovers: BTreeMap<RelativeName, Leftover>,
    unread: Vec<Unread>,
}

impl Collection {
    /// Looks at the job at `store`'s root. It costs a list of all files and a read of every retained manifest
    /// and part; nothing is written.
    ///
    /// # Errors
    /// Those of [`read_log`](super::read_log), and the store's; `Invalid` if a retained checkpoint reaches what the
    /// log condemns.
    pub async fn of(store: &Store, source: &dyn ReferenceSource) -> Result<Self> {
        let (judge, unread) = judged(store, source).await?;
        let mut files = Vec::new();
        for found in retried(|| store.list_dated(None)).await? {
            let verdict = judge.file(&found.name);
            let (name, len_bytes, modified_ms) = (found.name, found.len_bytes, found.modified_ms);
            files.push(File { name, len_bytes, modified_ms, is_half_written: false, verdict });
        }
        let mut leftovers = BTreeMap::new();
        for leftover in retried(|| store.leftovers()).await? {
            let Some(found) = leftover.dated().await? else { continue };
            let verdict = judge.half_written(&leftover.name);
            let (name, len_bytes, modified_ms) = (found.name, found.len_bytes, found.modified_ms);
            leftovers.insert(name.clone(), leftover);
            files.push(File { name, len_bytes, modified_ms, is_half_written: true, verdict });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { store: store.clone(), judge, files, leftovers, unread })
    }

    /// What the files are judged by.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// All files, in order of name.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Retained checkpoints that cannot be read, so that what nobody names stays.
    pub fn unread(&self) -> &[Unread] {
        &self.unread
    }

    /// Deletes those files of `which`, sixteen at a time where no rate is set, then folders that nobody writes to
    /// and that are empty; `deleted` is told of each file that is gone.
    ///
    /// A dropped future, or an error, leaves some of them for the next call.
    ///
    /// # Errors
    /// The store's, with the first file that could not be deleted.
    pub async fn delete(&self, which: Which, mut deleted: impl FnMut(&File)) -> Result<()> {
        let chosen = self.files.iter().filter(|file| which.takes(file));
        let at_once = if which.rate.is_some() { 1 } else { CALLS_IN_FLIGHT };
        let (started, mut done, mut len_bytes) = (Instant::now(), 0_u64, 0_u64);
        let mut deletes = stream::iter(chosen)
            .map(|file| {
                let due = which.rate.map(|rate| rate.time_of(done, len_bytes));
                (done, len_bytes) = (done + 1, len_bytes.saturating_add(file.len_bytes));
                async move {
                    if let Some(pause) = due.and_then(|due| due.checked_sub(started.elapsed())) {
                        sleep(pause).await?;
                    }
                    self.remove(file).await.map(|()| file)
                }
            })
            .buffer_unordered(at_once);
        while let Some(file) = deletes.next().await {
            deleted(file?);
        }
        drop(deletes);
        for folder in self.store.job_folders().await? {
            if self.judge.is_left(&folder)
                && let Ok(folder) = RelativeName::new(folder)
            {
                self.store.remove_empty_folder(&folder).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, file: &File) -> Result<()> {
        match self.leftovers.get(&file.name) {
            Some(leftover) => leftover.clone().remove().await,
            None => retried(|| self.store.delete(&file.name)).await,
        }
    }
}

/// Reads the log of the job at `store`'s root, and what its retained checkpoints reach; with those that cannot
/// be read.
///
/// A live owner may retire a checkpoint, and delete its manifest, before it is read here: the log says so then, and
/// is read anew.
///
/// # Errors
/// As for [`Collection::of`].
pub async fn judged(store: &Store, source: &dyn ReferenceSource) -> Result<(Judge, Vec<Unread>)> {
    let mut references = References::new();
    let mut attempt = 1;
    loop {
        let (state, records) = read_records(store).await?;
        references.retain(|checkpoint, _| state.retained().contains_key(checkpoint));
        let mut unread = Vec::new();
        for (checkpoint, published) in state.retained() {
            if references.contains_key(checkpoint) {
                continue;
            }
            match retried(|| source.references(store, published)).await {
                Ok(names) => drop(references.insert(*checkpoint, names)),
                Err(error) if error.kind() == ErrorKind::Retry && !error.is_damage() => {
                    return Err(error);
                }
                Err(error) => unread.push(Unread { checkpoint: *checkpoint, error }),
            }
        }
        if !unread.is_empty() && attempt < READ_COUNT_MAX {
            let (newer, _) = read_records(store).await?;
            if unread.iter().any(|of| !newer.retained().contains_key(&of.checkpoint)) {
                attempt += 1;
                continue;
            }
        }
        let judge = Judge::new(state, &records, references);
        return Ok((judge.map_err(|refusal| refused(refusal, store))?, unread));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_says_how_long_so_much_takes() {
        let rate = |per_second| NonZeroU64::new(per_second).unwrap();
        let (files, bytes) = (Rate::Files(rate(4)), Rate::Bytes(rate(1 << 20)));
        assert_eq!(files.time_of(0, 1 << 40), Duration::ZERO);
        assert_eq!(files.time_of(10, 0), Duration::from_millis(2500));
        assert_eq!(bytes.time_of(1000, 3 << 20), Duration::from_secs(3));
        assert_eq!(Rate::Bytes(rate(1)).time_of(1, u64::MAX), Duration::from_millis(u64::MAX));
    }
}
