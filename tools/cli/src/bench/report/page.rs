//! The page of `--html`: one file that needs no other.

use super::super::compare::{Difference, differences, unlike};
use super::super::result::{Checkpoint, Latency, Report, Run};
use super::plot::{Bar, Line, Plot, Span, bars, decades, step};
use super::{by_workload, crowded, latencies, machine, sentence, summary};
use crate::page::units::{bytes, rate, seconds};
use crate::page::{STYLE, escaped, table};
use std::fmt::Write;

/// Quantiles that are drawn, the same way apart, and what they are called.
const QUANTILES: [(f64, &str); 7] = [
    (0.5, "p50"),
    (0.9, "p90"),
    (0.99, "p99"),
    (0.999, "p99.9"),
    (0.9999, "p99.99"),
    (0.99999, "p99.999"),
    (1.0, "max"),
];

/// The page, with the differences from an earlier run if there is one.
pub(in crate::bench) fn html(report: &Report, old: Option<&Report>) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>esker bench</title>\
         <style>\n{STYLE}</style></head>\n<body><h1>esker bench</h1>\n<p>{}.</p>\n<p>{}.</p>\n",
        escaped(&sentence(&report.settings)),
        escaped(&machine(report))
    );
    if !report.machine.optimized {
        page.push_str(
            "<p class=\"warn\">Built without optimizations: the figures mean nothing.</p>\n",
        );
    }
    let (head, rows) = summary(report);
    page.push_str(&table(&head, &rows, 2));
    if let Some(line) = crowded(report) {
        // Writing to a string does not fail.
        let _ = writeln!(page, "<p class=\"warn\">Not quiet: {}.</p>", escaped(&line));
    }
    for (workload, runs) in by_workload(report) {
        let _ = write!(page, "<h2>{workload}</h2>\n<p>{}</p>\n<div class=\"plots\">\n", key(&runs));
        let mut plot = |title: &str, about: &str, svg: String| {
            let _ = writeln!(
                page,
                "<figure><h3>{title}</h3>{svg}<figcaption>{about}</figcaption></figure>"
            );
        };
        plot(
            "Latency of a call by percentile",
            "Dashed: while a checkpoint is under way.",
            percentiles(&runs),
        );
        plot("Operations per second over time", "Shaded: checkpoints under way.", over_time(&runs));
        let restored = |run: &Run| Some(run.restore.seconds);
        plot("Restore", "", each(&runs, seconds, restored));
        let peak = |run: &Run| Some(run.memory.as_ref()?.peak_bytes as f64);
        plot("Peak memory", "Resident, of the whole process.", each(&runs, bytes, peak));
        let written = |checkpoint: &Checkpoint| checkpoint.written_bytes as f64;
        plot("Bytes of each checkpoint", "", of_checkpoints(&runs, bytes, written));
        let total = |checkpoint: &Checkpoint| checkpoint.total_seconds;
        plot(
            "Time of each checkpoint",
            "From its capture until it is complete; the last one with no calls beside it.",
            of_checkpoints(&runs, seconds, total),
        );
        page.push_str("</div>\n");
        let (head, rows) = latencies(&runs);
        let _ = write!(
            page,
            "<details><summary>Latencies of each kind of call</summary>{}</details>\n\
             <details><summary>Checkpoints</summary>{}</details>\n",
            table(&head, &rows, 3),
            checkpoints(&runs)
        );
    }
    if let Some(old) = old {
        page.push_str(&beside(old, report));
    }
    page.push_str("</body></html>\n");
    page
}

/// The class of the `at`th backend.
fn class(at: usize) -> String {
    format!("b{}", at % 2)
}

/// Which colour is which backend.
fn key(runs: &[&Run]) -> String {
    let each = runs.iter().enumerate().map(|(at, run)| {
        format!("<span class=\"key {}\"></span>{}", class(at), escaped(&run.backend))
    });
    each.collect()
}

fn percentiles(runs: &[&Run]) -> String {
    let mut lines = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        for (latency, dash) in [(&run.all.quiet, ""), (&run.all.checkpoint, " dashed")] {
            let Some(Latency { curve, .. }) = latency else { continue };
            let point = |(x, (quantile, _)): (usize, &(f64, &str))| {
                let same = |(of, _): &&(f64, u64)| (of - quantile).abs() < 1e-9;
                curve.iter().find(same).map(|(_, nanos)| (x as f64, *nanos as f64))
            };
            let points = QUANTILES.iter().enumerate().filter_map(point).collect();
            lines.push(Line { class: format!("{}{dash}", class(at)), points });
        }
    }
    let y = decades(lines.iter().flat_map(|line| line.points.iter().map(|(_, nanos)| *nanos)));
    let first = y.0.log10().round() as i32;
    let last = y.1.log10().round() as i32;
    let tick = |power: i32| (10_f64.powi(power), seconds(10_f64.powi(power - 9)));
    let x_ticks = QUANTILES.iter().enumerate();
    let x_ticks = x_ticks.map(|(x, (_, name))| (x as f64, (*name).to_owned())).collect();
    let x = (0.0, QUANTILES.len() as f64 - 0.6);
    let (y_ticks, spans) = ((first..=last).map(tick).collect(), Vec::new());
    Plot { x, y, logarithmic: true, x_ticks, y_ticks, spans, lines }.svg()
}

