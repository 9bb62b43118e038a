//! How large the states of a snapshot are: all of its entries are read.

use super::damage::FlinkDamage;
use super::entry::{Element, FlinkEntry, FlinkValue, Of, Raw, Visitor};
use super::filter::FlinkFilter;
use super::ordered::ordered;
use super::refusal::Refusals;
use super::snapshot::FlinkSnapshot;
use super::state::FlinkState;
use super::walk::{Plan, Unit, Walk};
use crate::Result;
use crate::format::manifest::StateKind;
use esker_flink::{Input, Serializer};
use std::collections::BTreeMap;

/// How many buckets of sizes there are: bucket 0 for no bytes, bucket *b* from 2^(*b* - 1) bytes up to, but not including,
/// 2^*b*; the last has all that is above.
pub(super) const SIZE_BUCKETS: usize = 32;
/// Into how many slices the key groups are cut.
pub(super) const SLICES: usize = 64;
/// How many of the largest entries are kept.
const LARGEST_MAX: usize = 8;
/// How much of a large entry's key is kept, in bytes of its text.
const LARGE_KEY_LEN_BYTES_MAX: usize = 256;

/// What a state holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlinkMeasure {
    /// What it is.
    pub kind: StateKind,
    /// Values, map entries, timers and elements of operator state; of a list one for each key.
    pub entries: u64,
    /// Bytes of keys, namespaces and user keys, before compression.
    pub key_bytes: u64,
    /// Bytes of values, before compression.
    pub value_bytes: u64,
    /// Entries by their bytes of key, namespace and user key.
    pub key_sizes: [u64; SIZE_BUCKETS],
    /// Entries by their bytes of value.
    pub value_sizes: [u64; SIZE_BUCKETS],
    /// Bytes by slice of the key groups; nothing of operator state.
    pub slices: [u64; SLICES],
    /// The largest entries, largest first.
    pub largest: Vec<FlinkLarge>,
}

/// One of the largest entries of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlinkLarge {
    /// Its key group; none of operator state.
    pub key_group: Option<u16>,
    /// Its key, and namespace and user key where there are some, as JSON; cut off where that is long.
    pub key: String,
    /// Bytes of all three.
    pub key_bytes: u64,
    /// Bytes of its value.
    pub value_bytes: u64,
}

/// By operator, as it is called here, and state.
pub type FlinkMeasures = BTreeMap<(String, String), FlinkMeasure>;

impl FlinkSnapshot {
    /// Measures what `filter` asks for, and tells what could not be read. All entries are read, on all processors;
    /// `progress` is told of [`steps`](Self::steps). Broadcast state counts once.
    ///
    /// # Errors
    /// The stores' that are no damage.
    pub fn measure(
        &self,
        filter: &FlinkFilter,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(FlinkMeasures, Vec<FlinkDamage>)> {
        let plan = Plan::new(self, filter);
        let work = |unit: &Unit, give: &mut dyn FnMut(_) -> Result<()>| {
            let Some(part) = plan.parts.get(unit.part) else { return Ok(()) };
            let mut measurer = Measurer {
                max_parallelism: part.operator.max_parallelism.max(1),
                measures: Vec::new(),
                last: 0,
                refused: Refusals::default(),
            };
            let mut found = Vec::new();
            let mut harm = |damage| found.push(damage);
            Walk { filter, visitor: &mut measurer, harm: &mut harm }.unit(&plan, unit)?;
            found.extend(measurer.refused.into_damage(&plan, unit));
            give((part.operator.label.clone(), measurer.measures, found, unit.steps()))
        };
        let (mut measures, mut damage) = (FlinkMeasures::new(), Vec::new());
        ordered(&plan.units, work, &mut |(operator, of_unit, found, steps)| {
            for (state, measure) in of_unit {
                match measures.get_mut(&(operator.clone(), state.clone())) {
                    Some(known) => FlinkMeasure::merge(known, &measure),
                    None => drop(measures.insert((operator.clone(), state), measure)),
                }
            }
            damage.extend(found);
            progress(steps);
            Ok(())
        })?;
        Ok((measures, damage))
    }
}

impl FlinkMeasure {
    fn new(kind: StateKind) -> Self {
        Self {
            kind,
            entries: 0,
            key_bytes: 0,
            value_bytes: 0,
            key_sizes: [0; SIZE_BUCKETS],
            value_sizes: [0; SIZE_BUCKETS],
            slices: [0; SLICES],
            largest: Vec::new(),
        }
    }

    fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.key_bytes += other.key_bytes;
        self.value_bytes += other.value_bytes;
        for (sums, others) in [
            (&mut self.key_sizes[..], &other.key_sizes[..]),
            (&mut self.value_sizes, &other.value_sizes),
            (&mut self.slices, &other.slices),
        ] {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        }
        other.largest.iter().for_each(|large| self.keep(large.len_bytes(), || large.clone()));
    }

