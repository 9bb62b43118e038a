//! The job's state out of a checkpoint, at any parallelism.

use super::table::{Rows, Table};
use super::{KEYED, SOURCE, parallelism_of, settings};
use esker::backend::{Backend, BackendFactory};
use esker::format::manifest::Manifest;
use esker::format::{KeyGroupRange, Ordered, ValueCodec};
use esker::snapshot::{Lineage, find_operator, read_operator_state};
use esker::{Result, Store};

/// What a job goes on from.
pub(crate) struct Restored<B: Backend> {
    pub(crate) rows: Rows<B>,
    /// By keyed operator, then subtask.
    pub(crate) lineages: Vec<Vec<Lineage>>,
}

/// Restores what `manifest` names; an empty job where there is none.
pub(crate) async fn restore<F: BackendFactory>(
    factory: &F,
    store: &Store,
    manifest: Option<&Manifest>,
    parallelism: u32,
    seed: u64,
) -> Result<Restored<F::Backend>> {
    let (mut tables, mut lineages) = (Vec::new(), Vec::new());
    for (number, uid) in KEYED.into_iter().enumerate() {
        let (mut operator, mut chains) = (Vec::new(), Vec::new());
        let parallelism = parallelism_of(number, parallelism);
        for subtask in 0..parallelism {
            let range = KeyGroupRange::of_subtask(subtask, parallelism)?;
            match manifest {
                None => {
                    operator.push(Table::open(number, factory.make(uid, range, None)?)?);
                    chains.push(Lineage::default());
                }
                Some(manifest) => {
                    let stored = find_operator(manifest, uid)?;
                    let mut table = Table::open(number, factory.make(uid, range, Some(stored))?)?;
                    let restored = table.backend.restore(store, manifest, &settings()).await?;
                    operator.push(table);
                    chains.push(Lineage::new(restored.chain));
                }
            }
        }
        tables.push(operator);
        lineages.push(chains);
    }
    let rows = match manifest {
        Some(manifest) => read_rows(store, manifest).await?,
        None => 0,
    };
    Ok(Restored { rows: Rows { seed, rows, tables }, lineages })
}

/// The number of rows that went into a checkpoint, as its operator state has it.
pub(crate) async fn read_rows(store: &Store, manifest: &Manifest) -> Result<u64> {
    let elements = read_operator_state(store, find_operator(manifest, SOURCE)?).await?;
    assert_eq!(elements.len(), 1);
    Ok(Ordered.decode(&elements[0].value)?)
}
