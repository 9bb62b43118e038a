//! An engine's inputs as a random walk, and what must hold of all that the aligner says.
//!
//! A record is its channel and its number there, so that what a subtask has processed is a number per
//! channel: records of a channel are processed in order, or the world says so.

use crate::engine::barrier::{AbortReason, Action, Aligned, Aligner, Mode};
use crate::format::Ordered;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) type Record = (u32, u32);
/// Of each channel, how many of its records were processed.
type Processed = Vec<u32>;

/// Every record takes so many bytes.
pub(super) const RECORD_LEN_BYTES: u64 = 10;
/// More than the bytes of any item.
const ITEM_LEN_BYTES_MAX: u64 = 64;

#[derive(Default)]
struct Channel {
    /// Records given.
    given: u32,
    /// Barriers given, ascending, each with how many records came before it.
    barriers: BTreeMap<u64, u32>,
    last: u64,
    ended: bool,
    over: bool,
    stopped: bool,
}

pub(super) struct World {
    aligner: Aligner<Record>,
    mode: Mode,
    /// Whether a channel that is stopped brings nothing more.
    obeys: bool,
    buffered_len_bytes_max: u64,
    channels: Vec<Channel>,
    now: Duration,
    processed: Processed,
    captured: BTreeMap<u64, Processed>,
    pub(super) aligned: BTreeSet<u64>,
    pub(super) aborted: BTreeMap<u64, AbortReason>,
    cancelled: BTreeSet<u64>,
    pub(super) spilled: bool,
    /// What came up: stops, records in flight, barriers that were ignored, several checkpoints at once.
    pub(super) came_up: [u64; 4],
}

impl World {
    pub(super) fn new(
        channels: usize,
        mode: Mode,
        (limits, obeys): (super::super::Limits, bool),
        spills: bool,
    ) -> Self {
        let mut aligner = Aligner::new(channels, mode, limits).unwrap();
        if spills {
            aligner = aligner.spilling(std::env::temp_dir(), Ordered);
            aligner.room.spill.as_mut().unwrap().chunk_len_bytes = 40;
        }
        Self {
            aligner,
            mode,
            obeys,
            buffered_len_bytes_max: limits.buffered_len_bytes_max,
            channels: (0..channels).map(|_| Channel::default()).collect(),
            now: Duration::ZERO,
            processed: vec![0; channels],
            captured: BTreeMap::new(),
            aligned: BTreeSet::new(),
            aborted: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            spilled: false,
            came_up: [0; 4],
        }
    }

    /// One step of the walk, whatever the number.
    pub(super) fn step(&mut self, number: u16) {
        let at = usize::from(number) % self.channels.len();
        let (what, detail) = ((number >> 3) % 32, number >> 8);
        let channel = &mut self.channels[at];
        if channel.ended || channel.stopped && self.obeys {
            return self.tick(1);
        }
        let next = channel.last + 1;
        match what {
            0..16 => self.record(at),
            16..24 => self.barrier(at, next),
            24 => self.barrier(at, next + 1 + u64::from(detail % 2)),
            // Late, or a second time.
            25 => self.barrier(at, next.saturating_sub(1 + u64::from(detail % 3)).max(1)),
            26 | 27 => self.aligner.announce(at, next, self.now).unwrap(),
            28 => self.cancel(next.saturating_sub(1).max(1) + u64::from(detail % 3)),
            29 if detail.is_multiple_of(4) => self.end(at),
            _ => self.tick(u64::from(detail % 4)),
        }
        // Now and then several facts come before the engine acts.
        if detail % 5 != 4 {
            self.act();
        }
    }

    fn record(&mut self, at: usize) {
        let channel = &mut self.channels[at];
        self.aligner.record(at, (at as u32, channel.given), RECORD_LEN_BYTES).unwrap();
        channel.given += 1;
    }

    fn barrier(&mut self, at: usize, checkpoint: u64) {
        let channel = &mut self.channels[at];
        if checkpoint > channel.last {
            channel.last = checkpoint;
            channel.barriers.insert(checkpoint, channel.given);
        }
        self.aligner.barrier(at, checkpoint, self.now).unwrap();
    }

    fn cancel(&mut self, checkpoint: u64) {
        self.cancelled.insert(checkpoint);
        self.aligner.cancel(checkpoint).unwrap();
    }

    fn end(&mut self, at: usize) {
        let channel = &mut self.channels[at];
        (channel.ended, channel.stopped) = (true, false);
        self.aligner.end(at, self.now).unwrap();
    }

    fn tick(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.aligner.tick(self.now);
    }

    /// Does all that the aligner says.
    pub(super) fn act(&mut self) {
        while let Some(action) = self.aligner.next_action().unwrap() {
            match action {
                Action::Process { channel, record } => {
                    assert_eq!(record, (channel as u32, self.processed[channel]), "out of order");
                    self.processed[channel] += 1;
                }
                Action::Capture { checkpoint } => {
                    let newest = self.captured.last_key_value().map(|(newest, _)| *newest);
                    assert!(newest < Some(checkpoint), "{checkpoint} after {newest:?}");
                    self.captured.insert(checkpoint, self.processed.clone());
                }
                Action::Aligned(aligned) => self.check_aligned(&aligned),
                Action::Aborted { checkpoint, reason, captured } => {
                    self.check_aborted(checkpoint, reason, captured);
                }
                Action::Stop { channel } => {
                    assert!(matches!(self.mode, Mode::ExactlyOnce { .. }));
                    let channel = &mut self.channels[channel];
                    assert!(!channel.stopped);
                    self.came_up[0] += 1;
                    // It may have ended meanwhile.
                    channel.stopped = !channel.ended;
                }
                Action::Resume { channel } => {
                    let channel = &mut self.channels[channel];
                    assert!(channel.stopped || channel.ended);
                    channel.stopped = false;
                }
                Action::Ended { channel } => {
                    let of = &mut self.channels[channel];
                    assert!(of.ended && !of.over);
                    assert_eq!(self.processed[channel], of.given, "an end before the last record");
                    of.over = true;
                }
            }
        }
        self.spilled |= self.aligner.spilled_len_bytes() > 0;
        self.came_up[2] = self.aligner.ignored_barriers();
        self.came_up[3] += u64::from(self.aligner.pending().count() > 1);
        let buffered = self.aligner.buffered_len_bytes();
        if self.obeys && self.aligner.room.spill.is_none() && self.channels.len() == 1 {
            assert_eq!(buffered, 0, "one channel has nothing to wait for");
        }
        assert!(self.aligner.deadline().is_none_or(|deadline| deadline > self.now));
    }

