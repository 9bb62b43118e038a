//! `esker ls`: the jobs, checkpoints and savepoints below a URL.

use super::{say_harms, say_refused, table, write_json_line};
use crate::flink;
use crate::outcome::{Outcome, say};
use crate::snapshot::{Found, Harm, SnapshotAt, find, is_flink_in, part_harms, roots};
use esker::checkpoint::log::LogState;
use esker::checkpoint::{Place, read_log};
use esker::flink::{FlinkOptions, FlinkSnapshot};
use esker::format::RelativeName;
use esker::format::manifest::SnapshotKind;
use esker::snapshot::MANIFEST_NAME;
use esker::{Error, Store, block_on};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// List the jobs, checkpoints and savepoints below a URL
///
/// Bytes and runs are those that a checkpoint refers to; several checkpoints share them. Condemned
/// files are those that the job's log gave up and that are not known to be gone. Snapshots of Flink's are listed too: runs
/// are the files that `_metadata` names, bytes what of them counts, small state that lies inside `_metadata` left out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker ls /data                     jobs and savepoints, wherever they are below
  esker ls /data/job
  esker ls --json /data/job | jq 'select(.holds != [])'")]
pub(crate) struct Args {
    /// A folder or URL
    #[arg(value_name = "URL")]
    url: String,
    /// Write one JSON object per snapshot
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    /// The job's root, or the savepoint's folder.
    path: String,
    kind: &'static str,
    checkpoint: Option<u64>,
    generation: Option<u64>,
    entries: Option<u64>,
    run_bytes: Option<u64>,
    runs: Option<u64>,
    holds: BTreeSet<String>,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let mut listing = Listing { rows: Vec::new(), jobs: Vec::new(), harms: Vec::new() };
    let url = args.url.trim_end_matches('/');
    let listed = find(&args.url).and_then(|found| match found {
        Found::Job(store, log) => {
            listing.job(url, &store, log);
            Ok(())
        }
        Found::Snapshot(at) => {
            listing.snapshot(url, &at, BTreeSet::new());
            Ok(())
        }
        Found::Flink => listing.flink(url),
        Found::Folder(store) => listing.folder(url, &store),
    });
    if let Err(error) = listed {
        return Ok(say_refused(&args.url, &error));
    }
    if args.json {
        listing.rows.iter().try_for_each(|row| write_json_line(out, row))?;
    } else if !listing.rows.is_empty() {
        show(&listing, out)?;
    }
    out.flush()?;
    let outcome = say_harms(&listing.harms);
    if listing.rows.is_empty() && listing.harms.is_empty() {
        say(format_args!("absent {}: no job and no snapshot is below", args.url));
        return Ok(Outcome::No);
    }
    Ok(outcome)
}

struct Listing {
    rows: Vec<Row>,
    /// What is to be said of each job besides its checkpoints.
    jobs: Vec<String>,
    harms: Vec<Harm>,
}

impl Listing {
    fn job(&mut self, path: &str, store: &Store, log: Result<LogState, Error>) {
        let log = match log {
            Ok(log) => log,
            Err(error) => return self.harms.push(Harm::of(&error)),
        };
        for at in SnapshotAt::retained(store, &log) {
            let number = log.retained().iter().find(|(_, p)| p.manifest_path == at.manifest);
            let holds = number.and_then(|(number, _)| log.holds().get(number));
            self.snapshot(path, &at, holds.cloned().unwrap_or_default());
        }
        self.jobs.push(format!(
            "{path}: generation {}, last checkpoint {}, {} retained, {} files condemned",
            log.generation(),
            log.checkpoint_last(),
            log.retained().len(),
            log.condemned().len()
        ));
    }

