//! Rows of the budget: a question, what esker and its peer took, target and verdict.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// Whether a large or a small ratio is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// What the figures of a row are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) name: &'a str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) target: f64,
    pub(crate) entries: usize,
    pub(crate) rounds: usize,
}

impl Question<'_> {
    /// Operations per second: the ratio should be at least `target`.
    pub(crate) fn speed(name: &str, target: f64, entries: usize, rounds: usize) -> Question<'_> {
        Question { name, unit: "ops/s", better: Better::Higher, target, entries, rounds }
    }

    /// Bytes, times or counts: the ratio should be at most `target`.
    pub(crate) fn less<'a>(
        name: &'a str,
        unit: &'static str,
        target: f64,
        entries: usize,
        rounds: usize,
    ) -> Question<'a> {
        Question { name, unit, better: Better::Lower, target, entries, rounds }
    }
}

/// The rows asked for, printed as they come (JSON) or at the end (table).
pub(crate) struct Report {
    only: Vec<String>,
    quick: bool,
    json: bool,
    table: Table,
    rows: usize,
}

impl Report {
    pub(crate) fn new(only: Vec<String>, quick: bool, json: bool) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::ASCII_MARKDOWN);
        table.set_header([
            "question", "esker", "peer", "unit", "ratio", "target", "verdict", "peer is",
        ]);
        for column in table.column_iter_mut().skip(1).take(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self { only, quick, json, table, rows: 0 }
    }

    /// Whether the row `name` is asked for.
    pub(crate) fn selects(&self, name: &str) -> bool {
        let asked = |only: &String| only == name || below(name, only);
        self.only.is_empty() || self.only.iter().any(asked)
    }

    /// Whether a row, or any row whose name starts with `name` and a dot, is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.selects(name) || self.only.iter().any(|only| below(only, name))
    }

    /// Whether something below `name` is asked for by name, not just all rows.
    pub(crate) fn names(&self, name: &str) -> bool {
        !self.only.is_empty() && self.wants(name)
    }

    /// Whether the figures may be rougher than they could be.
    pub(crate) fn quick(&self) -> bool {
        self.quick
    }

    /// `rounds`, or a third of them (at least 3) if in a hurry.
    pub(crate) fn rounds(&self, rounds: usize) -> usize {
        if self.quick { (rounds / 3).max(3) } else { rounds }
    }

    /// A row with a peer.
    pub(crate) fn versus(&mut self, question: Question<'_>, esker: f64, peer: f64, name: &str) {
        self.row(question, esker, Some((peer, name)), esker / peer);
    }

    /// A row with a limit instead of a peer: the ratio is value / limit, the target 1.
    pub(crate) fn limit(&mut self, question: Question<'_>, esker: f64, limit: f64) {
        self.row(question, esker, None, esker / limit);
    }

    fn row(&mut self, q: Question<'_>, esker: f64, peer: Option<(f64, &str)>, ratio: f64) {
        if !self.selects(q.name) {
            return;
        }
        self.rows += 1;
        let ok = if q.better == Better::Higher { ratio >= q.target } else { ratio <= q.target };
        let better = if q.better == Better::Higher { "higher" } else { "lower" };
        if self.json {
            let line = json!({
                "question": q.name, "esker": esker, "peer": peer.map(|p| p.0),
                "peer_name": peer.map(|p| p.1), "unit": q.unit, "ratio": ratio, "better": better,
                "target": q.target, "ok": ok, "entries": q.entries, "rounds": q.rounds,
            });
            println!("{line}");
            return;
        }
        let sign = if q.better == Better::Higher { ">=" } else { "<=" };
        eprintln!("{}: {ratio:.3} ({sign} {})", q.name, q.target);
        self.table.add_row([
            q.name.to_owned(),
            figure(esker),
            peer.map_or("-".to_owned(), |p| figure(p.0)),
            q.unit.to_owned(),
            format!("{ratio:.3}"),
            format!("{sign} {}", q.target),
            if ok { "met" } else { "MISSED" }.to_owned(),
            peer.map_or("a limit", |p| p.1).to_owned(),
        ]);
    }

    /// A row that cannot be asked here.
    pub(crate) fn skip(&mut self, q: Question<'_>, why: &str) {
        if !self.selects(q.name) {
            return;
        }
        self.rows += 1;
        if self.json {
            let line = json!({
                "question": q.name, "esker": Value::Null, "peer": Value::Null,
                "peer_name": Value::Null, "unit": q.unit, "ratio": Value::Null,
                "better": if q.better == Better::Higher { "higher" } else { "lower" },
                "target": q.target, "ok": Value::Null, "entries": q.entries, "rounds": q.rounds,
                "skipped": why,
            });
            println!("{line}");
        } else {
            self.table.add_row([q.name, "-", "-", q.unit, "-", "-", "skipped", why]);
        }
    }

    /// Prints the table; false if no row was asked for.
    pub(crate) fn finish(self) -> bool {
        if !self.json {
            println!("{}\n{}", crate::machine::describe(), self.table);
        }
        self.rows > 0
    }
}

/// Whether `name` starts with `above` and a dot.
fn below(name: &str, above: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.starts_with('.'))
}

/// Four digits that matter.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2}M", value / 1e6),
        v if v >= 1e4 => format!("{:.1}k", value / 1e3),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_selects_by_whole_words() {
        let report = Report::new(vec!["heap.value.get".into()], false, false);
        assert!(report.wants("heap.value.get.1m") && report.wants("heap.value.get"));
        assert!(report.wants("heap.value"), "something below it is wanted");
        assert!(report.selects("heap.value.get.1m") && !report.selects("heap.value"));
        assert!(!report.wants("heap.value.getter") && !report.wants("heap.value.update.1m"));
    }
}
