//! What was measured, for people: tables, and a page with plots.

mod page;
mod plot;

pub(super) use page::html;

use super::result::{Call, Checkpoint, Latency, Phases, Report, Run};
use super::settings::{Interval, Length, Settings, WorkloadName};
use crate::cmd::table;
use crate::page::units::{bytes, count, nanos, rate, seconds};
use std::io::{self, Write};

/// What of the checkpoints of a run is shown.
pub(super) struct Checkpoints<'a> {
    /// The first one, which is full.
    pub(super) first: Option<&'a Checkpoint>,
    /// Those after it with calls beside them.
    later: Vec<&'a Checkpoint>,
    all: &'a [Checkpoint],
}

impl<'a> Checkpoints<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
        let all = &run.checkpoints;
        let later = all.iter().skip(1).filter(|checkpoint| checkpoint.busy).collect();
        Self { first: all.first(), later, all }
    }

    /// The mean over those after the first; none if there are none.
    pub(super) fn later(&self, of: impl Fn(&Checkpoint) -> f64) -> Option<f64> {
        let sum: f64 = self.later.iter().map(|checkpoint| of(checkpoint)).sum();
        (!self.later.is_empty()).then(|| sum / self.later.len() as f64)
    }

    /// The longest that calls stood still, in seconds.
    pub(super) fn capture_max(&self) -> f64 {
        self.all.iter().map(|checkpoint| checkpoint.capture_seconds).fold(0.0, f64::max)
    }
}

/// The workloads of the report, in order, each with its runs.
pub(super) fn by_workload(report: &Report) -> Vec<(WorkloadName, Vec<&Run>)> {
    let mut groups: Vec<(WorkloadName, Vec<&Run>)> = Vec::new();
    for run in &report.runs {
        match groups.iter_mut().find(|(workload, _)| *workload == run.workload) {
            Some((_, runs)) => runs.push(run),
            None => groups.push((run.workload, vec![run])),
        }
    }
    groups
}

/// All calls together, then each kind of call.
pub(super) fn with_all(run: &Run) -> Vec<(&str, &Phases)> {
    let each = run.calls.iter().map(|Call { name, phases }| (name.as_str(), phases));
    std::iter::once(("all", &run.all)).chain(each).collect()
}

/// The settings in a sentence.
pub(super) fn sentence(settings: &Settings) -> String {
    let Settings { entries, key_size, value_size, distribution, read_share, .. } = settings;
    let every = match settings.checkpoint_every {
        Interval::Operations(every) => format!("every {} operations", count(every)),
        Interval::Seconds(every) => format!("every {}", seconds(every)),
        Interval::Never => "at the end alone".to_owned(),
    };
    let length = match settings.length {
        Length::Operations(operations) => format!("{} operations", count(operations)),
        Length::Seconds(length) => seconds(length),
    };
    let distribution = match distribution {
        super::settings::Distribution::Uniform => "uniform",
        super::settings::Distribution::Zipf => "zipf",
        super::settings::Distribution::Sequential => "sequential",
    };
    format!(
        "{} entries, keys of {key_size} bytes, values of {value_size}, {distribution}, {:.0} % reads; \
         {length}, checkpoints {every}; {} subtask(s), seed {}, RocksDB's budget {}",
        count(*entries),
        read_share * 100.0,
        settings.parallelism,
        settings.seed,
        bytes(settings.memory as f64)
    )
}

/// The machine in a sentence.
pub(super) fn machine(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{}, {} processors, {}, {}; esker {}{}, {}; reading the clock takes {} of each latency",
        machine.processor.as_deref().unwrap_or("unknown processor"),
        machine.processors,
        machine.memory_bytes.map_or("memory unknown".into(), |memory| bytes(memory as f64)),
        machine.system,
        report.esker,
        if machine.optimized { "" } else { " (not optimized: figures mean nothing)" },
        machine.began,
        nanos(machine.timer_ns)
    )
}

