//! What the demo shows.

use super::event::{CheckpointRow, Event};
use super::guarantee::{Guarantee, Rows, Verdict};
use super::parent::{Audience, Killed, Story};
use super::plan::Victim;
use crate::outcome::say;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::{self, Write};

/// Lines on standard error, and a bar of rows if that is a terminal.
pub(super) struct Plain {
    bar: ProgressBar,
    talk: bool,
    kills: u32,
}

impl Plain {
    pub(super) fn new(rows: u64, kills: u32, talk: bool) -> Self {
        let template = "{bar:40} {human_pos}/{human_len} rows, {elapsed}";
        let style = ProgressStyle::with_template(template);
        let bar = if talk { ProgressBar::new(rows) } else { ProgressBar::hidden() };
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, talk, kills }
    }

    fn say(&self, line: &str) {
        if self.talk {
            self.bar.suspend(|| say(format_args!("{line}")));
        }
    }
}

impl Audience for Plain {
    fn heard(&mut self, event: &Event) {
        if let Event::Row { row, .. } = event {
            self.bar.set_position(*row);
        }
    }

    fn killed(&mut self, number: usize, killed: &Killed) {
        self.say(&kill(number, self.kills, killed));
    }

    fn fenced(&mut self, generation: u64, why: &str) {
        self.say(&fenced(generation, why));
    }

