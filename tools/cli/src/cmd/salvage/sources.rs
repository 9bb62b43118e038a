//! The snapshots that arguments name, and which of them can be opened.

use crate::outcome::Status;
use crate::snapshot::{Found, Harm, SnapshotAt, find, find_snapshot};
use esker::snapshot::{OpenSnapshot, read_manifest};
use esker::{Error, block_on};

/// One snapshot.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) job: Option<String>,
    pub(super) checkpoint: Option<u64>,
    /// Why it is passed over.
    pub(super) harm: Option<Harm>,
}

/// All snapshots, in the order in which they are asked.
pub(super) struct Sources {
    pub(super) named: Vec<Named>,
    opened: Vec<OpenSnapshot>,
}

impl Sources {
    /// Opens what `names` say; with `older` the checkpoints that a job's root retains besides its last.
    pub(super) fn find(names: &[String], older: bool) -> Self {
        let mut sources = Self { named: Vec::new(), opened: Vec::new() };
        for name in names {
            match retained(name, older) {
                Some(all) => {
                    for at in all {
                        let checkpoint = at.manifest.to_string();
                        let folder = checkpoint.rsplit_once('/').map_or("", |(folder, _)| folder);
                        let name = format!("{}/{folder}", name.trim_end_matches('/'));
                        // The log says which manifest is meant.
                        let read = block_on(read_manifest(&at.store, &at.manifest, at.digest));
                        sources.add(name, read.and_then(|_| at.open()));
                    }
                }
                None => {
                    let opened = find_snapshot(name, None).and_then(|at| at.open());
                    sources.add(name.clone(), opened);
                }
            }
        }
        sources
    }

    fn add(&mut self, name: String, opened: Result<OpenSnapshot, Error>) {
        let (mut job, mut checkpoint, mut harm) = (None, None, None);
        match opened {
            Ok(snapshot) => {
                job = Some(snapshot.manifest.job.clone());
                checkpoint = Some(snapshot.manifest.checkpoint);
                self.opened.push(snapshot);
            }
            Err(error) => harm = Some(Harm::of(&error)),
        }
        self.named.push(Named { name, job, checkpoint, harm });
    }

    /// Why nothing can be tried: something that may be there after all, or nothing that can be opened.
    pub(super) fn refused(&self) -> Option<Harm> {
        let mut harms = self.named.iter().filter_map(|named| named.harm.as_ref());
        if let Some(harm) = harms.clone().find(|harm| harm.status == Status::Unreadable) {
            return Some(harm.clone());
        }
        match self.opened.is_empty() {
            true => harms.next().cloned(),
            false => None,
        }
    }

    pub(super) fn take(&mut self) -> Vec<OpenSnapshot> {
        std::mem::take(&mut self.opened)
    }

    /// The name of the snapshot number `at` of those that could be opened.
    pub(super) fn name(&self, at: usize) -> &str {
        let mut opened = self.named.iter().filter(|named| named.harm.is_none());
        opened.nth(at).map_or("", |named| &named.name)
    }
}

/// The checkpoints of the job at `name`, newest first; none if it is no job, or if only one is asked for.
fn retained(name: &str, older: bool) -> Option<Vec<SnapshotAt>> {
    if !older {
        return None;
    }
    match find(name) {
        Ok(Found::Job(store, Ok(log))) => {
            let mut all = SnapshotAt::retained(&store, &log);
            all.reverse();
            // Without any, it is told as of any job.
            (!all.is_empty()).then_some(all)
        }
        _ => None,
    }
}
