//! Operator state that is a map, the same in every subtask.

use super::{NewSubtask, OperatorCapture, OperatorState, broadcast_source, key_of, put};
use crate::Result;
use crate::backend::EntrySink;
use crate::backend::stored::Stored;
use esker_format::manifest::{StateInfo, StateKind};
use esker_format::run::Entry;
use esker_format::{Key, ValueCodec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// By encoded key, which is the order of runs.
type Entries<UK, V> = BTreeMap<Vec<u8>, (UK, V)>;

/// A map that every subtask holds alike: each gets the same elements of a broadcast stream and must
/// change it in the same way.
///
/// ```
/// # use esker::backend::operator::BroadcastState;
/// # use esker::format::Ordered;
/// let mut rules = BroadcastState::<String, u32>::new(1, Ordered)?;
/// rules.put("limit".into(), 10);
/// assert_eq!(rules.get(&"limit".into()), Some(&10));
/// # Ok::<(), esker::Error>(())
/// ```
pub struct BroadcastState<UK, V> {
    id: u32,
    entries: Arc<Entries<UK, V>>,
    stored: Stored<V>,
}

impl<UK: Key, V: Clone + Send + Sync + 'static> BroadcastState<UK, V> {
    /// The kind of the state in manifests.
    pub const KIND: StateKind = StateKind::OperatorBroadcast;

    /// An empty map with numeric id `id`.
    ///
    /// # Errors
    /// `Incompatible` if the type of keys has no deterministic encoding.
    pub fn new(id: u32, codec: impl ValueCodec<V> + 'static) -> Result<Self> {
        UK::check()?;
        Ok(Self { id, entries: Arc::default(), stored: Stored::new(codec) })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &UK) -> Option<&V> {
        key.with_encoded(|bytes| self.entries.get(bytes)).map(|(_, value)| value)
    }

    /// Sets the value of a key and returns the one before. The first write after a capture that is
    /// still alive copies the map.
    pub fn put(&mut self, key: UK, value: V) -> Option<V> {
        let bytes = key.with_encoded(<[u8]>::to_vec);
        let old = Arc::make_mut(&mut self.entries).insert(bytes, (key, value));
        old.map(|(_, value)| value)
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &UK) -> Option<V> {
        let entries = Arc::make_mut(&mut self.entries);
        key.with_encoded(|bytes| entries.remove(bytes)).map(|(_, value)| value)
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.entries = Arc::default();
    }

    /// All entries, in order of the encoded keys: the same in every subtask.
    pub fn iter(&self) -> impl Iterator<Item = (&UK, &V)> {
        self.entries.values().map(|(key, value)| (key, value))
    }

    /// The map as it is now, by reference.
    pub fn capture(&self) -> Arc<dyn OperatorCapture> {
        let (entries, codec) = (Arc::clone(&self.entries), self.stored.codec());
        Arc::new(BroadcastCapture { id: self.id, entries, codec })
    }

    /// Makes ready to [`apply`](Self::apply) the entries of the stored state `stored`, of one old
    /// subtask: see [`broadcast_source`].
    ///
    /// # Errors
    /// `Incompatible`, naming the difference, if its values are of another type and cannot be
    /// migrated.
    pub fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        self.stored.begin_restore(stored)?;
        self.clear();
        Ok(())
    }

    /// Applies one entry; those of other states are passed over.
    ///
    /// # Errors
    /// `Corrupt` if the entry is no entry of this state.
    pub fn apply(&mut self, entry: Entry<'_>) -> Result<()> {
        let Some(key) = key_of(self.id, entry)? else { return Ok(()) };
        let value = self.stored.decode(entry.value)?;
        self.put(UK::decode(&key)?, value);
        Ok(())
    }

    /// Ends a restore.
    pub fn end_restore(&mut self) {
        self.stored.end_restore();
    }
}

impl<UK: Key, V: Clone + Send + Sync + 'static> OperatorState for BroadcastState<UK, V> {
    fn capture_state(&self) -> Arc<dyn OperatorCapture> {
        self.capture()
    }

    fn begin_restore(&mut self, stored: &StateInfo) -> Result<()> {
        BroadcastState::begin_restore(self, stored)
    }

    fn apply(&mut self, entry: Entry<'_>, owner: u32, to: NewSubtask) -> Result<()> {
        let source = broadcast_source(to.subtask as usize, to.old_parallelism as usize);
        match source == Some(owner as usize) {
            true => BroadcastState::apply(self, entry),
            false => Ok(()),
        }
    }

    fn end_restore(&mut self) {
        BroadcastState::end_restore(self);
    }
}

struct BroadcastCapture<UK, V> {
    id: u32,
    entries: Arc<Entries<UK, V>>,
    codec: Arc<dyn ValueCodec<V>>,
}

impl<UK: Key, V: Send + Sync> OperatorCapture for BroadcastCapture<UK, V> {
    fn states(&self) -> Vec<(u32, u64)> {
        vec![(self.id, self.entries.len() as u64)]
    }

    fn write(&self, sink: &mut dyn EntrySink) -> Result<()> {
        let mut bytes = Vec::new();
        for (key, (_, value)) in self.entries.iter() {
            bytes.clear();
            self.codec.encode(value, &mut bytes)?;
            put(sink, self.id, key, &bytes)?;
        }
        Ok(())
    }
}
