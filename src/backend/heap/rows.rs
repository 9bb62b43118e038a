//! Encoded entries of a few key groups, sorted into run order before they are written.

use super::address::Address;
use super::table::TableKey;
use crate::Result;
use crate::backend::EntrySink;
use esker_format::composite::CompositeKey;
use esker_format::run::{Entry, Op};
use esker_format::{FormatError, Key, KeyGroup, KeyGroupRange};

/// A capture is encoded and sorted in pieces of about this many entries, which bounds its memory.
pub(super) const PIECE_ENTRIES: usize = 32_768;

/// Length of the state's id, which composite keys begin with.
const STATE_LEN_BYTES: usize = 4;

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
    bytes: Vec<u8>,
    parts: (Vec<u8>, Vec<u8>),
    rows: Vec<Row>,
    /// What tells most rows apart, and the row's number: sorted in the rows' stead.
    order: Vec<(u64, usize)>,
    failed: Option<FormatError>,
}

struct Row {
    key: std::ops::Range<usize>,
    value_end: usize,
    op: Op,
}

impl Rows {
    /// No entries of `state`.
    pub(super) fn new(state: u32) -> Self {
        let parts = (Vec::new(), Vec::new());
        let (rows, order) = (Vec::new(), Vec::new());
        Self { state, bytes: Vec::new(), parts, rows, order, failed: None }
    }

    /// Adds an entry without a user key; `value` appends its value to the bytes it is given.
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
        CompositeKey::new(self.state, group, key_bytes, namespace_bytes, &[])
            .encode_into(&mut self.bytes);
        user_key(&mut self.bytes);
        let key = start..self.bytes.len();
        if let Err(error) = value(&mut self.bytes) {
            self.failed.get_or_insert(error);
        }
        self.rows.push(Row { key, value_end: self.bytes.len(), op });
    }

    /// Hands the entries to `sink`, in run order, and forgets them.
    ///
    /// # Errors
    /// The first that a value's encoding gave, and the sink's own.
    pub(super) fn flush(&mut self, sink: &mut dyn EntrySink) -> Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let (bytes, rows) = (&self.bytes, &self.rows);
        self.order.clear();
        self.order
            .extend(rows.iter().enumerate().map(|(at, row)| (head(&bytes[row.key.clone()]), at)));
        self.order.sort_unstable_by(|(a_head, a), (b_head, b)| {
            a_head.cmp(b_head).then_with(|| {
                let (a, b) = (&rows[*a], &rows[*b]);
                // A clear comes before what stands behind it under the same key.
                bytes[a.key.clone()].cmp(&bytes[b.key.clone()]).then(a.op.cmp(&b.op))
            })
        });
        for (_, at) in &self.order {
            let row = &rows[*at];
            let value = &bytes[row.key.end..row.value_end];
            sink.add(Entry { key: &bytes[row.key.clone()], op: row.op, value })?;
        }
        self.bytes.clear();
        self.rows.clear();
        Ok(())
    }
}

/// Key group and the first bytes of the key, which all rows of one state are ordered by first.
#[inline]
fn head(composite: &[u8]) -> u64 {
    let rest = composite.get(STATE_LEN_BYTES..).unwrap_or_default();
    match rest.first_chunk() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; 8];
            head[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(head)
        }
    }
}
