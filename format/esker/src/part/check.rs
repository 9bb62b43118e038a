//! What holds for every part, whoever writes or reads it.

use super::{Part, RunRef, native};
use crate::run::{FOOTER_LEN_BYTES, HEADER_LEN_BYTES};
use crate::{FormatError, FormatErrorKind, KeyGroupRange, Result};

const ALL: KeyGroupRange = KeyGroupRange::ALL;
pub(super) const WHAT: &str = "part";
/// No part names more runs of keyed state; whoever finds out where each counts compares them all.
pub const RUNS_MAX: usize = 4096;
/// No part has more ranges in the bases of all its runs.
pub const BASE_RANGES_MAX: usize = 1 << 16;

pub(super) fn check(part: &Part, kind: FormatErrorKind) -> Result<()> {
    let refuse = |message: String| Err(FormatError::new(kind, WHAT, message));
    if part.runs.len() > RUNS_MAX {
        let runs = part.runs.len();
        return refuse(format!("{runs} runs, the limit is {RUNS_MAX}: larger files are fewer"));
    }
    let base_ranges: usize = part.runs.iter().map(|run| run.base.len()).sum();
    if base_ranges > BASE_RANGES_MAX {
        return refuse(format!("{base_ranges} ranges of bases, the limit is {BASE_RANGES_MAX}"));
    }
    for run in part.runs.iter().chain(&part.operator_run) {
        check_run(run).or_else(|message| refuse(format!("{message}: file={}", run.file)))?;
    }
    let complete = |run: &RunRef| run.range == ALL && run.base == [ALL];
    if let Some(run) = part.operator_run.as_ref().filter(|run| !complete(run)) {
        return refuse(format!("the run of operator state is not complete: file={}", run.file));
    }
    if let Some(found) = &part.native {
        if !part.runs.is_empty() {
            return refuse("runs of keyed state beside the files of a database".to_owned());
        }
        native::check(found, kind)?;
    }
    for (before, state) in part.states.iter().zip(part.states.iter().skip(1)) {
        if before.id >= state.id {
            return refuse(format!("state ids do not ascend: id={}", state.id));
        }
    }
    if let Some(state) = part.states.iter().find(|state| !state.stats.largest_fit()) {
        return refuse(format!(
            "largest entries of a state are not in their form: id={}",
            state.id
        ));
    }
    Ok(())
}

fn check_run(run: &RunRef) -> std::result::Result<(), String> {
    let index = run.index;
    let end = index.offset.checked_add(index.len_bytes);
    let end = end.and_then(|end| end.checked_add(FOOTER_LEN_BYTES as u64));
    if index.offset < HEADER_LEN_BYTES as u64 || end != Some(run.len_bytes) {
        return Err("the index does not lie before the footer".to_owned());
    }
    let mut free = u32::from(run.range.first());
    for base in &run.base {
        let (first, last) = (base.first(), base.last());
        if u32::from(first) < free || last > run.range.last() {
            return Err(format!(
                "bases overlap, touch, or leave the run's range: base={first}-{last}"
            ));
        }
        free = u32::from(last) + 2;
    }
    Ok(())
}
