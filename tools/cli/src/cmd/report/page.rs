//! The page: one file that needs no other.

use super::figures::{Bar, Branch, Leaf, bars, treemap};
use super::history::{History, Row};
use crate::page::{STYLE, escaped, table, units};
use crate::snapshot::{Harm, OperatorSizes, StateSizes, Type};
use esker::format::manifest::{Manifest, SnapshotKind};
use esker::format::run::SLICES;
use std::fmt::Write;

const OWN_STYLE: &str = include_str!("page.css");

/// The page of a snapshot that was asked for as `name`.
pub(super) fn page(
    (name, manifest): (&str, &Manifest),
    sizes: &[OperatorSizes<'_>],
    history: &History,
    harms: &[Harm],
) -> String {
    let kind = match manifest.kind {
        SnapshotKind::Checkpoint => "checkpoint",
        SnapshotKind::Savepoint => "savepoint",
    };
    let Manifest { job, checkpoint, generation, .. } = manifest;
    let title = escaped(&format!("{kind} {checkpoint} of {job}"));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n\
         <style>\n{STYLE}{OWN_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
    );
    let entries: u64 =
        sizes.iter().flat_map(|sizes| &sizes.states).map(|state| state.entries).sum();
    let stored: u64 = sizes.iter().map(|sizes| sizes.run_len_bytes).sum();
    let files: usize = sizes.iter().map(|sizes| sizes.runs).sum();
    // Writing to a string does not fail.
    let _ = writeln!(
        page,
        "<p>{}, generation {generation}: {} live entries in {} files, {}.</p>",
        escaped(name),
        units::count(entries),
        units::count(files as u64),
        units::bytes(stored as f64)
    );
    for harm in harms.iter().chain(&history.harms) {
        let _ = writeln!(page, "<p class=\"warn\">{}</p>", escaped(&harm.to_string()));
    }
    let branches: Vec<Branch> = sizes.iter().map(branch).collect();
    let _ = writeln!(
        page,
        "<h2>Sizes</h2>\n<figure>{}<figcaption>Bytes of keys and values before compression, entries \
         that newer ones replaced included; of databases, of their files.</figcaption></figure>",
        treemap(&branches)
    );
    for sizes in sizes {
        operator(&mut page, sizes);
    }
    if !history.checkpoints.is_empty() {
        checkpoints(&mut page, history);
    }
    page.push_str("</body></html>\n");
    page
}

/// The bytes that a state's area stands for.
fn len_bytes(state: &StateSizes<'_>) -> u64 {
    let stats = &state.stats;
    stats.key_bytes.saturating_add(stats.value_bytes).saturating_add(state.file_len_bytes)
}

fn branch(sizes: &OperatorSizes<'_>) -> Branch {
    let leaf = |state: &StateSizes<'_>| {
        let len_bytes = len_bytes(state);
        let (entries, kind) = (units::count(state.entries), state.info.kind);
        let about = format!("{}, {entries} live entries, {kind}", units::bytes(len_bytes as f64));
        Leaf { name: state.info.name.clone(), len_bytes, about }
    };
    let leaves = sizes.states.iter().map(leaf).collect();
    Branch { name: sizes.operator.uid.clone(), leaves }
}

fn operator(page: &mut String, sizes: &OperatorSizes<'_>) {
    let OperatorSizes { operator, runs, run_len_bytes, states } = sizes;
    let _ = writeln!(
        page,
        "<h2>{}</h2>\n<p>{} subtasks, {} files of {}; key {}.</p>",
        escaped(&operator.uid),
        operator.parts.len(),
        units::count(*runs as u64),
        units::bytes(*run_len_bytes as f64),
        escaped(&Type::text(operator.key.as_ref()))
    );
    let head = ["state", "kind", "TTL", "live entries", "stored", "keys", "values", "files"];
    let row = |state: &StateSizes<'_>| {
        let StateSizes { info, entries, stats, file_len_bytes, .. } = state;
        let ttl = info.ttl.map_or_else(
            || "-".to_owned(),
            |ttl| ttl.duration_ms.map_or("?".to_owned(), |ms| units::seconds(ms as f64 / 1e3)),
        );
        let bytes = |bytes: u64| units::bytes(bytes as f64);
        vec![
            info.name.clone(),
            info.kind.to_string(),
            ttl,
            units::count(*entries),
            units::count(stats.entries),
            bytes(stats.key_bytes),
            bytes(stats.value_bytes),
            bytes(*file_len_bytes),
        ]
    };
    let rows: Vec<_> = states.iter().map(row).collect();
    page.push_str(&table(&head, &rows, 3));
    for state in states {
        figures_of(page, state);
    }
}

