//! What the demo shows.

use super::event::CheckpointRow;
use super::parent::{Killed, Story};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{self, Write};

/// A bar of rows, on a terminal alone.
pub(super) fn bar(rows: u64, talk: bool) -> ProgressBar {
    if !talk {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {human_pos}/{human_len} rows, {elapsed}";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A line per kill, once the job is back.
pub(super) fn kill(number: usize, kills: u32, killed: &Killed) {
    let Killed { row, during, resumed, swept, parallelism } = killed;
    let resumed = match resumed {
        Some((checkpoint, row)) => format!("resumed from checkpoint {checkpoint} at row {row}"),
        None => "began anew, as no checkpoint was complete".to_owned(),
    };
    crate::outcome::say(format_args!(
        "kill {number} of {kills} after row {row}, {during}; {resumed} with {parallelism} subtasks \
         an operator, {swept} stray files swept"
    ));
}

pub(super) fn text(
    out: &mut impl Write,
    job: &str,
    savepoint: &str,
    story: &Story,
    lines: usize,
    difference: Option<&str>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header([
        "checkpoint",
        "kind",
        "capture µs",
        "write ms",
        "entries changed",
        "bytes written",
        "bytes referenced",
    ]);
    for row in &story.checkpoints {
        let CheckpointRow { id, capture_us, write_ms, .. } = row;
        table.add_row([
            id.to_string(),
            if row.full { "full" } else { "incremental" }.to_owned(),
            capture_us.to_string(),
            write_ms.to_string(),
            row.entries_changed.map_or_else(|| "-".to_owned(), |entries| entries.to_string()),
            row.bytes_written.to_string(),
            row.bytes_referenced.to_string(),
        ]);
    }
    for column in table.column_iter_mut().filter(|column| column.index != 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    for (checkpoint, why) in &story.aborted {
        writeln!(out, "checkpoint {checkpoint} was given up: {why}")?;
    }
    writeln!(
        out,
        "{} rows, {} kills, {} checkpoints completed\njob        {job}\nsavepoint  {savepoint}",
        story.rows,
        story.kills.len(),
        story.checkpoints.len(),
    )?;
    match difference {
        None => writeln!(out, "all states agree with the recount: {lines} lines, exactly once"),
        Some(difference) => writeln!(out, "the states DIFFER from the recount:\n{difference}"),
    }
}

pub(super) fn json(
    out: &mut impl Write,
    seed: u64,
    job: &str,
    savepoint: &str,
    story: &Story,
    difference: Option<&str>,
) -> io::Result<()> {
    let kills: Vec<_> = story
        .kills
        .iter()
        .map(|killed| {
            json!({
                "row": killed.row,
                "during": killed.during,
                "resumedFrom": killed.resumed.map(|(checkpoint, _)| checkpoint),
                "resumedAtRow": killed.resumed.map(|(_, row)| row),
                "swept": killed.swept,
                "parallelism": killed.parallelism,
            })
        })
        .collect();
    let whole = json!({
        "seed": seed,
        "rows": story.rows,
        "job": job,
        "savepoint": savepoint,
        "kills": kills,
        "checkpoints": story.checkpoints,
        "agree": difference.is_none(),
        "difference": difference,
    });
    writeln!(out, "{whole}")
}
