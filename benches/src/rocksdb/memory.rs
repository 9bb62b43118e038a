//! Row `rocksdb.memory`: resident bytes while state grows to ten times the budget, in a process of its
//! own.

use super::side::{Side, text};
use crate::heap::memory::in_process;
use crate::keys;
use crate::machine::resident_bytes;
use crate::report::{Question, Report};
use esker::backend::ValueCalls;
use esker::state::ValueDescriptor;
use esker_format::Bincode;

const TIMES: usize = 10;
/// Values are random bytes, which do not compress.
const VALUE_LEN_BYTES: usize = 100;
/// Key, value and the value's length.
const ENTRY_LEN_BYTES: usize = 14 + VALUE_LEN_BYTES + 1;
const MIB: usize = 1 << 20;
/// How many writes are between two looks at memory, with as many reads of what is there.
const STEP: u64 = 20_000;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "rocksdb.memory";
    if !report.wants(name) {
        return Ok(());
    }
    let budget_mib = if report.quick() { 64 } else { 256 };
    let peak = in_process("--rocksdb-peak", &budget_mib.to_string())?;
    let entries = TIMES * budget_mib * MIB / ENTRY_LEN_BYTES;
    let question = Question::less(name, "MiB", 1.25, entries, 1);
    report.limit(question, peak / MIB as f64, budget_mib as f64);
    Ok(())
}

/// Grows a state to ten times a budget of so many MiB, with reads of any part of it on the way; the
/// most resident bytes that there were, above what the process had before.
pub(crate) fn peak(budget_mib: &str) -> Result<f64, String> {
    let budget_mib: usize = budget_mib.parse().map_err(text)?;
    let before = resident_bytes()?;
    let descriptor = ValueDescriptor::<u64, Vec<u64>>::with_codec("value", Bincode);
    let mut side = Side::within(budget_mib * MIB, descriptor, None)?;
    let state = side.state()?;
    let entries = (TIMES * budget_mib * MIB / ENTRY_LEN_BYTES) as u64;
    let mut peak = 0;
    for number in 0..entries {
        let key = keys::mixed(number);
        let value = (0..VALUE_LEN_BYTES as u64 / 9).map(|n| keys::mixed(key ^ n)).collect();
        state.update(&key, &(), value).map_err(text)?;
        let other = keys::mixed(keys::mixed(number) % (number + 1));
        state.get_with(&other, &(), |value| value.map(Vec::len)).map_err(text)?;
        if number % STEP == 0 {
            peak = resident_bytes()?.saturating_sub(before).max(peak);
        }
    }
    Ok(resident_bytes()?.saturating_sub(before).max(peak) as f64)
}
