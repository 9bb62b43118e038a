//! `esker verify`: whether files and snapshots are, to the last bit, what esker wrote.

mod flink;

use super::{Named, progress, write_json_line};
use crate::file;
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Problem, Status, say};
use crate::snapshot::{Checked, Checker, Depth, Found, Harm, SnapshotAt, find, is_snapshot, local};
use esker::format::manifest::SnapshotKind;
use esker::{Error, ErrorKind, block_on};
use indicatif::ProgressBar;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// Check that snapshots and files are what was written
///
/// Of a snapshot every file is read that its manifest reaches, and compared with the digest that names it,
/// manifest to part to run: a bit that changed since it was written is found. What parts, indexes and the
/// manifest say of each other is compared too. Of a job that is its log and every checkpoint that it
/// retains. What is damaged is named: the file, and the states and key groups that it takes with it. Damaged is
/// too what a device cannot give back (an input/output error, as of a sector that cannot be read), with what the
/// device says; what may not be read, or not now, is unreadable (exit code 2). A file that is found bad is read once more,
/// block by block, to tell what is lost: if it is sound then, stderr says so, and it counts as sound.
///
/// With --deep also every entry is read, which takes some twenty times as long: whether what was written
/// is a snapshot. Keys ascend and are in their key groups, filters and statistics agree with them, values
/// read as their state's types, and there are as many as the part says. Of a native checkpoint the files
/// of the database are checked by their digests alone; dump it to have its entries read. A single file is
/// always checked in full, a `_metadata` by itself.
///
/// Of a snapshot of Flink's every file that `_metadata` names must be there and as long as it says, every key group and
/// element must decode to its last byte, and keys must lie in the key groups of their hashes. Flink keeps no digests, so that
/// a bit that changed within a value may go unseen, but in files of RocksDB and in what is compressed. Each is named with
/// its file and the offset. Of a job's folder it is the last checkpoint.
///
/// A log whose newest records are gone looks like one that ended there. Checkpoints that are newer
/// than the log are therefore listed as `unpublished`: one that is being written looks the same, so it
/// is no failure. With `--json` they are a report of their own, of the status `ok` and the kind
/// `unpublished`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker verify /data/job                      the log and every checkpoint
  esker verify /data/job/chk-7-2 savepoint
  esker verify --deep savepoint               every entry too
  esker verify shared/*.run
  esker verify --json claim.log | jq .status
  esker verify --json /data/job | jq -c '.damage[].lost'")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Also read every entry, its key, its value and its place.
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    status: Status,
    kind: Option<&'static str>,
    error: Option<&'a Problem>,
    /// Of a snapshot.
    snapshot: Option<Summary>,
    damage: &'a [Harm],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    checkpoint: u64,
    generation: u64,
    /// Whether every entry was read.
    deep: bool,
    files: u64,
    run_bytes: u64,
    entries: u64,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let (files, json) = (&args.named.files, args.named.json);
    let depth = if args.deep { Depth::Entries } else { Depth::Files };
    let mut worst = Outcome::Yes;
    for name in files {
        let outcome = match (args.flink.open(name, None), is_snapshot(name)) {
            (Ok(Some(snapshot)), _) => flink::run(name, &snapshot, json, out)?,
            (Err(error), _) => flink::refused(name, &error, json, out)?,
            (Ok(None), true) => run_snapshot(name, depth, json, out)?,
            (Ok(None), false) => run_file(name, json, out)?,
        };
        worst = worst.max(outcome);
    }
    Ok(worst)
}

fn run_file(name: &str, json: bool, out: &mut impl Write) -> io::Result<Outcome> {
    let (kind, problem) = match file::open(local(name).unwrap_or(Path::new(name))) {
        Ok(content) => (Some(content.kind()), None),
        Err(problem) => (None, Some(problem)),
    };
    let status = problem.as_ref().map_or(Status::Ok, |problem| problem.status);
    if json {
        let error = problem.as_ref();
        let report = Report { file: name, status, kind, error, snapshot: None, damage: &[] };
        write_json_line(out, &report)?;
    }
    match &problem {
        Some(problem) if status == Status::Unreadable => {
            say(format_args!("{status} {name}: {problem}"));
        }
        _ if json => {}
        Some(problem) => writeln!(out, "{status} {name}: {problem}")?,
        None => writeln!(out, "{status} {name} {}", kind.unwrap_or_default())?,
    }
    Ok(status.outcome())
}

fn run_snapshot(name: &str, depth: Depth, json: bool, out: &mut impl Write) -> io::Result<Outcome> {
    let fail = |error: &Error, kind, out: &mut _| {
        let checked = Checked { harms: vec![Harm::of(error)], ..Checked::default() };
        show(name, kind, &checked, json, out)
    };
    let (store, log) = match find(name) {
        Ok(Found::Job(store, log)) => (store, log),
        Ok(Found::Snapshot(at)) => {
            return run_one(name, &at, &mut Checker::new(depth), json, out);
        }
        Ok(Found::Flink | Found::Folder(_)) => {
            let message = "neither a snapshot nor a job's root";
            return fail(&Error::new(ErrorKind::Invalid, message), None, out);
        }
        Err(error) => return fail(&error, None, out),
    };
    let mut worst = match &log {
        Ok(_) => show(name, Some("log"), &Checked::default(), json, out)?,
        Err(error) => fail(error, Some("log"), out)?,
    };
    let snapshots = match &log {
        Ok(log) => Ok(SnapshotAt::retained(&store, log)),
        // Without the log there is no saying which are complete: all that are there are looked at.
        Err(_) => block_on(SnapshotAt::listed(&store)),
    };
    if let Ok(log) = &log {
        match block_on(SnapshotAt::unpublished(&store, log)) {
            Ok(found) => found.iter().try_for_each(|at| note(name, at, json, out))?,
            Err(error) => worst = worst.max(fail(&error, None, out)?),
        }
    }
    let mut checker = Checker::new(depth);
    match snapshots {
        Ok(snapshots) => {
            for at in &snapshots {
                let folder = at.manifest.as_str().split('/').next().unwrap_or_default();
                let name = format!("{}/{folder}", name.trim_end_matches('/'));
                worst = worst.max(run_one(&name, at, &mut checker, json, out)?);
            }
        }
        Err(error) => worst = worst.max(fail(&error, None, out)?),
    }
    Ok(worst)
}

/// Tells of a checkpoint that no record has published.
fn note(name: &str, at: &SnapshotAt, json: bool, out: &mut impl Write) -> io::Result<()> {
    let folder = at.manifest.as_str().split('/').next().unwrap_or_default();
    let file = &format!("{}/{folder}", name.trim_end_matches('/'));
    if json {
        let (status, kind) = (Status::Ok, Some("unpublished"));
        let report = Report { file, status, kind, error: None, snapshot: None, damage: &[] };
        return write_json_line(out, &report);
    }
    writeln!(out, "unpublished {file}: newer than the log; being written, or its record is gone")
}

fn run_one(
    name: &str,
    at: &SnapshotAt,
    checker: &mut Checker,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    // To be asked for only where it is seen: parts are read for it.
    let len_bytes = if io::stderr().is_terminal() { at.data_len_bytes() } else { 0 };
    let bar: ProgressBar = progress(len_bytes, "bytes");
    let checked = checker.check(at, &|bytes| bar.inc(bytes));
    bar.finish_and_clear();
    let checked = checked
        .unwrap_or_else(|error| Checked { harms: vec![Harm::of(&error)], ..Checked::default() });
    let kind = checked.manifest.as_ref().map(|manifest| match manifest.kind {
        SnapshotKind::Checkpoint => "checkpoint",
        SnapshotKind::Savepoint => "savepoint",
    });
    show(name, kind, &checked, json, out)
}

fn show(
    name: &str,
    kind: Option<&'static str>,
    checked: &Checked,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let Checked { depth, files, run_len_bytes, entries, harms, .. } = checked;
    let status = Harm::worst(harms).unwrap_or(Status::Ok);
    if json {
        let snapshot = checked.manifest.as_ref().map(|manifest| Summary {
            checkpoint: manifest.checkpoint,
            generation: manifest.generation,
            deep: *depth == Depth::Entries,
            files: *files,
            run_bytes: *run_len_bytes,
            entries: *entries,
        });
        let report = Report { file: name, status, kind, error: None, snapshot, damage: harms };
        write_json_line(out, &report)?;
    }
    for (file, why) in &checked.doubts {
        say(format_args!(
            "{name}: {file}: read again it is sound, at first it was not ({why}): what it lies on may be failing"
        ));
    }
    for harm in harms {
        if harm.status == Status::Unreadable {
            say(format_args!("{}", harm.within(name)));
        } else if !json {
            writeln!(out, "{}", harm.within(name))?;
        }
    }
    if harms.is_empty() && !json {
        let kind = kind.unwrap_or_default();
        match checked.manifest {
            Some(_) => writeln!(
                out,
                "ok {name} {kind}: {files} files, {run_len_bytes} bytes of runs, {entries} entries"
            )?,
            None => writeln!(out, "ok {name} {kind}")?,
        }
    }
    Ok(status.outcome())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod forged;
#[cfg(test)]
mod tests;
