//! What of a damaged snapshot is sound, and what older ones have of the rest.

mod layers;
mod report;

pub use report::{LostKey, LostRange, NotAsked, SalvageDamage, Salvaged, StateSalvaged};

use super::write::{OperatorSources, write_savepoint};
use crate::snapshot::{OpenSnapshot, SnapshotSettings};
use crate::{Error, ErrorKind, Result, Store};
use esker_format::manifest::{Manifest, Operator};
use layers::Layers;

/// Writes to the root of `target` a savepoint of all that is sound of the first of `snapshots`, and of what
/// that lost whatever the others hold, each being asked for what all before it lost.
///
/// All that counts of the first is read and verified before anything is written. What is lost is told by
/// operator, state and range of keys, and errs on the side of loss: of a block that is damaged, every key
/// from its first up to the first of the next is lost unless a newer run decides it, for what older
/// runs hold of it may be stale; of a run whose index is damaged or that is missing, all that it counts
/// for; of a part that is, all key groups of its subtask. Nothing that was deleted returns and nothing that
/// was changed is older than it was, but for keys in the ranges told that were taken from an older snapshot.
/// Footers are not looked at, nor are filters unless a block is damaged: nothing is lost with them. What a
/// device cannot give back ([`Error::is_damage`]) counts as damaged: the blocks of which it does not give all bytes
/// when they are asked for one by one.
///
/// Job, checkpoint, operators, types, parallelism and times of capture are those of the first snapshot;
/// states of the others are found by the names of operator and state, and asked if their types are the
/// same. Elements of lists of operator state are taken by subtask and position, where the other snapshot
/// has as many subtasks; what every subtask holds alike is taken from any.
///
/// What is in `target` already, and what becomes of interruptions, is as for
/// [`write_savepoint`]. `progress` is told of about as many bytes as the first snapshot's
/// runs have, twice: as they are read, and as they are written.
///
/// Memory: as for [`write_savepoint`], the indexes of the runs of one subtask, and 1 MiB for each
/// run of a subtask, snapshot and thread.
///
/// # Errors
/// `Unsupported` if the first snapshot holds a database: its files are sound or not, and only its backend
/// reads entries. `Invalid` for wrong settings, no snapshots, and if `target` is where one of them lies;
/// `Conflict` as for [`write_savepoint`]; the stores' that are no damage, `Corrupt` if something that was
/// sound is not when it is read again.
#[tracing::instrument(skip_all, fields(target = %target))]
pub async fn salvage(
    snapshots: Vec<OpenSnapshot>,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Salvaged> {
    settings.check()?;
    let invalid = |message: &str| Error::new(ErrorKind::Invalid, message);
    let Some(first) = snapshots.first() else { return Err(invalid("there is no snapshot")) };
    if snapshots.iter().any(|snapshot| snapshot.store.is_same(target)) {
        let message = "a snapshot lies there: what is salvaged goes to another folder";
        return Err(invalid(message).at_path(target.to_string()));
    }
    check_runs(first)?;
    let (told, mut operators) = (Told::new(first), Vec::new());
    let manifest = first.manifest.clone();
    let mut layers = Layers::new(snapshots, settings, progress)?;
    for (number, operator) in manifest.operators.iter().enumerate() {
        let mut subtasks = Vec::new();
        for subtask in 0..operator.parts.len() {
            subtasks.push(layers.subtask(number, subtask).await?);
        }
        // No run of before is left.
        let operator = Operator { dropped: Vec::new(), parts: Vec::new(), ..operator.clone() };
        operators.push(OperatorSources { operator, subtasks });
    }
    let manifest = Manifest { operators: Vec::new(), ..manifest };
    let written = |entries| progress(told.len_bytes(entries));
    let written = write_savepoint(target, manifest, operators, settings, &written).await?;
    layers.finish(written, target).await
}

/// That the entries of all operators can be read.
///
/// # Errors
/// `Unsupported` for a database.
fn check_runs(snapshot: &OpenSnapshot) -> Result<()> {
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        if let Some(native) = parts.iter().flatten().find_map(|part| part.native.as_ref()) {
            let message = format!(
                "operator={}: its state is a database of {}, of which no entries are salvaged: go back \
                 to an older checkpoint, or salvage a savepoint",
                operator.uid, native.engine
            );
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    }
    Ok(())
}

/// Bytes by entries, for who shows progress.
struct Told {
    entry_len_bytes: f64,
}

impl Told {
    fn new(snapshot: &OpenSnapshot) -> Self {
        let parts = || snapshot.parts.iter().flatten().flatten();
        let runs = || parts().flat_map(|part| part.runs.iter().chain(&part.operator_run));
        let bytes: u64 = runs().map(|run| run.len_bytes).sum();
        let live = parts().flat_map(|part| &part.states).map(|state| state.entries);
        Self { entry_len_bytes: bytes as f64 / live.sum::<u64>().max(1) as f64 }
    }

    fn len_bytes(&self, entries: u64) -> u64 {
        (entries as f64 * self.entry_len_bytes) as u64
    }
}
