//! The commands, one file each.

mod browse;
mod check;
mod completions;
mod convert;
mod copy;
mod diff;
mod du;
mod dump;
mod dump_run;
mod expire;
mod gc;
mod get;
mod hold;
mod inspect;
mod inspect_snapshot;
mod layout;
mod load;
mod ls;
mod man;
mod merge;
mod report;
mod rewrite;
mod salvage;
mod schema;
mod split;
mod verify;
mod why;

use crate::outcome::{Outcome, say};
use crate::snapshot::{Filter, Harm};
use crate::{bench, demo, flink};
use clap::{Subcommand, value_parser};
use comfy_table::{CellAlignment, Table, presets};
use esker::Error;
use esker::flink::{FlinkFilter, FlinkSnapshot};
use esker::format::KeyGroupRange;
use esker::format::canonical::Expired;
use esker::snapshot::SnapshotSettings;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};

/// What `inspect` and `verify` take.
#[derive(clap::Args)]
struct Named {
    /// Folders or URLs of snapshots, roots of jobs, runs and sealed files, in any mixture
    #[arg(required = true, value_name = "SNAPSHOT|FILE")]
    files: Vec<String>,
    /// Write one JSON object per file or snapshot
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Bench(bench::Args),
    Demo(demo::Args),
    Ls(ls::Args),
    Inspect(inspect::Args),
    Du(du::Args),
    Get(get::Args),
    Verify(verify::Args),
    Dump(dump::Args),
    Load(load::Args),
    Copy(copy::Args),
    Convert(convert::Args),
    Diff(diff::Args),
    Report(report::Args),
    Rewrite(rewrite::Args),
    Browse(browse::Args),
    Schema(schema::Args),
    Salvage(salvage::Args),
    Merge(merge::Args),
    Split(split::Args),
    Gc(gc::Args),
    Why(why::Args),
    Hold(hold::Args),
    Release(hold::ReleaseArgs),
    Expire(expire::Args),
    Check(check::Args),
    DumpRun(dump_run::Args),
    Layout(layout::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs `command`; an error is one of writing to `out`.
pub(crate) fn run(command: Command, out: &mut (impl Write + Send)) -> io::Result<Outcome> {
    match command {
        Command::Bench(args) => bench::run(&args, out),
        Command::Copy(args) => copy::run(&args, out),
        Command::Convert(args) => convert::run(&args, out),
        Command::Diff(args) => diff::run(&args, out),
        Command::Report(args) => report::run(&args, out),
        Command::Rewrite(args) => rewrite::run(&args, out),
        Command::Schema(args) => schema::run(&args, out),
        Command::Salvage(args) => salvage::run(&args, out),
        Command::Merge(args) => merge::run(&args, out),
        Command::Split(args) => split::run(&args, out),
        Command::Gc(args) => gc::run(&args, out),
        Command::Why(args) => why::run(&args, out),
        Command::Hold(args) => hold::run(&args, out),
        Command::Release(args) => hold::release(&args, out),
        Command::Expire(args) => expire::run(&args, out),
        Command::Check(args) => check::run(&args, out),
        Command::Demo(args) => demo::run(&args, out),
        Command::Ls(args) => ls::run(&args, out),
        Command::Du(args) => du::run(&args, out),
        Command::Get(args) => get::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out),
        Command::Verify(args) => verify::run(&args, out),
        Command::Dump(args) => dump::run(&args, out),
        Command::Load(args) => load::run(&args, out),
        Command::DumpRun(args) => dump_run::run(&args, out),
        Command::Layout(args) => layout::run(&args, out),
        Command::Browse(args) => browse::run(&args),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, out),
    }
}

/// Writes `value` as one line of JSON.
pub(crate) fn write_json_line(
    out: &mut impl Write,
    value: &impl serde::Serialize,
) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A table of these columns, of which those from `first_count` on are counts.
pub(crate) fn table(head: &[&str], first_count: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(head);
    for column in table.column_iter_mut().skip(first_count) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Says what is damaged; the answer is the worst of it.
fn say_harms(harms: &[Harm]) -> Outcome {
    harms.iter().for_each(|harm| say(format_args!("{harm}")));
    let outcomes = harms.iter().map(|harm| harm.status.outcome());
    outcomes.max().unwrap_or(Outcome::Yes)
}

/// Says why nothing could be made of the argument `name`.
fn say_refused(name: &str, error: &Error) -> Outcome {
    let harm = Harm::of(error);
    let Harm { status, message, .. } = &harm;
    match harm.file.as_deref().filter(|file| *file != name) {
        Some(file) => say(format_args!("{status} {name}: {file}: {message}")),
        None => say(format_args!("{status} {name}: {message}")),
    }
    harm.status.outcome()
}

/// Which state of a snapshot is looked at.
#[derive(clap::Args)]
struct Slice {
    /// This operator alone
    #[arg(long, value_name = "UID")]
    operator: Option<String>,
    /// States of this name alone
    #[arg(long, value_name = "NAME")]
    state: Option<String>,
    /// These key groups alone, both ends included; of 65536, of Flink's snapshots of their max parallelism
    #[arg(long, value_name = "A..B", value_parser = key_groups)]
    key_group: Option<KeyGroupRange>,
}

impl Slice {
    fn filter(&self, include_expired: bool) -> Filter {
        Filter {
            operator: self.operator.clone(),
            state: self.state.clone(),
            range: self.key_group.unwrap_or(KeyGroupRange::ALL),
            expired: if include_expired { Expired::Shown } else { Expired::Hidden },
        }
    }
}

impl Slice {
    /// The same of a snapshot of Flink's.
    fn of_flink(&self, snapshot: &FlinkSnapshot) -> Result<FlinkFilter, Error> {
        let key_groups = self.key_group.map(|range| (range.first(), range.last()));
        flink::filter(snapshot, self.operator.as_deref(), self.state.as_deref(), key_groups)
    }
}

/// How files go to a target.
#[derive(clap::Args)]
struct Transfers {
    /// How many files travel at once; each takes some 30 MiB of memory
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u16).range(1..=256))]
    transfers: u16,
}

impl Transfers {
    fn settings(&self) -> SnapshotSettings {
        let transfers_max = usize::from(self.transfers);
        SnapshotSettings { transfers_max, ..SnapshotSettings::default() }
    }
}

/// Key groups as an argument gives them: `7`, or `A..B` with both ends in it.
fn key_groups(text: &str) -> Result<KeyGroupRange, String> {
    let number = |digits: &str| {
        let refused = |error| format!("{digits:?}: {error}; a key group is 0 to 65535");
        digits.parse::<u16>().map_err(refused)
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let range = KeyGroupRange::new(number(first)?, number(last)?);
    range.map_err(|error| error.to_string())
}

/// A bar that fills as `len` of `what` are done; to be seen on a terminal alone.
pub(crate) fn progress(len: u64, what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = format!("{{bar:40}} {{human_pos}} of {{human_len}} {what}, {{eta}} to go");
    let style = ProgressStyle::with_template(&template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(len), ProgressDrawTarget::stderr()).with_style(style)
}

/// A count of what is done, where nobody knows how much there is; to be seen on a terminal alone.
pub(crate) fn counted(what: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(&format!("{{spinner}} {{human_pos}} {what}, {{elapsed}}"));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style)
}
