//! One savepoint of several snapshots.

mod entries;
mod origin;
mod unite;

use super::copy::checked;
use super::write::{OperatorSources, WrittenSavepoint, write_savepoint};
use crate::snapshot::{OpenSnapshot, SnapshotSettings};
use crate::{Error, ErrorKind, Result, Store};
use esker_format::manifest::Manifest;
use origin::Origin;
use unite::unite;

/// What becomes of a key that several snapshots have in one state: with its namespace, and with all that stands
/// under both, a whole list or map, or timers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Clash {
    /// It is refused, and named.
    #[default]
    Refuse,
    /// What the last of them has stays, and nothing of what the others have.
    LaterWins,
}

/// Writes to the root of `target` one savepoint of all that `snapshots` hold: of jobs that become one, say.
/// Job, checkpoint and generation are those of the first.
///
/// Operators are the same if their uids are, and states of one operator if their names are; both have as many
/// subtasks, and the ids, of the first snapshot that has them. What is the same has one kind, one type of everything
/// and one TTL, or nothing is written: [`rewrite()`](super::rewrite()) makes other names and types.
///
/// - **Keyed state**: every key that one of them has; of one that several have, what `clash` says.
/// - **Lists of operator state**: the elements of the first, then those of the second, and so on. Subtask *i* gets
///   those of every subtask *j* of another parallelism with the same remainder.
/// - **Broadcast state**: its keys, as of keyed state; several may have one with the same value.
///
/// What had expired at its capture is not taken. A state with TTL was captured, by what is written, at the earliest
/// time of those that it comes from, so that nothing expires in it that they show.
///
/// What is in `target` already, interruptions and `progress` are as for [`write_savepoint`]. Memory: as there, the
/// indexes of the runs of one operator, and 1 MiB for each run of a subtask, snapshot and thread.
///
/// ```
/// # use esker::backend::heap::HeapBackends;
/// # use esker::processor::{Clash, merge};
/// # use esker::snapshot::{OpenSnapshot, SnapshotSettings, open_snapshot};
/// # use esker::{Result, Store, block_on};
/// # fn example(north: OpenSnapshot, south: OpenSnapshot) -> Result<()> {
/// let target = Store::open("/data/both")?;
/// let settings = SnapshotSettings::default();
/// let told = |entries| println!("{entries} more are durable");
/// let both = merge(vec![north, south], Clash::Refuse, &target, &settings, &told);
/// println!("{} entries", block_on(both)?.entries);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Invalid`, naming operator, state, key and namespace, for a key that several have, unless the later one wins, and
/// what was written is deleted then, as far as it can be; `Incompatible`, naming what, for operators or states that do
/// not go together; `Unsupported` for a native checkpoint; `Invalid` for no snapshots, one that is there twice, wrong settings, and a `target`
/// where one of them lies; `Corrupt` for what is missing or damaged; `Conflict` as for
/// [`write_savepoint`]; the stores'. What cannot be read of a snapshot is told with its number, the first being 1,
/// and with the whole path. No write is under way once it returns.
#[tracing::instrument(skip_all, fields(target = %target))]
pub async fn merge(
    snapshots: Vec<OpenSnapshot>,
    clash: Clash,
    target: &Store,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<WrittenSavepoint> {
    settings.check()?;
    let checked = snapshots.into_iter().enumerate().map(|(snapshot, opened)| {
        let origin = Origin { snapshot, store: opened.store.clone() };
        checked(opened, target).map_err(|error| match error.kind() {
            // Of the target.
            ErrorKind::Invalid => error,
            _ => origin.of(error),
        })
    });
    let snapshots = checked.collect::<Result<Vec<_>>>()?;
    let manifests: Vec<&Manifest> = snapshots.iter().map(|snapshot| &snapshot.manifest).collect();
    let Some(first) = manifests.first() else {
        return Err(Error::new(ErrorKind::Invalid, "there is no snapshot"));
    };
    for (number, manifest) in manifests.iter().enumerate() {
        if let Some(same) = manifests.iter().take(number).position(|other| other == manifest) {
            let message = format!(
                "snapshots {} and {} are the same: lists of operators would have each element twice",
                same + 1,
                number + 1,
            );
            return Err(Error::new(ErrorKind::Invalid, message));
        }
    }
    let operators = unite(&manifests)?.into_iter().map(|united| {
        let of = |error: Error| error.of(format_args!("operator={}", united.operator.uid));
        let subtasks = entries::sources(&united, &snapshots, clash).map_err(of)?;
        Ok(OperatorSources { operator: united.operator, subtasks })
    });
    let operators = operators.collect::<Result<Vec<_>>>()?;
    let manifest = Manifest { operators: Vec::new(), ..Manifest::clone(first) };
    write_savepoint(target, manifest, operators, settings, progress).await
}
