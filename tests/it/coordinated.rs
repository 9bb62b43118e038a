//! A job of threads under a coordinator: a source and keyed counters, killed, restarted at other
//! parallelisms, on stores that fail. Whatever happens, every number is counted once.

mod aligned;
mod pipeline;

use crate::backends::{Tested, of_each_backend};
use esker::checkpoint::coordinator::{CoordinatorSettings, Kind, Outcome};
use esker::checkpoint::read_log;
use esker::engine::barrier::Mode;
use esker::engine::{CoordinatedJob, End, OperatorPlan, Ownership};
use esker::processor::copy;
use esker::snapshot::{MANIFEST_NAME, open_snapshot, read_manifest};
use esker::store::fault::{FaultStore, When};
use esker::{ErrorKind, OnCancel, RetentionSettings, Settings, Store, block_on};
use esker_conformance::store::new_store;
use esker_test_support::soak::{self, Random};
use pipeline::{Pipeline, counts, counts_of, plans};
use std::num::NonZeroU32;
use std::sync::Arc;

fn settings(of: CoordinatorSettings) -> Settings {
    let snapshot = esker_conformance::every::settings();
    // Files go as soon as they may.
    let retention = RetentionSettings { last: NonZeroU32::MIN, ..RetentionSettings::default() };
    Settings { snapshot, retention, checkpoints: of }
}

/// Often, several at once, and the first failure ends it.
fn often() -> CoordinatorSettings {
    CoordinatorSettings { interval_ms: 3, concurrent_max: 3, ..Default::default() }
}

fn open(store: Store, plans: Vec<OperatorPlan>) -> CoordinatedJob {
    block_on(CoordinatedJob::open(store, "numbers", plans, &settings(often()))).unwrap()
}

/// Kills the subtasks some times, at random records, and goes on with another number of counters each time.
pub(crate) fn every_number_counts_once<F: Tested>() {
    let factory = F::new();
    const NUMBERS: u64 = 6000;
    for round in 0..u64::from(soak::count(100)) {
        let random = Random::new(soak::hash(soak::seed(), round));
        let mut parallelism = random.draw(1..4) as u32;
        let store = new_store();
        let mut job = open(store, plans(parallelism));
        let mut kills = random.draw(0..4);
        let end = loop {
            let dies_at = (kills > 0).then(|| random.draw(1..NUMBERS));
            let pipeline = Pipeline::start(&mut job, &factory, parallelism, NUMBERS, dies_at);
            match pipeline.run(&mut job).unwrap() {
                Some(end) => break end,
                None => {
                    kills -= 1;
                    parallelism = random.draw(1..4) as u32;
                    job.clear_listeners();
                    assert_eq!(block_on(job.restart(plans(parallelism))).unwrap(), None);
                }
            }
        };
        assert_eq!(end, End::Finished);
        let (checkpoint, _) = job.last().unwrap();
        assert!(checkpoint > 0 && job.history().completed() > 0);
        assert_eq!(counts_of(&mut job, &factory), counts(NUMBERS), "round {round}");
    }
}

/// Each call of the store may fail, before or after it took effect.
pub(crate) fn a_store_that_fails_loses_nothing<F: Tested>() {
    let factory = F::new();
    const NUMBERS: u64 = 3000;
    for round in 0..u64::from(soak::count(60)) {
        let random = Random::new(soak::hash(soak::seed(), 1000 + round));
        let mut faults = None;
        let store = new_store()
            .map_object_store(|objects| Arc::new(faults.insert(FaultStore::new(objects)).clone()));
        let faults = faults.unwrap();
        let survives = CoordinatorSettings { tolerated_failures: u32::MAX, ..often() };
        let survives = settings(survives);
        let open = CoordinatedJob::open(store, "numbers", plans(2), &survives);
        let mut job = block_on(open).unwrap();
        let pipeline = Pipeline::start(&mut job, &factory, 2, NUMBERS, None);
        let of_hook = faults.clone();
        faults.on_call(move |call| {
            if random.draw(0..25) == 0 {
                let when = if random.draw(0..2) == 0 { When::Before } else { When::After };
                of_hook.fail_at(call.number + 1, when);
            }
        });
        // Where it cannot be told what came of a publish, the coordinator says so, and is asked again.
        let end = pipeline.run(&mut job).unwrap().unwrap();
        faults.on_call(|_| {});
        // What was to fail next is not to.
        faults.fail_at(0, When::Before);
        assert_eq!(end, End::Finished);
        assert_eq!(counts_of(&mut job, &factory), counts(NUMBERS), "round {round}");
    }
}

