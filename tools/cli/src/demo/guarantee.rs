//! What a job promises of each row when it is killed, and by how many rows a run without that promise is off.

use super::recount::Recount;
use esker::format::canonical::Line;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What becomes of each row, whatever is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Guarantee {
    /// It counts once: inputs wait for each other's barriers
    ExactlyOnce,
    /// It counts, some twice: no input waits, and what is restored holds rows that come again
    AtLeastOnce,
    /// It counts at most once: no checkpoints, and the source goes on where it was
    None,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
            Self::None => "none",
        })
    }
}

/// How many rows, by the operator that counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rows {
    /// Every row is one of a carrier's.
    pub(crate) carriers: u64,
    /// Rows with a tailnum.
    pub(crate) fleet: u64,
}

impl Rows {
    pub(super) fn add(&mut self, other: Self) {
        self.carriers += other.carriers;
        self.fleet += other.fleet;
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at carriers and {} at fleet", self.carriers, self.fleet)
    }
}

/// What the job ended with, beside what it must end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Rows that keys have more than in the recount, of all keys that have.
    pub(super) again: Rows,
    /// Rows that keys have less.
    pub(super) lost: Rows,
    /// How many lines the recount has, and how many of these the job has not.
    pub(super) lines: usize,
    pub(super) lines_off: usize,
    /// The first line that only one side has.
    pub(super) difference: Option<String>,
}

impl Verdict {
    /// Compares the lines of a savepoint with the recount's.
    ///
    /// # Errors
    /// If a line that counts rows cannot be read.
    pub(super) fn of(recount: &Recount, found: &[String]) -> Result<Self, String> {
        let ours = Counts::of(found.iter().map(String::as_str))?;
        let theirs = Counts::of(recount.lines.iter().map(String::as_str))?;
        let seen: BTreeSet<_> = found.iter().map(String::as_str).collect();
        let lines_off = recount.lines.iter().filter(|line| !seen.contains(line.as_str())).count();
        let (carriers, fleet) =
            (off(&ours.carriers, &theirs.carriers), off(&ours.fleet, &theirs.fleet));
        Ok(Self {
            again: Rows { carriers: carriers.0, fleet: fleet.0 },
            lost: Rows { carriers: carriers.1, fleet: fleet.1 },
            lines: recount.lines.len(),
            lines_off,
            difference: first_difference(&recount.lines, found),
        })
    }

    /// Whether the state is off by exactly the rows that its kills account for, and by none where there is
    /// to be none.
    pub(super) fn agrees(&self, guarantee: Guarantee, again: Rows, lost: Rows) -> bool {
        let is_exact = self.difference.is_none();
        let none = Rows::default();
        match guarantee {
            Guarantee::ExactlyOnce => is_exact && again == none && lost == none,
            _ if again == none && lost == none => is_exact,
            _ => self.again == again && self.lost == lost,
        }
    }
}

/// The rows of each key.
#[derive(Default)]
struct Counts {
    carriers: BTreeMap<String, u64>,
    /// By aircraft and route.
    fleet: BTreeMap<String, u64>,
}

impl Counts {
    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut counts = Self::default();
        for text in lines {
            let bad = |why: &dyn fmt::Display| format!("the line {text}: {why}");
            let line = Line::parse(text).map_err(|error| bad(&error))?;
            let of = match (&*line.operator, &*line.state) {
                ("carriers", "flights") => &mut counts.carriers,
                ("fleet", "routes") => &mut counts.fleet,
                _ => continue,
            };
            let rows =
                line.value.unwrap_or_default().parse::<u64>().map_err(|error| bad(&error))?;
            let key = [line.key, line.user_key].map(Option::unwrap_or_default).join(" ");
            *of.entry(key).or_default() += rows;
        }
        Ok(counts)
    }
}

/// What keys of `ours` have more than in `theirs`, and what they have less.
fn off(ours: &BTreeMap<String, u64>, theirs: &BTreeMap<String, u64>) -> (u64, u64) {
    let count = |of: &BTreeMap<String, u64>, key| of.get(key).copied().unwrap_or(0);
    let keys: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    keys.into_iter().fold((0, 0), |(more, less), key| {
        let (our, their) = (count(ours, key), count(theirs, key));
        (more + our.saturating_sub(their), less + their.saturating_sub(our))
    })
}

