//! Rows `heap.flink.*` and `rocksdb.flink.*`, and those of snapshots and restores beside Flink: the same questions, asked of
//! a real Flink by a lab (`--flink-lab`) and of esker by the lab's recipe, one group after the other.
//!
//! Keys are 0 to n - 1 in the lab's order, values its 2^20 numbers; warm-up, rounds and chunks are the
//! lab's too. Skipped by name where there is no lab or no Java. Rows `flink.*` need no such lab: see `read`.

mod lab;
mod read;
#[cfg(feature = "rocksdb")]
mod rocks;
mod snapshots;
mod states;

use crate::report::{Question, Report};
use lab::Lab;
use std::path::Path;

/// Questions about one state: its name, how many keys it has, and what is asked of it.
struct Group {
    state: &'static str,
    keys: usize,
    size: &'static str,
    operations: &'static [&'static str],
}

const GROUPS: [Group; 4] = [
    Group {
        state: "value",
        keys: 500_000,
        size: "500k",
        operations: &["get", "update", "rmw", "add"],
    },
    Group { state: "value", keys: 10_000_000, size: "10m", operations: &["get", "update", "rmw"] },
    Group { state: "list", keys: 500_000, size: "500k", operations: &["get", "append", "get10"] },
    Group { state: "map", keys: 500_000, size: "500k", operations: &crate::heap::map::OPERATIONS },
];

/// What esker is to be ahead by: writes, reads of 500,000 keys, reads of 10,000,000.
fn target(group: &Group, operation: &str) -> f64 {
    match (operation, group.size) {
        ("get" | "get10" | "contains-miss" | "iterate", "500k") => 3.0,
        ("get", _) => 2.2,
        _ => 5.0,
    }
}

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report, folder: Option<&Path>) -> Result<(), String> {
    read::run(report)?;
    let lab = Lab::at(folder);
    let heap = Side { name: "heap", target, ask: states::ask };
    for group in &GROUPS {
        states(report, &lab, (&heap, group))?;
    }
    #[cfg(feature = "rocksdb")]
    for group in &GROUPS {
        let side = Side { name: "rocksdb", target: rocks::target, ask: rocks::ask };
        states(report, &lab, (&side, group))?;
    }
    snapshots::run(report, &lab)
}

/// A backend, of esker and of Flink.
struct Side {
    name: &'static str,
    /// What esker is to be ahead by.
    target: fn(&Group, &str) -> f64,
    ask: Ask,
}

/// Asks for the nanoseconds of each operation of a group; a round lasts so many seconds.
type Ask = fn(&Group, &[&str], f64) -> Answers;
type Answers = Result<Vec<f64>, String>;

fn states(
    report: &mut Report,
    lab: &Result<Lab, String>,
    (side, group): (&Side, &Group),
) -> Result<(), String> {
    let target = side.target;
    let name = |operation: &str| format!("{}.{operation}.{}", group.state, group.size);
    let row = |operation: &str| format!("{}.flink.{}", side.name, name(operation));
    let question = |operation: &str| format!("{}.{}", side.name, name(operation));
    let mut operations = group.operations.to_vec();
    operations.retain(|operation| report.selects(&row(operation)));
    if operations.is_empty() {
        return Ok(());
    }
    let lab = match lab {
        Ok(lab) => lab,
        Err(why) => {
            for operation in operations {
                let target = target(group, operation);
                report.skip(Question::speed(&row(operation), target, group.keys, 0), why);
            }
            return Ok(());
        }
    };
    let asked = operations.iter().map(|operation| question(operation)).collect();
    let flink = lab.ask(asked, report.quick())?;
    let second = if report.quick() { 0.1 } else { 1.0 };
    for (operation, ns) in operations.iter().zip((side.ask)(group, &operations, second)?) {
        let peer = flink.figure(&question(operation), "ops_per_s")?;
        let (row, target) = (row(operation), target(group, operation));
        let question = Question::speed(&row, target, group.keys, states::ROUNDS);
        report.versus(question, 1e9 / ns, peer, flink.system());
    }
    Ok(())
}