/// A savepoint on the way, one that stops the job, and a job that begins with a copy of that.
pub(crate) fn a_job_is_stopped_by_a_savepoint<F: Tested>() {
    let factory = F::new();
    const NUMBERS: u64 = 1_000_000;
    let (store, on_the_way, last) = (new_store(), new_store(), new_store());
    let mut job = open(store, plans(3));
    let (control, first, target) = (job.control(), on_the_way.clone(), last.clone());
    let pipeline = Pipeline::start(&mut job, &factory, 3, NUMBERS, None);
    let user = std::thread::spawn(move || {
        let checkpoint = block_on(control.checkpoint()).unwrap();
        let savepoint = block_on(control.savepoint(&first)).unwrap();
        let twice = block_on(control.savepoint(&first)).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::Invalid);
        let stop = block_on(control.stop(&target, true)).unwrap();
        assert!(checkpoint < savepoint && savepoint < stop);
        (stop, control)
    });
    let end = pipeline.run(&mut job).unwrap().unwrap();
    let (stop, control) = user.join().unwrap();
    assert_eq!(end, End::Stopped(stop));
    let of_stop = job.history().ended().find(|stats| stats.checkpoint == stop).unwrap();
    assert_eq!((of_stop.kind, &of_stop.outcome), (Kind::Stop { drain: true }, &Outcome::Completed));
    assert_eq!(of_stop.subtasks.len(), 4);
    assert!(of_stop.summed().written_len_bytes > 0);
    drop(job);
    assert!(block_on(control.checkpoint()).unwrap_err().to_string().contains("gone"));

    // Both hold all numbers up to where their source was.
    for (savepoint, drained) in [(on_the_way, false), (last, true)] {
        let (next, found) = pipeline::stored(&savepoint, MANIFEST_NAME, &factory);
        assert_eq!(found, counts(next));
        assert!(next > 0 && next < NUMBERS, "{drained}");
        // It stands alone.
        let alone = new_store();
        let path = MANIFEST_NAME.parse().unwrap();
        let snapshot = block_on(open_snapshot(&savepoint, &path)).unwrap();
        block_on(copy(snapshot, &alone, &Default::default(), &|_| {})).unwrap();
        assert_eq!(pipeline::stored(&alone, MANIFEST_NAME, &factory), (next, found));
        goes_on_from(&alone, next, &factory);
    }
}

/// A job that begins with a savepoint, which is its own to delete, and goes on from where its source was.
fn goes_on_from<F: Tested>(savepoint: &Store, next: u64, factory: &F) {
    let (store, numbers) = (new_store(), next + 2000);
    let mut settings = settings(often());
    settings.retention.last = NonZeroU32::MAX;
    settings.retention.on_cancel = OnCancel::Delete;
    let begun = async || {
        let from = (savepoint.clone(), Ownership::Claim);
        CoordinatedJob::open_from(store.clone(), "numbers", plans(2), &settings, from).await
    };
    let mut job = block_on(begun()).unwrap();
    let pipeline = Pipeline::start(&mut job, factory, 2, numbers, None);
    assert_eq!(pipeline.run(&mut job).unwrap(), Some(End::Finished));
    assert_eq!(counts_of(&mut job, factory), counts(numbers));
    assert_eq!(block_on(savepoint.list(None)).unwrap(), [], "it was claimed");
    // The savepoint is gone, and nobody asks for it.
    let mut job = block_on(begun()).unwrap();
    assert_eq!(counts_of(&mut job, factory), counts(numbers));
    let last = job.last().unwrap().0;
    block_on(job.cancel()).unwrap();
    assert!(block_on(read_log(&store)).unwrap().retained().keys().eq([&last]));
}