    fn goes_on(&mut self) -> Result<bool, String> {
        Ok(true)
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A kill, once the job is back.
pub(super) fn kill(number: usize, kills: u32, killed: &Killed) -> String {
    let Killed { row, during, resumed, resumed_row, swept, parallelism, generation, .. } = killed;
    let what = match killed.victim {
        Victim::Process => String::new(),
        Victim::Worker => ", a worker,".to_owned(),
        Victim::Coordinator => format!(", the coordinator (generation {generation} took over),"),
    };
    let resumed = match resumed {
        Some(checkpoint) => format!("resumed from checkpoint {checkpoint} at row {resumed_row}"),
        None if *resumed_row > 0 => format!("went on at row {resumed_row} without any state"),
        None => "began anew, as no checkpoint was complete".to_owned(),
    };
    format!(
        "kill {number} of {kills}{what} after row {row}, {during}; {resumed} with {parallelism} subtasks \
         an operator, {swept} stray files swept"
    )
}

/// An owner that was taken for dead.
pub(super) fn fenced(generation: u64, why: &str) -> String {
    format!("generation {generation} woke up and was fenced: {why}")
}

/// What the job promised, and how many rows its kills account for.
pub(super) struct Promise {
    pub(super) guarantee: Guarantee,
    pub(super) again: Rows,
    pub(super) lost: Rows,
}

impl Promise {
    pub(super) fn is_kept(&self, verdict: &Verdict) -> bool {
        verdict.agrees(self.guarantee, self.again, self.lost)
    }
}

pub(super) fn text(
    out: &mut impl Write,
    job: &str,
    savepoint: &str,
    story: &Story,
    promise: &Promise,
    verdict: &Verdict,
) -> io::Result<()> {
    if !story.checkpoints.is_empty() {
        writeln!(out, "{}", table(story, promise.guarantee))?;
    }
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
    match promise.guarantee {
        Guarantee::ExactlyOnce => {}
        Guarantee::AtLeastOnce => {
            writeln!(out, "at-least-once: rows counted again: {}", verdict.again)?;
            writeln!(out, "the kills account for:             {}", promise.again)?;
        }
        Guarantee::None => {
            writeln!(out, "no guarantee: rows lost: {}", verdict.lost)?;
            writeln!(out, "the kills account for:   {}", promise.lost)?;
        }
    }
    let Verdict { lines, lines_off, difference, .. } = verdict;
    match (promise.is_kept(verdict), difference) {
        (true, None) => {
            writeln!(out, "all states agree with the recount: {lines} lines, exactly once")
        }
        (true, Some(_)) => {
            let are = if *lines_off == 1 { "is" } else { "are" };
            writeln!(
                out,
                "both agree; of the recount's {lines} lines {lines_off} {are} not in the savepoint"
            )
        }
        (false, None) => {
            writeln!(out, "the states do NOT show the rows that the kills account for")
        }
        (false, Some(difference)) if promise.guarantee == Guarantee::ExactlyOnce => {
            writeln!(out, "the states DIFFER from the recount:\n{difference}")
        }
        (false, Some(difference)) => {
            writeln!(out, "that is NOT the same; the first line that differs:\n{difference}")
        }
    }
}

fn table(story: &Story, guarantee: Guarantee) -> Table {
    let mut table = Table::new();
    let mut header = vec![
        "checkpoint",
        "kind",
        "align ms",
        "capture µs",
        "write ms",
        "entries changed",
        "bytes written",
        "bytes referenced",
    ];
    if guarantee == Guarantee::AtLeastOnce {
        header.push("rows early");
    }
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    for row in &story.checkpoints {
        let CheckpointRow { id, align_ms, capture_us, write_ms, .. } = row;
        let mut cells = vec![
            id.to_string(),
            if row.full { "full" } else { "incremental" }.to_owned(),
            align_ms.to_string(),
            capture_us.to_string(),
            write_ms.to_string(),
            row.entries_changed.map_or_else(|| "-".to_owned(), |entries| entries.to_string()),
            row.bytes_written.to_string(),
            row.bytes_referenced.to_string(),
        ];
        if guarantee == Guarantee::AtLeastOnce {
            cells.push((row.early.carriers + row.early.fleet).to_string());
        }
        table.add_row(cells);
    }
    for column in table.column_iter_mut().filter(|column| column.index != 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(super) fn json(
    out: &mut impl Write,
    seed: u64,
    job: &str,
    savepoint: &str,
    story: &Story,
    promise: &Promise,
    verdict: &Verdict,
) -> io::Result<()> {
    let kills: Vec<_> = story
        .kills
        .iter()
        .map(|killed| {
            json!({
                "victim": killed.victim.to_string(),
                "row": killed.row,
                "during": killed.during,
                "resumedFrom": killed.resumed,
                "resumedAtRow": killed.resumed_row,
                "generation": killed.generation,
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
        "fenced": story.fenced.iter().map(|(generation, _)| generation).collect::<Vec<_>>(),
        "checkpoints": story.checkpoints,
        "mode": promise.guarantee,
        "again": { "found": verdict.again, "accounted": promise.again },
        "lost": { "found": verdict.lost, "accounted": promise.lost },
        "lines": verdict.lines,
        "linesOff": verdict.lines_off,
        "agree": promise.is_kept(verdict),
        "difference": verdict.difference,
    });
    writeln!(out, "{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(guarantee: Guarantee, found: u64, accounted: u64) -> String {
        let rows = |carriers| Rows { carriers, fleet: 0 };
        let difference = (found > 0).then(|| "only in the savepoint: a line".to_owned());
        let verdict = Verdict {
            again: rows(found),
            lost: rows(0),
            lines: 10,
            lines_off: usize::from(found > 0),
            difference,
        };
        let promise = Promise { guarantee, again: rows(accounted), lost: rows(0) };
        let mut out = Vec::new();
        text(&mut out, "job", "savepoint", &Story::default(), &promise, &verdict).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_the_kills_do_not_account_for_is_said() {
        let head =
            "0 rows, 0 kills, 0 checkpoints completed\njob        job\nsavepoint  savepoint\n";
        let counted = |found: u64, accounted: u64| {
            format!(
                "{head}at-least-once: rows counted again: {found} at carriers and 0 at fleet\n\
                 the kills account for:             {accounted} at carriers and 0 at fleet\n"
            )
        };
        let at_least = |found, accounted| said(Guarantee::AtLeastOnce, found, accounted);
        let both = "both agree; of the recount's 10 lines 1 is not in the savepoint\n";
        assert_eq!(at_least(7, 7), counted(7, 7) + both);
        let other =
            "that is NOT the same; the first line that differs:\nonly in the savepoint: a line\n";
        assert_eq!(at_least(7, 8), counted(7, 8) + other);
        let hidden = "the states do NOT show the rows that the kills account for\n";
        assert_eq!(at_least(0, 8), counted(0, 8) + hidden);
        let exact = "all states agree with the recount: 10 lines, exactly once\n";
        assert_eq!(at_least(0, 0), counted(0, 0) + exact);
        assert_eq!(said(Guarantee::ExactlyOnce, 0, 0), head.to_owned() + exact);
        let differs = "the states DIFFER from the recount:\nonly in the savepoint: a line\n";
        assert_eq!(said(Guarantee::ExactlyOnce, 1, 0), head.to_owned() + differs);
        assert_eq!(said(Guarantee::ExactlyOnce, 0, 1), head.to_owned() + hidden);
    }
}
