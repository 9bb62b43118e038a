//! Through the operator state of a subtask.

use super::{Walk, is_passing};
use crate::flink::entry::Element;
use crate::flink::header::OperatorStates;
use crate::flink::part::Part;
use crate::flink::state::FlinkState;
use crate::flink::stream::FlinkStream;
use crate::format::manifest::StateKind;
use crate::{Error, Result};
use bytes::Bytes;
use esker_flink::metadata::OperatorHandle;
use esker_flink::operator::{BroadcastEntries, Unflushed};
use esker_flink::{FormatError, Input, snappy};
use std::borrow::Cow;
use std::ops::Range;

/// What is fetched at once, in bytes.
const PIECE_LEN_BYTES: u64 = 4 << 20;

impl Walk<'_> {
    pub(super) fn operator(
        &mut self,
        part: &Part<'_>,
        (handle, stream): (&OperatorHandle, &FlinkStream),
        states: &OperatorStates,
    ) -> Result<()> {
        let extents = match handle.extents(stream.len_bytes()) {
            Ok(extents) => extents,
            Err(error) => {
                self.harm(part, None, None, stream.refused(error));
                return Ok(());
            }
        };
        let mut read = |range| stream.read(range).map(Vec::from);
        let len_bytes = stream.len_bytes();
        let is_unflushed = match handle.is_unflushed(&states.header, len_bytes, &mut read) {
            Err(error) if is_passing(&error) => return Err(error),
            // What cannot be read is told of the elements that lie there.
            found => found.unwrap_or(false),
        };
        let mut piece = Piece::of(stream);
        for (place, (stored, extents)) in handle.states.iter().zip(&extents).enumerate() {
            let Some(state) = states.states.iter().find(|state| state.name == stored.name) else {
                self.unknown(part, &stored.name, states, stream);
                continue;
            };
            if !self.filter.wants_state(state) || part.left_out.contains(stored.name.as_str()) {
                continue;
            }
            if is_unflushed {
                if !stored.offsets.is_empty() {
                    self.unflushed(part, (handle, place), (state, states), stream)?;
                }
                continue;
            }
            for extent in extents {
                let bytes = match piece.read(extent, states.header.compressed) {
                    Ok(bytes) => bytes,
                    Err(error) if is_passing(&error) => return Err(error),
                    Err(error) => {
                        self.harm(part, Some(state.name.clone()), None, error);
                        continue;
                    }
                };
                let offset = stream.offset_in_file(extent.start);
                self.held(part, (state, states), &bytes, (stream, offset))?;
            }
        }
        Ok(())
    }

    /// What a state has whose elements do not begin at their offsets: all of it is in memory.
    fn unflushed(
        &mut self,
        part: &Part<'_>,
        (handle, place): (&OperatorHandle, usize),
        (state, states): (&FlinkState, &OperatorStates),
        stream: &FlinkStream,
    ) -> Result<()> {
        let (Some(stored), Some(meta)) =
            (handle.states.get(place), states.header.state(&state.name))
        else {
            return Ok(());
        };
        let extent = handle.unflushed_extent(place, stream.len_bytes());
        let offset = stream.offset_in_file(extent.start);
        let at = offset..stream.offset_in_file(extent.end);
        let bytes = stream.read(extent);
        let held = bytes.and_then(|bytes| {
            Unflushed::read(&bytes, &at, meta, stored.offsets.len())
                .map_err(|error| -> Error { stream.refused(error) })
        });
        match held {
            Ok(held) => {
                for bytes in held.elements() {
                    self.held(part, (state, states), bytes, (stream, offset))?;
                }
            }
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) => self.harm(part, Some(state.name.clone()), None, error),
        }
        Ok(())
    }

    /// What a state has at one offset.
    fn held(
        &mut self,
        part: &Part<'_>,
        (state, states): (&FlinkState, &OperatorStates),
        bytes: &[u8],
        (stream, offset): (&FlinkStream, u64),
    ) -> Result<()> {
        if state.kind == StateKind::OperatorBroadcast {
            return self.broadcast(part, (state, states), bytes, (stream, offset));
        }
        self.visitor.element(state, Element { user_key: None, value: bytes }, offset)
    }

    fn broadcast(
        &mut self,
        part: &Part<'_>,
        (state, states): (&FlinkState, &OperatorStates),
        bytes: &[u8],
        (stream, offset): (&FlinkStream, u64),
    ) -> Result<()> {
        if state.opaque_user_key().or(state.opaque_value()).is_some() {
            // Nothing tells its entries apart.
            return self.visitor.element(state, Element { user_key: None, value: bytes }, offset);
        }
        let Some(meta) = states.header.state(&state.name) else { return Ok(()) };
        let refused = |error: FormatError| {
            // The map's own offsets begin with it.
            let at = offset.saturating_add(error.offset.unwrap_or(0));
            stream.refused(FormatError { offset: Some(at), ..error })
        };
        let entries = match BroadcastEntries::new(bytes, meta) {
            Ok(entries) => entries,
            Err(error) => {
                self.harm(part, Some(state.name.clone()), None, refused(error));
                return Ok(());
            }
        };
        for entry in entries {
            match entry {
                Ok((key, value)) => {
                    let element = Element { user_key: Some(key), value };
                    self.visitor.element(state, element, offset)?;
                }
                Err(error) => self.harm(part, Some(state.name.clone()), None, refused(error)),
            }
        }
        Ok(())
    }

    /// A state that the handle names and the header does not: its header may not have been readable to its end.
    fn unknown(
        &mut self,
        part: &Part<'_>,
        name: &str,
        states: &OperatorStates,
        stream: &FlinkStream,
    ) {
        if self.filter.state.as_deref().is_some_and(|wanted| wanted != name) {
            return;
        }
        let error = match &states.header.lost {
            Some(lost) => lost.reason.clone(),
            None => {
                let message = format!("state {name:?} is not in the header of its stream");
                FormatError::corrupt("operator state", message)
            }
        };
        self.harm(part, Some(name.to_owned()), None, stream.refused(error));
    }
}

/// What was fetched of a stream last.
struct Piece<'a> {
    stream: &'a FlinkStream,
    bytes: Bytes,
    start: u64,
}

impl<'a> Piece<'a> {
    fn of(stream: &'a FlinkStream) -> Self {
        Self { stream, bytes: Bytes::new(), start: 0 }
    }

    /// What lies at `extent`, unpacked.
    ///
    /// # Errors
    /// `Corrupt` with file and offset; the store's.
    fn read(&mut self, extent: &Range<u64>, is_compressed: bool) -> Result<Cow<'_, [u8]>> {
        let end = self.start.saturating_add(self.bytes.len() as u64);
        if extent.start < self.start || extent.end > end {
            let ahead = extent.start.saturating_add(PIECE_LEN_BYTES).min(self.stream.len_bytes());
            self.bytes = self.stream.read(extent.start..extent.end.max(ahead))?;
            self.start = extent.start;
        }
        let index = |at: u64| usize::try_from(at.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(index(extent.start)..index(extent.end)).unwrap_or_default();
        if !is_compressed {
            return Ok(Cow::Borrowed(bytes));
        }
        let offset = self.stream.offset_in_file(extent.start);
        let mut input = Input::new("operator state", bytes).based_at(offset);
        let unpacked = snappy::decompress(&mut input).and_then(|held| input.end().map(|()| held));
        unpacked.map(Cow::Owned).map_err(|error| -> Error { self.stream.refused(error) })
    }
}
