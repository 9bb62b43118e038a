//! One workload on one backend, in a process of its own, whose memory is then the run's alone.

use super::backends::Backends;
use super::checkpoints::{Captured, UID, Writer, capture};
use super::draw::Draw;
use super::machine::{folder_bytes, peak_bytes, resident_bytes};
use super::probe::{Probe, figures};
use super::result::{Load, Memory, Restore, Run};
use super::settings::{Interval, Length, Settings, WorkloadName};
use super::subtask::{Subtask, Told};
use super::workload::{Lists, Maps, Nexmark, Values, Windows, Workload};
use crate::demo::BackendName;
use esker::backend::{Backend, BackendFactory};
use esker::format::KeyGroupRange;
use esker::snapshot::find_operator;
use esker::{Error, ErrorKind, Result, Store, block_on};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Barrier};
use std::time::Instant;

/// What the process is to do; the parent's to say.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) workload: WorkloadName,
    pub(super) backend: BackendName,
    pub(super) settings: Settings,
    /// The root of the job's snapshots.
    pub(super) store: String,
    /// Where a backend keeps what it has on disk.
    pub(super) local: PathBuf,
    /// Whether to show progress.
    pub(super) talk: bool,
}

/// What the threads of a run share.
pub(super) struct Shared {
    /// The number of the last checkpoint that was asked for.
    pub(super) asked: AtomicU64,
    /// Whether one is under way.
    pub(super) checkpointing: Arc<AtomicBool>,
    /// Whether the first subtask, which asks for them, has ended.
    pub(super) ended: AtomicBool,
    /// Every subtask and the main thread wait for each other: when all are filled, and to begin.
    pub(super) filled: Barrier,
    pub(super) bar: ProgressBar,
}

/// Runs it.
///
/// # Errors
/// Whatever ended it: the backend's, the store's.
pub(super) fn run(job: &Job) -> Result<Run> {
    match job.backend {
        BackendName::Heap => on(job, &super::backends::heap()),
        BackendName::Rocksdb => on(job, &super::backends::rocksdb(&job.local, &job.settings)?),
    }
}

fn on<F: BackendFactory + Sync>(job: &Job, backends: &Backends<F>) -> Result<Run> {
    match job.workload {
        WorkloadName::Value => measure::<F, Values<F::Backend>>(job, backends),
        WorkloadName::List => measure::<F, Lists<F::Backend>>(job, backends),
        WorkloadName::Map => measure::<F, Maps<F::Backend>>(job, backends),
        WorkloadName::Window => measure::<F, Windows<F::Backend>>(job, backends),
        WorkloadName::Nexmark => measure::<F, Nexmark<F::Backend>>(job, backends),
    }
}

fn measure<F, W>(job: &Job, backends: &Backends<F>) -> Result<Run>
where
    F: BackendFactory + Sync,
    W: Workload<F::Backend>,
{
    let settings = &job.settings;
    let ranges = (0..settings.parallelism)
        .map(|subtask| KeyGroupRange::of_subtask(subtask, settings.parallelism))
        .collect::<esker::format::Result<Vec<_>>>()?;
    let mut writer = Writer::new(Store::open(&job.store)?, ranges.clone())?;
    let shared = Arc::new(Shared {
        asked: AtomicU64::new(0),
        checkpointing: Arc::default(),
        ended: AtomicBool::new(false),
        filled: Barrier::new(ranges.len() + 1),
        bar: bar(job),
    });
    let (told, heard) = mpsc::channel();
    let mut subtasks = Vec::new();
    for (number, range) in ranges.iter().enumerate() {
        let workload = W::open(backends.factory.make(UID, *range, None)?, settings)?;
        let draw = Draw::new(settings, W::keys(settings), *range);
        let probe = Probe::new(W::CALLS, Arc::clone(&shared.checkpointing))?;
        let (settings, shared, told) = (settings.clone(), Arc::clone(&shared), told.clone());
        subtasks.push(Subtask { number, workload, draw, probe, settings, shared, told });
    }
    drop(told);
    let (empty_bytes, loading) = (resident_bytes(), Instant::now());
    for subtask in subtasks {
        let failed = subtask.told.clone();
        std::thread::spawn(move || {
            // Where nobody listens any more, the run has failed already.
            if let Err(error) = subtask.run() {
                let _ = failed.send(Told::Failed(error));
            }
        });
    }
    let mut entries = 0;
    for _ in &ranges {
        match hear(&heard)? {
            Told::Filled(of_one) => entries += of_one,
            Told::Failed(error) => return Err(error),
            _ => return Err(unexpected()),
        }
    }
    let load = Load { seconds: loading.elapsed().as_secs_f64(), entries };
    let loaded_bytes = resident_bytes();
    writer.begin(Instant::now());
    shared.filled.wait();

    let mut checkpoints = Vec::new();
    let mut captured: Vec<Option<Captured>> = none(ranges.len());
    let mut done: Vec<Option<(W, Probe)>> = none(ranges.len());
    while done.iter().any(Option::is_none) || captured.iter().any(Option::is_some) {
        match hear(&heard)? {
            Told::Captured(number, state) => put(&mut captured, number, *state),
            Told::Done(number, workload, probe) => put(&mut done, number, (*workload, *probe)),
            Told::Failed(error) => return Err(error),
            Told::Filled(_) => return Err(unexpected()),
        }
        if captured.iter().all(Option::is_some) {
            let all = captured.iter_mut().filter_map(Option::take).collect();
            checkpoints.push(writer.complete(all, true)?);
            shared.checkpointing.store(false, Ordering::Relaxed);
            writer.clean_up()?;
        }
    }
    shared.bar.finish_and_clear();
    let peak_bytes = peak_bytes();
    let (mut workloads, probes): (Vec<_>, Vec<_>) = done.into_iter().flatten().unzip();

    let last = workloads.iter_mut().map(|workload| capture(workload.backend()));
    let last = last.collect::<Result<_>>()?;
    checkpoints.push(writer.complete(last, false)?);
    let entries_before = workloads.iter_mut().map(entries_of).sum();
    let local_bytes = backends.on_disk.then(|| folder_bytes(&job.local));
    drop(workloads);
    let (seconds, entries) = restore::<F, W>(&writer, backends, settings, &ranges)?;

    let figures = figures(&probes)?;
    let elapsed = probes.iter().map(Probe::elapsed).max().unwrap_or_default();
    let memory = || {
        let (empty_bytes, loaded_bytes) = (empty_bytes?, loaded_bytes?);
        Some(Memory { empty_bytes, loaded_bytes, peak_bytes: peak_bytes? })
    };
    Ok(Run {
        workload: job.workload,
        backend: backends.name.to_owned(),
        load,
        operations: figures.operations,
        seconds: elapsed.as_secs_f64(),
        operations_per_second: figures.operations_per_second,
        waited_seconds: figures.waited.map(|waited| waited.as_secs_f64()),
        all: figures.all,
        calls: figures.calls,
        checkpoints,
        restore: Restore { seconds, entries_before, entries },
        memory: memory(),
        local_bytes,
        series: figures.series,
    })
}

