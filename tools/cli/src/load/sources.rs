//! What was sorted, as the sources of a savepoint.

use super::lines::Latest;
use super::spool::{Lane, Sorted, value_of};
use super::template::Template;
use esker::Result;
use esker::backend::EntrySink;
use esker::format::KeyGroupRange;
use esker::format::run::{Entry, Op};
use esker::processor::{EntrySource, OperatorSources, SubtaskSource};
use esker::snapshot::ChainReader;
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

/// The operators of `template` with what is in `sorted`, each with as many subtasks as `parallelism` says; `latest`
/// is when the lines of each state were last updated. `sorted` must be there until they are written.
///
/// # Errors
/// Those of the temporary folder.
pub(crate) fn sources(
    sorted: &Sorted,
    template: &Template,
    parallelism: &[u32],
    latest: &Latest,
) -> Result<Vec<OperatorSources>> {
    let operators = template.manifest.operators.iter().zip(parallelism).enumerate();
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
