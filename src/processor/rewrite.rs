//! A snapshot changed by a plan, in a folder where it stands alone.

mod changes;
mod check;
mod data;
#[cfg(feature = "expressions")]
mod expression;
mod fields;
mod flink;
mod names;
#[cfg(not(feature = "expressions"))]
mod no_expression;
#[cfg(feature = "expressions")]
mod plain;
mod plan;
mod rekey;
mod split;
mod step;
mod steps;
#[cfg(feature = "expressions")]
mod syntax;

pub use flink::{FlinkRewritten, FlinkStateLeft, flink_manifest, rehearse_flink, rewrite_flink};
pub use plan::{OperatorPlan, RewritePlan, StatePlan};
pub use split::{OperatorSplit, SplitPlan, split};
pub use step::{AddFieldStep, EntryStep, RekeyStep, SetStep, TtlStep, Winner};

pub(super) use fields::{Fields, Reader, Uses, expired_until_ms, place_of, time};

use changes::{StateChange, changes, retype};
use data::{AllChanges, Made};
use split::Shares;

use super::Transport;
use super::bring::{Brought, bring};
use super::copy::{checked, whole};
use super::plan::Plan;
use crate::snapshot::{Count, OpenSnapshot, SnapshotSettings};
use crate::{Error, ErrorKind, Result, Store};
use esker_format::manifest::Manifest;
use serde::de::DeserializeOwned;

fn invalid<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(ErrorKind::Invalid, message))
}

/// What a TOML document says; errors begin with `what` it is.
fn from_toml<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    toml::from_str(text)
        .or_else(|error| invalid(format!("{what}: {}", error.to_string().trim_end())))
}

/// What [`rewrite()`] did; files are manifest, parts, runs and files of databases.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The manifest of the result: that of a savepoint.
    pub manifest: Manifest,
    /// The files that were linked, or copied by their store: their length was looked at, and nothing
    /// else of them.
    pub linked: Count,
    /// The files that this call wrote.
    pub written: Count,
    /// The files that were there already.
    pub present: Count,
    /// What is left of each state whose entries were looked at.
    pub left: Vec<StateLeft>,
}

/// How much a plan leaves of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLeft {
    /// The operator, by its uid in the source.
    pub operator: String,
    /// The state, by its name in the source.
    pub state: String,
    /// How many values, list elements, map entries, timers or elements are left.
    pub entries: u64,
    /// The bytes of their keys and values, before compression.
    pub len_bytes: u64,
}

impl StateLeft {
    fn of(change: &StateChange, (entries, len_bytes): (u64, u64)) -> Self {
        let (operator, state) = (change.operator.clone(), change.state.clone());
        Self { operator, state, entries, len_bytes }
    }
}

/// What [`rehearse`] found that [`rewrite()`] would do.
#[derive(Debug, Clone)]
pub struct Rehearsed {
    /// The operators and states of the result; its parts have no names yet.
    pub manifest: Manifest,
    /// The files that it would consist of, if none of them would be written anew.
    pub files: Option<Count>,
    /// What would be left of each state whose entries would be looked at.
    pub left: Vec<StateLeft>,
}

