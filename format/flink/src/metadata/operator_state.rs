//! Handles of operator state.

use super::stream::{StreamHandle, StreamKind};
use super::{Position, Reading, invalid, list, put_list, put_u64, read_u64, text};
use crate::{Input, Output, Result};

/// Where operator state of a subtask lies: one stream, with offsets for each state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorHandle {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// The states and where their elements begin.
    pub states: Vec<StateOffsets>,
    /// The folders of merged files, if the stream lies in one.
    pub folders: Option<SegmentFolders>,
    /// The stream.
    pub stream: StreamHandle,
}

/// Where in the stream the elements of a state begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateOffsets {
    /// The state's name.
    pub name: String,
    /// How it is dealt out on restore.
    pub mode: Mode,
    /// Where each element begins, in bytes, in the list's order; one offset of a broadcast state.
    pub offsets: Vec<u64>,
}

/// How operator state is dealt out on restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Elements are dealt out to the subtasks.
    Split,
    /// Every subtask gets all elements of all.
    Union,
    /// Every subtask gets the same map.
    Broadcast,
}

/// Folders of merged files (from 1.20 on).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFolders {
    /// The folder of files that a task owns.
    pub task_owned: String,
    /// The folder of files that checkpoints share.
    pub shared: String,
}

impl OperatorHandle {
    /// Where the elements begin, and the header in front of them ends; `stream_len` where there are none. In bytes. (Compressed, ten
    /// bytes between belong to neither, and [`OperatorHeader::read`](crate::header::OperatorHeader::read) passes over them.)
    pub fn header_len(&self, stream_len: u64) -> u64 {
        let offsets = self.states.iter().flat_map(|state| state.offsets.iter().copied());
        offsets.min().unwrap_or(stream_len).min(stream_len)
    }

    /// Whether the handle stands for no state at all.
    pub fn is_empty(&self) -> bool {
        self.stream.kind == StreamKind::EmptySegment
    }

    pub(super) fn read(input: &mut Input<'_>, reading: Reading) -> Result<Option<Self>> {
        let at = input.clone();
        let tag = input.u8()?;
        if tag == 0 {
            return Ok(None);
        }
        if tag != 4 && tag != 17 {
            return Err(at.corrupt(format!("unknown kind {tag} of a handle of operator state")));
        }
        let states = list(input, 7, StateOffsets::read)?;
        let folders = if tag == 17 { Some(SegmentFolders::read(input)?) } else { None };
        let empty = match folders {
            Some(_) => read_bool(input)?,
            None => false,
        };
        let stream = StreamHandle::read(input, reading)?;
        if folders.is_some() && empty != (stream.kind == StreamKind::EmptySegment) {
            return Err(
                at.corrupt("merged operator state says of its stream that it is empty, or is not")
            );
        }
        Ok(Some(Self { position: Position::of(&at), states, folders, stream }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(if self.folders.is_some() { 17 } else { 4 });
        put_list(&self.states, out, StateOffsets::write)?;
        if let Some(folders) = &self.folders {
            if !matches!(self.stream.kind, StreamKind::Segment(_) | StreamKind::EmptySegment) {
                return Err(invalid(
                    "operator state of merged files that is no segment: leave out its folders",
                ));
            }
            text::write(&folders.task_owned, out)?;
            text::write(&folders.shared, out)?;
            out.put_bool(self.is_empty());
        }
        self.stream.write(out)
    }
}

impl StateOffsets {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        let name = text::read(input)?;
        let at = input.clone();
        let mode = match input.u8()? {
            0 => Mode::Split,
            1 => Mode::Union,
            2 => Mode::Broadcast,
            mode => return Err(at.corrupt(format!("unknown mode {mode} of the state {name:?}"))),
        };
        let offsets = list(input, 8, |input| read_u64(input, "offset"))?;
        Ok(Self { name, mode, offsets })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        text::write(&self.name, out)?;
        out.push(match self.mode {
            Mode::Split => 0,
            Mode::Union => 1,
            Mode::Broadcast => 2,
        });
        put_list(&self.offsets, out, |offset, out| put_u64(*offset, "offset", out))
    }
}

impl SegmentFolders {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        Ok(Self { task_owned: text::read(input)?, shared: text::read(input)? })
    }
}

fn read_bool(input: &mut Input<'_>) -> Result<bool> {
    let at = input.clone();
    match input.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        byte => Err(at.corrupt(format!("{byte} is no boolean"))),
    }
}
