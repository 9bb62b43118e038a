//! What a snapshot is made of, for `esker inspect`.

use super::{say_harms, table, write_json_line};
use crate::outcome::{Outcome, Status};
use crate::snapshot::{Harm, OperatorSizes, StateSizes, Type, find_snapshot, part_harms, sizes};
use esker::Error;
use esker::format::manifest::{Manifest, SnapshotKind, TtlUpdate};
use esker::snapshot::OpenSnapshot;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    status: Status,
    kind: Option<&'static str>,
    snapshot: Option<Snapshot<'a>>,
    damage: &'a [Harm],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    job: &'a str,
    checkpoint: u64,
    generation: u64,
    operators: Vec<OperatorReport<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OperatorReport<'a> {
    uid: &'a str,
    parallelism: usize,
    key: Option<Type>,
    runs: usize,
    run_bytes: u64,
    states: Vec<StateReport<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StateReport<'a> {
    id: u32,
    name: &'a str,
    kind: &'static str,
    namespace: Option<Type>,
    user_key: Option<Type>,
    value: Option<Type>,
    ttl: Option<Ttl>,
    entries: u64,
    earliest_timer_ms: Option<i64>,
    key_bytes: u64,
    value_bytes: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ttl {
    duration_ms: Option<u64>,
    update: &'static str,
}

pub(super) fn run(name: &str, json: bool, out: &mut impl Write) -> io::Result<Outcome> {
    let opened = find_snapshot(name, None).and_then(|at| at.open());
    let snapshot = match opened {
        Ok(snapshot) => snapshot,
        Err(error) => return refused(name, &error, json, out),
    };
    let (sizes, mut harms) = sizes(&snapshot);
    harms.extend(part_harms(&snapshot));
    if json {
        let status = Harm::worst(&harms);
        let (status, damage) = (status.unwrap_or(Status::Ok), &harms[..]);
        let kind = Some(kind_of(&snapshot.manifest));
        let snapshot = Some(report(&snapshot, &sizes));
        write_json_line(out, &Report { file: name, status, kind, snapshot, damage })?;
    } else {
        show(name, &snapshot, &sizes, out)?;
    }
    out.flush()?;
    Ok(say_harms(&harms))
}

pub(super) fn refused(
    name: &str,
    error: &Error,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let harm = Harm::of(error);
    if json {
        let (status, damage) = (harm.status, std::slice::from_ref(&harm));
        let report = Report { file: name, status, kind: None, snapshot: None, damage };
        write_json_line(out, &report)?;
    }
    Ok(super::say_refused(name, error))
}

fn kind_of(manifest: &Manifest) -> &'static str {
    match manifest.kind {
        SnapshotKind::Checkpoint => "checkpoint",
        SnapshotKind::Savepoint => "savepoint",
    }
}

fn report<'a>(snapshot: &'a OpenSnapshot, sizes: &[OperatorSizes<'a>]) -> Snapshot<'a> {
    let Manifest { job, checkpoint, generation, .. } = &snapshot.manifest;
    let operators = sizes.iter().map(|sizes| {
        let OperatorSizes { operator, runs, run_len_bytes, states } = sizes;
        OperatorReport {
            uid: &operator.uid,
            parallelism: operator.parts.len(),
            key: operator.key.as_ref().map(Type::of),
            runs: *runs,
            run_bytes: *run_len_bytes,
            states: states.iter().map(state_report).collect(),
        }
    });
    let (checkpoint, generation) = (*checkpoint, *generation);
    Snapshot { job, checkpoint, generation, operators: operators.collect() }
}

fn state_report<'a>(sizes: &StateSizes<'a>) -> StateReport<'a> {
    let StateSizes { info, entries, earliest_timer_ms, stats, .. } = sizes;
    StateReport {
        id: info.id,
        name: &info.name,
        kind: info.kind.name(),
        namespace: info.namespace.as_ref().map(Type::of),
        user_key: info.user_key.as_ref().map(Type::of),
        value: info.value.as_ref().map(Type::of),
        ttl: info.ttl.map(|ttl| Ttl {
            duration_ms: ttl.duration_ms,
            update: match ttl.update {
                TtlUpdate::Write => "write",
                TtlUpdate::ReadAndWrite => "readAndWrite",
            },
        }),
        entries: *entries,
        earliest_timer_ms: *earliest_timer_ms,
        key_bytes: stats.key_bytes,
        value_bytes: stats.value_bytes,
    }
}

fn show(
    name: &str,
    snapshot: &OpenSnapshot,
    sizes: &[OperatorSizes<'_>],
    out: &mut impl Write,
) -> io::Result<()> {
    let manifest = &snapshot.manifest;
    writeln!(out, "snapshot    {name}\nkind        {}", kind_of(manifest))?;
    writeln!(out, "job         {}\ncheckpoint  {}", manifest.job, manifest.checkpoint)?;
    writeln!(out, "generation  {}", manifest.generation)?;
    for OperatorSizes { operator, runs, run_len_bytes, states } in sizes {
        let (uid, parallelism) = (&operator.uid, operator.parts.len());
        writeln!(out, "\noperator    {uid}\nparallelism {parallelism}")?;
        writeln!(out, "key         {}", Type::text(operator.key.as_ref()))?;
        writeln!(out, "runs        {runs}, {run_len_bytes} bytes")?;
        let head = ["state", "kind", "namespace", "user key", "value", "ttl ms", "entries"];
        let mut table = table(&head, 6);
        for StateSizes { info, entries, .. } in states {
            let ttl = info.ttl.map(|ttl| ttl.duration_ms.map_or("?".into(), |ms| ms.to_string()));
            table.add_row([
                info.name.clone(),
                info.kind.to_string(),
                Type::text(info.namespace.as_ref()),
                Type::text(info.user_key.as_ref()),
                Type::text(info.value.as_ref()),
                ttl.unwrap_or_else(|| "-".into()),
                entries.to_string(),
            ]);
        }
        writeln!(out, "{table}")?;
    }
    Ok(())
}
