//! What holds for every part, whoever writes or reads it.

use super::{Part, RunRef};
use crate::run::{FOOTER_LEN_BYTES, HEADER_LEN_BYTES};
use crate::{FormatError, FormatErrorKind, KeyGroupRange, Result};

const ALL: KeyGroupRange = KeyGroupRange::ALL;
pub(super) const WHAT: &str = "part";

pub(super) fn check(part: &Part, kind: FormatErrorKind) -> Result<()> {
    let refuse = |message: String| Err(FormatError::new(kind, WHAT, message));
    for run in part.runs.iter().chain(&part.operator_run) {
        check_run(run).or_else(|message| refuse(format!("{message}: file={}", run.file)))?;
    }
    let complete = |run: &RunRef| run.range == ALL && run.base == [ALL];
    if let Some(run) = part.operator_run.as_ref().filter(|run| !complete(run)) {
        return refuse(format!("the run of operator state is not complete: file={}", run.file));
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
