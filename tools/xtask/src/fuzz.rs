//! `cargo xtask fuzz`: the decoders under libFuzzer, by cargo-fuzz.
//!
//! The same bodies run without it in `cargo test --package esker-fuzz`, on mutated golden files.

use crate::{HOST, command, run};
use esker_test_support::tool;
use std::path::PathBuf;

/// How long `ci` runs each target, in seconds.
pub(crate) const CI_SECONDS: u64 = 2;
/// How long `cargo xtask fuzz` runs each target unless it is told, in seconds.
const SECONDS: u64 = 60;
/// What there is not without cargo-fuzz.
const WITHOUT: &str = "libFuzzer (cargo install cargo-fuzz)";
/// Longest input; what is wrong with long ones is wrong with shorter ones.
const INPUT_LEN_BYTES_MAX: u64 = 16 << 10;

/// `[--seconds N] [TARGET]`: so long each target, or without cargo-fuzz all of them together.
pub(crate) fn fuzz(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut seconds, mut target) = (SECONDS, None);
    while let Some(argument) = arguments.next() {
        if argument == "--seconds" {
            let number = arguments.next().and_then(|number| number.parse().ok());
            seconds = number.ok_or("--seconds needs a number")?;
        } else {
            target = Some(argument);
        }
    }
    match tool::is_there("cargo-fuzz", WITHOUT)? {
        true => targets(seconds, target.as_deref()),
        false => {
            // The same bodies on mutations that nothing guides.
            let mutations = "cargo run --release --package esker-fuzz -- --seconds";
            run(command(mutations).arg(seconds.to_string()).args(target))
        }
    }
}

/// Runs every target for so many seconds, or says that there is no cargo-fuzz.
pub(crate) fn all(seconds: u64) -> Result<(), String> {
    if !tool::is_there("cargo-fuzz", WITHOUT)? {
        return Ok(());
    }
    targets(seconds, None)
}

fn targets(seconds: u64, only: Option<&str>) -> Result<(), String> {
    let mut seeds = command("cargo run --quiet --package esker-fuzz -- fuzz/corpus");
    let output = seeds.output().map_err(|e| format!("{seeds:?}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{seeds:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<_> =
        names.lines().filter(|name| only.is_none_or(|only| only == *name)).collect();
    if names.is_empty() {
        return Err(format!("there is no fuzz target {}", only.unwrap_or_default()));
    }

    let dir = std::env::var_os("CARGO_TARGET_DIR").map_or("fuzz".into(), PathBuf::from);
    let dir = dir.join("target-fuzz");
    // cargo-fuzz asks for a nightly compiler only because of the flags that it sets.
    let mut build =
        command(&format!("cargo fuzz build --sanitizer none --target {HOST} --target-dir"));
    build.arg(&dir).env("RUSTC_BOOTSTRAP", "1");
    if let Some(only) = only {
        build.arg(only);
    }
    run(&mut build)?;
    for name in names {
        let artifacts = format!("fuzz/artifacts/{name}/");
        std::fs::create_dir_all(&artifacts).map_err(|e| format!("{artifacts}: {e}"))?;
        let mut fuzz = std::process::Command::new(dir.join(HOST).join("release").join(name));
        fuzz.arg(format!("-max_total_time={seconds}"))
            .arg(format!("-max_len={INPUT_LEN_BYTES_MAX}"))
            .arg(format!("-artifact_prefix={artifacts}"))
            .args(["-timeout=10", "-print_final_stats=1", "-verbosity=0"])
            .arg(format!("fuzz/corpus/{name}"));
        run(&mut fuzz)?;
    }
    Ok(())
}
