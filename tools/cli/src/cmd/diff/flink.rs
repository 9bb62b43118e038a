//! Two snapshots, of which at least one is Flink's, compared by their canonical lines: sorted on disk, side by side.

mod sorted;

use super::{Args, Harms, refused, report, say_all, worst};
use crate::cmd::write_json_line;
use crate::flink::harms;
use crate::outcome::{Outcome, say};
use crate::snapshot::{Filter, Harm, each_line, find_snapshot};
use esker::flink::{FlinkFilter, FlinkSnapshot, FlinkStates};
use esker::format::manifest::StateKind;
use esker::processor::{Diff, Difference, Side, What};
use esker::snapshot::OpenSnapshot;
use esker::{Error, ErrorKind};
use sorted::Lines;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// A snapshot of either kind.
enum Source {
    Flink(Box<FlinkSnapshot>),
    Esker(Box<OpenSnapshot>),
}

/// Compares both if one is Flink's; none if neither is.
pub(super) fn run(args: &Args, out: &mut impl Write) -> io::Result<Option<Outcome>> {
    let flink = [&args.a, &args.b].map(|name| args.flink.open(name, None));
    if let [Ok(None), Ok(None)] = flink {
        return Ok(None);
    }
    let names = [&args.a, &args.b].into_iter().zip(flink);
    let opened = names.map(|(name, flink)| match flink {
        Ok(Some(flink)) => Ok(Source::Flink(Box::new(flink))),
        Ok(None) => {
            let opened = find_snapshot(name, None).and_then(|at| at.open());
            opened.map(|snapshot| Source::Esker(Box::new(snapshot)))
        }
        Err(error) => Err(error),
    });
    let (mut sources, mut refusals) = (Vec::new(), Harms::new());
    for (side, opened) in [Side::A, Side::B].into_iter().zip(opened) {
        match opened {
            Ok(source) => sources.push((side, source)),
            Err(error) => refusals.push((side, Harm::of(&error))),
        }
    }
    if !refusals.is_empty() {
        return refused(args, &refusals, out).map(Some);
    }
    compare(args, &sources, out).map(Some)
}

fn compare(args: &Args, sources: &[(Side, Source)], out: &mut impl Write) -> io::Result<Outcome> {
    if args.slice.key_group.is_some() && sources.iter().any(|(_, s)| matches!(s, Source::Esker(_)))
    {
        say(format_args!("--key-group: key groups of Flink's and of esker's are not the same"));
        return Ok(Outcome::NotTried);
    }
    let (mut found, mut damaged) = (Diff::default(), Harms::new());
    let mut states = Vec::new();
    let mut lines = Lines::new();
    for (side, source) in sources {
        match collect(args, *side, source, &mut lines)? {
            Ok((of_side, harms)) => {
                states.push(of_side);
                damaged.extend(harms.into_iter().map(|harm| (*side, harm)));
            }
            Err(error) => return refused(args, &vec![(*side, Harm::of(&error))], out),
        }
    }
    if let [a, b] = &states[..] {
        if let Some(error) = nothing_asked_for(args, a, b) {
            return refused(args, &vec![(Side::A, Harm::of(&error))], out);
        }
        found.metadata = differences(a, b);
        let both = a
            .keys()
            .chain(b.keys())
            .map(|name| (name.clone(), [a.contains_key(name), b.contains_key(name)]));
        let kinds = both.map(|(name, stands_in)| {
            let kind = a.get(&name).or_else(|| b.get(&name)).copied();
            (name, (kind.unwrap_or(StateKind::Value), stands_in))
        });
        let mut each = |sign: char, line: &str| match args.lines {
            true => writeln!(out, "{sign}{line}"),
            false => Ok(()),
        };
        found.states = lines.compare(kinds.collect(), &mut each)?;
    }
    let outcome = if found.is_same() { Outcome::Yes } else { Outcome::No };
    if args.json {
        write_json_line(out, &report::Report::of(args.names(), &found, &damaged))?;
    } else if args.lines {
        report::metadata(&found, args.names()).iter().for_each(|line| say(format_args!("{line}")));
    } else {
        report::summary(&found, args.names(), out)?;
    }
    out.flush()?;
    say_all(args, &damaged);
    Ok(worst(&damaged).max(outcome))
}

/// The states of a side that are asked for, by operator and name.
type States = BTreeMap<(String, String), StateKind>;

