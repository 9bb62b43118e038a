//! `esker why`: who keeps a file.

use super::gc::Why;
use super::{say_harms, say_refused, write_json_line};
use crate::outcome::{Outcome, say};
use crate::snapshot::{Harm, find_jobs, index_stats};
use esker::checkpoint::judged;
use esker::checkpoint::orphan::{Judge, Verdict};
use esker::format::manifest::Operator;
use esker::format::part::{Part, RunRef};
use esker::format::record::Published;
use esker::format::{KeyGroupRange, RelativeName};
use esker::snapshot::{ManifestReferences, OpenSnapshot, open_snapshot};
use esker::{Error, ErrorKind, Store, block_on};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};

/// Say who keeps a file of a job
///
/// Of a file that retained checkpoints reach, each of them with its holds, and through which operator, subtask
/// and states it does; of any other, whether it is condemned and by which record of the log, whether the
/// owner may be writing it, whether nothing needs it (`esker gc` would delete it), or whether it is none of esker's.
///
/// Exit code 1 if there is no such file, or one that is retained is missing. With `--json` one object: `job`, `file`,
/// `bytes` (null if it is not there), `why` (`reached`, `record`, or as `gc` has it), `record`, `generation`, and `keptBy`:
/// `checkpoint`, `holds`, `as` (`manifest`, `part`, `run`, `operatorRun`, `database`), `operator`, `subtask`, `keyGroupFirst`,
/// `keyGroupLast` and `states`, null where that is all of the checkpoint's or not known.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker why /data/job shared/1/7-0-0-3a1f….run
  esker why /data job/chk-7-1/_metadata
  esker why --json /data/job shared/1/7-0-0-3a1f….run | jq '.keptBy[].checkpoint'")]
pub(crate) struct Args {
    /// A job's root, or a folder with jobs below; a path or URL
    #[arg(value_name = "URL")]
    url: String,
    /// A file below it
    #[arg(value_name = "FILE")]
    file: String,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    job: &'a str,
    file: &'a str,
    bytes: Option<u64>,
    why: &'static str,
    record: Option<u64>,
    generation: Option<u64>,
    kept_by: Vec<Keeper>,
}

/// What keeps a file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Keeper {
    checkpoint: u64,
    holds: BTreeSet<String>,
    #[serde(rename = "as")]
    role: &'static str,
    operator: Option<String>,
    subtask: Option<usize>,
    key_group_first: Option<u16>,
    key_group_last: Option<u16>,
    states: Option<Vec<String>>,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let (path, store, name) = match find_file(args) {
        Ok(found) => found,
        Err(error) => return Ok(say_refused(&args.url, &error)),
    };
    let found = block_on(async {
        let (judge, unread) = judged(&store, &ManifestReferences).await?;
        let is_staged = staged_for(&name).is_some();
        let bytes = if is_staged { None } else { store.head(&name).await? };
        Ok((judge, unread, bytes))
    });
    let (judge, unread, bytes) = match found {
        Ok(found) => found,
        Err(error) => return Ok(say_refused(&path, &error)),
    };
    let staged = staged_for(&name);
    let verdict = staged.as_ref().map_or_else(|| judge.file(&name), |of| judge.half_written(of));
    let mut harms: Vec<_> = unread.iter().map(|unread| Harm::of(&unread.error)).collect();
    let kept_by = keepers(&store, &judge, &name, &mut harms);
    if bytes.is_none() && staged.is_none() {
        match verdict {
            Verdict::Reached(_) => {
                let missing = Error::new(ErrorKind::Corrupt, "the file is missing, and retained");
                harms.push(Harm::of(&missing.at_path(name.as_str())));
            }
            _ => {
                say(format_args!(
                    "absent {path}/{name}: there is no such file, and nothing names it"
                ));
                return Ok(Outcome::No);
            }
        }
    }
    let Why { word, text, record, generation } = Why::of_verdict(verdict);
    if args.json {
        let file = name.as_str();
        let report = Report { job: &path, file, bytes, why: word, record, generation, kept_by };
        write_json_line(out, &report)?;
    } else {
        let bytes = bytes.map(|bytes| format!("{bytes} bytes, ")).unwrap_or_default();
        let half = if staged.is_some() { "half-written, " } else { "" };
        writeln!(out, "{path}/{name}: {bytes}{half}{text}")?;
        kept_by.iter().try_for_each(|keeper| writeln!(out, "  {}", keeper.text()))?;
    }
    out.flush()?;
    Ok(say_harms(&harms))
}

/// The job that the file is of, by its path and root, and the file's name there.
fn find_file(args: &Args) -> Result<(String, Store, RelativeName), Error> {
    let url = args.url.trim_end_matches('/');
    let below = |root: &str| args.file.strip_prefix(root)?.strip_prefix('/').map(str::to_owned);
    let file = below(url).unwrap_or_else(|| args.file.clone());
    let jobs = find_jobs(&args.url)?;
    let of = |(path, store): (String, Store)| {
        let name = match path.strip_prefix(url).map(|job| job.trim_start_matches('/')) {
            Some("") | None => Some(file.clone()),
            Some(job) => {
                file.strip_prefix(job).and_then(|name| name.strip_prefix('/')).map(str::to_owned)
            }
        };
        name.map(|name| (path, store, name))
    };
    // A job may lie in another's folder.
    let found = jobs.into_iter().filter_map(of).min_by_key(|(_, _, name)| name.len());
    let Some((path, store, name)) = found else {
        let message = format!("{file} is in the folder of no job there");
        return Err(Error::new(ErrorKind::Invalid, message).at_path(url));
    };
    let name = RelativeName::new(name).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("no file's name: {error}")).at_path(file.as_str())
    })?;
    Ok((path, store, name))
}

