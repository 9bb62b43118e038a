//! Writing operator state.

use super::WHAT;
use crate::header::OperatorHeader;
use crate::metadata::{Mode, StateOffsets};
use crate::{FormatError, Output, Result};

/// Writes a stream of operator state, uncompressed: the header, then one state after the other.
#[derive(Debug)]
pub struct OperatorWriter {
    out: Vec<u8>,
    states: Vec<StateOffsets>,
}

impl OperatorWriter {
    /// A stream with this header.
    ///
    /// # Errors
    /// `Invalid` if it is compressed, or cannot be written.
    pub fn new(header: &OperatorHeader) -> Result<Self> {
        if header.compressed {
            return Err(FormatError::invalid(
                WHAT,
                "is written uncompressed, and its header says otherwise",
            ));
        }
        let mut out = Vec::new();
        header.write(&mut out)?;
        Ok(Self { out, states: Vec::new() })
    }

    /// Appends a list, dealt out or (`union`) given to all: its encoded elements in order.
    pub fn list<'e>(
        &mut self,
        name: impl Into<String>,
        union: bool,
        elements: impl IntoIterator<Item = &'e [u8]>,
    ) {
        let mut offsets = Vec::new();
        for element in elements {
            offsets.push(self.out.len() as u64);
            self.out.extend_from_slice(element);
        }
        let mode = if union { Mode::Union } else { Mode::Split };
        self.states.push(StateOffsets { name: name.into(), mode, offsets });
    }

    /// Appends a broadcast map: its encoded keys and values.
    ///
    /// # Errors
    /// `Invalid` if they are more than 2^31 - 1.
    pub fn broadcast<'e>(
        &mut self,
        name: impl Into<String>,
        entries: impl IntoIterator<Item = (&'e [u8], &'e [u8])>,
    ) -> Result<()> {
        let start = self.out.len();
        self.out.put_i32(0);
        let mut count = 0_i32;
        for (key, value) in entries {
            count = count
                .checked_add(1)
                .ok_or_else(|| FormatError::invalid(WHAT, "a map of more than 2^31 - 1 entries"))?;
            self.out.extend_from_slice(key);
            self.out.extend_from_slice(value);
        }
        self.out[start..start + 4].copy_from_slice(&count.to_be_bytes());
        let offsets = vec![start as u64];
        self.states.push(StateOffsets { name: name.into(), mode: Mode::Broadcast, offsets });
        Ok(())
    }

    /// The stream, and what its handle says of the states.
    pub fn finish(self) -> (Vec<u8>, Vec<StateOffsets>) {
        (self.out, self.states)
    }
}
