//! What a lazy restore left in files, brought by and by: read ahead on a thread of its own, put into the
//! states by whoever owns them.

use crate::backend::KeyedStates;
use crate::backend::cold::{Ahead, Batch};
use crate::snapshot::ColdChain;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// How many batches wait, read, at most.
const BATCHES_AHEAD: usize = 2;

/// The rest of a lazy restore.
pub(super) struct Hydration {
    chain: Arc<ColdChain>,
    /// What is read ahead; none before it is asked for, and after an error.
    reading: Option<Receiver<Result<Batch>>>,
    /// The batch that was begun.
    batch: Option<Batch>,
}

impl Hydration {
    pub(super) fn new(chain: Arc<ColdChain>) -> Self {
        Self { chain, reading: None, batch: None }
    }

    /// Puts about `entries_max` entries into `states`, of what is read by now, or waits for it if it
    /// `waits`. Returns whether nothing is left.
    ///
    /// # Errors
    /// Those of reading, which the next call begins anew; those of the states.
    pub(super) fn step(
        &mut self,
        states: &mut KeyedStates,
        entries_max: usize,
        waits: bool,
    ) -> Result<bool> {
        let mut left = entries_max.max(1);
        loop {
            if let Some(batch) = &mut self.batch {
                let put = match states.of_id(batch.id()) {
                    Some(state) => state.bring(batch, left)?,
                    None => batch.leave_all(),
                };
                if batch.is_done() {
                    self.batch = None;
                }
                left = left.saturating_sub(put);
                if left == 0 {
                    return Ok(!is_cold(states));
                }
                continue;
            }
            if !is_cold(states) {
                return Ok(true);
            }
            let reading = match &mut self.reading {
                Some(reading) => reading,
                none => none.insert(start(&self.chain, states)?),
            };
            let next = match waits {
                true => reading.recv().map_err(|_| TryRecvError::Disconnected),
                false => reading.try_recv(),
            };
            match next {
                Ok(Ok(batch)) => self.batch = Some(batch),
                Ok(Err(error)) => {
                    self.reading = None;
                    return Err(error);
                }
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => {
                    // It read what was cold when it began, or died: what is left is read by the next.
                    self.reading = None;
                    if !waits {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

fn is_cold(states: &KeyedStates) -> bool {
    states.states().any(|state| state.cold().is_some())
}

/// Reads what is cold now, timers first, until nobody takes it or an error.
fn start(chain: &Arc<ColdChain>, states: &mut KeyedStates) -> Result<Receiver<Result<Batch>>> {
    let mut ahead = Vec::new();
    for id in chain.ids() {
        let cold = states.of_id(id).and_then(|state| state.cold());
        ahead.extend(cold.map(Ahead::new));
    }
    let (sender, receiver) = sync_channel(BATCHES_AHEAD);
    let read = move || {
        for batch in ahead.into_iter().flatten() {
            let is_last = batch.is_err();
            if sender.send(batch).is_err() || is_last {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("esker-hydrate".to_owned());
    thread
        .spawn(read)
        .map_err(|error| Error::new(ErrorKind::Retry, format!("cannot start a thread: {error}")))?;
    Ok(receiver)
}
