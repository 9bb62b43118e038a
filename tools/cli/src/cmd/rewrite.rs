//! `esker rewrite`: a snapshot changed by a plan, in a folder where it stands alone.

mod flink;
mod report;
mod steps;

use super::{Transfers, progress, write_json_line};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::{Harm, Pick, open_store, sizes};
use esker::processor::{RewritePlan, Transport, rehearse, rewrite};
use esker::{Error, block_on};
use report::{Done, Report, Step};
use std::io::{self, Write};

/// Rename, drop or filter operators and states of a snapshot, into a folder where it stands alone
///
/// DST becomes a savepoint, as with `copy`; SRC stays as it is. All names are those of SRC, so that the
/// order of steps does not matter and two names can be swapped. A name that SRC does not have, two of one
/// name afterwards, and a result without any state are refused before anything is written (exit code 1).
///
/// Renames and drops need no state: names stand in the manifest alone. Between folders of one file system
/// DST gets further names for the files of SRC (hard links), so that it takes as long for terabytes as
/// for nothing; SRC can be deleted afterwards. A link is not read: run `verify` on DST, or use `--copy`,
/// which checks every file that it copies; files that are in DST already are not looked at, so give it another
/// folder, or run `verify`. Elsewhere files are copied, and checked. A dropped operator's files are left
/// out; entries of a dropped state stay in files that it shares with others, and no reader sees them.
///
/// A filter keeps the entries for which an expression of CEL (https://cel.dev) holds. It is one over `key`,
/// `ns` (the namespace, whose name CEL keeps for itself), `userKey`, `value` and `ttl`, as `dump` shows
/// them, but for bytes, which are bytes, maps, which are maps, not pairs, as far as CEL knows keys of that type,
/// `f32`, which is widened to a double, and null for what is not there. A name that is none of these is refused, and
/// so is an expression deeper than 32 levels. After a filter that fails at an entry DST is as before. Numbers of any type are compared,
/// `value > 5`; to compute with those of an unsigned type takes unsigned ones, `key % 2u == 0`. `--filter` asks it of all keyed state, `--filter-state`
/// of one state, of operator state too. All runs of an operator with a filter are written anew.
/// Entries of a native checkpoint are not filtered: take a savepoint first.
///
/// Steps change entries, those that the filters keep, and one sees what those before it made: `set` puts
/// another value, or a part of it, where there is one; `delete_field` and `add_field` change a struct, in the type
/// of the state too; `ttl` and `remove_ttl` say when entries expire; `codec` writes values by another one;
/// `rekey` gives all keyed state of an operator other keys; `filter` is one among them. What does not fit
/// its type is refused with operator, state, key and step, and DST is as before. `--step` takes one in TOML;
/// all of them are in docs/rewrite.md.
///
/// Of a snapshot of Flink's, of any kind and backend, DST becomes a canonical savepoint, which Flink restores into any backend, its
/// `_metadata` of the version that all from 1.14 to 2.3 read. Operators are named by uid (`--uid` names those of metadata that
/// knows hashes alone) or by id. Renames, drops and filters are as above, and of the steps `set` and `filter`: types, TTL and serializers of Flink's stay as
/// they are, byte for byte, and so do entries that nothing changes, those among them that nobody can read without the job's
/// classes. `--max-parallelism` gives all operators other key groups, by Java's `hashCode()` of every key; keys whose class has a
/// hash of its own (POJOs, enums) are refused by name.
///
/// A plan is a TOML file:
///
/// ```toml
/// filter = "key != 'UA'"
/// [operator.delays]
/// rename = "arrivals"
/// filter = "ns == null || ns > 1000"
/// state.total.filter = "value > 0"
/// state.count.rename = "flights"
/// state.late.drop = true
/// [[operator.delays.state.count.steps]]
/// set.to = "value * 60u"
/// [[operator.delays.state.mean.steps]]
/// set = { field = "sum.cents", to = "it * 100" }
/// ```
///
/// With `--json` one object: `source`, `target`, `status` (`ok`, `damaged`, `refused`, `absent`,
/// `unreadable`), `dryRun`, `steps`, and `damage` as `verify` has it. A step has `step`
/// (`rename-operator`, `drop-operator`, `rename-state`, `drop-state`, `filter`, `set`, `delete-field`,
/// `add-field`, `ttl`, `remove-ttl`, `codec`, `rekey`, `max-parallelism`, `parallelism`), `operator`, `state`, `to`, `what` it says of entries, `entries` and `bytes` of what it is
/// about, as `du` counts them, and where entries are looked at `left` and `leftBytes`, of the state in DST. `job`, `checkpoint`, `files` (all of DST),
/// `linked`, `written` and `present`, each `{"files":…,"bytes":…}`, are null where they are not known.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker rewrite /data/job renamed --rename-operator delays=arrivals
  esker rewrite save new --rename-state delays/count=flights --drop-state delays/late
  esker rewrite save new --rename-operator a=b --rename-operator b=a
  esker rewrite save new --filter \"key != 'UA'\"
  esker rewrite save new --filter-state 'delays/count=value > 3' --dry-run
  esker rewrite save new --step 'delays/count=set.to = \"value * 60u\"'
  esker rewrite save new --now 1767225600000 \
    --step 'delays/late=ttl = { duration_ms = 3600000, last_update = \"now\" }'
  esker rewrite save new --plan plan.toml --dry-run
  esker rewrite /flink/savepoint-1a2b3c new --uid orders --rename-operator orders=purchases
  esker rewrite /flink/savepoint-1a2b3c new --max-parallelism 512")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root; a path or URL
    #[arg(value_name = "SRC")]
    source: String,
    /// The result's folder: empty, not there yet, or with what is there of the same result; a path or URL
    #[arg(value_name = "DST")]
    target: String,
    #[command(flatten)]
    pick: Pick,
    #[command(flatten)]
    steps: steps::Args,
    /// The time that counts as now, in milliseconds, where steps need one; nobody looks at a clock
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    now: Option<i64>,
    /// Say what would be done, and to how much; DST is not looked at
    #[arg(long)]
    dry_run: bool,
    /// Copy and check every file, where it could be linked; what is in DST already is not looked at
    #[arg(long)]
    copy: bool,
    #[command(flatten)]
    transfers: Transfers,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let mut steps = Vec::new();
    let done = done(args, &mut steps);
    let Args { source, target, dry_run, .. } = args;
    let (harms, done) = match done {
        Ok(done) => (Vec::new(), Some(done)),
        Err(harms) => (harms, None),
    };
    let status = Harm::worst(&harms).unwrap_or(Status::Ok);
    let report = Report { source, target, status, dry_run: *dry_run, steps, done, damage: &harms };
    match args.json {
        true => write_json_line(out, &report)?,
        false => report.write(out)?,
    }
    out.flush()?;
    harms.iter().for_each(|harm| say(format_args!("{}", harm.within(source))));
    Ok(status.outcome())
}

