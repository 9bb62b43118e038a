//! All that a snapshot holds, for whoever wants it: as canonical lines, or entry by entry.

use super::damage::FlinkDamage;
use super::entry::{FlinkEntry, Of, Raw, Visitor};
use super::filter::FlinkFilter;
use super::lines;
use super::ordered::ordered;
use super::refusal::Refusals;
use super::snapshot::{FlinkOperator, FlinkSnapshot};
use super::state::FlinkState;
use super::walk::{Element, Plan, Unit, Walk};
use crate::Result;
use std::sync::{Mutex, PoisonError};

/// Lines are handed over once there are about so many bytes of them.
const LINES_LEN_BYTES: usize = 1 << 20;
/// How many buffers that were handed over are kept to be filled again.
const BUFFERS_MAX: usize = 16;

/// Something that a snapshot holds.
#[derive(Debug, Clone, Copy)]
pub struct FlinkItem<'a> {
    /// The operator.
    pub operator: &'a FlinkOperator,
    /// The subtask that wrote it.
    pub subtask: u32,
    /// The state.
    pub state: &'a FlinkState,
    /// What it is.
    pub content: FlinkContent<'a>,
}

/// What a [`FlinkItem`] is.
#[derive(Debug, Clone, Copy)]
pub enum FlinkContent<'a> {
    /// An entry of keyed state, or a timer.
    Entry(FlinkEntry<'a>),
    /// An element of operator state; of broadcast state, with its key.
    Element {
        /// The key, of broadcast state.
        user_key: Option<&'a [u8]>,
        /// The value.
        value: &'a [u8],
    },
}

/// What workers hand to the consumer.
enum Piece {
    Lines(String),
    Damage(FlinkDamage),
    /// So many key groups have been read, or one part of operator state.
    Done(u64),
}

impl FlinkSnapshot {
    /// Calls `each` with the canonical lines of all that `filter` asks for, many at once and each with its end, in the order
    /// of the metadata and of key groups, and `progress` with how many key groups were read since the last time
    /// ([`steps`](Self::steps) are all). Key groups are decoded on all processors. Broadcast state is given once, other
    /// operator state by element and subtask; the source's own state too. What no serializer can read is given as
    /// `{"opaque":CLASS,"bytes":HEX}`.
    ///
    /// What is damaged is passed over and returned. Memory: a few MiB for each processor, or what the longest entry takes;
    /// of a changelog the changes of some key groups. Databases of RocksDB are fetched into temporary folders.
    ///
    /// # Errors
    /// Those of `each`, and the stores' that are no damage.
    pub fn lines(
        &self,
        filter: &FlinkFilter,
        progress: &mut dyn FnMut(u64),
        each: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Vec<FlinkDamage>> {
        let plan = Plan::new(self, filter);
        let buffers = Mutex::new(Vec::new());
        let work = |unit: &Unit, give: &mut dyn FnMut(Piece) -> Result<()>| {
            let mut writer = LineWriter {
                out: taken(&buffers),
                give,
                refused: Refusals::default(),
                buffers: &buffers,
            };
            let mut found = Vec::new();
            let mut walk =
                Walk { filter, visitor: &mut writer, harm: &mut |damage| found.push(damage) };
            walk.unit(&plan, unit)?;
            writer.finish(&plan, unit, found)
        };
        let mut damage = Vec::new();
        ordered(&plan.units, work, &mut |piece| {
            match piece {
                Piece::Lines(mut lines) => {
                    each(&lines)?;
                    lines.clear();
                    let mut buffers = buffers.lock().unwrap_or_else(PoisonError::into_inner);
                    if buffers.len() < BUFFERS_MAX {
                        buffers.push(lines);
                    }
                }
                Piece::Damage(found) => damage.push(found),
                Piece::Done(steps) => progress(steps),
            }
            Ok(())
        })?;
        Ok(damage)
    }

    /// How many steps [`lines`](Self::lines) tells its progress of.
    pub fn steps(&self, filter: &FlinkFilter) -> u64 {
        Plan::new(self, filter).units.iter().map(Unit::steps).sum()
    }

    /// Calls `each` with all that `filter` asks for, on this thread, in the order of [`lines`](Self::lines). What is damaged
    /// is passed over and returned.
    ///
    /// # Errors
    /// Those of `each`, and the stores' that are no damage.
    pub fn items(
        &self,
        filter: &FlinkFilter,
        each: &mut dyn FnMut(&FlinkItem<'_>) -> Result<()>,
    ) -> Result<Vec<FlinkDamage>> {
        let plan = Plan::new(self, filter);
        let mut damage = Vec::new();
        for unit in &plan.units {
            let Some(part) = plan.parts.get(unit.part) else { continue };
            let mut items = Items {
                operator: part.operator,
                subtask: part.subtask,
                each,
                refused: Refusals::default(),
            };
            let mut harm = |found| damage.push(found);
            Walk { filter, visitor: &mut items, harm: &mut harm }.unit(&plan, unit)?;
            let refused = std::mem::take(&mut items.refused);
            damage.extend(refused.into_damage(&plan, unit));
        }
        Ok(damage)
    }
}

fn taken(buffers: &Mutex<Vec<String>>) -> String {
    let kept = buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
    kept.unwrap_or_else(|| String::with_capacity(LINES_LEN_BYTES + LINES_LEN_BYTES / 4))
}

struct LineWriter<'a> {
    out: String,
    give: &'a mut dyn FnMut(Piece) -> Result<()>,
    refused: Refusals,
    buffers: &'a Mutex<Vec<String>>,
}

impl LineWriter<'_> {
    fn written(&mut self) -> Result<()> {
        if self.out.len() < LINES_LEN_BYTES {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.out, taken(self.buffers));
        (self.give)(Piece::Lines(full))
    }

