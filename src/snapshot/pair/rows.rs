//! Entries that lie in no run, a database's say: read by a thread, a batch at a time, as whoever has
//! them gives and does not wait to be asked.

use super::cursor::STATE_LEN_BYTES;
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::run::{Entry, Op};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// A batch is handed on at this many bytes.
const BATCH_LEN_BYTES: usize = 256 << 10;
/// How many batches wait at most.
const BATCHES_MAX: usize = 2;

/// Whoever has entries that lie in no run. All are puts.
pub(crate) trait Rows: Sync {
    /// Calls `f` with the entries of `state` in the key groups of `range`, in run order.
    ///
    /// # Errors
    /// Its own, and those of `f`.
    fn merge(
        &self,
        range: KeyGroupRange,
        state: u32,
        f: &mut dyn FnMut(Entry<'_>) -> Result<()>,
    ) -> Result<()>;
}

/// Keys, without the state, and values, end to end.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each key ends, and its value.
    ends: Vec<(usize, usize)>,
}

/// A place among rows that a thread reads.
pub(super) struct RowCursor {
    batches: Receiver<Result<Batch>>,
    batch: Batch,
    /// The number of the entry in its batch, and where that begins.
    at: usize,
    start: usize,
    ended: bool,
}

impl RowCursor {
    /// Reads `rows` of `state` on a thread of `scope`, which ends with the rows or with the cursor.
    pub(super) fn new<'scope>(
        scope: &'scope Scope<'scope, '_>,
        rows: &'scope dyn Rows,
        range: KeyGroupRange,
        state: u32,
    ) -> Result<Self> {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        scope.spawn(move || read(rows, range, state, &sender));
        let batch = Batch::default();
        let mut cursor = Self { batches, batch, at: 0, start: 0, ended: false };
        cursor.fill()?;
        Ok(cursor)
    }

    /// The key of the entry, without the state; none at the end.
    pub(super) fn key(&self) -> Option<&[u8]> {
        let (key_end, _) = self.batch.ends.get(self.at)?;
        self.batch.bytes.get(self.start..*key_end)
    }

    pub(super) fn value(&self) -> &[u8] {
        let ends = self.batch.ends.get(self.at);
        ends.and_then(|(key, value)| self.batch.bytes.get(*key..*value)).unwrap_or_default()
    }

    /// Goes to the next entry.
    ///
    /// # Errors
    /// Those of the rows.
    pub(super) fn advance(&mut self) -> Result<()> {
        if let Some((_, end)) = self.batch.ends.get(self.at) {
            (self.start, self.at) = (*end, self.at + 1);
        }
        self.fill()
    }

    /// Goes to the next batch, if none of this one is left.
    fn fill(&mut self) -> Result<()> {
        while self.at >= self.batch.ends.len() && !self.ended {
            match self.batches.recv() {
                Ok(batch) => (self.batch, self.at, self.start) = (batch?, 0, 0),
                Err(_) => self.ended = true,
            }
        }
        Ok(())
    }
}

fn read(rows: &dyn Rows, range: KeyGroupRange, state: u32, to: &SyncSender<Result<Batch>>) {
    let mut batch = Batch::default();
    let gone = |_| Error::new(ErrorKind::Retry, "nobody reads on");
    let done = rows.merge(range, state, &mut |entry| {
        if entry.op != Op::Put {
            let message = format!("a {:?} that does not lie in a run", entry.op);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        batch.bytes.extend_from_slice(entry.key.get(STATE_LEN_BYTES..).unwrap_or_default());
        let key_end = batch.bytes.len();
        batch.bytes.extend_from_slice(entry.value);
        batch.ends.push((key_end, batch.bytes.len()));
        if batch.bytes.len() < BATCH_LEN_BYTES {
            return Ok(());
        }
        to.send(Ok(std::mem::take(&mut batch))).map_err(gone)
    });
    // That nobody reads on is no error of anybody's.
    let _ = to.send(done.map(|()| batch));
}
