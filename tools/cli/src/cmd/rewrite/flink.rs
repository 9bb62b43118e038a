//! A snapshot of Flink's, changed by a plan.

use super::report::{Done, Step};
use super::{Args, open_store};
use crate::cmd::counted;
use crate::snapshot::Harm;
use esker::flink::FlinkSnapshot;
use esker::processor::{
    FlinkRewritten, RewritePlan, flink_manifest, rehearse_flink, rewrite_flink,
};
use esker::{Error, block_on};

/// What was done, or all that is wrong; `steps` is filled once it is known what they are about.
pub(super) fn done(
    args: &Args,
    snapshot: &FlinkSnapshot,
    steps: &mut Vec<Step>,
) -> Result<Done, Vec<Harm>> {
    let failed = |error: Error| vec![Harm::of(&error)];
    let of_target = |error: Error| vec![Harm::of_target(&error)];
    let manifest = flink_manifest(snapshot).map_err(failed)?;
    let mut plan: RewritePlan = args.steps.plan(&manifest).map_err(failed)?;
    plan.now_ms = args.now.or(plan.now_ms);
    let checkpoint = snapshot.metadata().checkpoint_id.unsigned_abs();
    if args.dry_run {
        let left = rehearse_flink(snapshot, &plan).map_err(of_target)?;
        *steps = Step::of_flink(&plan, &manifest, &left);
        return Ok(Done::of_flink(checkpoint, None));
    }
    let target = open_store(&args.target).map_err(failed)?;
    let bar = counted("entries");
    let done = block_on(rewrite_flink(snapshot, &plan, &target, &|entries| bar.inc(entries)));
    bar.finish_and_clear();
    let FlinkRewritten { written, left } = done.map_err(of_target)?;
    *steps = Step::of_flink(&plan, &manifest, &left);
    Ok(Done::of_flink(checkpoint, Some((written.written, written.present))))
}
