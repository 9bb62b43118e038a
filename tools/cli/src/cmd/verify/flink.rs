//! Whether a snapshot of Flink's is whole.

use crate::cmd::{progress, write_json_line};
use crate::flink::{harms, kind};
use crate::outcome::{Outcome, Status, say};
use crate::snapshot::Harm;
use esker::Error;
use esker::flink::{FlinkFilter, FlinkSnapshot, FlinkVerified};
use serde::Serialize;
use std::io::{self, Write};

/// As of a snapshot of esker's, but for what `snapshot` holds.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    status: Status,
    kind: Option<&'static str>,
    snapshot: Option<Summary>,
    damage: &'a [Harm],
}

#[derive(Serialize)]
struct Summary {
    checkpoint: i64,
    files: u64,
    bytes: u64,
    entries: u64,
}

pub(super) fn run(
    name: &str,
    snapshot: &FlinkSnapshot,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let bar = progress(snapshot.steps(&FlinkFilter::default()), "key groups");
    let verified = snapshot.verify(&mut |steps| bar.inc(steps));
    bar.finish_and_clear();
    let FlinkVerified { files, len_bytes: bytes, entries, damage } = match verified {
        Ok(verified) => verified,
        Err(error) => return refused(name, &error, json, out),
    };
    let harms = harms(&damage);
    let status = Harm::worst(&harms).unwrap_or(Status::Ok);
    let kind = kind(snapshot);
    if json {
        let checkpoint = snapshot.metadata().checkpoint_id;
        let summary = Some(Summary { checkpoint, files, bytes, entries });
        let (kind, damage) = (Some(kind), &harms[..]);
        write_json_line(out, &Report { file: name, status, kind, snapshot: summary, damage })?;
    }
    for harm in &harms {
        if harm.status == Status::Unreadable {
            say(format_args!("{}", harm.within(name)));
        } else if !json {
            writeln!(out, "{}", harm.within(name))?;
        }
    }
    if harms.is_empty() && !json {
        writeln!(out, "ok {name} {kind}: {files} files, {bytes} bytes, {entries} entries")?;
    }
    Ok(status.outcome())
}

pub(super) fn refused(
    name: &str,
    error: &Error,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let harm = Harm::of(error);
    let status = harm.status;
    if json {
        let damage = std::slice::from_ref(&harm);
        write_json_line(out, &Report { file: name, status, kind: None, snapshot: None, damage })?;
    }
    if status == Status::Unreadable {
        say(format_args!("{}", harm.within(name)));
    } else if !json {
        writeln!(out, "{}", harm.within(name))?;
    }
    Ok(status.outcome())
}
