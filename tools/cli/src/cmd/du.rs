//! `esker du`: where the bytes of a snapshot are, without reading its data.

mod flink;

use super::{say_harms, say_refused, table, write_json_line};
use crate::flink::FlinkArgs;
use crate::outcome::Outcome;
use crate::snapshot::{OperatorSizes, StateSizes, find_snapshot, part_harms, sizes};
use esker::format::composite::CompositeKey;
use esker::format::manifest::{Operator, StateInfo, TypeInfo};
use esker::format::run::{LargeEntry, SLICES, StateStats};
use esker::format::{KeyGroup, decode_value};
use serde::Serialize;
use std::io::{self, Write};

/// Show how large the states of a snapshot are, without reading its data
///
/// Live entries are those of the snapshot; bytes and distributions are those of all its runs, entries
/// that newer ones replaced included, before compression. They stand in the manifest's parts; after a
/// change of parallelism several parts share a run, and the indexes of the runs are read, so that each
/// counts once. Of a native checkpoint, entries are about so many, and all that is known besides is how
/// long the files of each state are.
///
/// Flink keeps no such figures: of its snapshots every entry is read.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker du /data/job
  esker du --json savepoint | jq -r '[.operator, .state, .valueBytes] | @tsv'")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// Of a job, this checkpoint instead of the last one
    #[arg(long, value_name = "N")]
    checkpoint: Option<u64>,
    /// Write one JSON object per state
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

/// The longest bar, in characters.
const BAR_WIDTH: u64 = 40;
/// Bars of a line's height, from nothing to full.
const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    operator: &'a str,
    state: &'a str,
    kind: &'static str,
    entries: u64,
    stored_entries: u64,
    key_bytes: u64,
    value_bytes: u64,
    /// Of a database's files, as stored; their key and value bytes are not known.
    file_bytes: u64,
    /// `[at least this many bytes, entries]`
    key_sizes: Vec<(u64, u64)>,
    value_sizes: Vec<(u64, u64)>,
    /// `[first key group of 1024, bytes]`
    slices: Vec<(u64, u64)>,
    largest: Vec<Large>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Large {
    key_group: Option<u16>,
    key: String,
    key_bytes: u64,
    value_bytes: u64,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    match args.flink.open(&args.snapshot, args.checkpoint) {
        Ok(None) => {}
        Ok(Some(snapshot)) => return flink::run(args, &snapshot, out),
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    }
    let opened = find_snapshot(&args.snapshot, args.checkpoint).and_then(|at| at.open());
    let snapshot = match opened {
        Ok(snapshot) => snapshot,
        Err(error) => return Ok(say_refused(&args.snapshot, &error)),
    };
    let (sizes, mut harms) = sizes(&snapshot);
    for sizes in sizes {
        let reports: Vec<_> =
            sizes.states.iter().map(|state| report(sizes.operator, state)).collect();
        if args.json {
            reports.iter().try_for_each(|report| write_json_line(out, report))?;
        } else {
            show(&sizes, &reports, out)?;
        }
    }
    out.flush()?;
    harms.extend(part_harms(&snapshot));
    Ok(say_harms(&harms))
}

fn report<'a>(operator: &'a Operator, sizes: &StateSizes<'a>) -> Report<'a> {
    let StateSizes { info, entries, stats, file_len_bytes, .. } = sizes;
    // Bucket 0 is for no bytes, bucket b from 2^(b - 1) on.
    let least = |(bucket, count): (u8, u64)| ((1_u64 << bucket) >> 1, count);
    Report {
        operator: &operator.uid,
        state: &info.name,
        kind: info.kind.name(),
        entries: *entries,
        stored_entries: stats.entries,
        key_bytes: stats.key_bytes,
        value_bytes: stats.value_bytes,
        file_bytes: *file_len_bytes,
        key_sizes: stats.key_sizes.iter().map(least).collect(),
        value_sizes: stats.value_sizes.iter().map(least).collect(),
        slices: stats.slices.iter().map(|(slice, n)| (u64::from(slice) * 1024, n)).collect(),
        largest: stats.largest.iter().map(|entry| large(operator, info, entry)).collect(),
    }
}

