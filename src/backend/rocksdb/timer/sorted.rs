//! Timers in the order of runs, out of a database that has them in order of time.
//!
//! Where all of them fit into memory (64 MiB), they are sorted at once. Else each piece of a run goes
//! through all timers, once for every 64 MiB of its own, and memory stays within that but for key groups
//! that are larger.

use super::super::keys::ID_LEN_BYTES;
use super::split;
use crate::Result;
use crate::backend::EntrySink;
use esker_format::KeyGroupRange;
use esker_format::run::{Entry, Op};

/// What timers take in memory while they are sorted, at most.
const SORTED_LEN_BYTES_MAX: usize = if cfg!(test) { 1 << 9 } else { 64 << 20 };

/// Calls what it is given with the database's key of every timer, in order, until that says `false`.
pub(in super::super) type ReadAll<'a> =
    &'a dyn Fn(&mut dyn FnMut(&[u8]) -> Result<bool>) -> Result<()>;

/// All timers, if they fit. An error is met again by whoever reads them piece by piece.
pub(super) fn sorted(read: ReadAll<'_>) -> Option<Sorted> {
    let mut all = Sorted::default();
    let mut fits = true;
    let done = read(&mut |key| {
        all.push(key)?;
        fits = all.len_bytes() <= SORTED_LEN_BYTES_MAX;
        Ok(fits)
    });
    done.is_ok().then_some(())?;
    fits.then(|| all.sorted())
}

/// Writes the timers of state `id` in the key groups of `range`, whether all fit or not.
///
/// # Errors
/// Those of `read` and of `sink`; `Corrupt` for what is no timer.
pub(in super::super) fn write_sorted(
    read: ReadAll<'_>,
    id: u32,
    range: KeyGroupRange,
    sink: &mut dyn EntrySink,
) -> Result<()> {
    match sorted(read) {
        Some(all) => all.write(id, range, sink),
        None => write_pieces(read, id, range, sink),
    }
}

/// The same, as many key groups at a time as fit.
pub(super) fn write_pieces(
    read: ReadAll<'_>,
    id: u32,
    range: KeyGroupRange,
    sink: &mut dyn EntrySink,
) -> Result<()> {
    let mut first = range.first();
    loop {
        let (some, last) = some(read, first, range.last())?;
        some.write(id, KeyGroupRange::new(first, last)?, sink)?;
        if last == range.last() {
            return Ok(());
        }
        first = last + 1;
    }
}

/// The timers of key groups from `first` on, sorted, as many groups as fit; and the last of them.
fn some(read: ReadAll<'_>, first: u16, mut last: u16) -> Result<(Sorted, u16)> {
    let mut some = Sorted::default();
    read(&mut |key| {
        let group = group_of(split(key)?.1);
        if first <= group && group <= last {
            some.push(key)?;
            if some.len_bytes() > SORTED_LEN_BYTES_MAX && first < last {
                last = some.halve(first);
            }
        }
        Ok(true)
    })?;
    Ok((some.sorted(), last))
}

/// Keys of timers as runs have them, without the state's id.
#[derive(Default)]
pub(super) struct Sorted {
    bytes: Vec<u8>,
    /// Where each begins, and its length.
    places: Vec<(usize, usize)>,
}

impl Sorted {
    /// Adds the timer of a key of the database: its time goes to the end.
    fn push(&mut self, key: &[u8]) -> Result<()> {
        let (time, rest) = split(key)?;
        self.places.push((self.bytes.len(), key.len()));
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(time);
        Ok(())
    }

    fn len_bytes(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<(usize, usize)>()
    }

    fn at(&self, (start, len): (usize, usize)) -> &[u8] {
        self.bytes.get(start..start + len).unwrap_or_default()
    }

    fn sorted(mut self) -> Self {
        let mut places = std::mem::take(&mut self.places);
        places.sort_unstable_by(|a, b| self.at(*a).cmp(self.at(*b)));
        Self { places, ..self }
    }

    /// Drops the key groups from the one in the middle on, but for `first`; returns the last that is
    /// left.
    fn halve(&mut self, first: u16) -> u16 {
        let mut groups: Vec<u16> =
            self.places.iter().map(|place| group_of(self.at(*place))).collect();
        let middle = groups.len() / 2;
        let (_, middle, _) = groups.select_nth_unstable(middle);
        let last = middle.saturating_sub(1).max(first);
        let mut left = Self::default();
        for place in &self.places {
            let key = self.at(*place);
            if group_of(key) <= last {
                left.places.push((left.bytes.len(), key.len()));
                left.bytes.extend_from_slice(key);
            }
        }
        *self = left;
        last
    }

    /// Writes the timers of state `id` in the key groups of `range`.
    pub(super) fn write(
        &self,
        id: u32,
        range: KeyGroupRange,
        sink: &mut dyn EntrySink,
    ) -> Result<()> {
        let below = |group: u16| {
            self.places.partition_point(move |place| group_of(self.at(*place)) < group)
        };
        let start = below(range.first());
        let end = range.last().checked_add(1).map_or(self.places.len(), below);
        let mut composite = id.to_be_bytes().to_vec();
        for place in self.places.get(start..end).unwrap_or_default() {
            composite.truncate(ID_LEN_BYTES);
            composite.extend_from_slice(self.at(*place));
            sink.add(Entry { key: &composite, op: Op::Put, value: &[] })?;
        }
        Ok(())
    }
}

/// The key group in front of a composite key without its id; the first one where there is none, which
/// a reader of the key refuses.
pub(in super::super) fn group_of(key: &[u8]) -> u16 {
    key.first_chunk().copied().map_or(0, u16::from_be_bytes)
}
