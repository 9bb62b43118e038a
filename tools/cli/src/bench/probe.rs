//! How long calls on state take.
//!
//! A call is timed by the monotonic clock of the system, which is read before and after it: on Linux that
//! takes no system call, and some tens of nanoseconds ([`timer_ns`] says how many). Latencies hold the
//! time of one reading; nothing is subtracted. What comes after a call, recording it and drawing the
//! next key, is not in any figure but the series over time.

use super::machine::waited_ns;
use super::result::{Call, Latency, Phases, Series};
use esker::{Error, ErrorKind, Result};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Latencies are told apart within a thousandth.
const DIGITS: u8 = 3;
/// Calls are counted over time by this much.
const BUCKET: Duration = Duration::from_millis(100);
/// A series has at most this many buckets.
const BUCKETS_MAX: usize = 300;
/// The quantiles that are drawn.
const CURVE: [f64; 14] =
    [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 1.0];

/// Times the calls of one subtask.
pub(super) struct Probe {
    /// Where the measured part began; none before it, when nothing is timed.
    began: Option<Instant>,
    /// When the last call ended.
    last: Instant,
    /// Whether a checkpoint is under way.
    checkpointing: Arc<AtomicBool>,
    names: &'static [&'static str],
    /// By call: with no checkpoint under way, and with one.
    latencies: Vec<[Histogram<u64>; 2]>,
    busy: Duration,
    count: u64,
    buckets: Vec<u64>,
    /// How long the thread had waited for a processor when it began, then how long since.
    waited_ns: Option<u64>,
}

impl Probe {
    /// Of the calls `names`, none of them timed until [`begin`](Self::begin).
    ///
    /// # Errors
    /// `Invalid` if a histogram cannot be made.
    pub(super) fn new(
        names: &'static [&'static str],
        checkpointing: Arc<AtomicBool>,
    ) -> Result<Self> {
        let new = || Histogram::new(DIGITS).map_err(failed);
        let pair = |_| Ok([new()?, new()?]);
        let latencies = (0..names.len()).map(pair).collect::<Result<_>>()?;
        let (began, last, busy) = (None, Instant::now(), Duration::ZERO);
        let (count, buckets, waited_ns) = (0, Vec::new(), None);
        Ok(Self { began, last, checkpointing, names, latencies, busy, count, buckets, waited_ns })
    }

    /// Times all calls from now on, which this thread makes.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.began, self.last) = (Some(now), now);
        self.waited_ns = waited_ns();
    }

    /// This thread has made the last call.
    pub(super) fn end(&mut self) {
        self.waited_ns = waited_ns().zip(self.waited_ns).map(|(now, before)| now - before.min(now));
    }

    /// Makes the call that is the `at`th of the names.
    #[inline]
    pub(super) fn time<R>(&mut self, at: usize, call: impl FnOnce() -> Result<R>) -> Result<R> {
        let Some(began) = self.began else { return call() };
        let checkpointing = self.checkpointing.load(Ordering::Relaxed);
        let start = Instant::now();
        let answer = call();
        let end = Instant::now();
        self.record(at, checkpointing, end - start, end - began);
        self.last = end;
        answer
    }

    fn record(&mut self, at: usize, checkpointing: bool, time: Duration, since: Duration) {
        self.count += 1;
        self.busy += time;
        if let Some(latencies) = self.latencies.get_mut(at) {
            // It grows as far as is needed, so nothing is too long.
            let _ = latencies[usize::from(checkpointing)].record(nanos(time));
        }
        let bucket = (since.as_nanos() / BUCKET.as_nanos()) as usize;
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
    }

    /// Calls so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// From the beginning to the end of the last call, or of whatever [`stood_still`](Self::stood_still).
    pub(super) fn elapsed(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| self.last - began)
    }

    /// Calls stood still from `start` to `end`, for a capture.
    pub(super) fn stood_still(&mut self, start: Instant, end: Instant) {
        self.busy += end - start;
        self.last = end;
    }
}

/// The figures of all subtasks together.
pub(super) struct Figures {
    pub(super) operations: u64,
    pub(super) operations_per_second: f64,
    /// How long the subtasks waited for a processor.
    pub(super) waited: Option<Duration>,
    pub(super) all: Phases,
    pub(super) calls: Vec<Call>,
    pub(super) series: Series,
}

/// Adds up what the subtasks' probes have recorded.
///
/// # Errors
/// `Invalid` if histograms cannot be added.
pub(super) fn figures(probes: &[Probe]) -> Result<Figures> {
    let names = probes.first().map_or(&[][..], |probe| probe.names);
    let mut all =
        [Histogram::new(DIGITS).map_err(failed)?, Histogram::new(DIGITS).map_err(failed)?];
    let mut calls = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let mut call =
            [Histogram::new(DIGITS).map_err(failed)?, Histogram::new(DIGITS).map_err(failed)?];
        for latencies in probes.iter().filter_map(|probe| probe.latencies.get(at)) {
            for (phase, latencies) in latencies.iter().enumerate() {
                call[phase].add(latencies).map_err(failed)?;
                all[phase].add(latencies).map_err(failed)?;
            }
        }
        calls.push(Call { name: (*name).to_owned(), phases: phases(&call) });
    }
    let waited = probes.iter().map(|probe| probe.waited_ns).sum::<Option<u64>>();
    let rate = |probe: &Probe| probe.count as f64 / probe.busy.as_secs_f64().max(1e-9);
    Ok(Figures {
        operations: probes.iter().map(|probe| probe.count).sum(),
        operations_per_second: probes.iter().map(rate).sum(),
        waited: waited.map(Duration::from_nanos),
        all: phases(&all),
        calls,
        series: series(probes),
    })
}