    /// What is held in memory while an engine obeys and acts after each fact.
    pub(super) fn check_room(&self) {
        let max = self.buffered_len_bytes_max + ITEM_LEN_BYTES_MAX;
        assert!(self.aligner.buffered_len_bytes() <= max, "{}", self.aligner.buffered_len_bytes());
    }

    /// How many records of `channel` come before barrier `checkpoint`; `None` if it neither brought that
    /// nor ended without.
    fn before(channel: &Channel, checkpoint: u64) -> Option<u32> {
        let ended = (channel.ended && channel.last < checkpoint).then_some(channel.given);
        channel.barriers.get(&checkpoint).copied().or(ended)
    }

    fn check_aligned(&mut self, aligned: &Aligned<Record>) {
        let Aligned { checkpoint, in_flight, stats } = aligned;
        assert!(self.aligned.insert(*checkpoint), "{checkpoint} twice");
        assert!(!self.aborted.contains_key(checkpoint), "{checkpoint} was aborted");
        let mut held = self.captured[checkpoint].clone();
        for (channel, record) in in_flight {
            assert_eq!(*record, (*channel as u32, held[*channel]), "in flight of {checkpoint}");
            held[*channel] += 1;
        }
        for (at, channel) in self.channels.iter().enumerate() {
            let before = Self::before(channel, *checkpoint);
            let before = before.unwrap_or_else(|| panic!("{checkpoint} without channel {at}"));
            match self.mode {
                Mode::AtLeastOnce => assert!(held[at] >= before, "{checkpoint}: channel {at}"),
                _ => assert_eq!(held[at], before, "{checkpoint}: channel {at}"),
            }
        }
        if matches!(self.mode, Mode::AtLeastOnce | Mode::ExactlyOnce { timeout: None }) {
            assert!(in_flight.is_empty() && !stats.is_unaligned);
        }
        assert_eq!(stats.in_flight_records, in_flight.len() as u64);
        self.came_up[1] += stats.in_flight_records;
        let len_bytes = stats.in_flight_records * RECORD_LEN_BYTES;
        match self.aligner.room.spill.is_some() {
            false => assert_eq!(stats.in_flight_len_bytes, len_bytes),
            // Of what was spilled it is the encoded length, of two `u32`.
            true => assert!((len_bytes * 4 / 5..=len_bytes).contains(&stats.in_flight_len_bytes)),
        }
        assert!(stats.in_flight_records <= stats.processed_records);
        assert!(stats.capture_delay <= stats.time && stats.time <= self.now);
    }

    fn check_aborted(&mut self, checkpoint: u64, reason: AbortReason, captured: bool) {
        assert!(!self.aligned.contains(&checkpoint), "{checkpoint} is aligned");
        assert_eq!(self.aborted.insert(checkpoint, reason), None, "{checkpoint} twice");
        assert_eq!(self.captured.contains_key(&checkpoint), captured);
        match reason {
            AbortReason::Cancelled => assert!(self.cancelled.contains(&checkpoint)),
            AbortReason::Overtaken(by) => {
                let misses = |channel: &Channel| {
                    channel.barriers.contains_key(&by)
                        && !channel.barriers.contains_key(&checkpoint)
                };
                assert!(by > checkpoint && self.channels.iter().any(misses));
            }
            _ => {}
        }
    }

    /// Ends all channels; every record has been processed then, and every checkpoint that could be
    /// aligned was.
    pub(super) fn finish(&mut self) {
        self.act();
        while self.channels.iter().any(|channel| !channel.ended) {
            let able = |channel: &Channel| !(channel.ended || channel.stopped && self.obeys);
            let at = self.channels.iter().position(able).expect("all that are left are stopped");
            self.end(at);
            self.act();
        }
        for (at, channel) in self.channels.iter().enumerate() {
            assert!(channel.over && !channel.stopped);
            assert_eq!(self.processed[at], channel.given, "records of channel {at} are lost");
        }
        assert_eq!(self.aligner.pending().count(), 0);
        assert_eq!((self.aligner.buffered_len_bytes(), self.aligner.spilled_len_bytes()), (0, 0));
        let ended = self.aborted.keys().chain(&self.aligned);
        assert!(self.captured.keys().all(|n| ended.clone().any(|ended| ended == n)));
        let all: BTreeSet<u64> =
            self.channels.iter().flat_map(|channel| channel.barriers.keys().copied()).collect();
        for checkpoint in all {
            let whole = self.channels.iter().all(|of| Self::before(of, checkpoint).is_some());
            let done = self.aligned.contains(&checkpoint);
            assert!(whole || !done);
            assert!(!whole || done || self.aborted.contains_key(&checkpoint), "{checkpoint} hangs");
            if let (true, Some(AbortReason::Overtaken(by))) = (whole, self.aborted.get(&checkpoint))
            {
                panic!("{checkpoint} is whole, and was overtaken by {by}");
            }
        }
    }
}
