//! What was sorted, as the sources of a savepoint.

use super::bootstrap::Latest;
use super::spool::{Lane, Sorted, value_of};
use super::{Problem, Template};
use crate::backend::EntrySink;
use crate::format::KeyGroupRange;
use crate::format::run::{Entry, Op};
use crate::processor::{
    EntrySource, OperatorSources, SubtaskSource, WrittenSavepoint, write_savepoint,
};
use crate::snapshot::{ChainReader, SnapshotSettings};
use crate::{Error, ErrorKind, Result, Store};
use std::sync::Arc;

/// Stored bytes are thought to be so many times fewer than those of keys and values.
const COMPRESSION: u64 = 2;

/// Entries of the spool as they were put.
struct Spooled {
    chain: Arc<ChainReader>,
    len_bytes: u64,
}

impl EntrySource for Spooled {
    fn write(&self, range: KeyGroupRange, sink: &mut dyn EntrySink) -> Result<()> {
        self.chain.merge(range, None, &mut |entry| {
            sink.add(Entry { op: Op::Put, value: value_of(entry.value)?, ..entry })
        })
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }
}

/// Entries that a [`Bootstrap`](super::Bootstrap) took, sorted. The temporary files are gone when it is dropped.
pub struct SortedEntries<'t> {
    pub(super) template: &'t Template,
    pub(super) parallelism: Vec<u32>,
    /// None where something is wrong with lines.
    pub(super) sorted: Option<Sorted>,
    pub(super) latest: Latest,
    pub(super) count: u64,
    pub(super) problems: Vec<Problem>,
}

impl SortedEntries<'_> {
    /// How many were taken: lines, rows and entries.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What is wrong with them, ten things at most: lines that do not fit and inputs that were not read to their end, else
    /// entries of one key. If there is something, nothing can be written.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Writes the savepoint to the root of `target`, as [`write_savepoint`] does: a call after one that failed, or died,
    /// writes what is left. `progress` is told of entries once they are durable.
    ///
    /// # Errors
    /// `Invalid`, with all of it, if there are [problems](Self::problems); those of the temporary folder and of
    /// [`write_savepoint`].
    pub async fn write(
        &self,
        target: &Store,
        settings: &SnapshotSettings,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<WrittenSavepoint> {
        let (manifest, sources) = (self.template.manifest().clone(), self.sources()?);
        write_savepoint(target, manifest, sources, settings, progress).await
    }

    /// The operators of the template with the entries, for [`write_savepoint`]; `self` must be there until they are
    /// written.
    ///
    /// # Errors
    /// `Invalid`, with all of it, if there are [problems](Self::problems); those of the temporary folder.
    pub fn sources(&self) -> Result<Vec<OperatorSources>> {
        let Some(sorted) = self.sorted.as_ref().filter(|_| self.problems.is_empty()) else {
            let problems: Vec<_> = self.problems.iter().map(Problem::to_string).collect();
            return Err(Error::new(ErrorKind::Invalid, problems.join("; ")));
        };
        let Self { template, parallelism, latest, .. } = self;
        let operators = template.manifest().operators.iter().zip(parallelism).enumerate();
        operators
            .map(|(number, (operator, parallelism))| {
                let (chain, raw_len_bytes) = sorted.open(&[Lane::Keyed(number)])?;
                let chain = Arc::new(chain);
                let subtasks = (0..*parallelism).map(|subtask| {
                    let range = KeyGroupRange::of_subtask(subtask, *parallelism)?;
                    let share = u128::from(raw_len_bytes) * u128::from(range.count()) / 65_536;
                    let len_bytes = share as u64 / COMPRESSION;
                    let keyed = Spooled { chain: Arc::clone(&chain), len_bytes };
                    let lanes = [Lane::Elements(number, subtask), Lane::Broadcast(number)];
                    let (elements, len_bytes) = sorted.open(&lanes)?;
                    let elements = Spooled { chain: Arc::new(elements), len_bytes };
                    Ok(SubtaskSource {
                        keyed: Some(Arc::new(keyed)),
                        operator: Some(Arc::new(elements)),
                        ttl_times_ms: template.ttl_times_ms((number, operator), range, latest)?,
                    })
                });
                let subtasks = subtasks.collect::<Result<Vec<_>>>()?;
                Ok(OperatorSources { operator: operator.clone(), subtasks })
            })
            .collect()
    }
}