/// Makes new backends and restores the last checkpoint into them; the seconds it took, and the entries.
fn restore<F, W>(
    writer: &Writer,
    backends: &Backends<F>,
    settings: &Settings,
    ranges: &[KeyGroupRange],
) -> Result<(f64, u64)>
where
    F: BackendFactory + Sync,
    W: Workload<F::Backend>,
{
    let Some((store, manifest)) = writer.last() else {
        return Err(Error::new(ErrorKind::Invalid, "there is no checkpoint to restore"));
    };
    let stored = find_operator(manifest, UID)?;
    let started = Instant::now();
    let one = |range: KeyGroupRange| {
        let backend = backends.factory.make(UID, range, Some(stored))?;
        let mut workload = W::open(backend, settings)?;
        block_on(workload.backend().restore(store, manifest, writer.settings()))?;
        Ok(workload)
    };
    let restored: Vec<Result<W>> = std::thread::scope(|scope| {
        let threads = ranges.iter().map(|range| scope.spawn(|| one(*range)));
        let threads: Vec<_> = threads.collect();
        let gone = |_| Err(Error::new(ErrorKind::Poisoned, "a restoring thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(gone)).collect()
    });
    let mut restored = restored.into_iter().collect::<Result<Vec<W>>>()?;
    let seconds = started.elapsed().as_secs_f64();
    Ok((seconds, restored.iter_mut().map(entries_of).sum()))
}

/// Entries of all states, as the backend counts them.
pub(super) fn entries_of<B: Backend, W: Workload<B>>(workload: &mut W) -> u64 {
    workload.backend().states().entries()
}

fn hear<W>(heard: &Receiver<Told<W>>) -> Result<Told<W>> {
    heard.recv().map_err(|_| Error::new(ErrorKind::Poisoned, "every subtask has ended"))
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Poisoned, "a subtask is out of step")
}

fn none<T>(len: usize) -> Vec<Option<T>> {
    (0..len).map(|_| None).collect()
}

fn put<T>(slots: &mut [Option<T>], at: usize, value: T) {
    if let Some(slot) = slots.get_mut(at) {
        *slot = Some(value);
    }
}

/// A bar of what the measured part is counted in, on a terminal alone.
fn bar(job: &Job) -> ProgressBar {
    let len = match job.settings.length {
        Length::Operations(operations) => operations,
        Length::Seconds(seconds) => (seconds * 1e3) as u64,
    };
    let unit = match job.settings.length {
        Length::Operations(_) => "operations",
        Length::Seconds(_) => "ms",
    };
    match job.talk {
        true => crate::cmd::progress(len, unit),
        false => ProgressBar::hidden(),
    }
}

/// Whether a checkpoint is due after `operations` of all subtasks, `seconds` into the measured part, where
/// so many were asked for before.
pub(super) fn is_due(every: Interval, asked: u64, operations: u64, seconds: f64) -> bool {
    match every {
        Interval::Operations(every) => operations >= every.saturating_mul(asked + 1),
        Interval::Seconds(every) => seconds >= every * (asked + 1) as f64,
        Interval::Never => false,
    }
}

/// Whether the measured part is over.
pub(super) fn is_over(length: Length, operations: u64, seconds: f64) -> bool {
    match length {
        Length::Operations(length) => operations >= length,
        Length::Seconds(length) => seconds >= length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_due_by_operations_by_time_or_never() {
        for (every, operations, seconds) in
            [(Interval::Operations(100), 200, 0.0), (Interval::Seconds(0.5), 0, 1.0)]
        {
            assert!(is_due(every, 0, operations, seconds) && is_due(every, 1, operations, seconds));
            assert!(!is_due(every, 2, operations, seconds));
        }
        assert!(!is_due(Interval::Never, 0, u64::MAX, f64::MAX));
        assert!(
            is_over(Length::Operations(10), 10, 0.0) && !is_over(Length::Operations(10), 9, 9e9)
        );
        assert!(is_over(Length::Seconds(1.0), 0, 1.0) && !is_over(Length::Seconds(1.0), 9, 0.9));
    }
}
