//! The tests that `ESKER_SOAK` scales, in full, and a transcript of what they ran on.

use crate::{command, run, servers};
use esker_test_support::server::STORE_VARIABLE;
use esker_test_support::soak;
use std::process::Command;
use std::time::{Duration, Instant};

/// Says which sources are tested.
const COMMIT: &str = "git describe --always --dirty";
/// Package, kind of target, and filter of its tests.
const TESTS: [(&str, &str, &str); 22] = [
    ("esker", "--lib", "snapshot::tests::chain"),
    ("esker", "--lib", "snapshot::tests::merge"),
    ("esker", "--lib", "snapshot::tests::lineage"),
    ("esker", "--lib", "checkpoint::coordinator"),
    ("esker", "--lib", "engine::barrier"),
    ("esker", "--lib", "engine::coordinated"),
    ("esker", "--lib --features timely", "engine::timely"),
    ("esker", "--test it", "barrier"),
    ("esker", "--test it", "conformance"),
    ("esker", "--test it", "coordinated"),
    ("esker", "--test it", "identity"),
    ("esker", "--test it", "crash"),
    ("esker", "--test it", "race"),
    ("esker", "--test it", "rewrite"),
    ("esker", "--test it", "merge"),
    ("esker", "--test it", "salvage"),
    ("esker", "--test it", "diff"),
    ("esker", "--test it", "load"),
    ("esker-cli", "--bins", "cmd::verify"),
    ("esker-cli", "--test timely", "ten_kills"),
    ("esker-fuzz", "--test smoke", ""),
    ("esker", ON_S3, ""),
];
/// A target whose tests run in buckets of S3.
const ON_S3: &str = "--features aws,expressions --test it";
/// How much of them there is for one that runs in memory: each call takes milliseconds.
const SHARE_ON_S3: f64 = 0.05;

/// Runs them one after the other, optimized, and prints how long each took. `ESKER_SOAK`, all of it
/// where nothing is said, and `ESKER_SEED` are passed on; the property tests draw by the same seed.
///
/// # Errors
/// If one fails.
pub(crate) fn soak() -> Result<(), String> {
    servers::install()?;
    let share = if std::env::var_os(soak::SHARE_VARIABLE).is_some() { soak::share()? } else { 1.0 };
    let seed = soak::seed_or_default()?;
    println!("machine: {}", machine());
    let commit = said_by(COMMIT);
    println!("commit: {commit}");
    println!("began: {}", said_by("date --utc +%FT%TZ"));
    println!("ESKER_SOAK={share} ESKER_SEED={seed}");

    let mut took = Vec::new();
    for (package, target, filter) in TESTS {
        let test = format!("cargo test --release --package {package} {target} --");
        let names = names(&test, filter)?;
        for name in names {
            let started = Instant::now();
            let (store, share) = match target {
                ON_S3 => ("s3", share * SHARE_ON_S3),
                _ => ("memory", share),
            };
            run(command(&format!("{test} --exact {name} --nocapture"))
                .env(STORE_VARIABLE, store)
                .env(soak::SHARE_VARIABLE, share.to_string())
                .env(soak::SEED_VARIABLE, seed.to_string())
                .env("PROPTEST_RNG_SEED", seed.to_string()))?;
            let name = if target == ON_S3 { format!("{name}, on S3") } else { name };
            took.push((package, name, started.elapsed()));
        }
    }

    if said_by(COMMIT) != commit {
        return Err(format!("what was tested is not {commit}: it changed while the tests ran"));
    }
    println!("\nsoak: {commit} ESKER_SOAK={share} ESKER_SEED={seed}, every test passed");
    for (package, name, took) in &took {
        println!("soak: {:>8.1} s  {package} {name}", took.as_secs_f64());
    }
    let all: Duration = took.iter().map(|(_, _, took)| *took).sum();
    println!("soak: {:>8.1} s  {} tests", all.as_secs_f64(), took.len());
    Ok(())
}

/// The names of the tests that `filter` lets through, those aside that run only when they are told.
fn names(test: &str, filter: &str) -> Result<Vec<String>, String> {
    let ignored = listed(test, &["--ignored"])?;
    let mut names = listed(test, &[])?;
    names.retain(|name| name.contains(filter) && !ignored.contains(name));
    match names.is_empty() {
        true => Err(format!("{test}: no test's name has {filter:?}")),
        false => Ok(names),
    }
}

fn listed(test: &str, which: &[&str]) -> Result<Vec<String>, String> {
    let mut list = command(&format!("{test} --list --format terse"));
    let output = list.args(which).output().map_err(|e| format!("{list:?}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{list:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Processor, how many cores of it, and the kernel, as far as the system says.
fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {}", said_by("uname -srm"))
}

fn said_by(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap_or_default()).args(words).output();
    output.map_or("unknown".into(), |said| String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
