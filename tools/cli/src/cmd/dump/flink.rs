//! The canonical lines of a snapshot of Flink's.

use super::{Args, Lines};
use crate::cmd::{progress, say_harms, say_refused};
use crate::flink::{harms, say_opaque};
use crate::load::Format;
use crate::outcome::Outcome;
use crate::snapshot::Harm;
use esker::flink::{FlinkFilter, FlinkSnapshot};
use esker::format::manifest::StateInfo;
use esker::processor::Sorter;
use esker::processor::columnar::shapes;
use esker::{Error, ErrorKind};
use std::io::{self, Write};

pub(super) fn run(
    args: &Args,
    snapshot: &FlinkSnapshot,
    out: &mut (impl Write + Send),
) -> io::Result<Outcome> {
    let filter = args.slice.of_flink(snapshot);
    let filter = filter.and_then(|filter| snapshot.check_filter(&filter).map(|()| filter));
    let harms = match filter {
        Ok(filter) => write_all(args, snapshot, &filter, out)?,
        Err(error) => Err(error),
    };
    out.flush()?;
    match harms {
        Ok(harms) => Ok(say_harms(&harms)),
        Err(error) => Ok(say_refused(&args.snapshot, &error)),
    }
}

/// The outer error is one of writing, the inner one of the snapshot.
fn write_all(
    args: &Args,
    snapshot: &FlinkSnapshot,
    filter: &FlinkFilter,
    out: &mut (impl Write + Send),
) -> io::Result<Result<Vec<Harm>, Error>> {
    let states = match snapshot.states(filter) {
        Ok(states) => states,
        Err(error) => return Ok(Err(error)),
    };
    say_opaque(snapshot, &states);
    let schema = snapshot.schema_of(&states);
    let infos: Vec<(_, StateInfo)> = schema
        .operators
        .iter()
        .flat_map(|operator| {
            operator.states.iter().map(|state| (operator.key.as_ref(), state.info(0)))
        })
        .collect();
    let shapes = shapes(infos.iter().map(|(key, info)| (*key, info)));
    let is_plain = args.format == Format::Jsonl;
    let mut writer = Lines::new(args.format, &shapes, out)?;
    let mut sorter = args.sorted.then(Sorter::new);
    let mut failed = None;
    let mut each = |lines: &str| {
        let written = match (&mut sorter, &mut writer) {
            (Some(sorter), _) => lines.lines().try_for_each(|line| sorter.add(line)),
            // All at once, as they are.
            (None, Lines::Jsonl(out)) if is_plain => out.write_all(lines.as_bytes()),
            (None, writer) => lines.lines().try_for_each(|line| writer.write(line)),
        };
        written.map_err(|error| {
            failed = Some(error);
            Error::new(ErrorKind::Retry, "output ended")
        })
    };
    let bar = progress(snapshot.steps(filter), "key groups");
    let damage = snapshot.lines(filter, &mut |steps| bar.inc(steps), &mut each);
    bar.finish_and_clear();
    if let Some(error) = failed {
        return Err(error);
    }
    if let Some(sorter) = sorter.filter(|_| damage.is_ok()) {
        sorter.finish(&mut |line| {
            writer.write(std::str::from_utf8(line).map_err(io::Error::other)?)
        })?;
    }
    writer.finish()?;
    Ok(damage.map(|damage| harms(&damage)))
}