/// The first line, in byte order, that only one side has.
pub(super) fn first_difference(expected: &BTreeSet<String>, found: &[String]) -> Option<String> {
    let mut seen = BTreeSet::new();
    let twice = found.iter().find(|line| !seen.insert(line.as_str()));
    if let Some(line) = twice {
        return Some(format!("twice in the savepoint: {line}"));
    }
    let missing = expected.iter().find(|line| !seen.contains(line.as_str()));
    let extra = seen.iter().find(|line| !expected.contains(**line));
    match (missing, extra) {
        (None, None) => None,
        (Some(missing), None) => Some(format!("not in the savepoint: {missing}")),
        (None, Some(extra)) => Some(format!("only in the savepoint: {extra}")),
        (Some(missing), Some(extra)) => {
            Some(format!("not in the savepoint: {missing}\nonly in the savepoint: {extra}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Rows = Rows { carriers: 0, fleet: 0 };

    fn carrier(key: &str, rows: u64) -> String {
        format!(
            r#"{{"operator":"carriers","state":"flights","kind":"value","key":"{key}","namespace":null,"value":{rows}}}"#
        )
    }

    fn route(key: &str, route: &str, rows: u64) -> String {
        format!(
            r#"{{"operator":"fleet","state":"routes","kind":"map","key":"{key}","namespace":null,"userKey":"{route}","value":{rows}}}"#
        )
    }

    #[test]
    fn rows_more_and_rows_less_are_counted_key_by_key() {
        let lines = [carrier("UA", 5), carrier("AA", 7), route("N1", "EWR-IAH", 3)];
        let recount = Recount { rows: 12, lines: lines.clone().into() };
        let exact = Verdict::of(&recount, &lines).unwrap();
        assert_eq!((exact.again, exact.lost, exact.lines_off), (NONE, NONE, 0));
        assert!(exact.agrees(Guarantee::ExactlyOnce, NONE, NONE));

        // One carrier has two more and the other one less: neither makes up for the other.
        let found = [carrier("UA", 7), carrier("AA", 6), route("N1", "EWR-IAH", 3)];
        let off = Verdict::of(&recount, &found).unwrap();
        let (again, lost) = (Rows { carriers: 2, fleet: 0 }, Rows { carriers: 1, fleet: 0 });
        assert_eq!((off.again, off.lost, off.lines_off), (again, lost, 2));
        assert!(!off.agrees(Guarantee::ExactlyOnce, NONE, NONE));
        assert!(!off.agrees(Guarantee::AtLeastOnce, NONE, NONE));
        assert!(!off.agrees(Guarantee::AtLeastOnce, again, NONE));

        // A key that is gone, and one that nobody knows.
        let found = [carrier("UA", 5), route("N1", "EWR-IAH", 3), route("N1", "EWR-LAX", 4)];
        let off = Verdict::of(&recount, &found).unwrap();
        assert_eq!((off.again.fleet, off.lost.carriers), (4, 7));

        let found = [carrier("UA", 9), carrier("AA", 7), route("N1", "EWR-IAH", 4)];
        let again = Rows { carriers: 4, fleet: 1 };
        let off = Verdict::of(&recount, &found).unwrap();
        assert!(off.agrees(Guarantee::AtLeastOnce, again, NONE));
        assert!(!off.agrees(Guarantee::AtLeastOnce, Rows { fleet: 2, ..again }, NONE));
        assert!(!off.agrees(Guarantee::ExactlyOnce, again, NONE), "once is once");
    }

    #[test]
    fn a_line_that_counts_nothing_is_refused() {
        let recount = Recount { rows: 0, lines: [carrier("UA", 5)].into() };
        let found = [carrier("UA", 5).replace(":5", ":\"many\"")];
        assert!(Verdict::of(&recount, &found).unwrap_err().contains("many"));
    }
}
