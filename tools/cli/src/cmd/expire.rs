//! `esker expire`: checkpoints of a job that are not to be retained any more.

use super::gc::{duration, millis, now_ms};
use super::hold::beside;
use super::{say_harms, say_refused, write_json_line};
use crate::outcome::Outcome;
use crate::snapshot::{Harm, find_job};
use clap::ArgGroup;
use esker::checkpoint::Attached;
use esker::snapshot::ManifestReferences;
use esker::{Error, ErrorKind, Store, block_on};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::time::Duration;

/// Give up checkpoints of a job, so that their files may go
///
/// A record in the job's log retires them and condemns what no other reaches; `esker gc` deletes that, or the job itself
/// when it next does so. It may be done beside a live job: a checkpoint that it is writing, and that builds on
/// one given up, is given up too, and the next takes its place. The newest checkpoint always stays, and so do
/// those that are held; where one cannot be read or the newest lacks a file, nothing is given up, as an
/// older one may be all there is to restore (exit code 1).
///
/// With `--json` an object for each checkpoint: `job`, `checkpoint`, `does` (`expired`, `wouldExpire`, `kept`), `why` it is kept,
/// or null (`newest`, `held`, `notAsked`).
#[derive(clap::Args)]
#[command(group = ArgGroup::new("which").args(["keep", "older_than", "checkpoints"]).required(true), after_help = "\
Examples:
  esker expire /data/job --keep 3
  esker expire /data/job --older-than 7d --dry-run
  esker expire /data/job 4 5 && esker gc /data/job")]
pub(crate) struct Args {
    /// A job's root; a path or URL
    #[arg(value_name = "URL")]
    url: String,
    /// These checkpoints
    #[arg(value_name = "CHECKPOINT")]
    checkpoints: Vec<u64>,
    /// All but the newest so many
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroUsize>,
    /// Those whose manifests were written longer ago than this: 90s, 15m, 12h, 7d, 2w
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Give up nothing, and say what would be
    #[arg(long)]
    dry_run: bool,
    /// Write one JSON object per checkpoint
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Kept {
    Newest,
    Held,
    NotAsked,
}

#[derive(Serialize)]
struct Line<'a> {
    job: &'a str,
    checkpoint: u64,
    does: &'static str,
    why: Option<Kept>,
}

/// What becomes of each retained checkpoint: none if it is given up.
type Plan = BTreeMap<u64, Option<Kept>>;

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let url = &args.url;
    let done = find_job(url).and_then(|(store, _)| {
        beside(&store, |attached| {
            let plan = plan(args, &store, attached)?;
            let given_up = plan.iter().filter(|(_, kept)| kept.is_none());
            let given_up: BTreeSet<u64> = given_up.map(|(checkpoint, _)| *checkpoint).collect();
            if !args.dry_run {
                block_on(attached.retire(&ManifestReferences, &given_up))?;
            }
            Ok(plan)
        })
    });
    let plan = match done {
        Ok(plan) => plan,
        Err(error) if error.is_damage() || error.kind() == ErrorKind::Corrupt => {
            return Ok(say_harms(&[Harm::of(&error)]));
        }
        Err(error) => return Ok(say_refused(url, &error)),
    };
    for (checkpoint, kept) in plan {
        let (does, text) = match (kept, args.dry_run) {
            (None, false) => ("expired", "expired"),
            (None, true) => ("wouldExpire", "would expire"),
            (Some(_), _) => ("kept", "kept"),
        };
        if args.json {
            write_json_line(out, &Line { job: url, checkpoint, does, why: kept })?;
            continue;
        }
        let why = match kept {
            Some(Kept::Newest) => ", the newest",
            Some(Kept::Held) => ", held",
            Some(Kept::NotAsked) | None => "",
        };
        writeln!(out, "{text} {url}: checkpoint {checkpoint}{why}")?;
    }
    out.flush()?;
    Ok(Outcome::Yes)
}

fn plan(args: &Args, store: &Store, attached: &Attached) -> Result<Plan, Error> {
    let (state, mut asked) = (attached.state(), BTreeSet::new());
    let retained = state.retained();
    if let Some(keep) = args.keep {
        asked.extend(retained.keys().rev().skip(keep.get()));
    }
    if let Some(age) = args.older_than {
        let before = now_ms().saturating_sub(millis(age));
        let listed = block_on(store.list_dated(None))?;
        let old: BTreeSet<_> = listed
            .into_iter()
            .filter(|file| file.modified_ms < before)
            .map(|file| file.name)
            .collect();
        let old = retained.iter().filter(|(_, published)| old.contains(&published.manifest_path));
        asked.extend(old.map(|(checkpoint, _)| *checkpoint));
    }
    for checkpoint in &args.checkpoints {
        let refused = |why: &str| {
            let message = format!("checkpoint {checkpoint} is {why}");
            Err(Error::new(ErrorKind::Invalid, message))
        };
        match retained.get_key_value(checkpoint) {
            None => return refused("not retained"),
            Some(_) if state.holds().contains_key(checkpoint) => {
                return refused("held: release it first");
            }
            Some(_) if retained.keys().next_back() == Some(checkpoint) => {
                return refused("the newest, which always stays");
            }
            Some(_) => drop(asked.insert(*checkpoint)),
        }
    }
    let newest = retained.keys().next_back();
    let kept = |checkpoint: &u64| match () {
        () if newest == Some(checkpoint) => Some(Kept::Newest),
        () if state.holds().contains_key(checkpoint) => Some(Kept::Held),
        () if !asked.contains(checkpoint) => Some(Kept::NotAsked),
        () => None,
    };
    Ok(retained.keys().map(|checkpoint| (*checkpoint, kept(checkpoint))).collect())
}