fn over_time(runs: &[&Run]) -> String {
    let (mut lines, mut spans) = (Vec::new(), Vec::new());
    for (at, run) in runs.iter().enumerate() {
        let width = run.series.bucket_seconds;
        let middle = |(bucket, count): (usize, &u64)| {
            let from = bucket as f64 * width;
            // The last bucket may end early.
            let len = (run.seconds - from).clamp(width / 10.0, width);
            (from + len / 2.0, *count as f64 / len)
        };
        let points = run.series.operations.iter().enumerate().map(middle).collect();
        lines.push(Line { class: class(at), points });
        for checkpoint in run.checkpoints.iter().filter(|checkpoint| checkpoint.busy) {
            let from = checkpoint.at_seconds;
            spans.push(Span { class: class(at), from, to: from + checkpoint.total_seconds });
        }
    }
    let most_x = runs.iter().map(|run| run.seconds).fold(f64::MIN_POSITIVE, f64::max);
    let points = lines.iter().flat_map(|line| &line.points);
    let most_y = points.map(|(_, y)| *y).fold(1.0, f64::max);
    let ticks = |most: f64, text: fn(f64) -> String| {
        let step = step(most);
        let places = (0..).map(|place| f64::from(place) * step);
        places.take_while(|at| *at <= most * 1.0001).map(|at| (at, text(at))).collect::<Vec<_>>()
    };
    let (x_ticks, y_ticks) = (ticks(most_x, seconds_of_axis), ticks(most_y, rate));
    let (x, y) = ((0.0, most_x), (0.0, most_y * 1.05));
    Plot { x, y, logarithmic: false, x_ticks, y_ticks, spans, lines }.svg()
}

fn seconds_of_axis(at: f64) -> String {
    if at == 0.0 { "0".to_owned() } else { seconds(at) }
}

/// A figure of each run.
fn each(runs: &[&Run], unit: fn(f64) -> String, of: impl Fn(&Run) -> Option<f64>) -> String {
    let bar = |(at, run): (usize, &&Run)| {
        let value = of(run)?;
        Some(Bar { class: class(at), label: run.backend.clone(), value, text: unit(value) })
    };
    bars(&runs.iter().enumerate().filter_map(bar).collect::<Vec<_>>())
}

/// A figure of each checkpoint of each run; of many, the first ones and the last.
fn of_checkpoints(
    runs: &[&Run],
    unit: fn(f64) -> String,
    of: impl Fn(&Checkpoint) -> f64,
) -> String {
    const FIRST: usize = 6;
    let mut shown = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let last = run.checkpoints.len().saturating_sub(1);
        for (number, checkpoint) in run.checkpoints.iter().enumerate() {
            if number >= FIRST && number != last {
                continue;
            }
            let (label, value) =
                (format!("{} {}", run.backend, checkpoint.checkpoint), of(checkpoint));
            shown.push(Bar { class: class(at), label, value, text: unit(value) });
        }
    }
    bars(&shown)
}

fn checkpoints(runs: &[&Run]) -> String {
    let head = [
        "backend",
        "checkpoint",
        "kind",
        "calls",
        "at",
        "capture",
        "total",
        "written",
        "referenced",
    ];
    let mut rows = Vec::new();
    for run in runs {
        for checkpoint in &run.checkpoints {
            rows.push(vec![
                run.backend.clone(),
                checkpoint.checkpoint.to_string(),
                if checkpoint.full { "full" } else { "incremental" }.to_owned(),
                if checkpoint.busy { "go on" } else { "are over" }.to_owned(),
                seconds(checkpoint.at_seconds),
                seconds(checkpoint.capture_seconds),
                seconds(checkpoint.total_seconds),
                bytes(checkpoint.written_bytes as f64),
                bytes(checkpoint.referenced_bytes as f64),
            ]);
        }
    }
    table(&head, &rows, 4)
}

/// The differences from an earlier run.
fn beside(old: &Report, new: &Report) -> String {
    let mut html = format!("<h2>Beside the run of {}</h2>\n", escaped(&old.machine.began));
    for line in unlike(old, new) {
        let _ = writeln!(html, "<p class=\"warn\">Not alike: {}</p>", escaped(&line));
    }
    let row = |difference: Difference| {
        let Difference { workload, backend, what, old, new, ratio } = difference;
        vec![workload, backend, what, old, new, format!("{ratio:.2}")]
    };
    let rows: Vec<_> = differences(old, new).into_iter().map(row).collect();
    html.push_str(&table(&["workload", "backend", "figure", "old", "new", "new / old"], &rows, 3));
    html
}
