//! The tests that `ESKER_SOAK` scales, in full, and a transcript of what they ran on.

use crate::{command, run};
use std::process::Command;
use std::time::Instant;

/// Package, and filter of its tests.
const TESTS: [(&str, &str); 3] =
    [("esker", "--test it"), ("esker-cli", "--bins verify"), ("esker-fuzz", "--test smoke")];

/// Runs them one after the other, optimized. `ESKER_SOAK` and `ESKER_SEED` are passed on where they
/// are set.
///
/// # Errors
/// If one fails.
pub(crate) fn soak() -> Result<(), String> {
    let set = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let share = set("ESKER_SOAK", "1");
    println!("machine: {}", machine());
    println!("commit: {}", said_by("git describe --always --dirty"));
    println!("ESKER_SOAK={share} ESKER_SEED={}", set("ESKER_SEED", "that of each test"));
    for (package, filter) in TESTS {
        let started = Instant::now();
        let line = format!(
            "cargo test --release --package {package} {filter} -- --nocapture --test-threads=1"
        );
        run(command(&line).env("ESKER_SOAK", &share))?;
        println!("soak: {package} {filter}: {:.0} s", started.elapsed().as_secs_f64());
    }
    Ok(())
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