/// A large entry with its key as JSON, or in hexadecimal where it was cut off.
fn large(operator: &Operator, info: &StateInfo, entry: &LargeEntry) -> Large {
    let bytes = [&info.id.to_be_bytes()[..], &entry.key].concat();
    let group = entry.key.first_chunk().map(|group| u16::from_be_bytes(*group));
    let whole = bytes.len() as u64 == entry.key_len_bytes;
    let json = whole.then(|| CompositeKey::decode(&bytes).ok()).flatten().map(|key| {
        let parts: [(Option<&TypeInfo>, &[u8]); 3] = [
            (operator.key.as_ref().filter(|_| info.kind.is_keyed()), &key.key),
            (info.namespace.as_ref(), &key.namespace),
            (info.user_key.as_ref().filter(|_| info.kind.is_keyed()), &key.user_key),
        ];
        let texts = parts.into_iter().filter_map(|(info, bytes)| {
            let value = decode_value(&info?.codec, &info?.schema, bytes);
            Some(value.map_or_else(|_| hex(bytes), |value| value.to_json()))
        });
        texts.collect::<Vec<_>>().join(" ")
    });
    let cut = || format!("{}…", hex(entry.key.get(2..).unwrap_or_default()));
    Large {
        key_group: group.map(KeyGroup).filter(|_| info.kind.is_keyed()).map(|group| group.0),
        key: json.unwrap_or_else(cut),
        key_bytes: entry.key_len_bytes,
        value_bytes: entry.value_len_bytes,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn show(sizes: &OperatorSizes<'_>, reports: &[Report<'_>], out: &mut impl Write) -> io::Result<()> {
    let OperatorSizes { operator, runs, run_len_bytes, states } = sizes;
    let (uid, parallelism) = (&operator.uid, operator.parts.len());
    writeln!(out, "operator    {uid}\nparallelism {parallelism}")?;
    writeln!(out, "runs        {runs}, {run_len_bytes} bytes")?;
    let mut head = vec!["state", "kind", "entries", "stored entries", "key bytes", "value bytes"];
    // Of a database it is all there is.
    let of_files = reports.iter().any(|report| report.file_bytes > 0);
    head.extend(of_files.then_some("file bytes"));
    let mut summary = table(&head, 2);
    for report in reports {
        let counts = [report.entries, report.stored_entries, report.key_bytes, report.value_bytes];
        let counts = counts.into_iter().chain(of_files.then_some(report.file_bytes));
        let names = [report.state.to_owned(), report.kind.to_owned()];
        summary.add_row(names.into_iter().chain(counts.map(|count| count.to_string())));
    }
    writeln!(out, "{summary}\n")?;
    for (report, state) in reports.iter().zip(states) {
        if report.stored_entries == 0 {
            continue;
        }
        writeln!(out, "{}/{}", report.operator, report.state)?;
        bars("keys, bytes", &report.key_sizes, out)?;
        bars("values, bytes", &report.value_sizes, out)?;
        if state.info.kind.is_keyed() {
            show_skew(&state.stats, out)?;
        }
        show_largest(&report.largest, out)?;
        writeln!(out)?;
    }
    Ok(())
}

fn show_largest(largest: &[Large], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  largest, key and value")?;
    for Large { key_group, key, key_bytes, value_bytes } in largest {
        let group = key_group.map(|group| format!(" key group {group}")).unwrap_or_default();
        writeln!(out, "    {key_bytes} + {value_bytes} bytes{group} {key}")?;
    }
    Ok(())
}

fn bars(title: &str, counts: &[(u64, u64)], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "  {title}")?;
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    for (least, count) in counts {
        let span = match least {
            0 | 1 => least.to_string(),
            least => format!("{least}-{}", least * 2 - 1),
        };
        let width = (u128::from(*count) * u128::from(BAR_WIDTH)).div_ceil(u128::from(most));
        writeln!(out, "    {span:>19} {} {count}", "█".repeat(width as usize))?;
    }
    Ok(())
}

/// Bytes over the key groups, a bar for each 1,024 of them.
fn show_skew(stats: &StateStats, out: &mut impl Write) -> io::Result<()> {
    let mut slices = [0_u64; SLICES];
    for (slice, bytes) in stats.slices.iter() {
        slices[usize::from(slice).min(SLICES - 1)] = bytes;
    }
    show_slices(&slices, (65_536, 1024), out)
}

/// The same of slices of so many key groups each, of so many in all.
fn show_slices(
    slices: &[u64],
    (key_groups, each): (u32, u32),
    out: &mut impl Write,
) -> io::Result<()> {
    let most = slices.iter().copied().max().unwrap_or(0).max(1);
    let level = |bytes: &u64| {
        let top = LEVELS.len() as u128 - 1;
        LEVELS[(u128::from(*bytes) * top).div_ceil(u128::from(most)) as usize]
    };
    let bars: String = slices.iter().map(level).collect();
    let all = slices.iter().fold(0_u64, |all, bytes| all.saturating_add(*bytes));
    let skew = most as f64 * slices.len() as f64 / all.max(1) as f64;
    let last = key_groups.saturating_sub(1);
    writeln!(out, "  key groups 0 to {last}; the fullest {each} have {skew:.1} times the mean")?;
    writeln!(out, "    |{bars}|")
}
