//! Entries of lines, sorted in bounded memory: whatever was put twice is seen at the end, with the lines that it
//! came from.
//!
//! The spool keeps one value of a key at most, so that it does not grow with the lines of its key: of what was
//! put twice the lines alone are kept.

use crate::format::KeyGroupRange;
use crate::format::list::{elements, put_element};
use crate::processor::{Fold, Spooled};
use crate::snapshot::ChainReader;
use crate::{Error, ErrorKind, Result};

/// The number of a line, before a value.
const LINE_LEN_BYTES: usize = 8;
/// Keys and values have so many bytes together at most: an entry of the spool, less what stands before a value.
const ENTRY_LEN_BYTES_MAX: usize =
    crate::processor::Spool::<Lines>::ENTRY_LEN_BYTES_MAX - 2 * LINE_LEN_BYTES;
/// Of what was put several times so many lines are kept.
const LINES_MAX: usize = 10;
/// The first byte of an element: behind the line there is a value.
const WITH_VALUE: u8 = 0;
/// The first byte of an element: the line is one of several that do not go together.
const LINE_ALONE: u8 = 1;

/// Entries that are sorted together, by the operator's position in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// Keyed state.
    Keyed(usize),
    /// Broadcast state, which every subtask has.
    Broadcast(usize),
    /// Operator state of one subtask.
    Elements(usize, u32),
}

/// Values with the lines that they came from.
struct Lines;

impl Fold for Lines {
    type Lane = Lane;

    fn fold(
        &self,
        lane: Lane,
        _: &[u8],
        values: &mut dyn Iterator<Item = Result<&[u8]>>,
        list: &mut Vec<u8>,
    ) -> Result<()> {
        Under::of(lane, values.map(numbered))?.put(list)
    }
}

/// Takes entries in any order.
pub(super) struct Spool {
    spool: crate::processor::Spool<Lines>,
    /// A line and its value.
    element: Vec<u8>,
}

/// Told of what was put several times: composite key and lines, the first ten of them.
pub(super) type Twice<'a> = dyn FnMut(Lane, &[u8], Vec<u64>) -> Result<()> + 'a;

/// All entries, sorted. The files are gone when it is dropped.
pub(super) struct Sorted(Spooled<Lines>);

impl Spool {
    /// # Errors
    /// `Retry` if there can be no temporary folder.
    pub(super) fn new() -> Result<Self> {
        Ok(Self { spool: crate::processor::Spool::new(Lines)?, element: Vec::new() })
    }

    /// One that keeps about `len_bytes_max` in memory.
    #[cfg(test)]
    fn within(len_bytes_max: usize) -> Result<Self> {
        let spool = crate::processor::Spool::within(len_bytes_max, Lines)?;
        Ok(Self { spool, element: Vec::new() })
    }

    /// Takes an entry of a composite key, which came from line number `line`.
    ///
    /// # Errors
    /// Those of the temporary folder; `Invalid` if it is too long for a run, and nothing is taken.
    pub(super) fn add(&mut self, lane: Lane, line: u64, key: &[u8], value: &[u8]) -> Result<()> {
        let len_bytes = key.len() + value.len();
        if len_bytes > ENTRY_LEN_BYTES_MAX {
            let message =
                format!("key and value of {len_bytes} bytes, the limit is {ENTRY_LEN_BYTES_MAX}");
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        self.element.clear();
        put(&mut self.element, WITH_VALUE, line, value);
        self.spool.add(lane, key, &self.element)
    }

    /// # Errors
    /// As for [`add`](Self::add).
    pub(super) fn finish(self) -> Result<Sorted> {
        Ok(Sorted(self.spool.finish()?))
    }
}

impl Sorted {
    /// The entries of some lanes together, and about how many bytes they have.
    ///
    /// # Errors
    /// Those of the temporary folder.
    pub(super) fn open(&self, lanes: &[Lane]) -> Result<(ChainReader, u64)> {
        self.0.open(lanes)
    }

    /// Calls `each` with the composite key and the lines, ascending and ten at most, of what was put
    /// several times; of broadcast state only if it differs. Reads everything once.
    ///
    /// # Errors
    /// Those of the temporary folder, and of `each`.
    pub(super) fn duplicates(&self, each: &mut Twice<'_>) -> Result<()> {
        for lane in self.0.lanes() {
            let (chain, _) = self.open(&[lane])?;
            chain.merge(KeyGroupRange::ALL, None, &mut |entry| {
                let values = elements(entry.value).map(|element| numbered(Ok(element?)));
                match Under::of(lane, values)? {
                    Under::One(..) => Ok(()),
                    Under::Lines(lines) => each(lane, entry.key, lines),
                }
            })?;
        }
        Ok(())
    }
}

/// What was put under a key.
enum Under<'v> {
    /// A value and a line that it came from.
    One(u64, &'v [u8]),
    /// Lines that do not go together.
    Lines(Vec<u64>),
}

impl<'v> Under<'v> {
    /// What comes of lines, each with its value unless it is known not to go with others: of broadcast
    /// state all may say the same.
    fn of(lane: Lane, said: impl Iterator<Item = Result<(u64, Option<&'v [u8]>)>>) -> Result<Self> {
        let may_repeat = matches!(lane, Lane::Broadcast(_));
        let (mut lines, mut first) = (Vec::new(), None);
        for one in said {
            let (line, value) = one?;
            match first {
                Some(known) if may_repeat && value == Some(known) => continue,
                None if lines.is_empty() => first = value,
                _ => {}
            }
            lines.push(line);
        }
        match (first, lines.as_slice()) {
            (_, []) => Err(damaged()),
            (Some(value), [line]) => Ok(Self::One(*line, value)),
            _ => {
                lines.sort_unstable();
                lines.truncate(LINES_MAX);
                Ok(Self::Lines(lines))
            }
        }
    }

    fn put(&self, list: &mut Vec<u8>) -> Result<()> {
        let mut add = |tag: u8, line: u64, value: &[u8]| {
            put_element(list, |out| {
                put(out, tag, line, value);
                Ok(())
            })
        };
        match self {
            Self::One(line, value) => add(WITH_VALUE, *line, value)?,
            Self::Lines(lines) => lines.iter().try_for_each(|line| add(LINE_ALONE, *line, b""))?,
        }
        Ok(())
    }
}

/// Appends an element: a line, and its value.
fn put(out: &mut Vec<u8>, tag: u8, line: u64, value: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&line.to_be_bytes());
    out.extend_from_slice(value);
}

/// An element of what was put under a key: its line, and its value if it has one.
fn numbered(element: Result<&[u8]>) -> Result<(u64, Option<&[u8]>)> {
    let (tag, rest) = element?.split_first().ok_or_else(damaged)?;
    let (line, value) = rest.split_first_chunk::<LINE_LEN_BYTES>().ok_or_else(damaged)?;
    Ok((u64::from_be_bytes(*line), (*tag == WITH_VALUE).then_some(value)))
}

/// The value that was put, of a spooled one that [`Sorted::duplicates`] does not tell of.
///
/// # Errors
/// `Retry` if it is no such value.
pub(super) fn value_of(spooled: &[u8]) -> Result<&[u8]> {
    let element = elements(spooled).next().ok_or_else(damaged)??;
    let (_, value) = numbered(Ok(element))?;
    value.ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::new(ErrorKind::Retry, "a run of the temporary folder is damaged")
}

#[cfg(test)]
mod tests;
