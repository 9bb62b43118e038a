//! `_metadata`: which operators a snapshot has, and where the state of each subtask lies (SPEC.md, "Metadata").
//!
//! Versions 2 to 6 are read and written, and what was read is written as the same bytes. Small state lies inside it.

mod channel;
mod keyed;
mod operator;
mod operator_state;
pub mod properties;
mod stream;
#[cfg(test)]
mod tests;
mod text;
mod visit;

pub use channel::{ChannelHandle, ChannelState};
pub use keyed::{
    Change, ChangeFile, ChangelogBytes, ChangelogFiles, ChangelogHandle, IncrementalHandle,
    KeyGroupsFormat, KeyGroupsHandle, KeyedHandle, NamedStream,
};
pub use operator::{LegacySubtask, Operator, Subtask, SubtaskState};
pub use operator_state::{Mode, OperatorHandle, SegmentFolders, StateOffsets};
pub use stream::{Scope, Segment, StreamHandle, StreamKind};
pub use visit::{Site, Slot};

use crate::{FormatError, Input, Output, Result};

/// The name of the file, in the folder of its snapshot.
pub const FILE_NAME: &str = "_metadata";
/// The oldest version that is read and written: that of Flink 1.3.
pub const VERSION_MIN: u32 = 2;
/// The newest one: that of Flink 2.2 and 2.3.
pub const VERSION_MAX: u32 = 6;
/// What Flink from 1.14 to 2.3 reads, and what esker writes where nobody asks for another.
pub const VERSION_PORTABLE: u32 = 3;

const MAGIC: i32 = 0x4960_672d;
const MASTER_MAGIC: i32 = 0xc96b_1696_u32.cast_signed();
const WHAT: &str = "_metadata";
/// How deep handles may lie in handles; Flink's lie two deep.
const DEPTH_MAX: u32 = 16;
/// No list reserves more places than this before its elements are read.
const RESERVED_MAX: usize = 64;

/// The content of a `_metadata` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The version of the file, 2 to 6: what it is written as.
    pub version: u32,
    /// The id of the checkpoint or savepoint, not negative.
    pub checkpoint_id: i64,
    /// What hooks of the job's coordinator left; hardly ever there.
    pub master_states: Vec<MasterState>,
    /// The operators, in the order of the file.
    pub operators: Vec<Operator>,
    /// From version 4 on the checkpoint's properties, a Java object stream as it stands in the file
    /// ([`properties`] makes them); empty before.
    pub properties: Vec<u8>,
}

/// What a hook of the job's coordinator left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterState {
    /// The hook's own version.
    pub version: i32,
    /// The hook's name.
    pub name: String,
    /// Its bytes.
    pub payload: Vec<u8>,
}

/// Where a handle stands in the file that it was read from, for errors. Two handles that differ in it alone are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position(u64);

impl Position {
    /// The offset in bytes; `None` for a handle that was made and not read.
    pub fn offset(self) -> Option<u64> {
        (self.0 > 0).then_some(self.0)
    }

    fn of(input: &Input<'_>) -> Self {
        Self(input.offset())
    }
}

impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Position {}

/// What the readers of handles have to know beside the bytes.
#[derive(Debug, Clone, Copy)]
struct Reading {
    version: u32,
    depth: u32,
}