/// The distributions and types of a state.
fn figures_of(page: &mut String, state: &StateSizes<'_>) {
    let StateSizes { info, stats, .. } = state;
    let _ = writeln!(page, "<h3>{}</h3>\n<div class=\"plots\">", escaped(&info.name));
    let mut figure = |title: &str, svg: &str, about: &str| {
        let _ = writeln!(
            page,
            "<figure><h4>{title}</h4>{svg}<figcaption>{about}</figcaption></figure>"
        );
    };
    if stats.entries > 0 {
        if info.kind.is_keyed() {
            let (svg, skew) = skew(state);
            let about =
                format!("The fullest 1,024 key groups have {skew:.1} times the mean (dashed).");
            figure("Bytes by key group", &svg, &about);
        }
        let sizes = [("Sizes of keys", &stats.key_sizes), ("Sizes of values", &stats.value_sizes)];
        for (title, counts) in sizes {
            let bar = |(bucket, count): (u8, u64)| {
                // Bucket 0 is for no bytes, bucket b from 2^(b - 1) on.
                let name = units::bytes(((1_u64 << bucket) >> 1) as f64);
                let about = format!("{} entries", units::count(count));
                Bar { name, height: count, lower: count, about }
            };
            let counts: Vec<Bar> = counts.iter().map(bar).collect();
            figure(title, &bars(&counts, None, 1), "Entries, by at least this many bytes.");
        }
    }
    page.push_str("</div>\n");
    let types = [
        ("namespace", info.namespace.as_ref()),
        ("user key", info.user_key.as_ref()),
        ("value", info.value.as_ref()),
    ];
    let rows: Vec<_> = types
        .into_iter()
        .filter_map(|(role, info)| {
            let codec = info?.codec.to_string();
            Some(vec![role.to_owned(), codec, Type::text(info)])
        })
        .collect();
    if !rows.is_empty() {
        let types = table(&["", "codec", "schema"], &rows, 3);
        let _ = writeln!(page, "<details><summary>Types</summary>{types}</details>");
    }
}

/// Bytes over the key groups, and how many times the mean the fullest slice has.
fn skew(state: &StateSizes<'_>) -> (String, f64) {
    let mut slices = [0_u64; SLICES];
    for (slice, bytes) in state.stats.slices.iter() {
        if let Some(held) = slices.get_mut(usize::from(slice)) {
            *held = bytes;
        }
    }
    let mean = slices.iter().map(|bytes| *bytes as f64).sum::<f64>() / SLICES as f64;
    let most = slices.iter().copied().max().unwrap_or(0) as f64;
    let bar = |(slice, bytes): (usize, &u64)| Bar {
        name: (slice * 1024).to_string(),
        height: *bytes,
        lower: *bytes,
        about: units::bytes(*bytes as f64),
    };
    let all: Vec<Bar> = slices.iter().enumerate().map(bar).collect();
    (bars(&all, Some(mean), 8), most / mean.max(f64::MIN_POSITIVE))
}

fn checkpoints(page: &mut String, history: &History) {
    let bar = |row: &Row| Bar {
        name: row.number.to_string(),
        height: row.len_bytes,
        lower: row.kept_len_bytes,
        about: units::bytes(row.len_bytes as f64),
    };
    let all: Vec<Bar> = history.checkpoints.iter().map(bar).collect();
    let named = all.len().div_ceil(16);
    let head = ["checkpoint", "live entries", "files", "bytes", "new bytes", "holds"];
    let row = |row: &Row| {
        let new = row.len_bytes.saturating_sub(row.kept_len_bytes);
        vec![
            row.number.to_string(),
            row.entries.map_or("?".to_owned(), units::count),
            units::count(row.files),
            units::bytes(row.len_bytes as f64),
            units::bytes(new as f64),
            row.holds.join(", "),
        ]
    };
    let rows: Vec<_> = history.checkpoints.iter().map(row).collect();
    let _ = writeln!(
        page,
        "<h2>Checkpoints that the job retains</h2>\n<figure>{}<figcaption>Bytes that each refers to: \
         of files that the one before has too, and above them of new ones.</figcaption></figure>\n{}",
        bars(&all, None, named),
        table(&head, &rows, 1)
    );
}
