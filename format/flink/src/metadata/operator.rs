//! Operators and their subtasks.

use super::channel::ChannelHandle;
use super::keyed::KeyedHandle;
use super::operator_state::OperatorHandle;
use super::stream::{StreamHandle, StreamKind};
use super::{Reading, invalid, list, put_count, put_list, put_optional, read_flag, text};
use crate::key_group::MAX_PARALLELISM_MAX;
use crate::operator_id::OperatorId;
use crate::{Input, Output, Result};

/// An operator and the state of its subtasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its name, from version 5 on, where it has one.
    pub name: Option<String>,
    /// Its uid, from version 5 on, where it has one.
    pub uid: Option<String>,
    /// Its id: what Flink finds its state by.
    pub id: OperatorId,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// How many key groups its keyed state has, 1 to 32,768.
    pub max_parallelism: u32,
    /// In version 2 the length of the chain that it was in, always 1.
    pub chain_length: i32,
    /// The state of its coordinator (of a source, say).
    pub coordinator: Option<StreamHandle>,
    /// Whether all of it had finished: there are no subtasks then.
    pub finished: bool,
    /// Its subtasks. Those without state may be missing; the order is free.
    pub subtasks: Vec<Subtask>,
}

/// A subtask of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtask {
    /// Its number, from 0.
    pub index: u32,
    /// Its state; `None` if it had finished.
    pub state: Option<Box<SubtaskState>>,
}

/// The state of a subtask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubtaskState {
    /// What version 2 says beside.
    pub legacy: LegacySubtask,
    /// Operator state.
    pub operator: Option<OperatorHandle>,
    /// Operator state that a function wrote as it liked.
    pub operator_raw: Option<OperatorHandle>,
    /// Keyed state.
    pub keyed: Option<KeyedHandle>,
    /// Keyed state that an operator wrote as it liked: timers of the heap beside a RocksDB.
    pub keyed_raw: Option<KeyedHandle>,
    /// Records in flight towards it, in an unaligned checkpoint.
    pub inputs: Vec<ChannelHandle>,
    /// Records in flight from it.
    pub outputs: Vec<ChannelHandle>,
}

/// What version 2 says of a subtask that no Flink reads any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LegacySubtask {
    /// A duration, -1 as Flink writes it.
    pub duration: i64,
    /// A count of states of an older kind: 0, or below for none.
    pub states: i32,
}

impl Default for LegacySubtask {
    fn default() -> Self {
        Self { duration: -1, states: 0 }
    }
}

impl Operator {
    /// An operator without subtasks.
    pub fn new(id: OperatorId, parallelism: u32, max_parallelism: u32) -> Self {
        Self {
            name: None,
            uid: None,
            id,
            parallelism,
            max_parallelism,
            chain_length: 1,
            coordinator: None,
            finished: false,
            subtasks: Vec::new(),
        }
    }

    pub(super) fn read(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        let version = reading.version;
        let (mut name, mut uid) = (None, None);
        if version >= 5 {
            name = Some(text::read(input)?).filter(|name| !name.is_empty());
            uid = Some(text::read(input)?).filter(|uid| !uid.is_empty());
        }
        let id = OperatorId(input.array()?);
        let (parallelism, max_parallelism) = read_parallelism(input)?;
        let mut operator = Self { name, uid, ..Self::new(id, parallelism, max_parallelism) };
        match version {
            2 => operator.chain_length = input.i32()?,
            _ => operator.coordinator = read_coordinator(input, reading)?,
        }
        let at = input.clone();
        if version >= 3 && input.clone().i32()? == -1 {
            input.i32()?;
            if operator.coordinator.is_some() {
                return Err(
                    at.corrupt("an operator that has finished has a coordinator with state")
                );
            }
            operator.finished = true;
            return Ok(operator);
        }
        operator.subtasks = list(input, 4, |input| Subtask::read(input, reading))?;
        Ok(operator)
    }

    pub(super) fn write(&self, version: u32, out: &mut Vec<u8>) -> Result<()> {
        let one_of = |message: &str| invalid(format!("operator {}: {message}", self.id));
        if version >= 5 {
            text::write(self.name.as_deref().unwrap_or_default(), out)?;
            text::write(self.uid.as_deref().unwrap_or_default(), out)?;
        }
        out.extend_from_slice(&self.id.0);
        if !parallelism_fits(self.parallelism, self.max_parallelism) {
            return Err(one_of("parallelism and max parallelism do not fit"));
        }
        out.put_i32(self.parallelism.cast_signed());
        out.put_i32(self.max_parallelism.cast_signed());
        match (version, &self.coordinator) {
            (2, None) => out.put_i32(self.chain_length),
            (2, Some(_)) => return Err(one_of("version 2 has no state of coordinators")),
            (_, coordinator) => put_optional(coordinator.as_ref(), out, StreamHandle::write)?,
        }
        if self.finished {
            if version == 2 || self.coordinator.is_some() || !self.subtasks.is_empty() {
                return Err(one_of("has finished, which version 2 cannot say, or has state"));
            }
            out.put_i32(-1);
            return Ok(());
        }
        put_list(&self.subtasks, out, |subtask, out| subtask.write(version, out))
    }
}

