//! Resident bytes per entry, each table in a process of its own.

use super::{PEER, Peer, state, update};
use crate::keys;
use crate::machine::resident_bytes;
use crate::report::{Better, Question, Report};
use crate::undo::UndoTable;
use esker_format::KeyGroupRange;
use std::process::Command;

const ENTRIES: usize = 10_000_000;

pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    if !report.wants("heap.memory.10m") {
        return Ok(());
    }
    let peer = in_process("--resident", "hashbrown")?;
    for (name, what, target) in
        [("heap.memory.10m", "esker", 1.15), ("heap.memory.10m.touched", "touched", 2.2)]
    {
        let question = Question {
            name,
            unit: "B/entry",
            better: Better::Lower,
            target,
            entries: ENTRIES,
            rounds: 1,
        };
        report.versus(question, in_process("--resident", what)?, peer, PEER);
    }
    Ok(())
}

/// The number that this program prints when it is started as `option what`.
pub(crate) fn in_process(option: &str, what: &str) -> Result<f64, String> {
    let exe = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(exe).args([option, what]).output();
    let output = output.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("{option} {what} failed: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Builds one table and says how many resident bytes per entry it took: `esker`, `hashbrown`,
/// `undo` (the other candidate), or `touched`, with every page changed while a capture is live.
pub(crate) fn resident(what: &str) -> Result<f64, String> {
    // Keys are computed on the way: no array of them is in memory.
    let each = |f: &mut dyn FnMut(u64)| (0..ENTRIES as u64).for_each(|i| f(keys::mixed(i)));
    let mut table = state(KeyGroupRange::ALL)?;
    let mut peer = Peer::default();
    let mut undo = UndoTable::new(KeyGroupRange::ALL);
    let before = resident_bytes()?;
    let mut capture = None;
    match what {
        "hashbrown" => each(&mut |key| _ = peer.insert(key, 1)),
        "esker" => each(&mut |key| _ = update(&mut table, &[key], 1)),
        "touched" => {
            each(&mut |key| _ = update(&mut table, &[key], 1));
            capture = Some(table.capture());
            each(&mut |key| _ = update(&mut table, &[key], 2));
        }
        "undo" => each(&mut |key| _ = undo.update(key, 1)),
        _ => return Err(format!("no table is called {what:?}")),
    }
    let bytes = resident_bytes()?.saturating_sub(before) as f64 / ENTRIES as f64;
    drop((table, peer, undo, capture));
    Ok(bytes)
}
