//! The entries of a key group, one after the other.

use super::{HeapFormat, Located, WHAT, read_state};
use crate::entry::Entry;
use crate::{FormatError, Input, Result, snappy};
use std::collections::HashMap;

/// The entries of a key group, in the order of the stream: those of a state in a row.
///
/// Lists and maps are one value each, as their serializer writes them. Of a compressed stream one state is in memory at a time.
pub struct HeapEntries<'f, 'h, 'a> {
    format: &'f HeapFormat<'h>,
    key_group: u16,
    /// All of the key group but its number, and what was not read of it yet.
    data: &'a [u8],
    input: Input<'a>,
    /// Which states have been there.
    seen: Vec<bool>,
    /// How many states are still to come.
    unread: usize,
    /// What the current state's compressed stream holds.
    held: Vec<u8>,
    current: Option<Current>,
    /// Where values end that cannot be read, of each state that has such.
    borders: HashMap<u16, Vec<usize>>,
}

/// The state that is being read.
#[derive(Clone, Copy)]
struct Current {
    state: u16,
    /// How many entries were read, of how many.
    read: usize,
    count: usize,
    /// Where in `held` the next one begins, and where in the stream what is held stands compressed.
    compressed: Option<(usize, u64)>,
}

impl<'f, 'h, 'a> HeapEntries<'f, 'h, 'a> {
    pub(super) fn new(format: &'f HeapFormat<'h>, key_group: u16, input: Input<'a>) -> Self {
        let states = format.header.state_count();
        Self {
            format,
            key_group,
            data: input.rest(),
            input,
            seen: vec![false; states],
            unread: states,
            held: Vec::new(),
            current: None,
            borders: HashMap::new(),
        }
    }

    /// The next entry; `None` behind the last.
    ///
    /// # Errors
    /// `Corrupt`; `Incompatible` or `UnsupportedVersion` with the state's name and a class where that class's bytes cannot be told from what
    /// follows. It then goes on with the next state if states are compressed, each by itself, and else with nothing.
    #[expect(clippy::should_implement_trait, reason = "what it returns borrows from it")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        let (state, parts) = match self.locate() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.give_up();
                return Err(error);
            }
        };
        let bytes = if self.format.header.compressed { self.held.as_slice() } else { self.data };
        let part = |range| bytes.get::<std::ops::Range<usize>>(range).unwrap_or_default();
        Ok(Some(Entry {
            state,
            key_group: self.key_group,
            key: part(parts.key),
            namespace: part(parts.namespace),
            user_key: None,
            timestamp_ms: parts.timestamp_ms,
            value: part(parts.value),
        }))
    }

    fn locate(&mut self) -> Result<Option<(u16, Located)>> {
        loop {
            match self.current {
                Some(current) if current.read < current.count => {
                    return self.entry(current).map(|parts| Some((current.state, parts)));
                }
                Some(current) => self.finish(current)?,
                None if self.unread > 0 => self.begin()?,
                None => return self.input.end().map(|()| None),
            }
        }
    }

    /// Reads which state comes next, and how many entries it has.
    fn begin(&mut self) -> Result<()> {
        self.unread -= 1;
        let stream_at = self.input.offset();
        let compressed = self.format.header.compressed;
        if compressed {
            match snappy::decompress(&mut self.input) {
                Ok(held) => self.held = held,
                Err(error) => {
                    // Where the next state begins is not known.
                    self.input.skip(usize::MAX);
                    return Err(error);
                }
            }
        }
        let mut input = if compressed { Input::new(WHAT, &self.held) } else { self.input.clone() };
        let (state, count) = read_state(&mut input, &self.seen)
            .map_err(|error| within(error, compressed, stream_at))?;
        self.seen[usize::from(state)] = true;
        let named = |error| self.format.naming(state, within(error, compressed, stream_at));
        if count > 0 {
            if let Some(refusal) = self.format.refusal(state) {
                return Err(named(refusal));
            }
            if self.needs_borders(state) {
                let found = match compressed {
                    true => self.format.segment(self.key_group, state, count, &input),
                    false => self.format.solve(self.key_group, state, count, &input, &self.seen),
                };
                self.borders.extend(found.map_err(named)?);
            }
        }
        let compressed = compressed.then_some((input.position(), stream_at));
        if compressed.is_none() {
            self.input.skip(input.position() - self.input.position());
        }
        self.current = Some(Current { state, read: 0, count, compressed });
        Ok(())
    }

    fn needs_borders(&self, state: u16) -> bool {
        let format = self.format.state(state);
        format.is_some_and(|format| format.opaque().is_some()) && !self.borders.contains_key(&state)
    }

    fn entry(&mut self, mut current: Current) -> Result<Located> {
        let border = self.borders.get(&current.state).and_then(|ends| ends.get(current.read));
        let format = self.format.state(current.state);
        let read = |input: &mut Input<'_>| match format {
            Some(format) => format.entry(input, border.copied(), &mut 0),
            None => Err(FormatError::corrupt(WHAT, "a state that the header does not have")),
        };
        let parts = match &mut current.compressed {
            None => read(&mut self.input),
            Some((at, stream_at)) => {
                let mut input = Input::new(WHAT, &self.held);
                input.skip(*at);
                let parts = read(&mut input).map_err(|error| within(error, true, *stream_at));
                *at = input.position();
                parts
            }
        };
        current.read += 1;
        self.current = Some(current);
        parts.map_err(|error| self.format.naming(current.state, error))
    }

    /// Ends a state. That of a compressed stream must be all that is in it.
    fn finish(&mut self, current: Current) -> Result<()> {
        self.current = None;
        match current.compressed {
            Some((at, stream_at)) if at < self.held.len() => {
                let message = format!("{} bytes follow its last entry", self.held.len() - at);
                let error = FormatError::corrupt(WHAT, message).at(at as u64);
                Err(self.format.naming(current.state, within(error, true, stream_at)))
            }
            _ => Ok(()),
        }
    }

    /// After an error: on to the next state where that is known to begin, or to the end.
    fn give_up(&mut self) {
        self.current = None;
        if !self.format.header.compressed || self.unread == 0 || self.input.is_empty() {
            self.unread = 0;
            self.input.skip(usize::MAX);
        }
    }
}

/// An offset in what is compressed says nothing about the file: the stream's own does.
fn within(error: FormatError, compressed: bool, stream_at: u64) -> FormatError {
    match error.offset {
        Some(offset) if compressed => {
            let message = format!("{}, byte {offset} of what is compressed", error.message);
            FormatError { message, ..error }.at(stream_at)
        }
        None => error.at(stream_at),
        Some(_) => error,
    }
}
