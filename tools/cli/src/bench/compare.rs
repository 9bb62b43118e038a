//! An earlier run beside this one.

use super::report::{Checkpoints, with_all};
use super::result::{Checkpoint, Latency, Report, Run};
use crate::cmd::table;
use crate::page::units::{bytes, rate, seconds};
use serde_json::{Value, json};
use std::io::{self, Write};

/// How a figure is written.
type Unit = fn(f64) -> String;

/// One figure of both runs.
pub(super) struct Difference {
    pub(super) workload: String,
    pub(super) backend: String,
    pub(super) what: String,
    pub(super) old: String,
    pub(super) new: String,
    /// The new figure by the old one.
    pub(super) ratio: f64,
}

/// The figures that both reports have, in the order of the new one.
pub(super) fn differences(old: &Report, new: &Report) -> Vec<Difference> {
    let mut differences = Vec::new();
    for run in &new.runs {
        let is_same = |old: &&Run| (old.workload, &old.backend) == (run.workload, &run.backend);
        let Some(before) = old.runs.iter().find(is_same) else { continue };
        let before = figures(before);
        for (what, figure, unit) in figures(run) {
            let Some((_, earlier, _)) = before.iter().find(|(name, ..)| *name == what) else {
                continue;
            };
            differences.push(Difference {
                workload: run.workload.to_string(),
                backend: run.backend.clone(),
                what,
                old: unit(*earlier),
                new: unit(figure),
                // Nothing beside nothing is the same.
                ratio: if figure == *earlier { 1.0 } else { figure / earlier },
            });
        }
    }
    differences
}

/// What of a run is compared.
fn figures(run: &Run) -> Vec<(String, f64, Unit)> {
    let nanos: Unit = |nanos| seconds(nanos / 1e9);
    let mut figures: Vec<(String, f64, Unit)> =
        vec![("operations/s".into(), run.operations_per_second, rate)];
    for (call, phases) in with_all(run) {
        for (phase, latency) in [("", &phases.quiet), (" in checkpoint", &phases.checkpoint)] {
            let Some(Latency { p50_ns, p99_ns, p999_ns, .. }) = latency else { continue };
            for (name, figure) in [("p50", p50_ns), ("p99", p99_ns), ("p99.9", p999_ns)] {
                figures.push((format!("{call} {name}{phase}"), *figure as f64, nanos));
            }
        }
    }
    let checkpoints = Checkpoints::of(run);
    figures.push(("capture, longest".into(), checkpoints.capture_max(), seconds));
    let total = |checkpoint: &Checkpoint| checkpoint.total_seconds;
    let written = |checkpoint: &Checkpoint| checkpoint.written_bytes as f64;
    let optional: [(&str, Option<f64>, Unit); 6] = [
        ("first checkpoint, time", checkpoints.first.map(total), seconds),
        ("first checkpoint, bytes", checkpoints.first.map(written), bytes),
        ("later checkpoints, time", checkpoints.later(total), seconds),
        ("later checkpoints, bytes", checkpoints.later(written), bytes),
        ("peak memory", run.memory.as_ref().map(|memory| memory.peak_bytes as f64), bytes),
        ("local disk", run.local_bytes.map(|local| local as f64), bytes),
    ];
    for (name, figure, unit) in optional {
        figures.extend(figure.map(|figure| (name.to_owned(), figure, unit)));
    }
    figures.push(("restore".into(), run.restore.seconds, seconds));
    figures
}

/// In what the two were not measured alike: settings, machine, version.
pub(super) fn unlike(old: &Report, new: &Report) -> Vec<String> {
    let settings = |report: &Report| serde_json::to_value(&report.settings);
    let machine = |report: &Report| serde_json::to_value(&report.machine);
    let esker = |report: &Report| json!({ "esker": report.esker });
    let pairs = [
        ("setting ", settings(old), settings(new)),
        ("", machine(old), machine(new)),
        ("", Ok(esker(old)), Ok(esker(new))),
    ];
    let mut unlike = Vec::new();
    for (kind, old, new) in pairs {
        let (Ok(Value::Object(old)), Ok(Value::Object(new))) = (old, new) else { continue };
        for (name, value) in &new {
            let before = old.get(name).unwrap_or(&Value::Null);
            // Those differ from run to run, and say nothing of the figures.
            if before != value && !["began", "timerNs"].contains(&name.as_str()) {
                unlike.push(format!("{kind}{name}: {before}, now {value}"));
            }
        }
    }
    unlike
}

/// The differences as a table.
pub(super) fn text(out: &mut impl Write, old: &Report, new: &Report) -> io::Result<()> {
    writeln!(out, "\nbeside the run of {}", old.machine.began)?;
    for line in unlike(old, new) {
        writeln!(out, "NOT ALIKE  {line}")?;
    }
    let differences = differences(old, new);
    if differences.is_empty() {
        return writeln!(out, "no workload and backend are in both");
    }
    let mut shown = table(&["workload", "backend", "figure", "old", "new", "new / old"], 3);
    for Difference { workload, backend, what, old, new, ratio } in differences {
        shown.add_row([workload, backend, what, old, new, format!("{ratio:.2}")]);
    }
    writeln!(out, "{shown}")
}
