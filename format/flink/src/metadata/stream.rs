//! Handles of streams: bytes inside `_metadata`, a file, or a piece of one.

use super::{Position, Reading, list, put_bytes32, put_count, put_u64, read_u64, text};
use crate::{Input, Output, Result};
use std::sync::Arc;

/// Where a stream of state lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamHandle {
    /// Where the handle stands in `_metadata`.
    pub position: Position,
    /// What it says.
    pub kind: StreamKind,
}

/// The kinds of [`StreamHandle`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamKind {
    /// The stream itself: what small state lies in.
    Bytes {
        /// A name that says nothing.
        name: String,
        /// The stream.
        bytes: Arc<[u8]>,
    },
    /// A file of its own, by absolute path or URI.
    File {
        /// Path or URI.
        path: String,
        /// The file's length; unknown where whoever wrote it could not tell.
        len_bytes: Option<u64>,
    },
    /// A file of its own, in the folder of `_metadata`.
    Relative {
        /// The path from that folder.
        path: String,
        /// As for [`File`](Self::File).
        len_bytes: Option<u64>,
    },
    /// A piece of a file that several streams share (file merging, from 1.20 on).
    Segment(Box<Segment>),
    /// A stream without bytes (file merging).
    EmptySegment,
    /// A stream with offsets of key groups, where a stream alone is meant: left over from old versions.
    KeyGroups(Box<NestedKeyGroups>),
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins, in bytes; all offsets in the stream count from here.
    pub start: u64,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Who may share the file.
    pub scope: Scope,
    /// The absolute path or URI of the file.
    pub path: String,
    /// The id of the piece.
    pub logical_id: String,
}

/// Who may share the file of a [`Segment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// This checkpoint alone.
    Exclusive,
    /// Several checkpoints.
    Shared,
}

/// A stream and offsets in it that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedKeyGroups {
    pub(super) first: i32,
    pub(super) offsets: Vec<i64>,
    pub(super) stream: StreamHandle,
}

impl StreamHandle {
    /// A handle that was not read.
    pub fn new(kind: StreamKind) -> Self {
        Self { position: Position::default(), kind }
    }

    /// `bytes` inside `_metadata`.
    pub fn inline(name: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::new(StreamKind::Bytes { name: name.into(), bytes: bytes.into() })
    }

    /// A file of `len_bytes` in the folder of `_metadata`.
    pub fn relative(path: impl Into<String>, len_bytes: u64) -> Self {
        Self::new(StreamKind::Relative { path: path.into(), len_bytes: Some(len_bytes) })
    }

    /// A file of `len_bytes`, by absolute path or URI.
    pub fn file(path: impl Into<String>, len_bytes: u64) -> Self {
        Self::new(StreamKind::File { path: path.into(), len_bytes: Some(len_bytes) })
    }

    /// The length of the stream in bytes; `None` where the handle does not say.
    pub fn len_bytes(&self) -> Option<u64> {
        match &self.leaf().kind {
            StreamKind::Bytes { bytes, .. } => Some(bytes.len() as u64),
            StreamKind::File { len_bytes, .. } | StreamKind::Relative { len_bytes, .. } => {
                *len_bytes
            }
            StreamKind::Segment(segment) => Some(segment.len_bytes),
            StreamKind::EmptySegment | StreamKind::KeyGroups(_) => Some(0),
        }
    }

    /// The path as the handle has it, if there is a file.
    pub fn path(&self) -> Option<&str> {
        match &self.leaf().kind {
            StreamKind::File { path, .. } | StreamKind::Relative { path, .. } => Some(path),
            StreamKind::Segment(segment) => Some(&segment.path),
            _ => None,
        }
    }

    /// The handle of the stream, without offsets that do not matter: never [`KeyGroups`](StreamKind::KeyGroups).
    pub fn leaf(&self) -> &Self {
        let mut handle = self;
        while let StreamKind::KeyGroups(nested) = &handle.kind {
            handle = &nested.stream;
        }
        handle
    }