fn phases([quiet, checkpoint]: &[Histogram<u64>; 2]) -> Phases {
    Phases { quiet: latency(quiet), checkpoint: latency(checkpoint) }
}

fn latency(histogram: &Histogram<u64>) -> Option<Latency> {
    let at = |quantile: f64| histogram.value_at_quantile(quantile).min(histogram.max());
    (!histogram.is_empty()).then(|| Latency {
        count: histogram.len(),
        mean_ns: (histogram.mean() * 10.0).round() / 10.0,
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: histogram.max(),
        curve: CURVE.iter().map(|quantile| (*quantile, at(*quantile))).collect(),
    })
}

/// Calls over time, in few enough buckets to be drawn.
fn series(probes: &[Probe]) -> Series {
    let len = probes.iter().map(|probe| probe.buckets.len()).max().unwrap_or(0);
    let width = len.div_ceil(BUCKETS_MAX).max(1);
    let mut operations = vec![0; len.div_ceil(width)];
    for probe in probes {
        for (at, count) in probe.buckets.iter().enumerate() {
            if let Some(sum) = operations.get_mut(at / width) {
                *sum += count;
            }
        }
    }
    Series { bucket_seconds: BUCKET.as_secs_f64() * width as f64, operations }
}

/// What reading the clock takes: the median of many readings, each after another.
pub(super) fn timer_ns() -> u64 {
    let reading = |_| {
        let start = Instant::now();
        nanos(Instant::now() - start)
    };
    let mut readings: Vec<u64> = (0..10_001).map(reading).collect();
    readings.sort_unstable();
    readings.get(readings.len() / 2).copied().unwrap_or(0)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn failed(error: impl std::error::Error) -> Error {
    Error::new(ErrorKind::Invalid, format!("a histogram: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["get", "put"];

    fn probe() -> Probe {
        Probe::new(NAMES, Arc::default()).unwrap()
    }

    #[test]
    fn calls_are_apart_by_kind_and_by_checkpoint() {
        let mut probes = [probe(), probe()];
        let millis = Duration::from_millis;
        probes[0].record(0, false, millis(1), millis(50));
        probes[0].record(0, false, millis(3), millis(150));
        probes[1].record(0, true, millis(2), millis(150));
        let figures = figures(&probes).unwrap();
        assert_eq!(figures.operations, 3);
        let [get, put] = &figures.calls[..] else { panic!("two kinds of calls") };
        assert_eq!((get.name.as_str(), put.name.as_str()), ("get", "put"));
        let quiet = get.phases.quiet.as_ref().unwrap();
        assert_eq!(quiet.count, 2);
        assert!((quiet.mean_ns - 2e6).abs() < 2e3, "{}", quiet.mean_ns);
        assert!((2_990_000..=3_010_000).contains(&quiet.max_ns), "{}", quiet.max_ns);
        assert!((990_000..=1_010_000).contains(&quiet.p50_ns), "{}", quiet.p50_ns);
        assert_eq!(get.phases.checkpoint.as_ref().unwrap().count, 1);
        assert_eq!(put.phases, Phases { quiet: None, checkpoint: None });
        assert_eq!(figures.all.quiet.as_ref().unwrap().count, 2);
        assert_eq!(figures.series.operations, [1, 2]);
        // 2 calls in 4 ms, and 1 call in 2 ms beside it.
        assert!((figures.operations_per_second - 1000.0).abs() < 1.0);
    }

    #[test]
    fn a_long_series_is_drawn_in_fewer_buckets() {
        let mut probe = probe();
        for at in 0..1000 {
            probe.record(0, false, Duration::ZERO, BUCKET * at);
        }
        let series = series(&[probe]);
        assert_eq!(series.operations.len(), 250);
        assert!(series.operations.iter().all(|count| *count == 4));
        assert!((series.bucket_seconds - 0.4).abs() < 1e-9);
    }

    #[test]
    fn what_comes_before_the_beginning_is_not_recorded() {
        let mut probe = probe();
        assert_eq!(probe.time(0, || Ok(7)).unwrap(), 7);
        assert_eq!(probe.count(), 0);
        probe.begin(Instant::now());
        assert_eq!(probe.time(1, || Ok(8)).unwrap(), 8);
        assert_eq!(probe.count(), 1);
        probe.checkpointing.store(true, Ordering::Relaxed);
        probe.time(1, || Ok(())).unwrap();
        let put = figures(std::slice::from_ref(&probe)).unwrap().calls[1].phases.clone();
        assert_eq!(put.checkpoint.unwrap().count, 1);
        assert_eq!(figures(&[probe]).unwrap().calls[1].phases.quiet.as_ref().unwrap().count, 1);
    }
}
