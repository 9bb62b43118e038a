//! An entry of keyed state, wherever it was stored.

/// An entry of keyed state: what stood in the stream, cut into its parts, all of them still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The id of its state in its stream: the place in the header's list.
    pub state: u16,
    /// The key group that it was stored under.
    pub key_group: u16,
    /// The key.
    pub key: &'a [u8],
    /// The namespace; one byte where the program has none.
    pub namespace: &'a [u8],
    /// The user key of a map's entry, where each is stored on its own (canonical and RocksDB).
    pub user_key: Option<&'a [u8]>,
    /// The time of a timer, in milliseconds since 1970; `None` for what is no timer.
    pub timestamp_ms: Option<i64>,
    /// The value: of a timer nothing; of a list or a map what its format makes of it (see [`canonical`](crate::canonical) and
    /// [`heap`](crate::heap)).
    pub value: &'a [u8],
}