    fn count(
        &mut self,
        (key_len, value_len): (usize, usize),
        slice: Option<usize>,
        large: impl FnOnce(u64, u64) -> FlinkLarge,
    ) {
        let (key_bytes, value_bytes) = (key_len as u64, value_len as u64);
        self.entries += 1;
        self.key_bytes += key_bytes;
        self.value_bytes += value_bytes;
        let bucket =
            |len: usize| ((usize::BITS - len.leading_zeros()) as usize).min(SIZE_BUCKETS - 1);
        let sizes = [(&mut self.key_sizes, key_len), (&mut self.value_sizes, value_len)];
        for (sizes, len) in sizes {
            if let Some(count) = sizes.get_mut(bucket(len)) {
                *count += 1;
            }
        }
        if let Some(bytes) = slice.and_then(|slice| self.slices.get_mut(slice)) {
            *bytes += key_bytes + value_bytes;
        }
        self.keep(key_bytes + value_bytes, || large(key_bytes, value_bytes));
    }

    /// Keeps an entry if it is among the largest.
    fn keep(&mut self, len_bytes: u64, large: impl FnOnce() -> FlinkLarge) {
        let is_full = self.largest.len() == LARGEST_MAX;
        if is_full && self.largest.last().is_some_and(|last| last.len_bytes() >= len_bytes) {
            return;
        }
        self.largest.truncate(LARGEST_MAX - 1);
        let at = self.largest.partition_point(|other| other.len_bytes() >= len_bytes);
        self.largest.insert(at, large());
    }
}

impl FlinkLarge {
    fn len_bytes(&self) -> u64 {
        self.key_bytes.saturating_add(self.value_bytes)
    }
}

struct Measurer {
    max_parallelism: u32,
    measures: Vec<(String, FlinkMeasure)>,
    /// The place of the state that was counted last.
    last: usize,
    refused: Refusals,
}

impl Measurer {
    fn count(
        &mut self,
        state: &FlinkState,
        lens: (usize, usize),
        slice: Option<usize>,
        large: impl FnOnce(u64, u64) -> FlinkLarge,
    ) {
        // Those of a state come in a row.
        let is_last = self.measures.get(self.last).is_some_and(|(name, _)| *name == state.name);
        if !is_last {
            let known = self.measures.iter().position(|(name, _)| *name == state.name);
            self.last = known.unwrap_or(self.measures.len());
            if known.is_none() {
                self.measures.push((state.name.clone(), FlinkMeasure::new(state.kind)));
            }
        }
        if let Some((_, measure)) = self.measures.get_mut(self.last) {
            measure.count(lens, slice, large);
        }
    }

    fn entry(&mut self, state: &FlinkState, entry: &FlinkEntry<'_>) {
        let user_key_len = entry.user_key.map_or(0, <[u8]>::len);
        let value_len = match entry.value {
            FlinkValue::One(bytes)
            | FlinkValue::Joined(bytes)
            | FlinkValue::Counted(_, bytes)
            | FlinkValue::Whole(bytes) => bytes.len(),
            FlinkValue::Timer(_) => 8,
            FlinkValue::Null => 0,
        };
        let lens = (entry.key.len() + entry.namespace.len() + user_key_len, value_len);
        let slice = u64::from(entry.key_group) * SLICES as u64 / u64::from(self.max_parallelism);
        self.count(state, lens, usize::try_from(slice).ok(), |key_bytes, value_bytes| {
            let key = key_text(state, entry);
            FlinkLarge { key_group: Some(entry.key_group), key, key_bytes, value_bytes }
        });
    }
}

impl Visitor for Measurer {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, _offset: u64) -> Result<()> {
        match raw.parts(of, key_group) {
            Ok(entry) => self.entry(of.state, &entry),
            Err(error) => self.refused.add(of.state, key_group, error),
        }
        Ok(())
    }

    fn element(&mut self, state: &FlinkState, element: Element<'_>, _offset: u64) -> Result<()> {
        let Element { user_key, value } = element;
        let lens = (user_key.map_or(0, <[u8]>::len), value.len());
        self.count(state, lens, None, |key_bytes, value_bytes| {
            let key = user_key.map(|bytes| json(state.user_key.as_deref(), bytes));
            FlinkLarge { key_group: None, key: key.unwrap_or_default(), key_bytes, value_bytes }
        });
        Ok(())
    }
}

/// Key, namespace and user key as JSON with spaces between.
fn key_text(state: &FlinkState, entry: &FlinkEntry<'_>) -> String {
    let mut texts = vec![json(state.key.as_deref(), entry.key)];
    if state.namespace.as_ref().is_some_and(|namespace| !namespace.is_void_namespace()) {
        texts.push(json(state.namespace.as_deref(), entry.namespace));
    }
    texts.extend(entry.user_key.map(|bytes| json(state.user_key.as_deref(), bytes)));
    let mut text = texts.join(" ");
    if text.len() > LARGE_KEY_LEN_BYTES_MAX {
        let fits = (0..=LARGE_KEY_LEN_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(fits.unwrap_or(0));
        text.push('…');
    }
    text
}

fn json(serializer: Option<&Serializer>, bytes: &[u8]) -> String {
    let mut text = String::new();
    let opaque = serializer.and_then(Serializer::opaque);
    let written = match (serializer, opaque) {
        (Some(serializer), None) => {
            serializer.write_json(&mut Input::new("key", bytes), &mut text).is_ok()
        }
        _ => false,
    };
    if !written {
        text.clear();
        Serializer::write_opaque_json(opaque.unwrap_or_default(), bytes, &mut text);
    }
    text
}
