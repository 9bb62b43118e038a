//! The work of one part, in pieces: threads take the next one, encode it, and hand it over.

use super::encode::{Content, Encoded, encode};
use super::groups::Groups;
use super::plan::first_piece;
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::run::RunOptions;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Pieces are planned to a part of their limit, as estimates are off.
const FILL: f64 = 0.7;

/// Something to be written whole, in pieces.
pub(super) struct Layer {
    pub(super) content: Content,
    pub(super) range: KeyGroupRange,
    /// What a key group is thought to have, in stored bytes: in full, and of changes.
    pub(super) group_len_bytes: (f64, f64),
    /// Whether it may be cut.
    pub(super) whole: bool,
}

impl Layer {
    fn base(&self) -> Groups {
        match &self.content {
            Content::Captures { base, .. } => base.clone(),
            Content::Fold(_) => Groups::default(),
            Content::Operator(_) => KeyGroupRange::ALL.into(),
        }
    }
}

/// A finished piece of a layer.
pub(super) struct Piece {
    pub(super) layer: usize,
    pub(super) range: KeyGroupRange,
    pub(super) run: Encoded,
}

struct Work {
    items: VecDeque<(usize, KeyGroupRange)>,
    /// What was learned of each layer's key groups, in stored bytes: in full, and of changes.
    group_len_bytes: Vec<(f64, f64)>,
}

/// The work of one part.
pub(super) struct Queue {
    layers: Vec<Layer>,
    bases: Vec<Groups>,
    work: Mutex<Work>,
    stop: AtomicBool,
    options: RunOptions,
    piece_len_bytes: usize,
}

/// Ends the threads of a queue when whoever waits for them goes away.
pub(super) struct StopOnDrop(pub(super) Arc<Queue>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Queue {
    /// A queue of `layers`, in pieces of at most about `piece_len_bytes`.
    pub(super) fn new(layers: Vec<Layer>, options: RunOptions, piece_len_bytes: usize) -> Self {
        let items = layers.iter().enumerate().map(|(number, layer)| (number, layer.range));
        let group_len_bytes = layers.iter().map(|layer| layer.group_len_bytes).collect();
        let work = Mutex::new(Work { items: items.collect(), group_len_bytes });
        let bases = layers.iter().map(Layer::base).collect();
        Self { layers, bases, work, stop: AtomicBool::new(false), options, piece_len_bytes }
    }

    /// Starts `threads` threads; their pieces come out of what is returned, in no order, and after
    /// the last one an end. An error ends it.
    ///
    /// # Errors
    /// `Retry` if a thread cannot be started.
    pub(super) fn start(
        self: &Arc<Self>,
        threads: usize,
    ) -> Result<mpsc::Receiver<Result<Option<Piece>>>> {
        let (sender, receiver) = mpsc::channel(1);
        for _ in 0..threads {
            let (queue, sender) = (Arc::clone(self), sender.clone());
            let thread = std::thread::Builder::new().name("esker-encode".to_owned());
            let started = thread.spawn(move || queue.work(&sender));
            started.map_err(|error| {
                self.stop.store(true, Ordering::Relaxed);
                Error::new(ErrorKind::Retry, format!("cannot start a thread: {error}"))
            })?;
        }
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, sender: &mpsc::Sender<Result<Option<Piece>>>) {
        while !self.stop.load(Ordering::Relaxed) {
            let sent = match self.next_piece() {
                Ok(Some(piece)) => sender.blocking_send(Ok(Some(piece))),
                Ok(None) => {
                    // That this thread came to its end and did not die on the way.
                    let _ = sender.blocking_send(Ok(None));
                    return;
                }
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    let _ = sender.blocking_send(Err(error));
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn next_piece(&self) -> Result<Option<Piece>> {
        loop {
            let Some((number, range)) = self.take() else { return Ok(None) };
            let Some(layer) = self.layers.get(number) else { continue };
            let cut = !layer.whole && range.count() > 1;
            let limit = cut.then_some(self.piece_len_bytes);
            let encoded = encode(&layer.content, range, limit, self.options, &self.stop)?;
            self.learn(number, range, encoded.as_ref());
            if let Some(run) = encoded {
                return Ok(Some(Piece { layer: number, range, run }));
            }
        }
    }

    /// Takes the next piece; what is left of its layer stays.
    fn take(&self) -> Option<(usize, KeyGroupRange)> {
        let mut work = self.lock();
        let (number, range) = work.items.pop_front()?;
        let (layer, base) = (self.layers.get(number)?, self.bases.get(number)?);
        if layer.whole {
            return Some((number, range));
        }
        let group_len_bytes = work.group_len_bytes.get(number).copied().unwrap_or_default();
        let planned = self.piece_len_bytes as f64 * FILL;
        let piece = first_piece(range, base, group_len_bytes, planned);
        if piece.last() < range.last() {
            work.items.push_front((number, super::groups::span(piece.last() + 1, range.last())));
        }
        Some((number, piece))
    }

    /// Learns from a piece, which was too large if there is no run of it: it then goes back.
    fn learn(&self, number: usize, range: KeyGroupRange, run: Option<&Encoded>) {
        let mut work = self.lock();
        if run.is_none() {
            work.items.push_front((number, range));
        }
        let (Some(base), Some((full, delta))) =
            (self.bases.get(number), work.group_len_bytes.get_mut(number))
        else {
            return;
        };
        let groups = base.within(range).count();
        let counts = [groups, range.count() - groups];
        for (which, known) in [full, delta].into_iter().enumerate().filter(|at| counts[at.0] > 0) {
            *known = match run {
                Some(run) => {
                    let measured = run.len_bytes_of(which) / f64::from(counts[which]);
                    (*known + measured) / 2.0
                }
                // It has more than that; a quarter of the range is surely less.
                None => (2.0 * *known)
                    .max(4.0 * self.piece_len_bytes as f64 * FILL / f64::from(range.count())),
            };
        }
    }
}

impl Encoded {
    /// Stored bytes of key groups in full (0) or of changes (1), by their part of the raw ones.
    pub(super) fn len_bytes_of(&self, which: usize) -> f64 {
        let raw = self.raw_len_bytes;
        let all = (raw[0] + raw[1]).max(1) as f64;
        self.summary.len_bytes as f64 * raw.get(which).copied().unwrap_or(0) as f64 / all
    }
}
