//! `esker inspect`: what files hold.

mod flink;

use super::{Named, inspect_snapshot, say_refused, write_json_line};
use crate::file::{self, Content, Run, Sealed};
use crate::flink::FlinkArgs;
use crate::outcome::{Outcome, Problem, Status, say};
use crate::snapshot::{is_snapshot, local};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// Show what snapshots and files hold
///
/// Of a snapshot: operators, their states with types, entries and runs, from its manifest and parts.
/// A file is verified first; a `_metadata` that is given as a file is shown as it is.
///
/// Of a snapshot of Flink's: operators by uid or id, with parallelism, max parallelism and sizes; their states, with what
/// the headers of streams say of types; the files that `_metadata` names, and who needs them; records in flight. Files are
/// not looked for but where headers lie in them.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  esker inspect /data/job              its last completed checkpoint
  esker inspect savepoint
  esker inspect /flink/checkpoints/JOB/chk-7 --uid users --uid orders
  esker inspect 7-0.run
  esker inspect --json 7-0.run | jq '.run.states[].entries'")]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    flink: FlinkArgs,
}

/// Every field is always there; of `run` and `sealed` at most one is not null.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    status: Status,
    kind: Option<&'static str>,
    error: Option<&'a Problem>,
    run: Option<&'a Run>,
    sealed: Option<&'a Sealed>,
}

pub(crate) fn run(args: &Args, out: &mut impl Write) -> io::Result<Outcome> {
    let (files, json) = (&args.named.files, args.named.json);
    let mut worst = Outcome::Yes;
    let mut shown = 0;
    for name in files {
        let flink = args.flink.open(name, None);
        if is_snapshot(name) || !matches!(flink, Ok(None)) {
            if shown > 0 && !json {
                writeln!(out)?;
            }
            shown += 1;
            match flink.map(|flink| flink.map(|snapshot| flink::run(name, &snapshot, json, out))) {
                Ok(None) => {}
                Ok(Some(done)) => {
                    let outcome = done?.unwrap_or_else(|error| say_refused(name, &error));
                    worst = worst.max(outcome);
                    continue;
                }
                Err(error) => {
                    worst = worst.max(inspect_snapshot::refused(name, &error, json, out)?);
                    continue;
                }
            }
            worst = worst.max(inspect_snapshot::run(name, json, out)?);
            continue;
        }
        let content = file::open(local(name).unwrap_or(Path::new(name)));
        let status = content.as_ref().err().map_or(Status::Ok, |problem| problem.status);
        worst = worst.max(status.outcome());
        if json {
            write_json_line(out, &report(name, status, &content))?;
        }
        match content {
            Err(problem) if !json || status == Status::Unreadable => {
                say(format_args!("{status} {name}: {problem}"));
            }
            Ok(content) if !json => {
                if shown > 0 {
                    writeln!(out)?;
                }
                shown += 1;
                writeln!(out, "file     {name}\nkind     {}", content.kind())?;
                match content {
                    Content::Run(run) => show_run(out, &run)?,
                    Content::Sealed(sealed) => show_sealed(out, &sealed)?,
                }
            }
            // The JSON said it.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(worst)
}

fn report<'a>(file: &'a str, status: Status, content: &'a Result<Content, Problem>) -> Report<'a> {
    let mut report = Report { file, status, kind: None, error: None, run: None, sealed: None };
    match content {
        Ok(content) => {
            report.kind = Some(content.kind());
            match content {
                Content::Run(run) => report.run = Some(run),
                Content::Sealed(sealed) => report.sealed = Some(sealed),
            }
        }
        Err(problem) => report.error = Some(problem),
    }
    report
}

fn show_run(out: &mut impl Write, run: &Run) -> io::Result<()> {
    writeln!(out, "version  {}\nbytes    {}", run.version, run.bytes)?;
    writeln!(out, "digest   blake3:{}", run.digest)?;
    writeln!(out, "blocks   {}\nentries  {}", run.blocks, run.entries)?;
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["state", "entries", "live", "key bytes", "value bytes", "key groups"]);
    for state in &run.states {
        let counts = [state.entries, state.live, state.key_bytes, state.value_bytes];
        let span = state.key_group_first.zip(state.key_group_last);
        let span = span.map_or_else(|| "-".into(), |(first, last)| format!("{first}-{last}"));
        let mut row = vec![state.state.to_string()];
        row.extend(counts.map(|count| count.to_string()));
        row.push(span);
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")
}

fn show_sealed(out: &mut impl Write, sealed: &Sealed) -> io::Result<()> {
    writeln!(out, "version  {}\nbytes    {}", sealed.version, sealed.bytes)?;
    let ok = if sealed.digest_ok { "ok" } else { "wrong" };
    writeln!(out, "digest   {ok} blake3:{}", sealed.digest)?;
    serde_json::to_writer_pretty(&mut *out, &sealed.json)?;
    writeln!(out)
}