/// Makes at the root of `target` what `plan` makes of `snapshot`: a savepoint, whatever the snapshot
/// is. The source is not changed.
///
/// Names stand in the manifest alone, so that no plan of renames and drops reads data: runs and
/// databases come as they are, by `transport`. What a dropped state had in a run that others share stays
/// there; the manifest keeps its id as [dropped](esker_format::manifest::Operator::dropped), readers
/// pass over it, and no other state gets it. The files of a dropped operator are not part of the
/// result. States of a native checkpoint are renamed and dropped alike.
///
/// With [`Transport::Link`] a file of the source on the same disk gets a further name in `target`, and the
/// source may be deleted afterwards. Its bytes are not read: what is damaged in the source is
/// damaged in both, and `esker verify` finds it there; [`Transport::Copy`] checks every file.
///
/// Filters and [steps](EntryStep) look at entries: all runs of an operator with one are read, and written
/// anew for the same subtasks, on [`threads`](SnapshotSettings::threads) threads; those of other operators come
/// as above. What had expired at the capture is not left in a state with one. First come all filters, which
/// see an entry as the source has it; then the steps of its state in their order, each of which sees what
/// those before it made, in types too. A list that has no elements any more goes. Memory: as
/// [`write_savepoint`](super::write_savepoint) says, and 1 MiB for each run of a subtask and thread. State that gets
/// [other keys](RekeyStep) is sorted first, by one thread, in files of about its size in the system's temporary folder,
/// with 48 MiB of it in memory.
///
/// All that [`copy()`](super::copy()) says of files that are there already, of interruptions, of
/// `progress` and memory holds here too. Cost of links: the parts, and a look-up and a link for each file.
///
/// # Errors
/// Those of [`RewritePlan::check`] and of [`copy()`](super::copy()). Nothing is written before the plan
/// is found to fit. `Unsupported` for a filter or step of a native checkpoint's state; `Invalid` for one that
/// cannot be evaluated for an entry, or gives what does not fit its type, naming operator, state, key, step,
/// what was expected and what came: there is no snapshot in `target` then. A call that fails
/// at an entry, or finds files in `target` that are of something else, deletes the runs that it put
/// there, as far as it can, so that another plan can follow; after one that failed later, or died, the same
/// plan goes on with what is there, and another one takes another folder.
#[tracing::instrument(skip_all, fields(checkpoint = snapshot.manifest.checkpoint, target = %target))]
pub async fn rewrite(
    snapshot: OpenSnapshot,
    plan: &RewritePlan,
    target: &Store,
    transport: Transport,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Rewritten> {
    settings.check()?;
    let snapshot = checked(snapshot, target)?;
    plan.check(&snapshot.manifest)?;
    let changes = changes(plan, &snapshot.manifest, &Shares::default())?;
    changed(snapshot, plan, &changes, target, transport, settings, progress).await
}

/// Carries out a plan that fits `snapshot`, and `changes`, which are those of its entries.
async fn changed(
    snapshot: OpenSnapshot,
    plan: &RewritePlan,
    changes: &AllChanges,
    target: &Store,
    transport: Transport,
    settings: &SnapshotSettings,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Rewritten> {
    let mut snapshot = names::renamed(snapshot, plan);
    data::check_runs(&snapshot, changes)?;
    retype(&mut snapshot.manifest, changes);
    let made = match changes.is_empty() {
        true => Made::default(),
        false => data::write(&mut snapshot, changes, target, settings, progress).await?,
    };
    let mut files = Plan::of(&snapshot)?;
    // They are there.
    files.files.retain(|name, _| !made.names.contains(name));
    let brought = bring((&snapshot.store, target), &files, transport, settings, progress).await;
    if brought.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
        made.take_back(target).await;
    }
    let Brought { manifest, linked, mut copied, mut present } = brought?;
    let (written, there) = made.counts();
    copied.add_all(written);
    present.add_all(there);
    Ok(Rewritten { manifest, linked, written: copied, present, left: made.left })
}

/// What [`rewrite()`] would do, without a target; nothing is written. Where entries are to be looked at, all
/// of them are read, by one thread.
///
/// # Errors
/// Those of [`RewritePlan::check`], of expressions and of the store; `Corrupt` for what is missing or damaged.
pub async fn rehearse(snapshot: OpenSnapshot, plan: &RewritePlan) -> Result<Rehearsed> {
    let snapshot = whole(snapshot)?;
    plan.check(&snapshot.manifest)?;
    let changes = changes(plan, &snapshot.manifest, &Shares::default())?;
    let mut snapshot = names::renamed(snapshot, plan);
    data::check_runs(&snapshot, &changes)?;
    retype(&mut snapshot.manifest, &changes);
    let files = Plan::of(&snapshot)?;
    let left = data::count(&snapshot, &changes).await?;
    let count = changes.is_empty().then(|| files.count());
    Ok(Rehearsed { manifest: files.encoded.manifest, files: count, left })
}