    fn snapshot(&mut self, path: &str, at: &SnapshotAt, holds: BTreeSet<String>) {
        let mut row = Row {
            path: path.to_owned(),
            kind: "checkpoint",
            checkpoint: None,
            generation: None,
            entries: None,
            run_bytes: None,
            runs: None,
            holds,
        };
        // What stands in the folder's name is all there is if the manifest is damaged.
        if let Some(Place::Data { generation, checkpoint }) = Place::of(&at.manifest) {
            (row.checkpoint, row.generation) = (checkpoint, Some(generation));
        }
        match at.open() {
            Ok(snapshot) => {
                let manifest = &snapshot.manifest;
                if manifest.kind == SnapshotKind::Savepoint {
                    row.kind = "savepoint";
                }
                row.checkpoint = Some(manifest.checkpoint);
                row.generation = Some(manifest.generation);
                let parts = snapshot.parts.iter().flatten().flatten();
                row.entries = Some(parts.flat_map(|part| &part.states).map(|s| s.entries).sum());
                let files = snapshot.files();
                row.run_bytes = Some(files.values().sum());
                row.runs = Some(files.len() as u64);
                self.harms.extend(part_harms(&snapshot));
            }
            Err(error) => self.harms.push(Harm::of(&error)),
        }
        self.rows.push(row);
    }

    /// A snapshot of Flink's: the bytes are those of the files that it refers to, and of `_metadata`.
    fn flink(&mut self, path: &str) -> Result<(), Error> {
        let mut row = Row {
            path: path.to_owned(),
            kind: "flink",
            checkpoint: None,
            generation: None,
            entries: None,
            run_bytes: None,
            runs: None,
            holds: BTreeSet::new(),
        };
        match FlinkSnapshot::open_at(path, &FlinkOptions::default()) {
            Ok(snapshot) => {
                row.kind = flink::kind(&snapshot);
                row.checkpoint = u64::try_from(snapshot.metadata().checkpoint_id).ok();
                let files = snapshot.files();
                row.run_bytes = Some(files.iter().map(|file| file.len_bytes).sum());
                row.runs = Some(files.len() as u64);
            }
            Err(error) => self.harms.push(Harm::of(&error)),
        }
        self.rows.push(row);
        Ok(())
    }

    /// Everything below a folder that is neither job nor snapshot itself.
    fn folder(&mut self, path: &str, store: &Store) -> Result<(), Error> {
        let files = block_on(store.list(None))?;
        let (jobs, savepoints) = roots(&files);
        for job in jobs {
            let below = store.below(&RelativeName::new(job.as_str())?);
            let log = block_on(read_log(&below));
            self.job(&format!("{path}/{job}"), &below, log);
        }
        for savepoint in savepoints {
            if block_on(is_flink_in(
                store,
                Some(&savepoint).filter(|name| !name.is_empty()).map(|name| name.as_str()),
            ))? == Some(true)
            {
                self.flink(&format!("{path}/{savepoint}"))?;
                continue;
            }
            let below = store.below(&RelativeName::new(savepoint.as_str())?);
            let manifest = RelativeName::new(MANIFEST_NAME)?;
            let at = SnapshotAt { store: below, manifest, digest: None };
            self.snapshot(&format!("{path}/{savepoint}"), &at, BTreeSet::new());
        }
        Ok(())
    }
}

fn show(listing: &Listing, out: &mut impl Write) -> io::Result<()> {
    let head =
        ["path", "kind", "checkpoint", "generation", "entries", "run bytes", "runs", "holds"];
    let mut table = table(&head, 2);
    for row in &listing.rows {
        let counts = [row.checkpoint, row.generation, row.entries, row.run_bytes, row.runs];
        let counts = counts.map(|count| count.map_or("?".into(), |count| count.to_string()));
        let holds = row.holds.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let names = [row.path.clone(), row.kind.to_owned()];
        table.add_row(names.into_iter().chain(counts).chain([holds]));
    }
    writeln!(out, "{table}")?;
    listing.jobs.iter().try_for_each(|job| writeln!(out, "{job}"))
}