/// In a sentence, the runs whose subtasks waited for a processor for more than a hundredth of the time.
pub(super) fn crowded(report: &Report) -> Option<String> {
    let of_run = |run: &Run| {
        let all = run.seconds * f64::from(report.settings.parallelism);
        let waited = run.waited_seconds.filter(|waited| *waited > all / 100.0)?;
        Some(format!("{} on {} {:.0} %", run.workload, run.backend, waited / all * 100.0))
    };
    let runs: Vec<_> = report.runs.iter().filter_map(of_run).collect();
    (!runs.is_empty()).then(|| {
        format!(
            "others had the processors, for which calls waited this much of the time: {}. High \
             percentiles are the machine's",
            runs.join(", ")
        )
    })
}

/// The head and the rows of the summary: a row for each run.
pub(super) fn summary(report: &Report) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let head = vec![
        "workload",
        "backend",
        "operations/s",
        "p50, p99",
        "capture",
        "first checkpoint",
        "later ones",
        "restore",
        "memory, peak",
        "disk",
    ];
    let row = |run: &Run| {
        let checkpoints = Checkpoints::of(run);
        let p = |latency: &Latency| format!("{}, {}", nanos(latency.p50_ns), nanos(latency.p99_ns));
        let total = |checkpoint: &Checkpoint| checkpoint.total_seconds;
        let written = |checkpoint: &Checkpoint| checkpoint.written_bytes as f64;
        let first = checkpoints.first.map(|first| (total(first), written(first)));
        let later = checkpoints.later(total).zip(checkpoints.later(written));
        let both = |figures: Option<(f64, f64)>| {
            figures.map_or("-".into(), |(time, len)| format!("{}, {}", seconds(time), bytes(len)))
        };
        vec![
            run.workload.to_string(),
            run.backend.clone(),
            rate(run.operations_per_second),
            run.all.quiet.as_ref().map_or("-".into(), p),
            seconds(checkpoints.capture_max()),
            both(first),
            both(later),
            seconds(run.restore.seconds),
            run.memory.as_ref().map_or("-".into(), |memory| {
                format!(
                    "{}, {}",
                    bytes(memory.loaded_bytes as f64),
                    bytes(memory.peak_bytes as f64)
                )
            }),
            run.local_bytes.map_or("-".into(), |local| bytes(local as f64)),
        ]
    };
    (head, report.runs.iter().map(row).collect())
}

/// The head and the rows of the latencies of some runs of one workload: backends beside each other.
pub(super) fn latencies(runs: &[&Run]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let head = vec!["call", "checkpoint", "backend", "count", "p50", "p90", "p99", "p99.9", "max"];
    let mut rows = Vec::new();
    let names = runs.first().map_or(Vec::new(), |run| with_all(run));
    for (at, (name, _)) in names.iter().enumerate() {
        for (phase, of) in [
            ("no", (|phases| phases.quiet.as_ref()) as fn(&Phases) -> Option<&Latency>),
            ("under way", |phases| phases.checkpoint.as_ref()),
        ] {
            for run in runs {
                let Some(latency) = with_all(run).get(at).and_then(|(_, phases)| of(phases)) else {
                    continue;
                };
                let Latency { p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = *latency;
                let figures = [p50_ns, p90_ns, p99_ns, p999_ns, max_ns].map(nanos);
                let first = [(*name).to_owned(), phase.to_owned(), run.backend.clone()];
                let row = first.into_iter().chain([count(latency.count)]).chain(figures);
                rows.push(row.collect());
            }
        }
    }
    (head, rows)
}

/// The figures as tables.
pub(super) fn text(out: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(out, "{}\n{}\n", sentence(&report.settings), machine(report))?;
    let (head, rows) = summary(report);
    let mut summary = table(&head, 2);
    summary.add_rows(rows);
    writeln!(out, "{summary}")?;
    if let Some(line) = crowded(report) {
        writeln!(out, "NOT QUIET  {line}")?;
    }
    for (workload, runs) in by_workload(report) {
        let (head, rows) = latencies(&runs);
        let mut latencies = table(&head, 3);
        latencies.add_rows(rows);
        writeln!(out, "\nlatencies of {workload}\n{latencies}")?;
    }
    Ok(())
}
