//! Snapshots of Flink's, changed by a plan: a canonical savepoint comes of it.

mod counts;
mod entries;
mod entry;
mod operator;

pub use counts::FlinkStateLeft;

use super::changes::changes;
use super::split::Shares;
use super::step::EntryStep;
use super::{RewritePlan, invalid};
use crate::flink::save::Writer;
use crate::flink::{FlinkSnapshot, FlinkWritten};
use crate::format::manifest::Manifest;
use crate::{Error, ErrorKind, Result, Store};
use entries::Prepared;
use operator::{OperatorRewrite, described};

/// What [`rewrite_flink`] did.
#[derive(Debug, Clone)]
pub struct FlinkRewritten {
    /// The savepoint.
    pub written: FlinkWritten,
    /// What is left of each state of the operators that were not dropped.
    pub left: Vec<FlinkStateLeft>,
}

/// Makes at the root of `target` what `plan` makes of a snapshot of Flink's, of any kind and backend: a canonical savepoint, which Flink
/// restores into any backend, its metadata of the version that all from 1.14 to 2.3 read. The source is not changed.
///
/// Names in the plan are those of the source: uids where the metadata or [`FlinkOptions::uids`](crate::flink::FlinkOptions::uids) tell
/// them, else ids in hexadecimal. A new uid gives the operator the id that Flink makes of it. Filters and [`EntryStep::Set`] go by
/// values as canonical lines have them; what a type of Flink's decides alone cannot be changed: no fields, TTL or codecs. Serializer
/// snapshots stay as they are, byte for byte, and so does every entry that no step changes, those among them that nobody can read
/// without the job's classes. [`max_parallelism`](RewritePlan::max_parallelism) takes the hash of every key, which for keys of some
/// classes (POJOs, enums) their code decides: they are refused by name.
///
/// Entries in order of key groups, as canonical and heap state is, come as they are read, and others are sorted first, in files of about their
/// size in the system's temporary folder. Memory: about 64 MiB. `progress` is told of entries.
///
/// # Errors
/// `Invalid` for a plan that does not fit, before anything is written, and for an expression that cannot be evaluated for an entry, or
/// gives what does not fit, naming it; `Incompatible` for keys without a hash, values that cannot be read and are to be, and subtasks whose serializers differ;
/// `Unsupported` for records in flight, of which a savepoint has none; `Corrupt` for what is damaged; `Conflict` if something else is
/// in `target`; the stores'. What was put until then is deleted, as far as it can be.
#[tracing::instrument(skip_all, fields(snapshot = snapshot.path(), target = %target))]
pub async fn rewrite_flink(
    snapshot: &FlinkSnapshot,
    plan: &RewritePlan,
    target: &Store,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<FlinkRewritten> {
    let operators = planned(snapshot, plan)?;
    let metadata = snapshot.metadata();
    let masters = metadata.master_states.clone();
    let mut writer = Writer::new(target, metadata.checkpoint_id, masters).await?;
    let mut left = Vec::new();
    for operator in &operators {
        match write_operator(&mut writer, operator, progress).await {
            Ok(()) => left.extend(operator.left()),
            Err(error) => {
                writer.take_back().await;
                return Err(error);
            }
        }
    }
    Ok(FlinkRewritten { written: writer.finish().await?, left })
}

async fn write_operator(
    writer: &mut Writer<'_>,
    operator: &OperatorRewrite<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let entries = Prepared::new(operator)?;
    writer.operator(operator.new_operator(&entries)?, progress).await
}

/// The operators and states of `snapshot` as a manifest of esker's would name them, by which a plan is made; without parts.
///
/// # Errors
/// `Incompatible` if subtasks have other serializers for one state; `Corrupt` and the stores' for headers that cannot be read.
pub fn flink_manifest(snapshot: &FlinkSnapshot) -> Result<Manifest> {
    described(snapshot).map(|(manifest, _)| manifest)
}

/// What [`rewrite_flink`] would leave of each state, without a target; nothing is written, and all entries are read.
///
/// # Errors
/// Those of [`rewrite_flink`] but for the target's.
pub fn rehearse_flink(snapshot: &FlinkSnapshot, plan: &RewritePlan) -> Result<Vec<FlinkStateLeft>> {
    let mut left = Vec::new();
    for operator in planned(snapshot, plan)? {
        operator.count()?;
        left.extend(operator.left());
    }
    Ok(left)
}

/// The operators that are left, and what is done to each: all that can be told without their entries.
fn planned<'s>(
    snapshot: &'s FlinkSnapshot,
    plan: &RewritePlan,
) -> Result<Vec<OperatorRewrite<'s>>> {
    let (manifest, layouts) = described(snapshot)?;
    plan.check_steps(&manifest)?;
    check_kinds(plan)?;
    let changes = changes(plan, &manifest, &Shares::default())?;
    let mut operators = Vec::new();
    for (operator, layout) in snapshot.operators().iter().zip(layouts) {
        let nothing = Default::default();
        let of_operator = plan.operator.get(&operator.label).unwrap_or(&nothing);
        if of_operator.drop {
            continue;
        }
        let of = |error: Error| error.of(format_args!("operator={}", operator.label));
        let uid = of_operator.rename.as_ref().unwrap_or(&operator.label);
        let changes = changes.get(uid);
        let new = OperatorRewrite::new(snapshot, operator, layout, (plan, of_operator), changes);
        operators.push(new.map_err(of)?);
    }
    Ok(operators)
}

/// That the plan asks for nothing that is of esker's own snapshots.
fn check_kinds(plan: &RewritePlan) -> Result<()> {
    for (uid, operator) in &plan.operator {
        let of = |error: Error| error.of(format_args!("operator={uid}"));
        if operator.rekey.is_some() {
            return invalid("rekey is for snapshots of esker's: convert it first").map_err(of);
        }
        for (name, state) in &operator.state {
            let fits = |step: &&EntryStep| matches!(step, EntryStep::Set(_) | EntryStep::Filter(_));
            if let Some(step) = state.steps.iter().find(|step| !fits(step)) {
                let message = format!(
                    "step {}: types, TTL and serializers of Flink's stay as they are: convert it first",
                    step.name()
                );
                let error =
                    Error::new(ErrorKind::Invalid, message).of(format_args!("state={name}"));
                return Err(of(error));
            }
        }
    }
    Ok(())
}

#[cfg(all(test, feature = "expressions"))]
mod tests;
