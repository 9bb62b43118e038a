//! The lines of both sides in one order, so that those of one entry meet.

use esker::format::canonical::Line;
use esker::format::manifest::StateKind;
use esker::processor::{Side, Sorter, StateDiff};
use std::collections::BTreeMap;
use std::io;

/// Stands between what names an entry, what it holds, and whose it is; JSON has no such character.
const MARK: char = '\0';

/// Lines of both sides.
pub(super) struct Lines {
    sorter: Sorter,
    record: String,
}

/// By operator and state: the kind, and whether each side has it.
pub(super) type Known = BTreeMap<(String, String), (StateKind, [bool; 2])>;

impl Lines {
    pub(super) fn new() -> Self {
        Self { sorter: Sorter::new(), record: String::new() }
    }

    /// Takes a line of `side`.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub(super) fn add(&mut self, side: Side, line: &str) -> io::Result<()> {
        let parsed = Line::parse(line).map_err(io::Error::other)?;
        // Of timers and elements nothing is under a name: all of the line is what it is.
        let is_under_a_name = !matches!(
            &*parsed.kind,
            "timer-event" | "timer-processing" | "operator-list" | "operator-union"
        );
        let value = parsed.value.filter(|_| is_under_a_name);
        let split = value.map_or(line.len(), |value| {
            (value.as_ptr() as usize).saturating_sub(line.as_ptr() as usize)
        });
        let (name, held) = line.split_at_checked(split).unwrap_or((line, ""));
        self.record.clear();
        self.record.push_str(name);
        self.record.push(MARK);
        self.record.push_str(held);
        self.record.push(MARK);
        self.record.push(if side == Side::A { 'a' } else { 'b' });
        self.sorter.add(&self.record)
    }

    /// Compares all, and calls `each` with those of one side alone.
    ///
    /// # Errors
    /// Those of the temporary folder and of `each`.
    pub(super) fn compare(
        self,
        known: Known,
        each: &mut dyn FnMut(char, &str) -> io::Result<()>,
    ) -> io::Result<Vec<StateDiff>> {
        let states = known.into_iter().map(|((operator, state), (kind, stands_in))| {
            let diff = StateDiff {
                operator: operator.clone(),
                state: state.clone(),
                kind,
                stands_in,
                only_in_a: 0,
                only_in_b: 0,
                changed: 0,
                equal: 0,
                shared_key_groups: 0,
            };
            ((operator, state), diff)
        });
        let mut compared =
            Compared { states: states.collect(), name: String::new(), alone: Vec::new(), each };
        self.sorter.finish(&mut |record| compared.take(record))?;
        compared.flush()?;
        Ok(compared.states.into_values().collect())
    }
}

struct Compared<'a> {
    states: BTreeMap<(String, String), StateDiff>,
    /// The entry at hand.
    name: String,
    /// What of it was not found on the other side, in order; of each how often A has it more than B.
    alone: Vec<(String, i64, u64)>,
    each: &'a mut dyn FnMut(char, &str) -> io::Result<()>,
}

impl Compared<'_> {
    fn take(&mut self, record: &[u8]) -> io::Result<()> {
        let record = std::str::from_utf8(record).map_err(io::Error::other)?;
        let mut parts = record.split(MARK);
        let (name, held) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let is_of_a = parts.next() == Some("a");
        if name != self.name {
            self.flush()?;
            name.clone_into(&mut self.name);
        }
        let more = if is_of_a { 1 } else { -1 };
        match self.alone.last_mut().filter(|(last, ..)| last == held) {
            Some((_, balance, equal)) => {
                // One of each side is a pair.
                *equal += u64::from(balance.signum() == -more);
                *balance += more;
            }
            None => self.alone.push((held.to_owned(), more, 0)),
        }
        Ok(())
    }

    /// Tells of the entry at hand.
    fn flush(&mut self) -> io::Result<()> {
        let Some((held, ..)) = self.alone.first() else { return Ok(()) };
        let line = format!("{}{held}", self.name);
        let parsed = Line::parse(&line).map_err(io::Error::other)?;
        let state = (parsed.operator.into_owned(), parsed.state.into_owned());
        let alone = std::mem::take(&mut self.alone);
        let mut counts = [0_u64; 2];
        let mut equal = 0;
        // A's before B's.
        for (side, sign) in [(0, '-'), (1, '+')] {
            for (held, balance, pairs) in &alone {
                let more = if side == 0 { *balance } else { -*balance };
                for _ in 0..more.max(0) {
                    counts[side] += 1;
                    (self.each)(sign, &format!("{}{held}", self.name))?;
                }
                equal += if side == 0 { *pairs } else { 0 };
            }
        }
        let Some(diff) = self.states.get_mut(&state) else { return Ok(()) };
        diff.equal += equal;
        let changed = counts[0].min(counts[1]);
        diff.changed += changed;
        diff.only_in_a += counts[0] - changed;
        diff.only_in_b += counts[1] - changed;
        Ok(())
    }
}
