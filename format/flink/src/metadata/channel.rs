//! Handles of records that were in flight when an unaligned checkpoint passed them.

use super::stream::StreamHandle;
use super::{Position, Reading, invalid, list, put_bytes32, put_list, put_u64, read_u64};
use crate::{Input, Output, Result};

/// Where buffers of one or more channels lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelHandle {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// The subtask that wrote it.
    pub subtask: i32,
    /// Bytes of all buffers.
    pub state_bytes: i64,
    /// The stream.
    pub stream: StreamHandle,
    /// Whether it is of the form for several channels in one stream, which version 6 alone has.
    pub merged: bool,
    /// The channels; exactly one where `merged` is not set.
    pub channels: Vec<ChannelState>,
}

/// The buffers of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// Input: gate and channel; output: partition and subpartition.
    pub channel: (i32, i32),
    /// Bytes of its buffers, each with four for its length.
    pub state_bytes: i64,
    /// Where in the stream each buffer begins, in bytes.
    pub offsets: Vec<u64>,
}

/// The tags of version 6: that of a single channel, and of merged ones.
const INPUT: (u8, u8) = (1, 3);
const OUTPUT: (u8, u8) = (2, 4);

fn tags(input_side: bool) -> (u8, u8) {
    if input_side { INPUT } else { OUTPUT }
}

impl ChannelHandle {
    pub(super) fn read(input: &mut Input<'_>, input_side: bool, reading: Reading) -> Result<Self> {
        let at = input.clone();
        let position = Position::of(&at);
        if reading.version < 6 {
            return Self::read_single(input, position, reading);
        }
        let (single, merged) = tags(input_side);
        match input.u8()? {
            tag if tag == single => Self::read_single(input, position, reading),
            tag if tag == merged => Self::read_merged(input, position, reading),
            tag => Err(at.corrupt(format!("unknown kind {tag} of a handle of records in flight"))),
        }
    }

    fn read_single(input: &mut Input<'_>, position: Position, reading: Reading) -> Result<Self> {
        let subtask = input.i32()?;
        let channel = (input.i32()?, input.i32()?);
        let offsets = list(input, 8, |input| read_u64(input, "offset"))?;
        let state_bytes = input.i64()?;
        let stream = StreamHandle::read(input, reading)?;
        let channels = vec![ChannelState { channel, state_bytes, offsets }];
        Ok(Self { position, subtask, state_bytes, stream, merged: false, channels })
    }

    fn read_merged(input: &mut Input<'_>, position: Position, reading: Reading) -> Result<Self> {
        let subtask = input.i32()?;
        let state_bytes = input.i64()?;
        let stream = StreamHandle::read(input, reading)?;
        let mut offsets = input.nested()?;
        let channels = list(&mut offsets, 20, ChannelState::read)?;
        offsets.end()?;
        Ok(Self { position, subtask, state_bytes, stream, merged: true, channels })
    }

    pub(super) fn write(&self, input_side: bool, version: u32, out: &mut Vec<u8>) -> Result<()> {
        let (single, merged) = tags(input_side);
        if version >= 6 {
            out.push(if self.merged { merged } else { single });
        }
        match (self.merged, self.channels.as_slice()) {
            (false, [channel]) => self.write_single(channel, out),
            (true, channels) if version >= 6 => self.write_merged(channels, out),
            (true, _) => Err(invalid("records in flight of merged channels before version 6")),
            (false, _) => Err(invalid("a handle of one channel that has none or several")),
        }
    }

    fn write_single(&self, channel: &ChannelState, out: &mut Vec<u8>) -> Result<()> {
        out.put_i32(self.subtask);
        out.put_i32(channel.channel.0);
        out.put_i32(channel.channel.1);
        put_list(&channel.offsets, out, |offset, out| put_u64(*offset, "offset", out))?;
        out.put_i64(self.state_bytes);
        self.stream.write(out)
    }

    fn write_merged(&self, channels: &[ChannelState], out: &mut Vec<u8>) -> Result<()> {
        out.put_i32(self.subtask);
        out.put_i64(self.state_bytes);
        self.stream.write(out)?;
        let mut offsets = Vec::new();
        put_list(channels, &mut offsets, ChannelState::write)?;
        put_bytes32(&offsets, out)
    }
}

impl ChannelState {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        Ok(Self {
            channel: (input.i32()?, input.i32()?),
            state_bytes: input.i64()?,
            offsets: list(input, 8, |input| read_u64(input, "offset"))?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.put_i32(self.channel.0);
        out.put_i32(self.channel.1);
        out.put_i64(self.state_bytes);
        put_list(&self.offsets, out, |offset, out| put_u64(*offset, "offset", out))
    }
}