/// Two coordinators of one job: the newer one goes on where the older one was, which publishes nothing more.
pub(crate) fn a_newer_owner_fences<F: Tested>() {
    const NUMBERS: u64 = 4000;
    let (factory, store) = (F::new(), new_store());
    let mut older = open(store.clone(), plans(2));
    let control = older.control();
    let pipeline = Pipeline::start(&mut older, &factory, 2, u64::MAX, None);
    let fencing = std::thread::spawn(move || {
        block_on(control.checkpoint()).unwrap();
        open(store, plans(3))
    });
    let error = pipeline.run(&mut older).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    let mut newer = fencing.join().unwrap();
    let (last, begun_from) = (older.last().unwrap().0, newer.last().unwrap().0);
    assert!(last <= begun_from, "{last} was published after the claim, which read {begun_from}");
    let (next, found) = pipeline::held_by(&mut newer, &factory);
    assert_eq!(found, counts(next));
    // It reads on from there, at another parallelism.
    let numbers = next + NUMBERS;
    let pipeline = Pipeline::start(&mut newer, &factory, 3, numbers, None);
    assert_eq!(pipeline.run(&mut newer).unwrap(), Some(End::Finished));
    assert_eq!(counts_of(&mut newer, &factory), counts(numbers));
}

/// Counters with two inputs, of which one brings its barriers later, killed at random numbers and gone on with at
/// another parallelism: each checkpoint that the job goes on from, and the savepoint at the end, hold each number
/// once that its sources had sent, or once at least.
pub(crate) fn inputs_are_aligned<F: Tested>() {
    let factory = F::new();
    const NUMBERS: u64 = 3000;
    let waits_ms = |timeout: Option<u64>| Mode::ExactlyOnce {
        timeout: timeout.map(std::time::Duration::from_millis),
    };
    let modes = [waits_ms(None), waits_ms(Some(1)), Mode::Unaligned, Mode::AtLeastOnce];
    let mut restored_in_flight = 0;
    let rounds = u64::from(soak::count(160)).max(modes.len() as u64);
    for round in 0..8 * rounds {
        // A death may come when all is sent: it is tried until one does not.
        if round >= rounds && restored_in_flight > 0 {
            break;
        }
        let mode = modes[round as usize % modes.len()];
        let check = |held: aligned::Held| {
            match mode {
                Mode::AtLeastOnce => {
                    let mut expected = held.expected.iter();
                    assert!(expected.all(|(key, times)| held.found.get(key) >= Some(times)));
                }
                _ => assert_eq!(held.found, held.expected, "round {round}, {mode:?}"),
            }
            let waits = matches!(mode, Mode::ExactlyOnce { timeout: None } | Mode::AtLeastOnce);
            assert!(!waits || held.in_flight == 0, "round {round}, {mode:?}");
            let flies = mode == Mode::Unaligned && held.is_halfway;
            assert!(!flies || held.in_flight >= aligned::SENT_BEFORE_BARRIER, "round {round}");
            held.in_flight
        };
        let random = Random::new(soak::hash(soak::seed(), 2000 + round));
        let mut parallelism = random.draw(1..4) as u32;
        let (store, savepoint) = (new_store(), new_store());
        let mut job = open(store.clone(), aligned::plans(parallelism));
        let mut kills = 3;
        loop {
            let dies_at = (kills > 0).then(|| random.draw(NUMBERS / 4..2 * NUMBERS));
            let (of, until) = ((parallelism, mode), (NUMBERS, dies_at));
            if aligned::run(&mut job, &factory, of, until, &savepoint).unwrap() {
                break;
            }
            kills -= 1;
            parallelism = random.draw(1..4) as u32;
            job.clear_listeners();
            let restarted = block_on(job.restart(aligned::plans(parallelism))).unwrap();
            assert_eq!(restarted, None);
            if let Some((_, last)) = job.last() {
                restored_in_flight += check(aligned::held(&store, last, &factory, NUMBERS));
            }
        }
        assert!(job.history().completed() > 0);
        let path = MANIFEST_NAME.parse().unwrap();
        let manifest = block_on(read_manifest(&savepoint, &path, None)).unwrap();
        check(aligned::held(&savepoint, &manifest, &factory, NUMBERS));
    }
    assert!(restored_in_flight > 0);
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn every_number_counts_once() {
            super::every_number_counts_once::<$factory>();
        }

        #[test]
        fn inputs_are_aligned() {
            super::inputs_are_aligned::<$factory>();
        }

        #[test]
        fn a_store_that_fails_loses_nothing() {
            super::a_store_that_fails_loses_nothing::<$factory>();
        }

        #[test]
        fn a_newer_owner_fences() {
            super::a_newer_owner_fences::<$factory>();
        }

        #[test]
        fn a_job_is_stopped_by_a_savepoint() {
            super::a_job_is_stopped_by_a_savepoint::<$factory>();
        }
    };
}

of_each_backend!(tests);
