//! `kill -9` in a loop (I10): after each, all that is retained restores and verifies, and nothing
//! that no retained checkpoint reaches outlives the next sweep.

use super::child::Order;
use super::collect::{check_told, collect};
use super::watch::{Activity, Hold};
use crate::backends::{Tested, of_each_backend};
use crate::stores::{Root, names};
use crate::world::{Models, check_files, unneeded};
use esker::checkpoint::Job as Owner;
use esker::snapshot::ManifestReferences;
use esker::{Store, block_on};
use esker_test_support::soak::{self, Random};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

const KILLS: u32 = 200;
const SIGKILL: i32 = 9;
/// A planned call comes long before this.
const HELD_WITHIN: Duration = Duration::from_secs(60);
/// The earliest and the latest of random instants, after the child was started.
const KILL_MS: std::ops::Range<u64> = 5..300;

/// What the kills found.
#[derive(Debug, Default)]
struct Figures {
    kills: BTreeMap<String, u64>,
    /// Children that were killed before they took their first row.
    early: u64,
    /// Files that no retained checkpoint reached, right after a kill.
    unneeded: usize,
    half_written: usize,
    sweeps: u64,
}

/// The instant of kill `number`: four of ten in a planned call.
fn plan(number: u64, random: &Random) -> Option<Hold> {
    let activity =
        Activity::ALL.get((number % 10 / 2) as usize).filter(|_| number.is_multiple_of(2))?;
    let number = match activity {
        Activity::Upload => random.draw(1..60),
        Activity::Publish | Activity::Record => random.draw(1..8),
        Activity::Sweep => random.draw(1..40),
    };
    Some(Hold { activity: *activity, number, done: random.draw(0..2) == 1 })
}

fn kills<F: Tested>(factory: &F) {
    let (seed, kills, started) = (soak::seed(), u64::from(soak::count(KILLS)), Instant::now());
    println!("kills of {}: ESKER_SEED={seed} {kills} of {KILLS}", F::NAME);
    let root = Root::new();
    let store = &root.store;
    let (random, mut models) = (Random::new(seed), Models::new(seed));
    let mut figures = Figures::default();
    for number in 0..kills {
        let parallelism = 1 + (number / 3 % 3) as u32;
        let (at, hold) = (root.at.clone(), plan(number, &random));
        let order = Order { backend: F::NAME.into(), at, seed, parallelism, hold };
        // The calls of a bucket take longer.
        let slower = if root.at.contains("://") { 10 } else { 1 };
        let delay = Duration::from_millis(slower * random.draw(KILL_MS));
        run_and_kill(&order, &root, delay, &mut models, &mut figures);

        let (unneeded, half_written) = unneeded(store, &order.at);
        figures.unneeded += unneeded;
        figures.half_written += half_written;
        block_on(check_told(store, names(store, &order.at))).unwrap();
        let other = random.draw(1..9) as u32;
        let parallelisms =
            if number.is_multiple_of(4) { vec![parallelism, other] } else { vec![parallelism] };
        models.check(factory, store, &parallelisms);
        // Otherwise the next child sweeps, and looks itself.
        if number % 4 == 3 || number + 1 == kills {
            match number % 8 {
                // By someone who does not own the job.
                3 => drop(block_on(collect(store)).unwrap()),
                _ => sweep(store),
            }
            check_files(store, &order.at);
            models.check(factory, store, &[parallelism]);
            figures.sweeps += 1;
        }
    }
    let (last, rows) = models.last;
    assert!(last > 0 && rows > 0, "nothing ever completed");
    println!(
        "kills: {:?}, {} of them before the first row; completed={} last={last} rows={rows}; \
         unreferenced after kills={} half-written={}, none after {} sweeps by children and parent; \
         {:.1} s",
        figures.kills,
        figures.early,
        models.completed_count(),
        figures.unneeded,
        figures.half_written,
        figures.sweeps,
        started.elapsed().as_secs_f64(),
    );
}

/// Claims the job, as a restart would, and sweeps it.
fn sweep(store: &Store) {
    let claimed = block_on(Owner::claim(store.clone(), Arc::new(ManifestReferences)));
    block_on(claimed.unwrap().sweep()).unwrap();
}

/// Starts a child and kills it after `delay`, or in the call that it was told to hold.
fn run_and_kill(
    order: &Order,
    root: &Root,
    delay: Duration,
    models: &mut Models,
    figures: &mut Figures,
) {
    let started = Instant::now();
    let mut command = order.command(&root.local());
    root.tell(&mut command);
    let mut child = command.spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        // The last line may be cut short: it was not told.
        for line in stdout.split(b'\n').map_while(Result::ok) {
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    let within = if order.hold.is_some() { HELD_WITHIN } else { delay };
    let (mut held, mut running) = (false, false);
    let mut hear = |line: &str| {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["complete", checkpoint, _] => models.completed(checkpoint.parse().unwrap()),
            ["swept"] => figures.sweeps += 1,
            ["running"] => running = true,
            ["held"] => held = true,
            _ => {}
        }
        line == "held"
    };
    loop {
        match lines.recv_timeout(within.saturating_sub(started.elapsed())) {
            Ok(line) if hear(&line) => break,
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    reader.join().unwrap();
    lines.iter().for_each(|line| {
        hear(&line);
    });
    assert_eq!(status.signal(), Some(SIGKILL), "the child ended by itself: {status} {order:?}");
    assert!(held || order.hold.is_none(), "the call never came: {order:?}");
    let moment = order.hold.map_or("random".into(), |hold| {
        let when = if hold.done { "after" } else { "before" };
        format!("{:?} {when}", hold.activity)
    });
    *figures.kills.entry(moment).or_default() += 1;
    figures.early += u64::from(!running);
}

macro_rules! tests {
    ($factory:ty) => {
        #[test]
        fn what_is_retained_survives_kills_at_any_instant() {
            super::kills(&<$factory as $crate::backends::Tested>::new());
        }
    };
}
of_each_backend!(tests);
