//! Through the key groups of a stream in the heap's own format.

use super::{Walk, is_passing};
use crate::Result;
use crate::flink::entry::{FlinkValue, Of, Raw};
use crate::flink::part::{Keyed, Part};
use crate::flink::state::FlinkState;
use crate::format::manifest::StateKind;
use esker_flink::heap::HeapFormat;
use esker_flink::{Entry, FormatError, Input, Serializer};
use std::ops::Range;

impl Walk<'_> {
    /// A key group is in memory at a time: only its serializers know where anything ends.
    pub(super) fn heap(
        &mut self,
        part: &Part<'_>,
        keyed: &Keyed<'_>,
        groups: Range<u16>,
    ) -> Result<()> {
        let format = HeapFormat::new(&keyed.states.header, part.operator.max_parallelism);
        for (group, range) in keyed.groups(groups) {
            let bytes = match keyed.stream.read(range.clone()) {
                Ok(bytes) => bytes,
                Err(error) if is_passing(&error) => return Err(error),
                Err(error) => {
                    self.harm(part, None, Some((group, group)), error);
                    continue;
                }
            };
            let offset = keyed.stream.offset_in_file(range.start);
            let input = Input::new("heap state", &bytes).based_at(offset);
            let mut entries = match format.entries(group, input) {
                Ok(entries) => entries,
                Err(error) => {
                    let error = keyed.stream.refused(error);
                    self.harm(part, None, Some((group, group)), error);
                    continue;
                }
            };
            loop {
                match entries.next() {
                    Ok(Some(entry)) => {
                        let state = keyed.states.states.get(usize::from(entry.state));
                        let wanted = state.filter(|state| self.filter.wants_state(state));
                        if let Some(state) = wanted {
                            self.heap_entry(state, &entry, offset)?;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let error = keyed.stream.refused(error);
                        self.harm(part, None, Some((group, group)), error);
                    }
                }
            }
        }
        Ok(())
    }

    /// An entry with all of its list or map in one value; `offset` is where its key group lies.
    pub(super) fn heap_entry(
        &mut self,
        state: &FlinkState,
        entry: &Entry<'_>,
        offset: u64,
    ) -> Result<()> {
        let Entry { key_group, key, namespace, value, timestamp_ms, .. } = *entry;
        let of = Of { state, format: None };
        let mut visit = |user_key, value| {
            let raw = Raw::Parts { key, namespace, user_key, value };
            self.visitor.entry(of, key_group, raw, offset)
        };
        if let Some(time) = timestamp_ms {
            return visit(None, FlinkValue::Timer(time));
        }
        let is_opaque = state.opaque_value().or(state.opaque_user_key()).is_some();
        match state.kind {
            StateKind::List | StateKind::Map if is_opaque => visit(None, FlinkValue::Whole(value)),
            StateKind::List => {
                let mut input = Input::new("list", value);
                match input.count(0) {
                    Ok(count) => visit(None, FlinkValue::Counted(count, input.rest())),
                    // Refused as what it is by whoever reads it.
                    Err(_) => visit(None, FlinkValue::Counted(usize::MAX, value)),
                }
            }
            StateKind::Map => {
                let mut stopped = None;
                let serializers = state.user_key.as_deref().zip(state.value.as_deref());
                let read =
                    each_of_map(serializers, state.has_ttl, value, &mut |user_key, value| {
                        stopped = visit(Some(user_key), value).err();
                        stopped.is_none()
                    });
                match (stopped, read) {
                    (Some(error), _) => Err(error),
                    (None, Err(_)) => visit(Some(&[]), FlinkValue::One(&[])),
                    (None, Ok(())) => Ok(()),
                }
            }
            _ => visit(None, FlinkValue::One(value)),
        }
    }
}

/// Calls `f` with each entry of a map in one value, until it returns false; before values may be the time of their
/// last update, which the serializer of a log's values counts as theirs.
///
/// # Errors
/// `Corrupt` if it is no map.
pub(in crate::flink) fn each_of_map<'a>(
    serializers: Option<(&Serializer, &Serializer)>,
    has_time: bool,
    value: &'a [u8],
    f: &mut dyn FnMut(&'a [u8], FlinkValue<'a>) -> bool,
) -> std::result::Result<(), FormatError> {
    let mut input = Input::new("map", value);
    let Some((of_key, of_value)) = serializers else {
        return Err(input.corrupt("a map without serializers of keys and values"));
    };
    for _ in 0..input.count(1)? {
        let start = input.position();
        of_key.skip(&mut input)?;
        let user_key = input.since(start);
        let value = if input.bool()? {
            FlinkValue::Null
        } else {
            let start = input.position();
            if has_time {
                input.i64()?;
            }
            of_value.skip(&mut input)?;
            FlinkValue::One(input.since(start))
        };
        if !f(user_key, value) {
            return Ok(());
        }
    }
    input.end()
}
