//! Snapshots as the tool's arguments name them, and what they hold.

mod at_once;
mod check;
mod check_run;
mod count;
mod fallback;
mod find;
mod harm;
mod lines;
mod native;
mod sizes;
mod walk;

pub(crate) use check::{Checked, Checker, Depth};
pub(crate) use fallback::Pick;
pub(crate) use find::{
    Found, SnapshotAt, find, find_flink, find_job, find_jobs, find_snapshot, is_flink_in,
    is_snapshot, local, open_store, roots,
};
pub(crate) use harm::{Harm, LostState};
pub(crate) use lines::{Filter, each_line, part_harms};
pub(crate) use native::Entries;
pub(crate) use sizes::{OperatorSizes, StateSizes, Type, index_stats, sizes};

use esker::Error;

/// All canonical lines of the snapshot at `url`, in snapshot order; what is expired is left out.
/// Memory: all of them; [`each_line`] is for snapshots of any size.
///
/// # Errors
/// The store's, `Invalid` if there is no snapshot there, and the first damage found.
#[allow(dead_code, reason = "the demo's")]
pub(crate) fn lines(url: &str) -> Result<Vec<String>, Error> {
    let at = find_snapshot(url, None)?;
    let mut snapshot = at.open()?;
    if !snapshot.damage.is_empty() {
        return Err(snapshot.damage.swap_remove(0).error);
    }
    let mut lines = Vec::new();
    let mut keep = |line: &str| {
        lines.push(line.to_owned());
        Ok(())
    };
    let harms = each_line(&snapshot, &Filter::default(), &mut |_| {}, &mut keep)?;
    match harms.first() {
        Some(harm) => Err(harm.to_error()),
        None => Ok(lines),
    }
}
