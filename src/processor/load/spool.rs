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
mod tests {
    use super::*;
    use crate::format::KeyGroup;
    use crate::format::composite::CompositeKey;
    use crate::format::run::{Entry, KEY_LEN_BYTES_MAX};

    fn key(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let group = KeyGroup((number * 7919) as u16);
        CompositeKey::new(1, group, &number.to_be_bytes(), b"", b"").encode_into(&mut out);
        out
    }

    #[test]
    fn entries_come_back_in_order_and_what_was_put_twice_with_its_lines_whatever_the_memory() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut numbers: Vec<u64> = (0..3000).collect();
        random.shuffle(&mut numbers);
        // All in memory; a few runs; so many that runs are merged, twice over.
        for len_bytes_max in [1 << 20, 40_000, 900] {
            let mut spool = Spool::within(len_bytes_max).unwrap();
            for (line, number) in (1..).zip(&numbers) {
                let lane = Lane::Elements(0, (number % 2) as u32);
                spool.add(lane, line, &key(*number), &number.to_be_bytes()[6..]).unwrap();
            }
            let (first, second) = (numbers[5], numbers[2500]);
            spool.add(Lane::Elements(0, (first % 2) as u32), 9001, &key(first), b"x").unwrap();
            spool.add(Lane::Broadcast(3), 9002, &key(second), b"same").unwrap();
            spool.add(Lane::Broadcast(3), 9003, &key(second), b"same").unwrap();
            spool.add(Lane::Broadcast(3), 9004, &key(7), b"same").unwrap();
            spool.add(Lane::Broadcast(3), 9005, &key(7), b"other").unwrap();
            let sorted = spool.finish().unwrap();
            for subtask in 0..2_u64 {
                let (chain, _) = sorted.open(&[Lane::Elements(0, subtask as u32)]).unwrap();
                let mut expected: Vec<_> = (0..3000).filter(|n| n % 2 == subtask).collect();
                expected.sort_by_key(|number| key(*number));
                let mut found = Vec::new();
                let each = &mut |entry: Entry<'_>| {
                    let parts = CompositeKey::decode(entry.key)?;
                    let number = u64::from_be_bytes(parts.key[..].try_into().unwrap());
                    // What was put twice may have no value any more.
                    assert!(
                        number == first || value_of(entry.value)? == &number.to_be_bytes()[6..]
                    );
                    found.push(number);
                    Ok(())
                };
                chain.merge(KeyGroupRange::ALL, None, each).unwrap();
                assert!(found == expected, "{len_bytes_max}");
            }
            let mut twice = Vec::new();
            let each = &mut |lane, key: &[u8], lines| {
                twice.push((lane, key.to_vec(), lines));
                Ok(())
            };
            sorted.duplicates(each).unwrap();
            let lane = Lane::Elements(0, (first % 2) as u32);
            let expected =
                [(Lane::Broadcast(3), key(7), vec![9004, 9005]), (lane, key(first), vec![6, 9001])];
            assert_eq!(twice, expected);
        }
    }

    #[test]
    fn what_is_too_long_is_refused_at_its_own_line_and_what_is_not_goes_into_a_run() {
        let mut spool = Spool::within(1 << 30).unwrap();
        let lane = Lane::Keyed(0);
        let long = CompositeKey::new(1, KeyGroup(1), &[7; KEY_LEN_BYTES_MAX], b"", b"");
        let mut key_too_long = Vec::new();
        long.encode_into(&mut key_too_long);
        let error = spool.add(lane, 1, &key_too_long, b"").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("the limit is 1048576"), "{error}");
        let key = key(1);
        let longest = vec![0; ENTRY_LEN_BYTES_MAX - key.len() + 1];
        let error = spool.add(lane, 2, &key, &longest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        // Neither is there, and one that is a byte shorter fits with its line.
        spool.add(lane, 3, &key, &longest[1..]).unwrap();
        let sorted = spool.finish().unwrap();
        let raw_len_bytes = sorted.open(&[lane]).unwrap().1;
        assert_eq!(raw_len_bytes, (ENTRY_LEN_BYTES_MAX + 13) as u64);
    }

    #[test]
    fn what_is_said_again_takes_no_room() {
        let value = vec![7; 2000];
        for len_bytes_max in [1 << 20, 10_000] {
            let mut spool = Spool::within(len_bytes_max).unwrap();
            for line in 1..=400 {
                spool.add(Lane::Broadcast(0), line, &key(1), &value).unwrap();
                spool.add(Lane::Keyed(0), line + 1000, &key(2), &value).unwrap();
            }
            let sorted = spool.finish().unwrap();
            let (mut lens, mut twice) = (Vec::new(), Vec::new());
            for lane in [Lane::Broadcast(0), Lane::Keyed(0)] {
                let each = &mut |entry: Entry<'_>| {
                    lens.push(entry.value.len());
                    Ok(())
                };
                let (chain, _) = sorted.open(&[lane]).unwrap();
                chain.merge(KeyGroupRange::ALL, None, each).unwrap();
            }
            // Two levels of runs at most, each of which holds one value.
            assert!(lens.iter().all(|len| *len <= 32 * (value.len() + 11)), "{lens:?}");
            let each = &mut |lane, _: &[u8], lines| {
                twice.push((lane, lines));
                Ok(())
            };
            sorted.duplicates(each).unwrap();
            assert_eq!(twice, [(Lane::Keyed(0), (1001..=1010).collect::<Vec<u64>>())]);
            let (chain, _) = sorted.open(&[Lane::Broadcast(0)]).unwrap();
            let each = &mut |entry: Entry<'_>| {
                assert!(value_of(entry.value)? == value);
                Ok(())
            };
            chain.merge(KeyGroupRange::ALL, None, each).unwrap();
        }
    }
}