    /// The same, to be changed.
    pub fn leaf_mut(&mut self) -> &mut Self {
        match self.kind {
            StreamKind::KeyGroups(ref mut nested) => nested.stream.leaf_mut(),
            _ => self,
        }
    }

    pub(super) fn read(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        let at = input.clone();
        Self::read_optional(input, reading)?
            .ok_or_else(|| at.corrupt("no handle of a stream where there must be one"))
    }

    pub(super) fn read_optional(input: &mut Input<'_>, reading: Reading) -> Result<Option<Self>> {
        let at = input.clone();
        let kind = match input.u8()? {
            0 => return Ok(None),
            1 => StreamKind::Bytes { name: text::read(input)?, bytes: input.bytes32()?.into() },
            2 => {
                let len_bytes = read_len(input)?;
                StreamKind::File { path: text::read(input)?, len_bytes }
            }
            3 => StreamKind::KeyGroups(Box::new(NestedKeyGroups {
                first: input.i32()?,
                offsets: list(input, 8, Input::i64)?,
                stream: Self::read(input, reading.deeper(input)?)?,
            })),
            6 => StreamKind::Relative { path: text::read(input)?, len_bytes: read_len(input)? },
            15 => StreamKind::Segment(Box::new(Segment::read(input)?)),
            16 => StreamKind::EmptySegment,
            tag => return Err(at.corrupt(format!("unknown kind {tag} of a stream's handle"))),
        };
        Ok(Some(Self { position: Position::of(&at), kind }))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        match &self.kind {
            StreamKind::Bytes { name, bytes } => {
                out.push(1);
                text::write(name, out)?;
                put_bytes32(bytes, out)
            }
            StreamKind::File { path, len_bytes } => {
                out.push(2);
                put_len(*len_bytes, out)?;
                text::write(path, out)
            }
            StreamKind::Relative { path, len_bytes } => {
                out.push(6);
                text::write(path, out)?;
                put_len(*len_bytes, out)
            }
            StreamKind::Segment(segment) => segment.write(out),
            StreamKind::EmptySegment => {
                out.push(16);
                Ok(())
            }
            StreamKind::KeyGroups(nested) => {
                out.push(3);
                out.put_i32(nested.first);
                put_count(nested.offsets.len(), out)?;
                nested.offsets.iter().for_each(|offset| out.put_i64(*offset));
                nested.stream.write(out)
            }
        }
    }
}

impl Segment {
    fn read(input: &mut Input<'_>) -> Result<Self> {
        let start = read_u64(input, "start")?;
        let len_bytes = read_u64(input, "length")?;
        let at = input.clone();
        if start.checked_add(len_bytes).is_none() {
            return Err(at.corrupt("a segment ends beyond any file"));
        }
        let scope = match input.i32()? {
            0 => Scope::Exclusive,
            1 => Scope::Shared,
            scope => return Err(at.corrupt(format!("unknown scope {scope} of a segment"))),
        };
        Ok(Self {
            start,
            len_bytes,
            scope,
            path: text::read(input)?,
            logical_id: text::read(input)?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<()> {
        out.push(15);
        put_u64(self.start, "start", out)?;
        put_u64(self.len_bytes, "len_bytes", out)?;
        out.put_i32(match self.scope {
            Scope::Exclusive => 0,
            Scope::Shared => 1,
        });
        text::write(&self.path, out)?;
        text::write(&self.logical_id, out)
    }
}

/// -1 stands for a length that is not known.
fn read_len(input: &mut Input<'_>) -> Result<Option<u64>> {
    let at = input.clone();
    match input.i64()? {
        -1 => Ok(None),
        len => u64::try_from(len)
            .map(Some)
            .map_err(|_| at.corrupt(format!("length {len} is negative"))),
    }
}

fn put_len(len_bytes: Option<u64>, out: &mut Vec<u8>) -> Result<()> {
    match len_bytes {
        Some(len) => put_u64(len, "len_bytes", out),
        None => {
            out.put_i64(-1);
            Ok(())
        }
    }
}