/// The file that a process was writing, of a name that it gives while it does.
fn staged_for(name: &RelativeName) -> Option<RelativeName> {
    let (of, number) = name.as_str().rsplit_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    RelativeName::new(of).ok().filter(|_| is_number)
}

fn keepers(
    store: &Store,
    judge: &Judge,
    name: &RelativeName,
    harms: &mut Vec<Harm>,
) -> Vec<Keeper> {
    let mut keepers = Vec::new();
    for (checkpoint, published) in judge.state().retained() {
        let reaches = judge.references().get(checkpoint).is_some_and(|names| names.contains(name));
        if published.manifest_path != *name && !reaches {
            continue;
        }
        let holds = judge.state().holds().get(checkpoint).cloned().unwrap_or_default();
        match kept_by(store, published, name, harms) {
            Ok(of) => {
                keepers.extend(of.into_iter().map(|of| Keeper { holds: holds.clone(), ..of }))
            }
            Err(error) => harms.push(Harm::of(&error)),
        }
    }
    keepers
}

/// How a checkpoint keeps the file `name`, which it reaches.
fn kept_by(
    store: &Store,
    published: &Published,
    name: &RelativeName,
    harms: &mut Vec<Harm>,
) -> Result<Vec<Keeper>, Error> {
    let keeper = |role| Keeper {
        checkpoint: published.checkpoint,
        holds: BTreeSet::new(),
        role,
        operator: None,
        subtask: None,
        key_group_first: None,
        key_group_last: None,
        states: None,
    };
    if published.manifest_path == *name {
        return Ok(vec![keeper("manifest")]);
    }
    let snapshot: OpenSnapshot = block_on(open_snapshot(store, &published.manifest_path))?;
    let (mut keepers, mut of_run) = (Vec::new(), None);
    for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
        for (subtask, (part, read)) in operator.parts.iter().zip(parts).enumerate() {
            let found = match read {
                _ if part.name()? == *name => Some(("part", operator.range(subtask)?, None)),
                Some(read) => named(read, name).map(|named| match named {
                    Named::Run(run) => {
                        let ids =
                            of_run.get_or_insert_with(|| states_in(store, run, harms)).clone();
                        ("run", run.range, ids)
                    }
                    Named::OperatorRun(run) => {
                        ("operatorRun", run.range, states_in(store, run, harms))
                    }
                    Named::Database(id, range) => ("database", range, id.map(|id| vec![id])),
                }),
                None => None,
            };
            let Some((role, range, ids)) = found else { continue };
            keepers.push(Keeper {
                operator: Some(operator.uid.clone()),
                subtask: Some(subtask),
                key_group_first: Some(range.first()),
                key_group_last: Some(range.last()),
                states: ids.map(|ids| ids.iter().map(|id| state_name(operator, *id)).collect()),
                ..keeper(role)
            });
        }
    }
    Ok(keepers)
}

enum Named<'a> {
    Run(&'a RunRef),
    OperatorRun(&'a RunRef),
    /// A file of a database, and of which state it is, if of one alone.
    Database(Option<u32>, KeyGroupRange),
}

fn named<'a>(part: &'a Part, name: &RelativeName) -> Option<Named<'a>> {
    let run = part.runs.iter().find(|run| run.file == *name).map(Named::Run);
    let operator = || part.operator_run.as_ref().filter(|run| run.file == *name);
    let native = || part.native.iter().flat_map(|native| &native.files);
    let file = || native().find(|file| file.file == *name);
    let database = || {
        let holds = file()?.holds;
        Some(Named::Database(
            holds.map(|(id, _)| id),
            holds.map_or(KeyGroupRange::ALL, |(_, range)| range),
        ))
    };
    run.or_else(|| operator().map(Named::OperatorRun)).or_else(database)
}

/// The ids of the states that a run holds; none, with the harm, if its index cannot be read.
fn states_in(store: &Store, run: &RunRef, harms: &mut Vec<Harm>) -> Option<Vec<u32>> {
    match index_stats(store, run) {
        Ok(stats) => Some(stats.keys().copied().collect()),
        Err(error) => {
            harms.push(Harm::of(&error));
            None
        }
    }
}

fn state_name(operator: &Operator, id: u32) -> String {
    let info = operator.states.iter().find(|info| info.id == id);
    info.map_or_else(|| format!("state {id}, dropped"), |info| info.name.clone())
}

impl Keeper {
    fn text(&self) -> String {
        let Self { checkpoint, holds, role, operator, subtask, states, .. } = self;
        let holds = holds.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let held = if holds.is_empty() { holds } else { format!(", held as {holds}") };
        let mut text = format!("checkpoint {checkpoint}{held}: ");
        text += match *role {
            "manifest" => "its manifest",
            "part" => "part",
            "run" => "run",
            "operatorRun" => "run of operator state",
            _ => "file of a database",
        };
        if let (Some(operator), Some(subtask)) = (operator, subtask) {
            text += &format!(" of operator {operator}, subtask {subtask}");
        }
        if let (Some(first), Some(last)) = (self.key_group_first, self.key_group_last) {
            text += &format!(", key groups {first} to {last}");
        }
        if let Some(states) = states {
            text += &format!(", states {}", states.join(", "));
        }
        text
    }
}
