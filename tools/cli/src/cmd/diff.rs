//! `esker diff`: what differs between two snapshots.

mod flink;
mod report;

use super::{Slice, progress, write_json_line};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, say};
use crate::snapshot::{Filter, Harm, find_snapshot, part_harms};
use clap::ArgGroup;
use esker::processor::{Diff, DiffDamage, Side, diff};
use esker::snapshot::OpenSnapshot;
use esker::{Error, ErrorKind};
use std::io::{self, Write};

/// Compare what two snapshots hold
///
/// Operators are matched by uid, states by name, entries by key, namespace and user key, across
/// parallelism, backends, chains and full snapshots. It is what a comparison of both dumps, sorted, would
/// find, and what their manifests say differently: operators and states of one alone, kinds, types, TTL.
/// Elements of union and broadcast state, which every subtask holds, count once where the parallelism
/// differs.
///
/// Where both count the same runs nothing is read, and of runs that both have the blocks alone in
/// which a change can lie. States with TTL are read, shared runs once, as other entries are expired when
/// each was taken; not with `--include-expired`.
///
/// Where one or both are snapshots of Flink's, all lines of both are sorted, in temporary files above 64 MiB, and compared by
/// what they say: values of types that a conversion changes differ in their text.
///
/// Exit code 0 if nothing differs, 1 if something does or is damaged, 2 if it could not be tried.
///
/// With `--json` one object: `a`, `b`, `status` (`same`, `different`, or as `verify` has it `damaged`,
/// `refused`, `absent`, `unreadable`), `metadata` (`operator`, `state` or null, `what`: `operator`, `state`,
/// `kind`, `key`, `namespace`, `userKey`, `value` or `ttl`, and how `a` and `b` have it, null where they do
/// not), `states` (`operator`, `state`, `kind`, `inA`, `inB`, `onlyInA`, `onlyInB`, `changed`, `equal`,
/// `sharedKeyGroups`), `damage` as `verify` has it with `snapshot`, `a` or `b`. `metadata` and `states` are
/// null where nothing could be compared.
#[derive(clap::Args)]
#[command(group = ArgGroup::new("shown").args(["lines", "json"]), after_help = "\
Examples:
  esker diff /data/job/chk-6-1 /data/job/chk-7-1    what a checkpoint changed
  esker diff before after --lines | head            the entries, - of the first, + of the second
  esker diff savepoint /data/job --operator delays --state late
  esker diff flink-savepoint converted --uid users  Flink's against esker's
  esker diff --json a b | jq '.states[] | select(.changed > 0)'
  esker diff before after > /dev/null && echo same")]
pub(crate) struct Args {
    /// A savepoint's or checkpoint's folder, its _metadata, or a job's root: its last checkpoint; a path or URL
    #[arg(value_name = "A")]
    a: String,
    /// The other one
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    slice: Slice,
    /// Compare also what was expired when its snapshot was taken
    #[arg(long)]
    include_expired: bool,
    /// Write each entry that differs as a line of JSON, as dump has it, behind - (of A) or + (of B)
    #[arg(long)]
    lines: bool,
    /// Write one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flink: FlinkArgs,
}

/// What is damaged, and of which snapshot.
pub(crate) type Harms = Vec<(Side, Harm)>;

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    match told(args, out) {
        // A line was to be written, so they differ, whoever reads no further.
        Err(error) if args.lines && error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::No),
        told => told,
    }
}

