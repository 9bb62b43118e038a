//! What is wrong with entries, and where they came from.

use super::text::Unit;
use std::fmt;

/// Numbers of entries take so many bits of an [`At`]; those above are the input's.
const NUMBER_BITS: u32 = 48;

/// Where an entry came from, so small that it goes with it: sorted as inputs and numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At(pub(super) u64);

impl At {
    /// The entry `number` of the input `input`; none if there can be no such one.
    pub(super) fn new(input: usize, number: u64) -> Option<Self> {
        let input = u64::from(u16::try_from(input).ok()?);
        (number >> NUMBER_BITS == 0).then_some(Self(input << NUMBER_BITS | number))
    }

    /// Of inputs whose lines are called `units`.
    pub(super) fn place(self, units: &[Unit]) -> Place {
        let input = (self.0 >> NUMBER_BITS) as usize;
        let unit = units.get(input).copied().unwrap_or(Unit::Entry);
        Place { input, unit, number: self.0 & ((1 << NUMBER_BITS) - 1) }
    }
}

/// Where an entry came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// 0 for entries that were added one by one, else the how manyth input that was read.
    pub input: usize,
    /// What an entry is called there.
    pub unit: Unit,
    /// Its number there, from 1 on.
    pub number: u64,
}

/// Something wrong with entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where they came from; of many of one key the first ten.
    pub places: Vec<Place>,
    /// Where in the line, in bytes, from 1 on.
    pub column: Option<u64>,
    /// What is wrong: operator and state, the member and the path in it, what was expected and what was found.
    pub message: String,
}

impl fmt::Display for Problem {
    /// `line 3, column 89: carriers/flights: value: expected u64, found -7`; from the second input on it is named by its
    /// number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut and = "";
        for alike in self.places.chunk_by(|a, b| a.input == b.input) {
            let [Place { input, unit, .. }, ..] = alike else { continue };
            write!(f, "{and}{unit}")?;
            for (number, place) in alike.iter().enumerate() {
                write!(f, "{} {}", if number == 0 { "" } else { " and" }, place.number)?;
            }
            if *input > 1 {
                write!(f, " of input {input}")?;
            }
            and = " and ";
        }
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, "{}{}", if self.places.is_empty() { "" } else { ": " }, self.message)
    }
}
