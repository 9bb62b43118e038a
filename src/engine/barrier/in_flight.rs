//! Records in flight as state: kept in a snapshot, processed again when it is restored.

use crate::Result;
use crate::backend::operator::{
    OperatorBackend, OperatorCapture, OperatorListState, Redistribution,
};
use crate::backend::{Backend, DynCodec, EntrySink, Handle, KeyedState, ListCalls, StateValue};
use crate::format::composite::CompositeKey;
use crate::format::list::elements;
use crate::format::run::Entry;
use crate::format::{Bincode, Key, ValueCodec};
use crate::snapshot::Captures;
use crate::state::{ListDescriptor, OperatorListDescriptor};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// The state that holds the records.
const RECORDS: &str = "records";

/// The uid under which the in-flight records of operator `uid` stand in a snapshot: those of its keyed
/// exchange, or of its other inputs, whose records belong to no key. It is an operator of its own to whoever
/// looks at the snapshot: where one is renamed, so is the other.
pub fn in_flight_uid(uid: &str, keyed: bool) -> String {
    let which = if keyed { "in-flight" } else { "in-flight-unkeyed" };
    format!("{uid}/{which}")
}

/// In-flight records of a keyed exchange: a list for each key, in a backend of their own, which owns the
/// same key groups as the subtask's. So they are restored where their keys are, at any parallelism, and those of
/// a key are in order.
///
/// The subtask's own state is captured when the first barrier comes, the records when the last one has
/// come ([`Aligned`](super::Aligned)); both captures go into one checkpoint.
///
/// ```
/// # use esker::backend::heap::HeapBackend;
/// # use esker::engine::barrier::{InFlight, in_flight_uid};
/// # use esker::format::KeyGroupRange;
/// let backend = HeapBackend::new(in_flight_uid("carriers", true), KeyGroupRange::ALL);
/// let mut in_flight = InFlight::<_, String, u64>::new(backend)?;
/// let captures = in_flight.capture([("UA".into(), 7), ("AA".into(), 1), ("UA".into(), 8)])?;
/// assert_eq!(captures[0].entries(), 3);
/// # Ok::<(), esker::Error>(())
/// ```
pub struct InFlight<B: Backend, K: Key, R: StateValue> {
    backend: B,
    records: Handle<B::List<K, (), R>>,
    codec: DynCodec<R>,
    /// The keys that have records.
    keys: Vec<K>,
}

impl<B: Backend, K: Key, R: StateValue> InFlight<B, K, R> {
    /// Records are written by [`Bincode`]; `backend` is a new one of operator [`in_flight_uid`], or one that
    /// is to be restored, and owns the subtask's key groups.
    ///
    /// # Errors
    /// Those of [`Backend::open`].
    pub fn new(backend: B) -> Result<Self>
    where
        R: Serialize + DeserializeOwned,
    {
        Self::with_codec(backend, Bincode)
    }

    /// The same, with records that are written by `codec`.
    ///
    /// # Errors
    /// Those of [`Backend::open`].
    pub fn with_codec(mut backend: B, codec: impl ValueCodec<R> + 'static) -> Result<Self> {
        let codec: DynCodec<R> = Arc::new(codec);
        let descriptor = ListDescriptor::with_codec(RECORDS, Arc::clone(&codec));
        let records = backend.open(descriptor)?;
        Ok(Self { backend, records, codec, keys: Vec::new() })
    }

    /// The backend, to be restored and written as any other.
    pub fn backend(&mut self) -> &mut B {
        &mut self.backend
    }

    /// A capture of `records`, and of nothing from before; nothing is left in the backend.
    ///
    /// # Errors
    /// `Invalid` for a key outside the owned key groups, and nothing is held then; those of the backend.
    pub fn capture(&mut self, records: impl IntoIterator<Item = (K, R)>) -> Result<Captures> {
        let captures = self.hold(records).and_then(|()| self.backend.capture());
        self.clear()?;
        captures
    }

