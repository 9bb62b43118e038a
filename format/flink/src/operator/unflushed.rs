//! Compressed operator state as Flink 1.18.0 and 1.18.1 wrote it: nothing was flushed before an element, so that its offset is where the
//! stream stood after the last whole chunk, and many have the same (FLINK-34063). These versions restore other elements than they
//! had; all are in the stream.

use super::{BroadcastEntries, WHAT, check_element};
use crate::header::{OperatorHeader, Role, StateMeta};
use crate::metadata::{Mode, OperatorHandle};
use crate::{FormatError, FormatErrorKind, Input, Result, snappy};
use std::ops::Range;

/// What a stream holds, and where the elements lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unflushed {
    bytes: Vec<u8>,
    /// As [`OperatorHandle::extents`], of `bytes`.
    extents: Vec<Vec<Range<usize>>>,
}

impl Unflushed {
    /// Takes apart what follows the header of `stream`, which is all of the stream: elements lie one behind the other in the order of the
    /// header's states, and their serializers alone tell where they end. In memory are all of them.
    ///
    /// # Errors
    /// `Corrupt` if they are no such elements, or more than these; `Incompatible` with the class if one cannot be read.
    pub fn read(stream: &[u8], header: &OperatorHeader, handle: &OperatorHandle) -> Result<Self> {
        let first = handle.states.iter().flat_map(|state| &state.offsets).min().copied();
        let first = first.unwrap_or(stream.len() as u64);
        let packed = usize::try_from(first).ok().and_then(|first| stream.get(first..));
        let mut packed = Input::new(WHAT, packed.unwrap_or_default()).based_at(first);
        let mut bytes = Vec::new();
        // Each state has a stream of its own.
        while !packed.is_empty() {
            bytes.extend(snappy::decompress(&mut packed)?);
        }
        let mut input = Input::new(WHAT, &bytes);
        let mut extents = vec![Vec::new(); handle.states.len()];
        let mut known = 0;
        for meta in header.lists.iter().chain(&header.broadcasts) {
            let mut states = handle.states.iter().zip(&mut extents);
            let Some((state, extents)) = states.find(|(state, _)| state.name == meta.name) else {
                continue;
            };
            known += 1;
            for _offset in &state.offsets {
                let start = input.position();
                skip(meta, state.mode, &mut input)?;
                extents.push(start..input.position());
            }
        }
        input.end()?;
        if known < handle.states.len() {
            let message = "a state that the header does not name, among elements without offsets";
            return Err(FormatError::corrupt(WHAT, message));
        }
        Ok(Self { bytes, extents })
    }

    /// The elements of a state, by its place in the handle: of broadcast state the map.
    pub fn elements(&self, state: usize) -> impl Iterator<Item = &[u8]> {
        let extents = self.extents.get(state).into_iter().flatten();
        extents.map(|extent| self.bytes.get(extent.clone()).unwrap_or_default())
    }
}

/// Whether `bytes` are what a state has at one offset, as far as its serializers can tell.
pub fn is_whole(bytes: &[u8], state: &StateMeta, mode: Mode) -> bool {
    let is_opaque = [Role::Key, Role::Value]
        .iter()
        .any(|role| state.serializer(*role).is_some_and(|of| of.opaque().is_some()));
    match (is_opaque, mode) {
        (true, _) => !bytes.is_empty(),
        (false, Mode::Broadcast) => {
            let entries = BroadcastEntries::new(bytes, state);
            entries.is_ok_and(|mut entries| entries.all(|entry| entry.is_ok()))
        }
        (false, _) => {
            let element = state.needed(Role::Value);
            element.is_ok_and(|element| check_element(bytes, element).is_ok())
        }
    }
}

fn skip(state: &StateMeta, mode: Mode, input: &mut Input<'_>) -> Result<()> {
    let value = state.needed(Role::Value)?;
    let key = match mode {
        Mode::Broadcast => Some(state.needed(Role::Key)?),
        _ => None,
    };
    let class = value.opaque().or(key.and_then(|key| key.opaque()));
    if let Some(class) = class {
        let message = format!(
            "state {:?}: only {class} tells where an element ends, and the offsets do not, as Flink 1.18.0 and 1.18.1 compress it",
            state.name
        );
        return Err(FormatError::new(FormatErrorKind::Incompatible, WHAT, message));
    }
    let count = match key {
        Some(_) => input.count(1)?,
        None => 1,
    };
    for _ in 0..count {
        if let Some(key) = key {
            key.skip(input)?;
        }
        value.skip(input)?;
    }
    Ok(())
}
