//! Encoded entries of a few key groups, sorted into run order before they are written.

use super::address::Address;
use super::table::TableKey;
use crate::Result;
use crate::backend::EntrySink;
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, Op};
use esker_format::{FormatError, Key, KeyGroup, KeyGroupRange};

/// A capture is encoded and sorted in pieces of about this many entries, which bounds its memory.
pub(super) const PIECE_ENTRIES: usize = 16_384;

/// Calls `f` with the pieces of `owned` within `range`, in order, each of about as many entries as
/// bounds memory, if `entries` are spread evenly over `owned`.
pub(super) fn for_pieces(
    owned: KeyGroupRange,
    range: KeyGroupRange,
    entries: usize,
    mut f: impl FnMut(KeyGroupRange) -> Result<()>,
) -> Result<()> {
    let Some(range) = range.intersect(owned) else { return Ok(()) };
    let pieces = (entries / PIECE_ENTRIES + 1) as u32;
    let step = owned.count().div_ceil(pieces);
    let mut first = u32::from(range.first());
    while first <= u32::from(range.last()) {
        let last = (first + step - 1).min(range.last().into());
        f(KeyGroupRange::new(first as u16, last as u16)?)?;
        first = last + 1;
    }
    Ok(())
}

/// The addresses removed since the capture before, in order of key group.
pub(super) struct Removed<'a, K, N>(Vec<(u16, &'a Address<K, N>)>);

impl<'a, K: Key, N: Key> Removed<'a, K, N> {
    /// Those of `removed` in the key groups of `range` that `keep` keeps.
    pub(super) fn new(
        removed: &'a [Address<K, N>],
        range: KeyGroupRange,
        keep: impl Fn(&Address<K, N>) -> bool,
    ) -> Self {
        let removed = removed.iter().map(|address| (address.key_group(), address));
        let mut removed: Vec<_> = removed
            .filter(|(group, address)| range.contains(KeyGroup(*group)) && keep(address))
            .collect();
        removed.sort_unstable_by_key(|(group, _)| *group);
        Self(removed)
    }

    /// Those in the key groups of `piece`.
    pub(super) fn of(&self, piece: KeyGroupRange) -> impl Iterator<Item = &'a Address<K, N>> {
        let start = self.0.partition_point(|(group, _)| *group < piece.first());
        let end = self.0.partition_point(|(group, _)| *group <= piece.last());
        self.0[start..end].iter().map(|(_, address)| *address)
    }
}

/// The encoded entries of one piece, side by side in one buffer until they are sorted.
pub(super) struct Rows {
    state: u32,
    /// Of each entry a [`Header`], its composite key and its value.
    bytes: Vec<u8>,
    parts: (Vec<u8>, Vec<u8>),
    /// Of each entry what tells most apart, and where it begins: sorted in the entries' stead.
    places: Vec<Place>,
    /// The same, while they are put into order of key group.
    sorted: Vec<Place>,
    /// Where the places of each key group begin, from that of the first one on.
    starts: Vec<u32>,
    /// The lowest and the highest key group among them.
    groups: (u16, u16),
    failed: Option<FormatError>,
}

/// Key group, first bytes of the key, and where the entry begins: from the top 16, 64 and
/// 48 bits.
type Place = u128;

const START_BITS: u32 = 48;
const GROUP_AT: u32 = Place::BITS - 16;

/// Lengths of composite key and value, and the operation.
type Header = [u8; 9];

fn header(key_len: u32, value_len: u32, op: Op) -> Header {
    let ([a, b, c, d], [e, f, g, h]) = (key_len.to_le_bytes(), value_len.to_le_bytes());
    [a, b, c, d, e, f, g, h, op as u8]
}

impl Rows {
    /// No entries of `state`.
    pub(super) fn new(state: u32) -> Self {
        Self {
            state,
            bytes: Vec::new(),
            parts: (Vec::new(), Vec::new()),
            places: Vec::new(),
            sorted: Vec::new(),
            starts: Vec::new(),
            groups: (u16::MAX, 0),
            failed: None,
        }
    }

    /// Adds an entry without a user key; `value` appends its value to the bytes it is given.
    #[inline]
    pub(super) fn add<K: Key, N: Key>(
        &mut self,
        key: &K,
        namespace: &N,
        op: Op,
        value: impl FnOnce(&mut Vec<u8>) -> esker_format::Result<()>,
    ) {
        self.add_with(key, namespace, |_| {}, op, value);
    }