fn told(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    if let Some(outcome) = flink::run(args, out)? {
        return Ok(outcome);
    }
    let opened = [&args.a, &args.b].map(|name| find_snapshot(name, None).and_then(|at| at.open()));
    let [a, b] = match opened {
        [Ok(a), Ok(b)] => [a, b],
        opened => {
            let sides = [Side::A, Side::B].into_iter().zip(opened);
            let harms = sides.filter_map(|(side, opened)| Some((side, Harm::of(&opened.err()?))));
            return refused(args, &harms.collect(), out);
        }
    };
    let filter = args.slice.filter(args.include_expired);
    let found = match compare([&a, &b], &filter, args, out)? {
        Ok(found) => found,
        Err(error) => return refused(args, &vec![(Side::A, Harm::of(&error))], out),
    };
    let harms = harms([&a, &b], &found, &filter);
    let outcome = match found.is_same() {
        true => Outcome::Yes,
        false => Outcome::No,
    };
    if args.json {
        write_json_line(out, &report::Report::of(args.names(), &found, &harms))?;
    } else if args.lines {
        report::metadata(&found, args.names()).iter().for_each(|line| say(format_args!("{line}")));
    } else {
        report::summary(&found, args.names(), out)?;
    }
    out.flush()?;
    say_all(args, &harms);
    Ok(worst(&harms).max(outcome))
}

impl Args {
    fn names(&self) -> [&str; 2] {
        [&self.a, &self.b]
    }
}

/// The outer error is one of writing, the inner one of the snapshots.
fn compare(
    [a, b]: [&OpenSnapshot; 2],
    filter: &Filter,
    args: &Args,
    out: &mut impl Write,
) -> io::Result<Result<Diff, Error>> {
    let uids = [a, b].into_iter().flat_map(|snapshot| &snapshot.manifest.operators);
    let wanted = uids.map(|operator| &operator.uid);
    let wanted = wanted.filter(|uid| filter.operator.as_ref().is_none_or(|asked| asked == *uid));
    let operators = wanted.collect::<std::collections::BTreeSet<_>>().len() as u64;
    let bar = progress(operators * u64::from(filter.range.count()), "key groups");
    let mut failed = None;
    let mut each = |side: Side, line: &str| {
        if !args.lines {
            return Ok(());
        }
        let sign = if side == Side::A { '-' } else { '+' };
        writeln!(out, "{sign}{line}").map_err(|error| {
            failed = Some(error);
            Error::new(ErrorKind::Retry, "output ended")
        })
    };
    let found = diff(a, b, &filter.of_diff(), &mut |groups| bar.inc(groups), &mut each);
    bar.finish_and_clear();
    match failed {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// What of both could not be read, and was asked for.
fn harms(snapshots: [&OpenSnapshot; 2], found: &Diff, filter: &Filter) -> Harms {
    let mut harms = Harms::new();
    for (side, snapshot) in [Side::A, Side::B].into_iter().zip(snapshots) {
        harms.extend(part_harms(snapshot).into_iter().map(|harm| (side, harm)));
        let of_side = found.damage.iter().filter(|damage| damage.side == side);
        for DiffDamage { operator: uid, is_keyed, damage, .. } in of_side {
            let operators = snapshot.manifest.operators.iter();
            for operator in operators.filter(|operator| operator.uid == *uid) {
                let holds =
                    |info: &esker::format::manifest::StateInfo| info.kind.is_keyed() == *is_keyed;
                harms.push((side, Harm::of_damage(damage, operator, holds)));
            }
        }
    }
    harms.retain(|(_, harm)| filter.touched(harm));
    harms
}

fn worst(harms: &Harms) -> Outcome {
    let outcomes = harms.iter().map(|(_, harm)| harm.status.outcome());
    outcomes.max().unwrap_or(Outcome::Yes)
}

fn say_all(args: &Args, harms: &Harms) {
    for (side, harm) in harms {
        let name = if *side == Side::A { &args.a } else { &args.b };
        say(format_args!("{}", harm.within(name)));
    }
}

/// Where nothing could be compared.
fn refused(args: &Args, harms: &Harms, out: &mut impl Write) -> io::Result<Outcome> {
    if args.json {
        write_json_line(out, &report::Report::refused(args.names(), harms))?;
        out.flush()?;
    }
    say_all(args, harms);
    Ok(worst(harms))
}