/// What was done, or all that is wrong; `steps` is filled once they are known to fit.
fn done(args: &Args, steps: &mut Vec<Step>) -> Result<Done, Vec<Harm>> {
    let failed = |error: Error| vec![Harm::of(&error)];
    let of_target = |error: Error| vec![Harm::of_target(&error)];
    if let Some(snapshot) = args.flink.open(&args.source, args.pick.checkpoint()).map_err(failed)? {
        return flink::done(args, &snapshot, steps);
    }
    let snapshot = args.pick.whole(&args.source)?;
    let mut plan: RewritePlan = args.steps.plan(&snapshot.manifest).map_err(failed)?;
    plan.now_ms = args.now.or(plan.now_ms);
    plan.check(&snapshot.manifest).map_err(of_target)?;
    let (sizes, harms) = sizes(&snapshot);
    if !harms.is_empty() {
        return Err(harms);
    }
    *steps = Step::all(&plan, &sizes);
    drop(sizes);
    if args.dry_run {
        let done = block_on(rehearse(snapshot, &plan)).map_err(of_target)?;
        Step::tell_left(steps, &done.left);
        return Ok(Done::from(done));
    }
    let settings = args.transfers.settings();
    let transport = if args.copy { Transport::Copy } else { Transport::Link };
    let target = open_store(&args.target).map_err(failed)?;
    let bar = progress(snapshot.files().values().sum(), "bytes");
    let told = |bytes| bar.inc(bytes);
    let done = block_on(rewrite(snapshot, &plan, &target, transport, &settings, &told));
    bar.finish_and_clear();
    let done = done.map_err(of_target)?;
    Step::tell_left(steps, &done.left);
    Ok(Done::from(done))
}
