//! The job's keyed state, and the rows that go into it.

use super::content::Content;
use super::rows::{Change, KEYS, changes};
use super::{KEYED, parallelism_of};
use esker::Result;
use esker::backend::{
    Backend, EntrySink, Handle, ListCalls, MapCalls, NativeCapture, Reducing, TimerCalls,
    ValueCalls,
};
use esker::format::run::Entry;
use esker::format::{Key, KeyGroup, KeyGroupRange};
use esker::snapshot::Captures;
use esker::state::{
    ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, ValueDescriptor,
};
use std::sync::Arc;

/// A subtask of a keyed operator.
pub(crate) struct Table<B: Backend> {
    /// The operator's number among [`KEYED`].
    operator: u64,
    pub(crate) backend: B,
    values: Handle<B::Value<u64, (), String>>,
    lists: Handle<B::List<u64, (), u64>>,
    maps: Handle<B::Map<u64, (), u64, u64>>,
    timers: Handle<B::Timers<u64, ()>>,
    fired: Handle<B::Value<u64, (), u64>>,
    sums: Handle<Reducing<B, u64, (), u64>>,
}

impl<B: Backend> Table<B> {
    pub(crate) fn open(operator: usize, mut backend: B) -> Result<Self> {
        let add = |sum: &mut u64, more| *sum += more;
        Ok(Self {
            operator: operator as u64,
            values: backend.open(ValueDescriptor::<u64, String>::new("values"))?,
            lists: backend.open(ListDescriptor::<u64, u64>::new("lists"))?,
            maps: backend.open(MapDescriptor::<u64, u64, u64>::new("maps"))?,
            timers: backend.open(TimerDescriptor::<u64>::event("timers"))?,
            fired: backend.open(ValueDescriptor::<u64, u64>::new("fired"))?,
            sums: backend.open(ReducingDescriptor::<u64, u64>::new("sums", add))?,
            backend,
        })
    }

    fn owns(&self, key: u64) -> bool {
        key % KEYED.len() as u64 == self.operator
            && self.backend.range().contains(key.with_encoded(KeyGroup::of))
    }

    fn apply(&mut self, change: &Change) -> Result<()> {
        let backend = &mut self.backend;
        match change {
            Change::Set(key, value) => {
                backend.state(self.values)?.update(key, &(), value.clone())?;
            }
            Change::Unset(key) => backend.state(self.values)?.clear(key, &())?,
            Change::Append(key, element) => {
                backend.state(self.lists)?.append(key, &(), *element)?;
            }
            Change::Replace(key, element) => {
                backend.state(self.lists)?.update(key, &(), vec![*element])?;
            }
            Change::Drop(key) => backend.state(self.lists)?.clear(key, &())?,
            Change::Put(key, user_key, value) => {
                backend.state(self.maps)?.put(key, &(), user_key, *value)?;
            }
            Change::Remove(key, user_key) => {
                backend.state(self.maps)?.remove(key, &(), user_key)?;
            }
            Change::ClearMap(key) => backend.state(self.maps)?.clear(key, &())?,
            Change::Register(time_ms, key) => {
                backend.state(self.timers)?.register(*time_ms, key, &())?;
            }
            Change::Unregister(time_ms, key) => {
                backend.state(self.timers)?.delete(*time_ms, key, &())?;
            }
            Change::Add(key, input) => backend.state(self.sums)?.add(key, &(), *input)?,
            Change::Watermark(time_ms) => {
                while let Some((_, key, ())) = backend.state(self.timers)?.pop_due(*time_ms)? {
                    let count = |fired: &mut Option<u64>| *fired = Some(fired.unwrap_or(0) + 1);
                    backend.state(self.fired)?.rmw(&key, &(), count)?;
                }
            }
        }
        Ok(())
    }