    /// Adds an entry; `user_key` and `value` append to the bytes they are given.
    pub(super) fn add_with<K: Key, N: Key>(
        &mut self,
        key: &K,
        namespace: &N,
        user_key: impl FnOnce(&mut Vec<u8>),
        op: Op,
        value: impl FnOnce(&mut Vec<u8>) -> esker_format::Result<()>,
    ) {
        let start = self.bytes.len();
        let (key_bytes, namespace_bytes) = &mut self.parts;
        key_bytes.clear();
        namespace_bytes.clear();
        key.encode_into(key_bytes);
        namespace.encode_into(namespace_bytes);
        let group = KeyGroup::of(key_bytes);
        self.bytes.extend_from_slice(&header(0, 0, op));
        let key_start = self.bytes.len();
        CompositeKey::new(self.state, group, key_bytes, namespace_bytes, &[])
            .encode_into(&mut self.bytes);
        user_key(&mut self.bytes);
        let key_end = self.bytes.len();
        if let Err(error) = value(&mut self.bytes) {
            self.failed.get_or_insert(error);
        }
        let lens = (key_end - key_start, self.bytes.len() - key_end);
        match (u32::try_from(lens.0), u32::try_from(lens.1), self.bytes.get_mut(start..key_start)) {
            (Ok(key_len), Ok(value_len), Some(bytes)) => {
                bytes.copy_from_slice(&header(key_len, value_len, op));
            }
            _ => {
                let message = format!("key of {} bytes, value of {} bytes", lens.0, lens.1);
                self.failed.get_or_insert(FormatError::invalid("run entry", message));
            }
        }
        let head = head(key_bytes);
        let place = Place::from(group.0) << GROUP_AT | Place::from(head) << START_BITS;
        self.groups = (self.groups.0.min(group.0), self.groups.1.max(group.0));
        // A piece of 2^48 bytes is in no memory.
        self.places.push(place | start as Place);
    }

    /// Hands the entries to `sink`, in run order, and forgets them.
    ///
    /// # Errors
    /// The first that a value's encoding gave, and the sink's own.
    pub(super) fn flush(&mut self, sink: &mut dyn EntrySink) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        self.sort();
        for place in &self.places {
            sink.add(entry(&self.bytes, *place))?;
        }
        self.bytes.clear();
        self.places.clear();
        Ok(())
    }

    fn sort(&mut self) {
        // Key groups are counted, as the table holds them in about this order already; what is
        // left to sort is short, and in the processor's caches.
        let group_of = |place: Place| (place >> GROUP_AT) as usize;
        let (first, last) = std::mem::replace(&mut self.groups, (u16::MAX, 0));
        let (first, groups) = (usize::from(first), usize::from(last.saturating_sub(first)) + 1);
        if groups > 2 * self.places.len() {
            sort_places(&mut self.places, &self.bytes);
            return;
        }
        self.starts.clear();
        self.starts.resize(groups + 1, 0);
        for place in &self.places {
            self.starts[group_of(*place) - first + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut self.starts {
            sum += *start;
            *start = sum;
        }
        self.sorted.clear();
        self.sorted.resize(self.places.len(), 0);
        for place in &self.places {
            let next = &mut self.starts[group_of(*place) - first];
            self.sorted[*next as usize] = *place;
            *next += 1;
        }
        std::mem::swap(&mut self.places, &mut self.sorted);
        let same = |a: &Place, b: &Place| group_of(*a) == group_of(*b);
        for places in self.places.chunk_by_mut(same) {
            sort_places(places, &self.bytes);
        }
    }
}

/// Sorts the places of entries in `bytes` into run order.
fn sort_places(places: &mut [Place], bytes: &[u8]) {
    places.sort_unstable();
    for alike in places.chunk_by_mut(|a, b| a >> START_BITS == b >> START_BITS) {
        if alike.len() > 1 {
            alike.sort_unstable_by(|a, b| {
                let (a, b) = (entry(bytes, *a), entry(bytes, *b));
                // A clear comes before what stands behind it under the same key.
                a.key.cmp(b.key).then(a.op.cmp(&b.op))
            });
        }
    }
}

/// The entry that begins at a place.
#[inline]
fn entry(bytes: &[u8], place: Place) -> Entry<'_> {
    let start = (place & ((1 << START_BITS) - 1)) as usize;
    let [a, b, c, d, e, f, g, h, op] =
        bytes.get(start..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    let key = start + size_of::<Header>();
    let value = key + u32::from_le_bytes([a, b, c, d]) as usize;
    let end = value + u32::from_le_bytes([e, f, g, h]) as usize;
    let op = match op {
        op if op == Op::Clear as u8 => Op::Clear,
        op if op == Op::Put as u8 => Op::Put,
        op if op == Op::Delete as u8 => Op::Delete,
        _ => Op::Append,
    };
    Entry { key: &bytes[key..value], op, value: &bytes[value..end] }
}

/// The first bytes of a key, by which most entries of a key group are told apart: escaping keeps
/// their order.
#[inline]
fn head(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(head)
        }
    }
}

#[cfg(test)]
mod tests;
