//! How large the states of a snapshot of Flink's are: all of its entries are read.

use super::{Args, Large, Report, bars, show_largest, show_slices};
use crate::cmd::{progress, say_harms, say_refused, table, write_json_line};
use crate::flink::harms;
use crate::outcome::Outcome;
use esker::flink::{FlinkFilter, FlinkMeasure, FlinkSnapshot};
use std::io::{self, Write};

pub(super) fn run(
    args: &Args,
    snapshot: &FlinkSnapshot,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let filter = FlinkFilter::default();
    let bar = progress(snapshot.steps(&filter), "key groups");
    let measured = snapshot.measure(&filter, &mut |steps| bar.inc(steps));
    bar.finish_and_clear();
    let (measures, damage) = match measured {
        Ok(measured) => measured,
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    };
    let sizes = snapshot.sizes();
    if !args.json {
        // A file that several operators need counts once here, and for each of them below.
        let files = snapshot.files();
        let bytes: u64 = files.iter().map(|file| file.len_bytes).sum();
        writeln!(out, "files       {}, {bytes} bytes", files.len())?;
        writeln!(out, "metadata    {} bytes\n", snapshot.len_bytes())?;
    }
    for (operator, sizes) in snapshot.operators().iter().zip(&sizes) {
        let of_operator = measures.iter().filter(|((label, _), _)| *label == operator.label);
        let key_groups = operator.max_parallelism;
        let reports: Vec<Report<'_>> = of_operator
            .map(|((operator, state), measure)| report((operator, state), measure, key_groups))
            .collect();
        if args.json {
            reports.iter().try_for_each(|report| write_json_line(out, report))?;
        } else if !reports.is_empty() {
            let (label, parallelism) = (&operator.label, operator.parallelism);
            writeln!(out, "operator    {label}\nparallelism {parallelism}")?;
            writeln!(out, "bytes       {} keyed, {} operator", sizes.keyed, sizes.operator)?;
            show(&reports, key_groups, out)?;
        }
    }
    out.flush()?;
    Ok(say_harms(&harms(&damage)))
}

fn report<'a>(
    (operator, state): (&'a str, &'a str),
    measure: &FlinkMeasure,
    key_groups: u32,
) -> Report<'a> {
    let FlinkMeasure { kind, entries, key_bytes, value_bytes, largest, .. } = measure;
    // Bucket 0 is for no bytes, bucket b from 2^(b - 1) on.
    let least = |sizes: &[u64]| {
        let counted = sizes.iter().enumerate().filter(|(_, count)| **count > 0);
        counted.map(|(bucket, count)| ((1_u64 << bucket) >> 1, *count)).collect()
    };
    let first = |slice: usize| (slice as u64 * u64::from(key_groups)).div_ceil(SLICES as u64);
    let slices = measure.slices.iter().enumerate().filter(|(_, bytes)| **bytes > 0);
    let large = largest.iter().map(|large| Large {
        key_group: large.key_group,
        key: large.key.clone(),
        key_bytes: large.key_bytes,
        value_bytes: large.value_bytes,
    });
    Report {
        operator,
        state,
        kind: kind.name(),
        entries: *entries,
        stored_entries: *entries,
        key_bytes: *key_bytes,
        value_bytes: *value_bytes,
        file_bytes: 0,
        key_sizes: least(&measure.key_sizes),
        value_sizes: least(&measure.value_sizes),
        slices: slices.map(|(slice, bytes)| (first(slice), *bytes)).collect(),
        largest: large.collect(),
    }
}

/// Into how many slices key groups are cut.
const SLICES: usize = 64;

fn show(reports: &[Report<'_>], key_groups: u32, out: &mut impl Write) -> io::Result<()> {
    let mut summary = table(&["state", "kind", "entries", "key bytes", "value bytes"], 2);
    for Report { state, kind, entries, key_bytes, value_bytes, .. } in reports {
        let counts = [*entries, *key_bytes, *value_bytes].map(|count| count.to_string());
        summary.add_row([(*state).to_owned(), (*kind).to_owned()].into_iter().chain(counts));
    }
    writeln!(out, "{summary}\n")?;
    for report in reports {
        writeln!(out, "{}/{}", report.operator, report.state)?;
        bars("keys, bytes", &report.key_sizes, out)?;
        bars("values, bytes", &report.value_sizes, out)?;
        if !report.slices.is_empty() {
            let mut slices = [0_u64; SLICES];
            for (group, bytes) in &report.slices {
                let slice = group * SLICES as u64 / u64::from(key_groups.max(1));
                if let Some(sum) = slices.get_mut(slice as usize) {
                    *sum += bytes;
                }
            }
            show_slices(&slices, (key_groups, key_groups.div_ceil(SLICES as u32)), out)?;
        }
        show_largest(&report.largest, out)?;
        writeln!(out)?;
    }
    Ok(())
}
