//! Past a serializer of a class that is not known: nothing says where its snapshot ends, but the header's end is known.
//!
//! Its body ends where something stands that can follow it, and not behind the next thing that stands in headers alone (the name of a
//! serializer's role, a state). Every such place is tried. If exactly one of them lets all that follows be read, up to the header's end
//! and not further, that is where, and the serializer becomes one of which no more than its class is known.

use super::Role;
use crate::serializer::Gap;
use crate::text::read_utf;
use crate::{FormatErrorKind, Input, Result};

/// Unknown classes behind each other, each of which multiplies what is to be tried.
const GAPS_MAX: usize = 32;
/// Places that are tried, and bytes that are read doing so, for one header.
const TRIES_MAX: usize = 1 << 17;
const READ_MAX: usize = 1 << 27;
/// Versions of snapshots; Flink's own are below 6.
const VERSIONS: std::ops::Range<i32> = 0..1_000;
/// The names of classes and options, in bytes; looked for at every place, longer ones would cost the square of a header's length.
const NAME_LEN_MAX: u16 = 1_000;
/// Options of a state; Flink's own have one.
const OPTIONS: std::ops::Range<i32> = 0..16;
/// Kinds of state.
const KINDS: std::ops::Range<i32> = 0..5;

/// What `parse` makes of `input` up to its end, passing over the bodies of unknown classes; `None` if that can be done in no way or in
/// several, or finding out costs too much.
///
/// Its second argument says where they are, and how long.
pub(super) fn recover<T>(
    input: &Input<'_>,
    parse: &dyn Fn(&mut Input<'_>, &[Gap]) -> Result<T>,
) -> Option<T> {
    let mut search = Search {
        input,
        parse,
        ends: ends(input),
        tries: TRIES_MAX,
        read: READ_MAX,
        found: None,
        number: 0,
    };
    let complete = search.with(&mut Vec::new());
    search.found.filter(|_| complete && search.number == 1)
}

/// What is looked for, and what looking for it may still cost.
struct Search<'s, 'a, T> {
    input: &'s Input<'a>,
    parse: &'s dyn Fn(&mut Input<'_>, &[Gap]) -> Result<T>,
    /// Where a body may end, counted from where `input` stands.
    ends: Vec<End>,
    tries: usize,
    read: usize,
    found: Option<T>,
    number: usize,
}

impl<T> Search<'_, '_, T> {
    /// Tries these gaps, and all ends of the next one if they are not enough. Whether all was tried that had to be.
    fn with(&mut self, gaps: &mut Vec<Gap>) -> bool {
        let mut tried = self.input.clone();
        let parsed = (self.parse)(&mut tried, gaps);
        let passed: usize = gaps.iter().map(|gap| gap.body_len).sum();
        let read = (tried.position() - self.input.position()).saturating_sub(passed);
        let (Some(tries), Some(left)) = (self.tries.checked_sub(1), self.read.checked_sub(read))
        else {
            return false;
        };
        (self.tries, self.read) = (tries, left);
        match parsed {
            Ok(found) => {
                self.found = Some(found);
                self.number += 1;
                self.number == 1
            }
            Err(error) if error.kind == FormatErrorKind::UnsupportedVersion => {
                match error.offset.and_then(|offset| self.unknown(offset)) {
                    Some(unknown) if gaps.len() < GAPS_MAX => self.lengths(gaps, unknown),
                    Some(_) => false,
                    None => true,
                }
            }
            Err(_) => true,
        }
    }

    fn lengths(&mut self, gaps: &mut Vec<Gap>, unknown: Unknown) -> bool {
        let from = self.ends.partition_point(|end| end.at < unknown.body);
        for place in from..self.ends.len() {
            let End { at, last } = self.ends[place];
            let body_len = at - unknown.body;
            gaps.push(Gap { snapshot_at: unknown.snapshot_at, body_len });
            let complete = self.with(gaps);
            gaps.pop();
            if !complete || last {
                return complete;
            }
        }
        true
    }

    /// The snapshot at `offset` of the stream, if it is one.
    fn unknown(&self, offset: u64) -> Option<Unknown> {
        let mut body = self.input.clone();
        let ahead = usize::try_from(offset.checked_sub(self.input.offset())?).ok()?;
        body.take(ahead).ok()?;
        if !is_snapshot(&mut body) {
            return None;
        }
        Some(Unknown { snapshot_at: offset, body: body.position() - self.input.position() })
    }
}

/// A snapshot of a class that is not known.
struct Unknown {
    snapshot_at: u64,
    /// Where its body begins, counted as [`Search::ends`].
    body: usize,
}

/// Where a body may end.
#[derive(Clone, Copy)]
struct End {
    at: usize,
    /// Whether no body goes on behind it.
    last: bool,
}

/// Where something stands that can follow a snapshot, ascending: the serializer of another role, another snapshot in the same composite,
/// another state, another list of states, or nothing.
fn ends(input: &Input<'_>) -> Vec<End> {
    let mut ends = Vec::new();
    let mut rest = input.clone();
    while !rest.is_empty() {
        let last = is_role(&rest) || is_state(&rest);
        if last || is_snapshot(&mut rest.clone()) || is_list(&rest) {
            ends.push(End { at: rest.position() - input.position(), last });
        }
        rest.skip(1);
    }
    ends.push(End { at: input.remaining(), last: true });
    ends
}

fn is_role(at: &Input<'_>) -> bool {
    Role::ALL.iter().any(|role| {
        let (len, rest) = at.rest().split_at_checked(2).unwrap_or_default();
        len == (role.name().len() as u16).to_be_bytes() && rest.starts_with(role.name().as_bytes())
    })
}

/// Text that is not too long for a name.
fn read_name(input: &mut Input<'_>) -> Option<String> {
    input.clone().u16().ok().filter(|len| *len <= NAME_LEN_MAX)?;
    read_utf(input).ok()
}

/// Whether a class in a package and a version stand here, and goes past them.
fn is_snapshot(input: &mut Input<'_>) -> bool {
    // What is read at a wrong place looks like text often enough, but hardly like a name.
    let letter = |letter: char| letter.is_alphanumeric() || "._$".contains(letter);
    let Some(class) = read_name(input) else { return false };
    class.contains('.')
        && class.chars().all(letter)
        && input.i32().is_ok_and(|version| VERSIONS.contains(&version))
}

/// Whether a state begins here: all of it up to its first serializer.
fn is_state(at: &Input<'_>) -> bool {
    let mut input = at.clone();
    // Without making text of it, as most places have none and this one is asked often.
    let name = input.u16().and_then(|len| input.take(len.into()));
    if !name.is_ok_and(|name| !name.is_empty())
        || !input.i32().is_ok_and(|kind| KINDS.contains(&kind))
    {
        return false;
    }
    let Some(options) = input.i32().ok().filter(|options| OPTIONS.contains(options)) else {
        return false;
    };
    let option = |input: &mut Input<'_>| read_name(input).and(read_name(input)).is_some();
    (0..options).all(|_| option(&mut input))
        && input.i32().is_ok_and(|serializers| serializers > 0)
        && is_role(&input)
}

/// Whether a number of states and the first of them stand here, or none and the end.
fn is_list(at: &Input<'_>) -> bool {
    let mut input = at.clone();
    match input.i16() {
        Ok(0) => input.is_empty(),
        Ok(1..) => is_state(&input),
        _ => false,
    }
}