/// Puts the lines of one side among all. The outer error is one of the temporary folder.
fn collect(
    args: &Args,
    side: Side,
    source: &Source,
    lines: &mut Lines,
) -> io::Result<Result<(States, Vec<Harm>), Error>> {
    let mut failed = None;
    let mut add = |text: &str| {
        let added = text.lines().try_for_each(|line| lines.add(side, line));
        added.map_err(|error| {
            failed = Some(error);
            Error::new(ErrorKind::Retry, "the temporary folder failed")
        })
    };
    let read = match source {
        Source::Flink(snapshot) => of_flink(args, snapshot, &mut add),
        Source::Esker(snapshot) => of_esker(args, snapshot, &mut add),
    };
    match failed {
        Some(error) => Err(error),
        None => Ok(read),
    }
}

fn of_flink(
    args: &Args,
    snapshot: &FlinkSnapshot,
    add: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<(States, Vec<Harm>), Error> {
    let Ok(mut filter) = args.slice.of_flink(snapshot) else { return Ok(Default::default()) };
    // As the other side knows it.
    if let Some(label) = &args.slice.operator {
        filter.operator = snapshot.operator(label).ok().map(|operator| operator.label.clone());
    }
    let found: FlinkStates = snapshot.states(&filter)?;
    let mut states = States::new();
    for (operator, of_operator) in snapshot.operators().iter().zip(&found.operators) {
        let wanted = of_operator.iter().filter(|state| is_wanted(&filter, state.kind));
        states
            .extend(wanted.map(|state| ((operator.label.clone(), state.name.clone()), state.kind)));
    }
    let damage = snapshot.lines(&filter, &mut |_| {}, add)?;
    Ok((states, harms(&damage)))
}

fn is_wanted(filter: &FlinkFilter, kind: StateKind) -> bool {
    filter.key_groups.is_none() || kind.is_keyed()
}

fn of_esker(
    args: &Args,
    snapshot: &OpenSnapshot,
    add: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<(States, Vec<Harm>), Error> {
    let filter: Filter = args.slice.filter(args.include_expired);
    let wanted = snapshot.manifest.operators.iter();
    let wanted = wanted.filter(|o| filter.operator.as_ref().is_none_or(|uid| *uid == o.uid));
    let states = wanted.flat_map(|operator| {
        let states = operator.states.iter();
        let states = states.filter(|info| filter.state.as_ref().is_none_or(|n| *n == info.name));
        states.map(|info| ((operator.uid.clone(), info.name.clone()), info.kind))
    });
    let states = states.collect();
    let harms = each_line(snapshot, &filter, &mut |_| {}, add)?;
    Ok((states, harms))
}

fn nothing_asked_for(args: &Args, a: &States, b: &States) -> Option<Error> {
    let is_asked = args.slice.operator.is_some() || args.slice.state.is_some();
    if !is_asked || !a.is_empty() || !b.is_empty() {
        return None;
    }
    let what = [&args.slice.operator, &args.slice.state].into_iter().flatten();
    let what = what.cloned().collect::<Vec<_>>().join("/");
    Some(Error::new(ErrorKind::Invalid, format!("neither snapshot has {what}")))
}

/// Operators and states of one side alone, and those of another kind.
fn differences(a: &States, b: &States) -> Vec<Difference> {
    let operators = |states: &States| {
        states
            .keys()
            .map(|(operator, _)| operator.clone())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (in_a, in_b) = (operators(a), operators(b));
    let mut found = Vec::new();
    for (side, here, there) in [(Side::A, &in_a, &in_b), (Side::B, &in_b, &in_a)] {
        let alone = here.difference(there);
        found.extend(alone.map(|operator| Difference {
            operator: operator.clone(),
            state: None,
            what: What::OnlyIn(side),
        }));
    }
    for (side, here, there) in [(Side::A, a, b), (Side::B, b, a)] {
        let alone = here.keys().filter(|name| !there.contains_key(*name));
        let alone =
            alone.filter(|(operator, _)| in_a.contains(operator) && in_b.contains(operator));
        found.extend(alone.map(|(operator, state)| Difference {
            operator: operator.clone(),
            state: Some(state.clone()),
            what: What::OnlyIn(side),
        }));
    }
    for ((operator, state), kind) in a {
        let other = b.get(&(operator.clone(), state.clone()));
        if let Some(other) = other.filter(|other| *other != kind) {
            let (operator, state) = (operator.clone(), Some(state.clone()));
            found.push(Difference { operator, state, what: What::Kind([*kind, *other]) });
        }
    }
    found
}
