//! Records in flight, as unaligned checkpoints hold them (SPEC.md, "Records in flight").
//!
//! Buffers of the network, with parts of records: what they are to the program, nothing here can say. They are counted and measured.

use crate::metadata::{ChannelHandle, ChannelState};
use crate::{FormatError, Input, Result};

const WHAT: &str = "records in flight";
const VERSION: i32 = 0;
/// Where the first block begins.
const HEADER_LEN_BYTES: u64 = 4;
/// In front of each block, and counted among the bytes of its channel.
const LENGTH_LEN_BYTES: u64 = 4;

/// The blocks of a channel, each of one or more buffers.
#[derive(Debug, Clone)]
pub struct Blocks<'a, 'h> {
    stream: &'a [u8],
    offsets: std::slice::Iter<'h, u64>,
}

impl<'a, 'h> Blocks<'a, 'h> {
    /// Those of `channel` in `stream`, all of the stream of its handle.
    ///
    /// # Errors
    /// `Corrupt` if it is no such stream; `UnsupportedVersion`.
    pub fn new(stream: &'a [u8], channel: &'h ChannelState) -> Result<Self> {
        let mut input = Input::new(WHAT, stream);
        let at = input.clone();
        match input.i32()? {
            VERSION => Ok(Self { stream, offsets: channel.offsets.iter() }),
            version => Err(at.unsupported(format!("version {version}, where {VERSION} is read"))),
        }
    }

    fn block(&self, offset: u64) -> Result<&'a [u8]> {
        let start = usize::try_from(offset).ok().filter(|_| offset >= HEADER_LEN_BYTES);
        match start.and_then(|start| self.stream.get(start..)) {
            Some(bytes) => Input::new(WHAT, bytes).based_at(offset).bytes32(),
            None => {
                let message =
                    format!("a block is said to begin here, in {} bytes", self.stream.len());
                Err(FormatError::corrupt(WHAT, message).at(offset))
            }
        }
    }
}

impl<'a> Iterator for Blocks<'a, '_> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        self.offsets.next().map(|offset| self.block(*offset))
    }
}

/// Checks a handle against its stream: every block of every channel is there, and as many bytes as the channel is said to have. Where the
/// stream is inside `_metadata`, one for each channel, its version counts among them.
/// Returns the number of blocks and their bytes without lengths.
///
/// # Errors
/// `Corrupt`; `UnsupportedVersion`.
pub fn check(stream: &[u8], handle: &ChannelHandle) -> Result<(u64, u64)> {
    let (mut blocks, mut bytes) = (0_u64, 0_u64);
    for channel in &handle.channels {
        let mut of_channel = 0_u64;
        for block in Blocks::new(stream, channel)? {
            blocks += 1;
            let len = block?.len() as u64;
            bytes = bytes.saturating_add(len);
            of_channel = of_channel.saturating_add(len + LENGTH_LEN_BYTES);
        }
        let stated = u64::try_from(channel.state_bytes).ok();
        if ![of_channel, of_channel.saturating_add(HEADER_LEN_BYTES)].map(Some).contains(&stated) {
            let (one, other) = channel.channel;
            let message = format!(
                "channel {one}.{other} has {of_channel} bytes, and {} by its handle",
                channel.state_bytes
            );
            return Err(FormatError::corrupt(WHAT, message));
        }
    }
    Ok((blocks, bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests, helpers included")]
    use super::*;
    use crate::metadata::{Position, StreamHandle};
    use crate::testing::goldens;

    #[test]
    fn goldens_hold_what_their_handles_say() {
        let (mut handles, mut all) = (0, (0, 0));
        for golden in goldens() {
            for operator in &golden.metadata.operators {
                let states = operator.subtasks.iter().filter_map(|subtask| subtask.state.as_ref());
                for handle in states.flat_map(|state| state.inputs.iter().chain(&state.outputs)) {
                    let (blocks, bytes) = check(&golden.stream(&handle.stream), handle).unwrap();
                    handles += 1;
                    all = (all.0 + blocks, all.1 + bytes);
                }
            }
        }
        // Each record of theirs is a length, a kind, a time and a number.
        assert!(handles >= 8 && all.0 >= 8, "{handles} {all:?}");
        assert_eq!(all.1 % 21, 0);
    }

    #[test]
    fn blocks_are_read_at_their_offsets() {
        let stream = b"\0\0\0\0\0\0\0\x02ab\0\0\0\x01c\0\0\0\x09d";
        let channel = ChannelState { channel: (0, 1), state_bytes: 11, offsets: vec![10, 4] };
        let blocks: Vec<_> = Blocks::new(stream, &channel).unwrap().map(Result::unwrap).collect();
        assert_eq!(blocks, [&b"c"[..], b"ab"]);
        let handle = |state_bytes, offsets| ChannelHandle {
            position: Position::default(),
            subtask: 0,
            state_bytes,
            stream: StreamHandle::relative("part", 20),
            merged: true,
            channels: vec![ChannelState { channel: (0, 1), state_bytes, offsets }],
        };
        assert_eq!(check(stream, &handle(11, vec![4, 10])), Ok((2, 3)));
        assert_eq!(check(stream, &handle(15, vec![4, 10])), Ok((2, 3)));
        for state_bytes in [-1, 0, 10, 12, 14, 16] {
            let error = check(stream, &handle(state_bytes, vec![4, 10])).unwrap_err();
            assert!(error.message.contains("channel 0.1 has 11"), "{error}");
        }
        for offset in [0, 15, 99, u64::MAX] {
            assert!(check(stream, &handle(5, vec![offset])).is_err(), "{offset}");
        }
        assert!(check(b"\0\0\0\x01", &handle(0, vec![])).is_err());
    }
}