fn parallelism_fits(parallelism: u32, max_parallelism: u32) -> bool {
    (1..=MAX_PARALLELISM_MAX).contains(&max_parallelism) && parallelism <= max_parallelism
}

fn read_parallelism(input: &mut Input<'_>) -> Result<(u32, u32)> {
    let at = input.clone();
    let (parallelism, max_parallelism) = (input.i32()?, input.i32()?);
    match (u32::try_from(parallelism), u32::try_from(max_parallelism)) {
        (Ok(parallelism), Ok(max)) if parallelism_fits(parallelism, max) => Ok((parallelism, max)),
        _ => Err(at.corrupt(format!(
            "parallelism {parallelism} of at most {max_parallelism}, where 32,768 is the most"
        ))),
    }
}

/// Flink writes the state of a coordinator into `_metadata`, never beside it.
fn read_coordinator(input: &mut Input<'_>, reading: Reading) -> Result<Option<StreamHandle>> {
    let at = input.clone();
    let coordinator = StreamHandle::read_optional(input, reading)?;
    match coordinator.as_ref().map(|handle| &handle.kind) {
        None | Some(StreamKind::Bytes { .. }) => Ok(coordinator),
        Some(_) => Err(at.corrupt("the state of a coordinator does not lie in the file itself")),
    }
}

impl Subtask {
    fn read(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        let at = input.clone();
        let index = input.i32()?;
        if index >= 0 {
            let state = Box::new(SubtaskState::read(input, reading)?);
            return Ok(Self { index: index.cast_unsigned(), state: Some(state) });
        }
        if reading.version == 2 {
            return Err(at.corrupt(format!("subtask {index}")));
        }
        Ok(Self { index: (!index).cast_unsigned(), state: None })
    }

    fn write(&self, version: u32, out: &mut Vec<u8>) -> Result<()> {
        let index = i32::try_from(self.index)
            .map_err(|_| invalid(format!("subtask {} is too large", self.index)))?;
        match &self.state {
            Some(state) => {
                out.put_i32(index);
                state.write(version, out)
            }
            None if version == 2 => Err(invalid("version 2 has no subtasks that have finished")),
            None => {
                out.put_i32(!index);
                Ok(())
            }
        }
    }
}

impl SubtaskState {
    fn read(input: &mut Input<'_>, reading: Reading) -> Result<Self> {
        let mut state = Self::default();
        if reading.version == 2 {
            let at = input.clone();
            state.legacy = LegacySubtask { duration: input.i64()?, states: input.i32()? };
            if state.legacy.states > 0 {
                return Err(at.unsupported("state of Flink 1.1, which no Flink reads any more"));
            }
        }
        state.operator = read_operator(input, reading)?;
        state.operator_raw = read_operator(input, reading)?;
        state.keyed = KeyedHandle::read(input, reading)?;
        state.keyed_raw = KeyedHandle::read(input, reading)?;
        if reading.version >= 3 {
            state.inputs = list(input, 9, |input| ChannelHandle::read(input, true, reading))?;
            state.outputs = list(input, 9, |input| ChannelHandle::read(input, false, reading))?;
        }
        Ok(state)
    }

    fn write(&self, version: u32, out: &mut Vec<u8>) -> Result<()> {
        if version == 2 {
            out.put_i64(self.legacy.duration);
            out.put_i32(self.legacy.states);
        }
        write_operator(self.operator.as_ref(), out)?;
        write_operator(self.operator_raw.as_ref(), out)?;
        put_optional(self.keyed.as_ref(), out, KeyedHandle::write)?;
        put_optional(self.keyed_raw.as_ref(), out, KeyedHandle::write)?;
        if version >= 3 {
            put_list(&self.inputs, out, |handle, out| handle.write(true, version, out))?;
            return put_list(&self.outputs, out, |handle, out| handle.write(false, version, out));
        }
        match self.inputs.is_empty() && self.outputs.is_empty() {
            true => Ok(()),
            false => Err(invalid("version 2 has no records in flight")),
        }
    }
}

fn read_operator(input: &mut Input<'_>, reading: Reading) -> Result<Option<OperatorHandle>> {
    let at = input.clone();
    if !read_flag(input)? {
        return Ok(None);
    }
    let handle = OperatorHandle::read(input, reading)?;
    handle
        .map(Some)
        .ok_or_else(|| at.corrupt("a handle of operator state is announced and not there"))
}

fn write_operator(handle: Option<&OperatorHandle>, out: &mut Vec<u8>) -> Result<()> {
    put_count(handle.is_some().into(), out)?;
    handle.map_or(Ok(()), |handle| handle.write(out))
}