    fn finish(self, plan: &Plan<'_>, unit: &Unit, found: Vec<FlinkDamage>) -> Result<()> {
        if !self.out.is_empty() {
            (self.give)(Piece::Lines(self.out))?;
        }
        for damage in found.into_iter().chain(self.refused.into_damage(plan, unit)) {
            (self.give)(Piece::Damage(damage))?;
        }
        (self.give)(Piece::Done(unit.steps()))
    }
}

impl Visitor for LineWriter<'_> {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, offset: u64) -> Result<()> {
        match lines::write_entry(of, raw, offset, &mut self.out) {
            Ok(()) => self.written(),
            Err(error) => {
                self.refused.add(of.state, key_group, error);
                Ok(())
            }
        }
    }

    fn element(&mut self, state: &FlinkState, element: Element<'_>, offset: u64) -> Result<()> {
        let Element { user_key, value } = element;
        match lines::write_element(state, user_key, value, offset, &mut self.out) {
            Ok(()) => self.written(),
            Err(error) => {
                self.refused.add(state, 0, error);
                Ok(())
            }
        }
    }
}

struct Items<'a, 'e> {
    operator: &'a FlinkOperator,
    subtask: u32,
    each: &'e mut dyn FnMut(&FlinkItem<'_>) -> Result<()>,
    refused: Refusals,
}

impl Visitor for Items<'_, '_> {
    fn entry(&mut self, of: Of<'_>, key_group: u16, raw: Raw<'_>, offset: u64) -> Result<()> {
        let _ = offset;
        match raw.parts(of, key_group) {
            Ok(entry) => {
                let (operator, subtask, state) = (self.operator, self.subtask, of.state);
                let content = FlinkContent::Entry(entry);
                (self.each)(&FlinkItem { operator, subtask, state, content })
            }
            Err(error) => {
                self.refused.add(of.state, key_group, error);
                Ok(())
            }
        }
    }

    fn element(&mut self, state: &FlinkState, element: Element<'_>, _offset: u64) -> Result<()> {
        let Element { user_key, value } = element;
        let (operator, subtask) = (self.operator, self.subtask);
        let content = FlinkContent::Element { user_key, value };
        (self.each)(&FlinkItem { operator, subtask, state, content })
    }
}