impl Reading {
    fn deeper(self, input: &Input<'_>) -> Result<Self> {
        if self.depth >= DEPTH_MAX {
            return Err(input.corrupt(format!("handles lie more than {DEPTH_MAX} deep")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl Metadata {
    /// Metadata without operators, of a version that needs no properties.
    pub fn new(checkpoint_id: i64) -> Self {
        Self {
            version: VERSION_PORTABLE,
            checkpoint_id,
            master_states: Vec::new(),
            operators: Vec::new(),
            properties: Vec::new(),
        }
    }

    /// Reads a whole file. Costs the time to copy it.
    ///
    /// # Errors
    /// `Corrupt` with the offset; `UnsupportedVersion`.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = Input::new(WHAT, bytes);
        let at = input.clone();
        if input.i32()? != MAGIC {
            return Err(at.corrupt("not a Flink snapshot: another magic number"));
        }
        let version = read_version(&mut input)?;
        let at = input.clone();
        let checkpoint_id = input.i64()?;
        if checkpoint_id < 0 {
            return Err(at.corrupt(format!("checkpoint id {checkpoint_id} is negative")));
        }
        let master_states = list(&mut input, 8, read_master_state)?;
        let reading = Reading { version, depth: 0 };
        let operators = list(&mut input, 24, |input| Operator::read(input, reading))?;
        let properties = if version >= 4 {
            properties::check(&input)?;
            input.take(input.remaining())?.to_vec()
        } else {
            input.end()?;
            Vec::new()
        };
        Ok(Self { version, checkpoint_id, master_states, operators, properties })
    }

    /// The whole file, in its [version](Self::version): what was read as it stood, byte for byte. What a version cannot
    /// say and no state depends on (names and uids before 5, properties before 4) is left out.
    ///
    /// # Errors
    /// `Invalid` if the version is not one of 2 to 6, has no form for a handle or lacks its properties.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let Self { version, checkpoint_id, .. } = *self;
        if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
            return Err(invalid(format!("version={version} is not one of 2 to 6")));
        }
        if checkpoint_id < 0 {
            return Err(invalid(format!("checkpoint_id={checkpoint_id} is negative")));
        }
        out.put_i32(MAGIC);
        out.put_i32(version.cast_signed());
        out.put_i64(checkpoint_id);
        put_list(&self.master_states, &mut out, write_master_state)?;
        put_list(&self.operators, &mut out, |operator, out| operator.write(version, out))?;
        if version >= 4 {
            properties::check(&Input::new(WHAT, &self.properties))
                .map_err(|_| invalid("a file of version 4 or above needs properties"))?;
            out.extend_from_slice(&self.properties);
        }
        Ok(out)
    }
}

fn read_version(input: &mut Input<'_>) -> Result<u32> {
    let at = input.clone();
    match input.i32()? {
        version @ 2..=6 => Ok(version.cast_unsigned()),
        1 => Err(at.unsupported("version 1 (Flink 1.2 and older), which no Flink reads any more")),
        version => Err(at.unsupported(format!(
            "version {version}, this esker reads {VERSION_MIN} to {VERSION_MAX}: use a newer one"
        ))),
    }
}

fn read_master_state(input: &mut Input<'_>) -> Result<MasterState> {
    let at = input.clone();
    if input.i32()? != MASTER_MAGIC {
        return Err(at.corrupt("a master state has another magic number"));
    }
    let mut body = input.nested()?;
    let version = body.i32()?;
    let name = text::read(&mut body)?;
    let payload = body.bytes32()?.to_vec();
    body.end()?;
    Ok(MasterState { version, name, payload })
}

fn write_master_state(state: &MasterState, out: &mut Vec<u8>) -> Result<()> {
    out.put_i32(MASTER_MAGIC);
    let mut body = Vec::new();
    body.put_i32(state.version);
    text::write(&state.name, &mut body)?;
    put_bytes32(&state.payload, &mut body)?;
    put_bytes32(&body, out)
}

fn invalid(message: impl Into<String>) -> FormatError {
    FormatError::invalid(WHAT, message)
}

/// A count, and as many elements, of which each takes at least `each_bytes_min` bytes.
fn list<'a, T>(
    input: &mut Input<'a>,
    each_bytes_min: usize,
    mut element: impl FnMut(&mut Input<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.count(each_bytes_min)?;
    let mut elements = Vec::with_capacity(count.min(RESERVED_MAX));
    for _ in 0..count {
        elements.push(element(input)?);
    }
    elements.shrink_to_fit();
    Ok(elements)
}

fn put_list<T>(
    elements: &[T],
    out: &mut Vec<u8>,
    mut element: impl FnMut(&T, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    put_count(elements.len(), out)?;
    elements.iter().try_for_each(|one| element(one, out))
}

/// A handle, or the tag that stands for none.
fn put_optional<T>(
    handle: Option<&T>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&T, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    match handle {
        Some(handle) => write(handle, out),
        None => {
            out.push(0);
            Ok(())
        }
    }
}

fn put_count(count: usize, out: &mut Vec<u8>) -> Result<()> {
    let count =
        i32::try_from(count).map_err(|_| invalid(format!("{count} are more than Java counts")))?;
    out.put_i32(count);
    Ok(())
}

fn put_bytes32(bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
    put_count(bytes.len(), out)?;
    out.extend_from_slice(bytes);
    Ok(())
}

/// A length, offset or the like, which is not negative.
fn read_u64(input: &mut Input<'_>, name: &str) -> Result<u64> {
    let at = input.clone();
    let value = input.i64()?;
    u64::try_from(value).map_err(|_| at.corrupt(format!("{name} {value} is negative")))
}

fn put_u64(value: u64, name: &str, out: &mut Vec<u8>) -> Result<()> {
    let value =
        i64::try_from(value).map_err(|_| invalid(format!("{name}={value} is too large")))?;
    out.put_i64(value);
    Ok(())
}

/// 0 or 1 as an `int`.
fn read_flag(input: &mut Input<'_>) -> Result<bool> {
    let at = input.clone();
    match input.i32()? {
        0 => Ok(false),
        1 => Ok(true),
        flag => Err(at.corrupt(format!("{flag} where 0 or 1 says whether a handle follows"))),
    }
}
