//! The stream of a subtask's operator state.

use super::Element;
use super::spill::{Spill, Spilled};
use crate::flink::format::Output;
use crate::flink::format::header::{OperatorHeader, StateKind, StateMeta};
use crate::flink::format::metadata::{Mode, StateOffsets};
use crate::{Error, ErrorKind, Result};

/// Takes the elements of a subtask, those of a state in a row.
pub(super) struct ElementStream {
    spill: Spill,
    /// Of each state of the header.
    states: Vec<StateOffsets>,
    /// How many entries a broadcast state has; none of others.
    broadcast: Vec<Option<u64>>,
    /// Of each state, how many there were.
    counts: Vec<u64>,
}

impl ElementStream {
    /// `broadcast_len` says how many entries the broadcast state has that is this one of the header's.
    ///
    /// # Errors
    /// `Invalid` if not all states of the header could be read.
    pub(super) fn new(
        header: &OperatorHeader,
        broadcast_len: &dyn Fn(usize) -> u64,
    ) -> Result<Self> {
        let (mut bytes, mut spill) = (Vec::new(), Spill::default());
        OperatorHeader { compressed: false, ..header.clone() }.write(&mut bytes)?;
        spill.put(&bytes)?;
        let metas = || header.lists.iter().chain(&header.broadcasts);
        let states = metas().map(|meta| StateOffsets {
            name: meta.name.clone(),
            mode: mode(meta),
            offsets: vec![],
        });
        let is_broadcast = |meta: &StateMeta| meta.kind == StateKind::Broadcast;
        let broadcast = metas()
            .enumerate()
            .map(|(number, meta)| is_broadcast(meta).then(|| broadcast_len(number)));
        let counts = vec![0; metas().count()];
        Ok(Self { spill, states: states.collect(), broadcast: broadcast.collect(), counts })
    }

    /// # Errors
    /// `Invalid` if it is of no state, or of more than were announced; those of the temporary folder.
    pub(super) fn add(&mut self, element: Element<'_>) -> Result<()> {
        let Element { state, user_key, value } = element;
        let number = usize::from(state);
        let (Some(of), Some(count), Some(broadcast)) = (
            self.states.get_mut(number),
            self.counts.get_mut(number),
            self.broadcast.get(number).copied(),
        ) else {
            return Err(invalid(format!("an element of state {state}, which there is not")));
        };
        match broadcast {
            None => of.offsets.push(self.spill.len_bytes()),
            Some(len) if *count == 0 => {
                of.offsets.push(self.spill.len_bytes());
                self.spill.put(&put_count(len)?)?;
            }
            Some(len) if *count >= len => {
                return Err(invalid(format!("state {:?} has more than {len} entries", of.name)));
            }
            Some(_) => {}
        }
        *count += 1;
        self.spill.put(user_key)?;
        self.spill.put(value)
    }

    /// How many there were; of broadcast state, which every subtask has, if it is to be counted.
    pub(super) fn elements(&self, with_broadcast: bool) -> u64 {
        let counts = self.counts.iter().zip(&self.broadcast);
        counts.filter(|(_, len)| len.is_none() || with_broadcast).map(|(count, _)| count).sum()
    }

    /// The stream, and where in it elements begin.
    ///
    /// # Errors
    /// `Invalid` if broadcast state has fewer entries than were announced; those of the temporary folder.
    pub(super) fn finish(mut self) -> Result<(Spilled, Vec<StateOffsets>)> {
        let counts = self.counts.iter().zip(&self.broadcast).zip(&mut self.states);
        for ((count, len), of) in counts {
            let Some(len) = len else { continue };
            if count != len {
                let message = format!("state {:?} has {count} entries of {len}", of.name);
                return Err(invalid(message));
            }
            if *len == 0 {
                of.offsets.push(self.spill.len_bytes());
                self.spill.put(&put_count(0)?)?;
            }
        }
        Ok((self.spill.finish()?, self.states))
    }
}

fn put_count(len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let len = i32::try_from(len);
    bytes
        .put_i32(len.map_err(|_| invalid("more than 2^31 - 1 entries of broadcast state".into()))?);
    Ok(bytes)
}

fn mode(meta: &StateMeta) -> Mode {
    match (meta.kind, meta.option("OPERATOR_STATE_DISTRIBUTION_MODE")) {
        (StateKind::Broadcast, _) => Mode::Broadcast,
        (_, Some("UNION")) => Mode::Union,
        _ => Mode::Split,
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message)
}