    /// Adds all that it holds to `content`. Its timers are used up.
    pub(crate) fn drain_into(&mut self, content: &mut Content) -> Result<()> {
        let keys: Vec<u64> = (0..KEYS).filter(|key| self.owns(*key)).collect();
        let backend = &mut self.backend;
        // Entries of a run: a value, a list, an entry of a map.
        let mut held = 0;
        for key in keys {
            if let Some(value) = backend.state(self.values)?.get(&key, &())? {
                held += 1;
                content.values.insert(key, value);
            }
            if let Some(count) = backend.state(self.fired)?.get(&key, &())? {
                held += 1;
                content.fired.insert(key, count);
            }
            let list = backend.state(self.lists)?.get(&key, &())?;
            if !list.is_empty() {
                held += 1;
                content.lists.insert(key, list);
            }
            let state = backend.state(self.maps)?;
            if !state.is_empty(&key, &())? {
                let map = content.maps.entry(key).or_default();
                state.for_each(&key, &(), |user_key, value| {
                    held += 1;
                    map.insert(*user_key, *value);
                })?;
            }
            if let Some(sum) = backend.state(self.sums)?.get(&key, &())? {
                held += 1;
                content.sums.insert(key, sum);
            }
        }
        while let Some((time_ms, key, ())) = backend.state(self.timers)?.pop_due(i64::MAX)? {
            assert!(content.timers.insert((time_ms, key)), "a timer of two subtasks");
        }
        // No state holds a key that it should not.
        let mut counted = Counted(0);
        for capture in backend.capture()? {
            capture.write_full(KeyGroupRange::ALL, &mut counted)?;
        }
        assert_eq!(held, counted.0);
        Ok(())
    }
}

/// How many entries there were.
struct Counted(usize);

impl EntrySink for Counted {
    fn add(&mut self, _entry: Entry<'_>) -> Result<()> {
        self.0 += 1;
        Ok(())
    }
}

/// All subtasks, and how many rows went into them.
pub(crate) struct Rows<B: Backend> {
    pub(crate) seed: u64,
    pub(crate) rows: u64,
    /// By keyed operator, then subtask.
    pub(crate) tables: Vec<Vec<Table<B>>>,
}

/// A subtask as it was captured: natively where its backend can be.
pub(crate) enum Taken {
    Entries(Captures),
    Native(Arc<dyn NativeCapture>),
}

/// The job's state after a number of rows.
pub(crate) struct Captured {
    pub(crate) rows: u64,
    /// By keyed operator, then subtask.
    pub(crate) keyed: Vec<Vec<Taken>>,
}

impl<B: Backend> Rows<B> {
    /// The next row.
    pub(crate) fn advance(&mut self) -> Result<()> {
        self.rows += 1;
        for change in changes(self.seed, self.rows) {
            match change.key() {
                None => self.tables.iter_mut().flatten().try_for_each(|t| t.apply(&change))?,
                Some(key) => {
                    let tables = &mut self.tables[key as usize % KEYED.len()];
                    let group = key.with_encoded(KeyGroup::of);
                    let subtask = group.subtask(tables.len() as u32);
                    tables[subtask as usize].apply(&change)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn capture(&mut self) -> Result<Captured> {
        let of_table = |table: &mut Table<B>| match table.backend.capture_native()? {
            Some(native) => Ok(Taken::Native(native)),
            None => table.backend.capture().map(Taken::Entries),
        };
        let of = |tables: &mut Vec<Table<B>>| -> Result<Vec<Taken>> {
            tables.iter_mut().map(of_table).collect()
        };
        let keyed = self.tables.iter_mut().map(of).collect::<Result<_>>()?;
        Ok(Captured { rows: self.rows, keyed })
    }

    /// All that the subtasks hold; their timers are used up.
    pub(crate) fn drain(&mut self) -> Result<Content> {
        let mut content = Content::default();
        for (operator, tables) in self.tables.iter_mut().enumerate() {
            assert_eq!(tables.len(), parallelism_of(operator, tables.len() as u32) as usize);
            tables.iter_mut().try_for_each(|table| table.drain_into(&mut content))?;
        }
        Ok(content)
    }
}
