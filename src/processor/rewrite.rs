//! A snapshot changed by a plan, in a folder where it stands alone.

mod check;
mod names;
mod plan;

pub use plan::{OperatorPlan, RewritePlan, StatePlan};

use super::bring::{Brought, bring};
use super::plan::Plan;
use super::{Transport, copy::checked};
use crate::snapshot::{Count, OpenSnapshot, SnapshotSettings};
use crate::{Result, Store};
use esker_format::manifest::Manifest;

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
}

/// What [`rehearse`] found that [`rewrite()`] would do.
#[derive(Debug, Clone)]
pub struct Rehearsed {
    /// The operators and states of the result; its parts have no names yet.
    pub manifest: Manifest,
    /// The files that it would consist of.
    pub files: Count,
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
/// All that [`copy()`](super::copy()) says of files that are there already, of interruptions, of
/// `progress` and memory holds here too. Cost of links: the parts, and a look-up and a link for each file.
///
/// # Errors
/// Those of [`RewritePlan::check`] and of [`copy()`](super::copy()). Nothing is written before the plan
/// is found to fit.
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
    let snapshot = names::renamed(snapshot, plan);
    let files = Plan::of(&snapshot)?;
    let Brought { manifest, linked, copied: written, present } =
        bring((&snapshot.store, target), &files, transport, settings, progress).await?;
    Ok(Rewritten { manifest, linked, written, present })
}

/// What [`rewrite()`] would do, without a target; nothing is written.
///
/// # Errors
/// Those of [`RewritePlan::check`]; `Corrupt` if a part is missing or damaged.
pub fn rehearse(snapshot: OpenSnapshot, plan: &RewritePlan) -> Result<Rehearsed> {
    let snapshot = super::copy::whole(snapshot)?;
    plan.check(&snapshot.manifest)?;
    let files = Plan::of(&names::renamed(snapshot, plan))?;
    Ok(Rehearsed { files: files.count(), manifest: files.encoded.manifest })
}
