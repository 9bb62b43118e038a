//! Through timers that an operator wrote beside its keyed state.

use super::{Walk, is_passing};
use crate::Result;
use crate::flink::header::timers_of;
use crate::flink::part::{Part, raw_groups};
use crate::flink::state::FlinkState;
use crate::flink::stream::FlinkStream;
use crate::format::manifest::StateKind;
use esker_flink::Input;
use esker_flink::metadata::KeyGroupsHandle;
use esker_flink::raw_timers::{RawTimer, RawTimers};
use std::collections::BTreeSet;
use std::ops::Range;

/// Key groups of so many bytes are looked at to tell which timers there are.
const LOOKED_AT_LEN_BYTES: u64 = 1 << 20;

impl Walk<'_> {
    /// A key group is in memory at a time.
    pub(super) fn timers(
        &mut self,
        part: &Part<'_>,
        (handle, stream, copies): (&KeyGroupsHandle, &FlinkStream, &BTreeSet<String>),
        groups: Range<u16>,
    ) -> Result<()> {
        for (group, range) in raw_groups(handle, stream, groups) {
            let bytes = match stream.read(range.clone()) {
                Ok(bytes) => bytes,
                Err(error) if is_passing(&error) => return Err(error),
                Err(error) => {
                    self.harm(part, None, Some((group, group)), error);
                    continue;
                }
            };
            let offset = stream.offset_in_file(range.start);
            let input = Input::new("timers", &bytes).based_at(offset);
            let mut states = Vec::new();
            let mut timers = match RawTimers::new(group, input) {
                Ok(timers) => timers,
                Err(error) => {
                    self.harm(part, None, Some((group, group)), stream.refused(error));
                    continue;
                }
            };
            loop {
                match timers.next() {
                    Ok(Some(timer)) => {
                        let state = state_of(&timer, &mut states, &part.operator.label);
                        if self.filter.wants_state(state) && !copies.contains(&state.name) {
                            self.heap_entry(state, &timer.entry, offset)?;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        self.harm(part, None, Some((group, group)), stream.refused(error));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The states of timers that the first key groups with any have: only timers tell.
///
/// # Errors
/// `Corrupt` and `Unsupported`, with file and offset; the store's.
pub(in crate::flink) fn timer_states(
    handle: &KeyGroupsHandle,
    stream: &FlinkStream,
    operator: &str,
) -> Result<Vec<FlinkState>> {
    let mut states = Vec::new();
    let mut read = 0;
    for (group, range) in raw_groups(handle, stream, handle.range.key_groups()) {
        if read >= LOOKED_AT_LEN_BYTES {
            break;
        }
        read += range.end.saturating_sub(range.start);
        let bytes = stream.read(range.clone())?;
        let input = Input::new("timers", &bytes).based_at(stream.offset_in_file(range.start));
        let mut timers = RawTimers::new(group, input).map_err(|error| stream.refused(error))?;
        while let Some(timer) = timers.next().map_err(|error| stream.refused(error))? {
            state_of(&timer, &mut states, operator);
        }
    }
    Ok(states)
}

/// The state of a timer, among those that are known or beside them.
fn state_of<'s>(
    timer: &RawTimer<'_, '_>,
    states: &'s mut Vec<FlinkState>,
    operator: &str,
) -> &'s FlinkState {
    let kind = match timer.event_time {
        true => StateKind::TimerEvent,
        false => StateKind::TimerProcessing,
    };
    let service = timer.service;
    let is_it = |state: &FlinkState| {
        state.kind == kind
            && state.name.ends_with(service.name.as_str())
            && state.name == service.state_name(timer.event_time)
    };
    let known = states.iter().rposition(is_it);
    let number = known.unwrap_or_else(|| {
        let types = (&service.key, &service.namespace);
        states.push(timers_of(service.state_name(timer.event_time), kind, types, operator));
        states.len() - 1
    });
    &states[number]
}
