//! The work of one part, in pieces: threads take the next one, encode it, and hand it over.

use super::encode::{Content, Done, Encoded, encode};
use super::groups::Groups;
use super::plan::first_piece;
use crate::environment::is_threadless;
use crate::{Error, ErrorKind, Result};
use esker_format::KeyGroupRange;
use esker_format::run::RunOptions;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// Pieces are planned to a part of their limit, as estimates are off.
const FILL: f64 = 0.7;

/// No layer is cut into pieces smaller than this for the sake of having all threads at work.
const SHARE_LEN_BYTES_MIN: f64 = (512 << 10) as f64;

/// Nor into more than this, which would fill a chain with runs before it has too many levels.
const SHARES_MAX: usize = 16;

/// Pieces of a part that is encoded where it is asked for.
const THREADLESS_PIECES_MAX: usize = 1 << 10;

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
    /// Stored bytes that it is thought to have.
    fn len_bytes(&self) -> f64 {
        let (full, delta) = self.group_len_bytes;
        let base = f64::from(self.base().within(self.range).count());
        full * base + delta * (f64::from(self.range.count()) - base)
    }

    fn base(&self) -> Groups {
        match &self.content {
            Content::Captures { base, .. } => base.clone(),
            Content::Source { kinds: None, .. } => Groups::default(),
            Content::Source { kinds: Some(_), .. } => self.range.into(),
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

/// The work of one part.
pub(super) struct Queue {
    layers: Vec<Layer>,
    /// What no thread has taken yet: a layer's number, and key groups of it.
    work: Mutex<VecDeque<(usize, KeyGroupRange)>>,
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
    /// A queue of `layers`, in pieces of at most about `piece_len_bytes`, and no fewer than `threads`
    /// unless they were small. Where it is cut follows from
    /// what is given alone, not from which thread is first: the same input gives the same runs.
    pub(super) fn new(
        layers: Vec<Layer>,
        options: RunOptions,
        piece_len_bytes: usize,
        threads: usize,
    ) -> Self {
        let mut work = VecDeque::new();
        for (number, layer) in layers.iter().enumerate() {
            // A little more, so that what rounding leaves is no piece of its own.
            let share = layer.len_bytes() / threads.min(SHARES_MAX) as f64 * 1.001;
            let planned = (piece_len_bytes as f64 * FILL).min(share.max(SHARE_LEN_BYTES_MIN));
            let (base, mut left) = (layer.base(), Some(layer.range));
            while let Some(range) = left {
                let piece = match layer.whole {
                    true => range,
                    false => first_piece(range, &base, layer.group_len_bytes, planned),
                };
                work.push_back((number, piece));
                left = behind(range, piece);
            }
        }
        let (work, stop) = (Mutex::new(work), AtomicBool::new(false));
        Self { layers, work, stop, options, piece_len_bytes }
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
        if is_threadless() {
            let (sender, receiver) = mpsc::channel(THREADLESS_PIECES_MAX);
            (0..threads).for_each(|_| self.work(&sender));
            return Ok(receiver);
        }
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

    fn work(&self, sender: &mpsc::Sender<Result<Option<Piece>>>) {
        let mut sent = Ok(());
        while sent.is_ok() && !self.stop.load(Ordering::Relaxed) {
            let taken = self.work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((number, range)) = taken else {
                // That this thread came to its end and did not die on the way.
                let _ = sender.blocking_send(Ok(None));
                return;
            };
            let written = self.write(number, range, &mut |piece| {
                sent = sender.blocking_send(Ok(Some(piece)));
                sent.is_ok()
            });
            if let Err(error) = written {
                self.stop.store(true, Ordering::Relaxed);
                let _ = sender.blocking_send(Err(error));
                return;
            }
        }
    }

    /// Encodes `range` of a layer, in several pieces if it does not fit into one, and hands them to
    /// `send` until that says no.
    fn write(
        &self,
        number: usize,
        range: KeyGroupRange,
        send: &mut impl FnMut(Piece) -> bool,
    ) -> Result<()> {
        let Some(layer) = self.layers.get(number) else { return Ok(()) };
        // How many key groups are tried at once, from the last one that did not fit on.
        let (mut left, mut at_once) = (Some(range), range.count());
        while let Some(rest) = left {
            let last = u32::from(rest.first()) + at_once.clamp(1, rest.count()) - 1;
            let piece = super::groups::span(rest.first(), last as u16);
            let cut = !layer.whole && piece.count() > 1;
            let limit = cut.then_some(self.piece_len_bytes);
            match encode(&layer.content, piece, limit, self.options, &self.stop)? {
                Done::Run(run) => {
                    if !send(Piece { layer: number, range: piece, run: *run }) {
                        return Ok(());
                    }
                    left = behind(rest, piece);
                }
                // What came before the end of the piece says how much fits.
                Done::Full { groups } => {
                    let fits = f64::from(groups.min(piece.count())) * FILL;
                    at_once = (fits as u32).clamp(1, piece.count() / 2);
                }
            }
        }
        Ok(())
    }
}

/// What of `range` comes behind `piece`, which it begins with.
fn behind(range: KeyGroupRange, piece: KeyGroupRange) -> Option<KeyGroupRange> {
    (piece.last() < range.last()).then(|| super::groups::span(piece.last() + 1, range.last()))
}

impl Encoded {
    /// Stored bytes of key groups in full (0) or of changes (1), by their part of the raw ones.
    pub(super) fn len_bytes_of(&self, which: usize) -> f64 {
        let raw = self.raw_len_bytes;
        let all = (raw[0] + raw[1]).max(1) as f64;
        self.summary.len_bytes as f64 * raw.get(which).copied().unwrap_or(0) as f64 / all
    }
}
