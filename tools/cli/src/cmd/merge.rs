//! `esker merge`: several snapshots to one.

use super::copy::Files;
use super::{Transfers, progress, write_json_line};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick, open_store};
use esker::processor::{Clash, WrittenSavepoint, merge};
use esker::snapshot::OpenSnapshot;
use esker::{Error, block_on};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Write one savepoint of several snapshots
///
/// DST becomes a savepoint of all that the SRC hold: of jobs that become one, say. Job and checkpoint are those of the
/// first. Operators are the same if their uids are, states of one operator if their names are; both have as many
/// subtasks, and the ids, of the first SRC that has them, and must have one kind, one type of everything and one TTL:
/// `rewrite` makes other names and types.
///
/// A key that several SRC have in one state is refused, and named, unless --later-wins is given: then all that stands
/// under the key and its namespace, a whole map or list, is that of the last SRC which has it. Lists of operator
/// state follow one another; a key of broadcast state may be in several with one value. What had expired at its capture
/// is left out, and a state with TTL counts as captured when the earliest of them was.
///
/// All entries are read and written anew; memory is bounded. What is refused leaves no snapshot, and no files but those
/// that were there (exit code 1); after an interruption the same command ends what was begun, and before another one the
/// folder is to be deleted.
///
/// With `--json` one object: `sources`, `target`, `status` (`ok`, `damaged`, `refused`, `absent`, `unreadable`), and
/// `damage` as `verify` has it, of the SRC that `of` names. `job`, `checkpoint`, `entries`, `written` and `present`,
/// the last two `{"files":…,"bytes":…}`, are null but where the status is `ok`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker merge /data/north /data/south both
  esker merge --later-wins old/save new/save both
  esker rewrite south other --rename-operator delays=southern && esker merge north other both
  esker merge --json north south both | jq .entries")]
pub(crate) struct Args {
    /// Savepoints' or checkpoints' folders, their _metadata, or jobs' roots, for their last completed checkpoints; paths
    /// or URLs
    #[arg(value_name = "SRC", required = true, num_args = 2..)]
    sources: Vec<String>,
    /// The savepoint's folder: empty, not there yet, or with what is there of the same result; a path or URL
    #[arg(value_name = "DST", required = true)]
    target: String,
    /// Of a key that several SRC have in one state, take what the last of them has
    #[arg(long)]
    later_wins: bool,
    #[command(flatten)]
    transfers: Transfers,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    sources: &'a [String],
    target: &'a str,
    status: Status,
    job: Option<&'a str>,
    checkpoint: Option<u64>,
    entries: Option<u64>,
    written: Option<Files>,
    present: Option<Files>,
    of: Option<&'a str>,
    damage: &'a [Harm],
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let Args { sources, target, .. } = args;
    let none = Report {
        sources,
        target,
        status: Status::Ok,
        job: None,
        checkpoint: None,
        entries: None,
        written: None,
        present: None,
        of: None,
        damage: &[],
    };
    let (of, harms) = match merged(args) {
        Ok(WrittenSavepoint { manifest, entries, written, present }) => {
            let checkpoint = manifest.checkpoint;
            if args.json {
                let report = Report {
                    job: Some(&manifest.job),
                    checkpoint: Some(checkpoint),
                    entries: Some(entries),
                    written: Some(written.into()),
                    present: Some(present.into()),
                    ..none
                };
                write_json_line(out, &report)?;
            } else {
                writeln!(
                    out,
                    "ok {target}: checkpoint {checkpoint} of {}: {entries} entries: written {} files, {} \
                     bytes; there already {} files, {} bytes",
                    sources.join(" and "),
                    written.files,
                    written.len_bytes,
                    present.files,
                    present.len_bytes
                )?;
            }
            return Ok(Outcome::Yes);
        }
        Err(failed) => failed,
    };
    let status = Harm::worst(&harms).unwrap_or(Status::Damaged);
    if args.json {
        write_json_line(out, &Report { status, of: Some(&of), damage: &harms, ..none })?;
        out.flush()?;
    }
    harms.iter().for_each(|harm| say(format_args!("{}", harm.within(&of))));
    Ok(status.outcome())
}

/// What was written, or all that is wrong, and with which folder.
fn merged(args: &Args) -> Result<WrittenSavepoint, (String, Vec<Harm>)> {
    let pick = Pick::default();
    let opened = args.sources.iter().map(|name| {
        let snapshot = pick.whole(name);
        snapshot.map_err(|harms| (name.clone(), harms))
    });
    let snapshots = opened.collect::<Result<Vec<_>, _>>()?;
    let mut sources: Vec<Source> = snapshots.iter().zip(&args.sources).map(Source::of).collect();
    let target = open_store(&args.target);
    let target = target.map_err(|error| (args.target.clone(), vec![Harm::of(&error)]))?;
    let parts = snapshots.iter().flat_map(|snapshot| snapshot.parts.iter().flatten().flatten());
    let entries = parts.flat_map(|part| &part.states).map(|state| state.entries).sum();
    let clash = if args.later_wins { Clash::LaterWins } else { Clash::Refuse };
    let bar = progress(entries, "entries");
    let settings = args.transfers.settings();
    let told = |entries| bar.inc(entries);
    let done = block_on(merge(snapshots, clash, &target, &settings, &told));
    bar.finish_and_clear();
    // The longest folder that something lies in is the one that it is of.
    sources.sort_by_key(|source| Reverse(source.root.len()));
    done.map_err(|error| {
        let of_target = within(&target.to_string(), &error).map(|_| target.to_string().len());
        let of_source = |source: &&Source| Some(source.root.len()) > of_target;
        match sources.iter().filter(of_source).find_map(|source| source.harm(&error)) {
            Some(harm) => harm,
            None => (args.target.clone(), vec![Harm::of_target(&error)]),
        }
    })
}

/// Where a source lies, to know what is of it.
struct Source {
    name: String,
    root: String,
    files: BTreeSet<String>,
}

impl Source {
    fn of((snapshot, name): (&OpenSnapshot, &String)) -> Self {
        let files = snapshot.files().into_keys().map(|file| file.to_string()).collect();
        Self { name: name.clone(), root: snapshot.store.to_string(), files }
    }

    /// What is wrong, and with which source, if it is of this one. Several of one job have one root.
    fn harm(&self, error: &Error) -> Option<(String, Vec<Harm>)> {
        let file = within(&self.root, error)?;
        if !file.is_empty() && !self.files.contains(file) {
            return None;
        }
        let harm = Harm { file: (!file.is_empty()).then(|| file.to_owned()), ..Harm::of(error) };
        Some((self.name.clone(), vec![harm]))
    }
}

/// What the path of `error` is below `root`, if it lies there.
fn within<'e>(root: &str, error: &'e Error) -> Option<&'e str> {
    let file = error.path()?.strip_prefix(root)?;
    if file.is_empty() { Some(file) } else { file.strip_prefix('/') }
}
