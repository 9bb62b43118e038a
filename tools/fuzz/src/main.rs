//! The targets without libFuzzer: their seeds as files, or mutations of these for as long as one likes.
//!
//! `esker-fuzz FOLDER` writes the seeds of every target below a folder, for libFuzzer, and the targets' names to standard output:
//! what `cargo xtask fuzz` begins with. `esker-fuzz --seconds N [TARGET...]` gives the targets whose names begin so (or all) their
//! seeds and then, in turns, mutations of them, and says how many there were and what the dearest of them cost. `ESKER_SEED` chooses
//! what is drawn. It ends with the first broken promise, whose input it leaves in a file.
#![forbid(unsafe_code)]

use esker_fuzz::mutate::mutate;
use esker_fuzz::{Costs, TARGETS, Target};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Mutations of a target before the next one has its turn.
const TURN: u64 = 256;
/// Longer seeds are there for themselves: a mutation would find little more, slowly.
const MUTATED_LEN_MAX: usize = 4 << 10;
const SEED: u64 = 20_260_101;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--seconds") => {
            let seconds = arguments.next().and_then(|number| number.parse().ok());
            let Some(seconds) = seconds else {
                return Err(std::io::Error::other("--seconds needs a number"));
            };
            mutations(Duration::from_secs(seconds), &arguments.collect::<Vec<_>>())
        }
        folder => seeds(folder.unwrap_or("fuzz/corpus").into()),
    }
}

fn seeds(root: PathBuf) -> std::io::Result<()> {
    for target in TARGETS {
        let dir = root.join(target.name);
        std::fs::create_dir_all(&dir)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number}")), seed)?;
        }
        writeln!(std::io::stdout(), "{}", target.name)?;
    }
    Ok(())
}

/// A target and what it has been given.
struct Run {
    target: &'static Target,
    seeds: Vec<Vec<u8>>,
    done: u64,
    took: Duration,
}

fn mutations(time: Duration, names: &[String]) -> std::io::Result<()> {
    let chosen = |name: &str| names.is_empty() || names.iter().any(|begin| name.starts_with(begin));
    let mut runs = Vec::new();
    for target in TARGETS.iter().filter(|target| chosen(target.name)) {
        let seeds = target.seeds();
        let started = Instant::now();
        for (number, seed) in seeds.iter().enumerate() {
            give(target, seed, &format!("seed-{number}"))?;
        }
        let took = started.elapsed();
        say(target, &format!("{} seeds in {took:.1?}", seeds.len()))?;
        let seeds = seeds.into_iter().filter(|seed| seed.len() <= MUTATED_LEN_MAX).collect();
        runs.push(Run { target, seeds, done: 0, took: Duration::ZERO });
    }
    let drawn = std::env::var("ESKER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut rng = fastrand::Rng::with_seed(drawn);
    let started = Instant::now();
    while started.elapsed() < time {
        for run in &mut runs {
            let turn = Instant::now();
            for number in run.done..run.done + TURN {
                give(run.target, &mutate(&run.seeds, &mut rng), &format!("mutation-{number}"))?;
            }
            run.done += TURN;
            run.took += turn.elapsed();
        }
    }
    for Run { target, done, took, .. } in runs {
        say(target, &format!("{done} mutations in {took:.1?}"))?;
    }
    Ok(())
}

fn say(target: &Target, what: &str) -> std::io::Result<()> {
    let Costs { peak_bytes, took } = target.costs();
    let peak = peak_bytes / 1024;
    writeln!(
        std::io::stdout(),
        "{}: {what}; a decoding took at most {peak} KiB, {took:.1?}",
        target.name
    )
}

fn give(target: &Target, input: &[u8], what: &str) -> std::io::Result<()> {
    if catch_unwind(AssertUnwindSafe(|| target.run(input))).is_ok() {
        return Ok(());
    }
    let path = std::env::temp_dir().join(format!("{}-{what}", target.name));
    std::fs::write(&path, input)?;
    let message = format!("target {}: a promise is broken by {}", target.name, path.display());
    Err(std::io::Error::other(message))
}
