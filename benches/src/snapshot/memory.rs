//! Row `snapshot.memory`: what writing a snapshot takes beside the state, in a process of its own.

use super::subtask::Subtask;
use crate::heap::memory::in_process;
use crate::keys;
use crate::machine::resident_bytes;
use crate::report::{Question, Report};
use esker::Store;
use esker_format::KeyGroupRange;

const ENTRIES: usize = 10_000_000;

pub(super) fn run(report: &mut Report) -> Result<(), String> {
    let name = "snapshot.memory";
    if report.wants(name) {
        let rounds = report.rounds(3);
        let peaks = (0..rounds).map(|_| in_process("--peak", "part"));
        let part = peaks.collect::<Result<Vec<_>, _>>()?.into_iter().fold(0.0, f64::max);
        report.limit(Question::less(name, "of state", 1.0, ENTRIES, rounds), part, 0.1);
    }
    Ok(())
}

/// The peak of resident memory, above what there was before: `part`, while 10,000,000 entries are
/// captured and written to local disk, as a part of the state; or the path of a manifest, while that
/// snapshot is opened, in bytes.
pub(crate) fn peak(what: &str) -> Result<f64, String> {
    if what != "part" {
        let start = high_water_bytes()?;
        super::metadata::opened(what)?;
        return Ok(high_water_bytes()?.saturating_sub(start) as f64);
    }
    let before = resident_bytes()?;
    let mut subtask = Subtask::new(KeyGroupRange::ALL, &[])?;
    for number in 0..ENTRIES as u64 {
        let _ = subtask.state.update(&keys::mixed(number), &(), number);
    }
    let held = resident_bytes()?.saturating_sub(before);
    let folder = std::env::temp_dir().join(format!("esker-peak-{}", std::process::id()));
    subtask.store = Store::open(&folder.to_string_lossy()).map_err(|e| e.to_string())?;
    // The high-water mark starts again from here.
    std::fs::write("/proc/self/clear_refs", "5").map_err(|e| e.to_string())?;
    let start = high_water_bytes()?;
    subtask.checkpoint()?;
    let peak = high_water_bytes()?.saturating_sub(start);
    drop(std::fs::remove_dir_all(&folder));
    Ok(peak as f64 / held.max(1) as f64)
}

fn high_water_bytes() -> Result<u64, String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| "no VmHWM in /proc/self/status".to_owned())
}
