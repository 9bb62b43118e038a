//! `esker split`: one snapshot to several.

use super::copy::Files;
use super::{Transfers, progress, write_json_line};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick, open_store};
use esker::processor::{Count, Rewritten, SplitPlan, Transport, split};
use esker::{Error, ErrorKind, block_on};
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Deal a snapshot out to several folders, each a savepoint that stands alone
///
/// Every DST becomes a savepoint of what a plan gives to its NAME: whole operators, whole states, or of keyed state the
/// entries for which an expression gives that name. Every entry of keyed state goes to exactly one; operator state that
/// the plan says nothing of goes to all, and `merge` would have its lists as often: name a DST for it. Job, checkpoint,
/// operators, types and parallelism stay; SRC stays as it is.
///
/// The plan is a TOML file, and --by says what its first line does:
///
/// ```toml
/// by = "keyGroup < 32768 ? 'low' : 'high'"
/// [operator.airports]
/// to = "low"
/// [operator.delays]
/// by = "key.startsWith('U') ? 'high' : 'low'"
/// state.late = "low"
/// ```
///
/// An expression is one of CEL over `key`, `ns`, `userKey`, `value` and `ttl`, as for filters of `rewrite`, and over
/// `state`, its name, and `keyGroup`. What nothing says where it goes, a NAME that is not there, a DST that gets nothing,
/// and an expression that cannot be compiled are refused before anything is written (exit code 1). What is dealt out as a whole is linked, copied and checked as by
/// `rewrite`; an operator that is dealt out by an expression is read once for each DST that gets some of it. One DST is
/// written after the other: where one fails those before it are whole, and the same command goes on with the rest.
///
/// With `--json` one object: `source`, `status` (`ok`, `damaged`, `refused`, `absent`, `unreadable`), `job`,
/// `checkpoint`, `targets` and `damage` as `verify` has it. A target has `name`, `target`, `linked`, `written` and
/// `present`, each `{"files":…,"bytes":…}`; there are none but where the status is `ok`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker split /data/job low=/data/low high=/data/high --by \"keyGroup < 32768 ? 'low' : 'high'\"
  esker split save north=north south=south --plan plan.toml
  esker split --json save a=first b=second --plan plan.toml | jq '.targets[].written.bytes'")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SRC")]
    source: String,
    /// A name of the plan, and its folder: empty, not there yet, or with what is there of the same result; a path or URL
    #[arg(value_name = "NAME=DST", required = true, num_args = 1..)]
    targets: Vec<String>,
    #[command(flatten)]
    pick: Pick,
    /// The plan, a TOML file
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The name of the DST that gets an entry, where the plan does not say it of its operator
    #[arg(long, value_name = "EXPR")]
    by: Option<String>,
    /// Copy and check every file, where it could be linked; what is in DST already is not looked at
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    transfers: Transfers,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    source: &'a str,
    status: Status,
    job: Option<&'a str>,
    checkpoint: Option<u64>,
    targets: Vec<Target<'a>>,
    damage: &'a [Harm],
}

#[derive(Serialize)]
struct Target<'a> {
    name: &'a str,
    target: &'a str,
    linked: Files,
    written: Files,
    present: Files,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let source = &args.source;
    let (made, harms) = match made(args) {
        Ok(made) => (made, Vec::new()),
        Err(harms) => (Vec::new(), harms),
    };
    let status = Harm::worst(&harms).unwrap_or(Status::Ok);
    if args.json {
        let manifest = made.first().map(|(.., one)| &one.manifest);
        let targets = made.iter().map(|(name, target, one)| Target {
            name,
            target,
            linked: one.linked.into(),
            written: one.written.into(),
            present: one.present.into(),
        });
        let report = Report {
            source,
            status,
            job: manifest.map(|manifest| manifest.job.as_str()),
            checkpoint: manifest.map(|manifest| manifest.checkpoint),
            targets: targets.collect(),
            damage: &harms,
        };
        write_json_line(out, &report)?;
    } else {
        let count = |Count { files, len_bytes }| format!("{files} files, {len_bytes} bytes");
        for (name, target, one) in &made {
            let Rewritten { manifest, linked, written, present, .. } = one;
            writeln!(
                out,
                "ok {target}: {name} of checkpoint {} of {source}: linked {}; written {}; there already {}",
                manifest.checkpoint,
                count(*linked),
                count(*written),
                count(*present)
            )?;
        }
    }
    out.flush()?;
    harms.iter().for_each(|harm| say(format_args!("{}", harm.within(source))));
    Ok(status.outcome())
}

/// Each target's name and folder with what was done, or all that is wrong.
fn made(args: &Args) -> Result<Vec<(&str, &str, Rewritten)>, Vec<Harm>> {
    let failed = |error: Error| vec![Harm::of(&error)];
    let named = args.targets.iter().map(|text| {
        let named =
            text.split_once('=').filter(|(name, target)| !name.is_empty() && !target.is_empty());
        named.ok_or_else(|| failed(unusable(format!("{text:?} is not of the form NAME=DST"))))
    });
    let named = named.collect::<Result<Vec<_>, _>>()?;
    let mut plan = args.plan.as_deref().map(read).transpose().map_err(failed)?.unwrap_or_default();
    plan.by = args.by.clone().or(plan.by);
    let snapshot = args.pick.whole(&args.source)?;
    // Before any folder is made.
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    plan.check(&snapshot.manifest, &names).map_err(|error| vec![Harm::of_target(&error)])?;
    let open = |(name, target): &(_, &str)| Ok((*name, open_store(target)?));
    let targets = named.iter().map(open).collect::<Result<Vec<_>, Error>>().map_err(failed)?;
    let settings = args.transfers.settings();
    let transport = if args.copy { Transport::Copy } else { Transport::Link };
    let len_bytes = snapshot.files().values().sum::<u64>();
    let bar = progress(len_bytes.saturating_mul(targets.len() as u64), "bytes");
    let told = |bytes| bar.inc(bytes);
    let done = block_on(split(snapshot, &plan, &targets, transport, &settings, &told));
    bar.finish_and_clear();
    let done = done.map_err(|error| vec![Harm::of_target(&error)])?;
    Ok(named.into_iter().zip(done).map(|((name, target), one)| (name, target, one)).collect())
}

fn read(path: &Path) -> Result<SplitPlan, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    let plan = text.and_then(|text| SplitPlan::from_toml(&text).map_err(|error| error.to_string()));
    plan.map_err(|why| unusable(why).at_path(path.to_string_lossy()))
}

/// The error of arguments that nothing can be tried with.
fn unusable(why: String) -> Error {
    Error::new(ErrorKind::Retry, why)
}