    /// Holds `records`, and nothing from before, until they are [cleared](Self::clear): for whoever captures
    /// the [backend](Self::backend) otherwise, natively say.
    ///
    /// # Errors
    /// As for [`capture`](Self::capture).
    pub fn hold(&mut self, records: impl IntoIterator<Item = (K, R)>) -> Result<()> {
        self.clear()?;
        for (key, record) in records {
            self.backend.state(self.records)?.append(&key, &(), record)?;
            self.keys.push(key);
        }
        Ok(())
    }

    /// Removes what is held.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn clear(&mut self) -> Result<()> {
        for key in std::mem::take(&mut self.keys) {
            self.backend.state(self.records)?.clear(&key, &())?;
        }
        Ok(())
    }

    /// The records that a restore has brought, those of a key in order; the engine processes them before
    /// any other. None are held after it. To be called once, between the restore and the next capture.
    ///
    /// # Errors
    /// Those of the backend; `Corrupt` if what is stored cannot be decoded.
    pub fn replay(&mut self) -> Result<Vec<(K, R)>> {
        let range = self.backend.range();
        let state = self.backend.state(self.records)?;
        state.settle()?;
        let mut replay = Replay { codec: &*self.codec, records: Vec::new() };
        state.capture_state().write_full(range, &mut replay)?;
        let records = replay.records;
        let mut keys: Vec<_> = records.iter().map(|(key, _): &(K, R)| key.clone()).collect();
        keys.dedup();
        self.keys = keys;
        self.clear()?;
        Ok(records)
    }
}

/// Takes records out of the entries of their lists.
struct Replay<'a, K, R> {
    codec: &'a dyn ValueCodec<R>,
    records: Vec<(K, R)>,
}

impl<K: Key, R> EntrySink for Replay<'_, K, R> {
    fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        let key = K::decode(&CompositeKey::decode(entry.key)?.key)?;
        for element in elements(entry.value) {
            self.records.push((key.clone(), self.codec.decode(element?)?));
        }
        Ok(())
    }
}

/// In-flight records that belong to no key: an operator list, dealt out one by one to however many subtasks
/// there are. Those of one channel may end up in several, as its later records would.
///
/// A broadcast exchange is not for this: its subtasks are to process the same records, and each has
/// other ones in flight. Align its barriers.
pub struct UnkeyedInFlight<R: StateValue> {
    backend: OperatorBackend,
    records: Handle<OperatorListState<R>>,
}

impl<R: StateValue> UnkeyedInFlight<R> {
    /// Records are written by [`Bincode`]; `backend` is a new one of operator [`in_flight_uid`], or one that
    /// is to be restored.
    ///
    /// # Errors
    /// Those of [`OperatorBackend::open`].
    pub fn new(backend: OperatorBackend) -> Result<Self>
    where
        R: Serialize + DeserializeOwned,
    {
        Self::with_codec(backend, Bincode)
    }

    /// The same, with records that are written by `codec`.
    ///
    /// # Errors
    /// Those of [`OperatorBackend::open`].
    pub fn with_codec(
        mut backend: OperatorBackend,
        codec: impl ValueCodec<R> + 'static,
    ) -> Result<Self> {
        let split = Redistribution::Split;
        let records = backend.open(OperatorListDescriptor::with_codec(RECORDS, split, codec))?;
        Ok(Self { backend, records })
    }

    /// The backend, to be restored as any other.
    pub fn backend(&mut self) -> &mut OperatorBackend {
        &mut self.backend
    }

    /// A capture of `records`, and of nothing from before; nothing is left in the backend.
    ///
    /// # Errors
    /// `Poisoned` after a restore that failed.
    pub fn capture(
        &mut self,
        records: impl IntoIterator<Item = R>,
    ) -> Result<Arc<dyn OperatorCapture>> {
        self.backend.state(self.records)?.update(records.into_iter().collect());
        let capture = self.backend.capture()?;
        self.backend.state(self.records)?.clear();
        Ok(capture)
    }

    /// The records that a restore has brought; the engine processes them before any other. None are held
    /// after it.
    ///
    /// # Errors
    /// `Poisoned` after a restore that failed.
    pub fn replay(&mut self) -> Result<Vec<R>> {
        let state = self.backend.state(self.records)?;
        let records = state.get().to_vec();
        state.clear();
        Ok(records)
    }
}
