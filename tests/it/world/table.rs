//! The job's keyed state, and the rows that go into it.

use super::content::Content;
use super::rows::{Change, KEYS, changes};
use super::{KEYED, parallelism_of};
use esker::Result;
use esker::backend::heap::{HeapBackend, ListState, MapState, TimerState, ValueState};
use esker::backend::{Backend, Handle, Reducing};
use esker::format::{Key, KeyGroup};
use esker::snapshot::Captures;
use esker::state::{
    ListDescriptor, MapDescriptor, ReducingDescriptor, TimerDescriptor, ValueDescriptor,
};

/// A subtask of a keyed operator.
pub(crate) struct Table {
    /// The operator's number among [`KEYED`].
    operator: u64,
    pub(crate) backend: HeapBackend,
    values: Handle<ValueState<u64, (), String>>,
    lists: Handle<ListState<u64, (), u64>>,
    maps: Handle<MapState<u64, (), u64, u64>>,
    timers: Handle<TimerState<u64, ()>>,
    fired: Handle<ValueState<u64, (), u64>>,
    sums: Handle<Reducing<HeapBackend, u64, (), u64>>,
}

impl Table {
    pub(crate) fn open(operator: usize, mut backend: HeapBackend) -> Result<Self> {
        let add = |sum: &mut u64, more| *sum += more;
        Ok(Self {
            operator: operator as u64,
            values: backend.open(ValueDescriptor::new("values"))?,
            lists: backend.open(ListDescriptor::new("lists"))?,
            maps: backend.open(MapDescriptor::new("maps"))?,
            timers: backend.open(TimerDescriptor::event("timers"))?,
            fired: backend.open(ValueDescriptor::new("fired"))?,
            sums: backend.open(ReducingDescriptor::new("sums", add))?,
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
            Change::Unset(key) => drop(backend.state(self.values)?.clear(key, &())?),
            Change::Append(key, element) => {
                backend.state(self.lists)?.append(key, &(), *element)?;
            }
            Change::Replace(key, element) => {
                backend.state(self.lists)?.update(key, &(), vec![*element])?;
            }
            Change::Drop(key) => drop(backend.state(self.lists)?.clear(key, &())?),
            Change::Put(key, user_key, value) => {
                backend.state(self.maps)?.put(key, &(), user_key, *value)?;
            }
            Change::Remove(key, user_key) => {
                backend.state(self.maps)?.remove(key, &(), user_key)?;
            }
            Change::ClearMap(key) => drop(backend.state(self.maps)?.clear(key, &())?),
            Change::Register(time_ms, key) => {
                backend.state(self.timers)?.register(*time_ms, key, &())?;
            }
            Change::Unregister(time_ms, key) => {
                backend.state(self.timers)?.delete(*time_ms, key, &())?;
            }
            Change::Add(key, input) => backend.state(self.sums)?.add(key, &(), *input)?,
            Change::Watermark(time_ms) => {
                while let Some((_, key, ())) = backend.state(self.timers)?.pop_due(*time_ms) {
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
        let (mut values, mut fired, mut lists, mut maps) = (0, 0, 0, 0);
        for key in keys {
            if let Some(value) = backend.state(self.values)?.get(&key, &())? {
                values += 1;
                content.values.insert(key, value);
            }
            if let Some(count) = backend.state(self.fired)?.get(&key, &())? {
                fired += 1;
                content.fired.insert(key, count);
            }
            let list = backend.state(self.lists)?.get(&key, &())?;
            if !list.is_empty() {
                lists += 1;
                content.lists.insert(key, list);
            }
            let state = backend.state(self.maps)?;
            if !state.is_empty(&key, &())? {
                maps += 1;
                let map = content.maps.entry(key).or_default();
                state.for_each(&key, &(), |user_key, value| {
                    map.insert(*user_key, *value);
                })?;
            }
            if let Some(sum) = backend.state(self.sums)?.get(&key, &())? {
                content.sums.insert(key, sum);
            }
        }
        // No state holds a key that it should not.
        assert_eq!(values, backend.state(self.values)?.len());
        assert_eq!(fired, backend.state(self.fired)?.len());
        assert_eq!(lists, backend.state(self.lists)?.lists());
        assert_eq!(maps, backend.state(self.maps)?.maps());
        while let Some((time_ms, key, ())) = backend.state(self.timers)?.pop_due(i64::MAX) {
            assert!(content.timers.insert((time_ms, key)), "a timer of two subtasks");
        }
        Ok(())
    }
}

/// All subtasks, and how many rows went into them.
pub(crate) struct Rows {
    pub(crate) seed: u64,
    pub(crate) rows: u64,
    /// By keyed operator, then subtask.
    pub(crate) tables: Vec<Vec<Table>>,
}

/// The job's state after a number of rows.
pub(crate) struct Captured {
    pub(crate) rows: u64,
    /// By keyed operator, then subtask.
    pub(crate) keyed: Vec<Vec<Captures>>,
}

impl Rows {
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
        let of = |tables: &mut Vec<Table>| -> Result<Vec<Captures>> {
            tables.iter_mut().map(|table| table.backend.capture()).collect()
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
