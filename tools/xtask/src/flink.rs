//! `cargo xtask flink`: what the tool writes for Apache Flink, restored by a real one.
//!
//! Each scenario takes a golden snapshot, lets `esker` make something of it, and has Flink restore that and compare all
//! state with lines computed from those of the golden snapshot. `tools/flink` is the lab: a script that installs Flink
//! from PyPI, and the programs that run on it.

mod lab;
mod lines;
mod place;
mod scenarios;

use crate::{WORKSPACE_TESTS, command, rocksdb, run};
use esker_test_support::tool;
use lab::{Lab, NoLab};
use place::{Check, Place};
use scenarios::{SCENARIOS, Scenario};
use std::time::Instant;

/// The versions whose restore is checked; the goldens of each were written by it.
const VERSIONS: [&str; 2] = ["2.3.0", "1.20.5"];
/// The state backends of Flink, as it names them.
const BACKENDS: [&str; 2] = ["hashmap", "rocksdb"];
const USAGE: &str =
    "usage: cargo xtask flink [--quick] [--only PART OF A SCENARIO'S NAME] [--keep]";

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    /// One version, and one backend for each scenario.
    quick: bool,
    only: Option<String>,
    /// Whether what was made stays, to be looked at.
    keep: bool,
}

/// Runs the scenarios, and prints a line for each.
///
/// # Errors
/// If the tool fails, or Flink does not find what it should.
pub(crate) fn flink(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let asked = asked(arguments)?;
    let versions = if asked.quick { &VERSIONS[..1] } else { &VERSIONS[..] };
    let installed = versions.iter().map(|version| Lab::install(version).map_err(NoLab::message));
    restores(&asked, &installed.collect::<Result<Vec<_>, _>>()?)
}

/// Runs the scenarios with each Flink.
fn restores(asked: &Asked, labs: &[Lab]) -> Result<(), String> {
    rocksdb::rocksdb()?;
    // The tool as tests have it, so that nothing is compiled for this alone; it is built with a test of its own.
    run(&mut command(&format!("{WORKSPACE_TESTS} --test flink_write --no-run")))?;
    let started = Instant::now();
    let (mut restored, mut failed) = (0, Vec::new());
    for lab in labs {
        let (of_version, all) = one_version(lab, asked)?;
        failed.extend(of_version);
        restored += all;
    }
    println!(
        "flink: {restored} restores in {:.0} s, {} failed",
        started.elapsed().as_secs_f64(),
        failed.len()
    );
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("Flink did not find what it should: {}", failed.join("; "))),
    }
}

/// The quick ones. Where Flink is not to be had, says so in one line, as tests do that lack a tool.
///
/// # Errors
/// As for [`flink`].
pub(crate) fn ci() -> Result<(), String> {
    match Lab::install(VERSIONS[0]) {
        Ok(lab) => restores(&Asked { quick: true, ..Asked::default() }, &[lab]),
        Err(NoLab::Missing(why)) => {
            tool::skip("restores by Flink of what the tool writes for it", &why);
            Ok(())
        }
        Err(NoLab::Failed(why)) => Err(why),
    }
}

fn asked(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => asked.quick = true,
            "--keep" => asked.keep = true,
            "--only" => asked.only = Some(arguments.next().ok_or(USAGE)?),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(asked)
}

/// What is to be restored: by which scenario, where, and how long the tool took to make it.
struct Made {
    name: String,
    check: Check,
    seconds: f64,
}

/// The names of what failed, and how many there were.
fn one_version(lab: &Lab, asked: &Asked) -> Result<(Vec<String>, usize), String> {
    let folder = place::temporary(asked.keep)?;
    let (mut made, mut failed) = (Vec::new(), Vec::new());
    for (number, (scenario, backend)) in chosen(asked).into_iter().enumerate() {
        let name = format!("{} {backend:<7} {}", lab.version(), scenario.name);
        let place = Place::new(lab.version(), backend, folder.path().join(number.to_string()))?;
        let started = Instant::now();
        match (scenario.make)(&place) {
            Ok(check) => made.push(Made { name, check, seconds: started.elapsed().as_secs_f64() }),
            Err(why) => {
                println!("flink: {name}: FAILED\n{why}");
                failed.push(name);
            }
        }
    }
    let all = made.len() + failed.len();
    let checks: Vec<&Check> = made.iter().map(|made| &made.check).collect();
    let mut number = 0;
    lab.restore(&checks, folder.path(), &mut |restored| {
        let Some(Made { name, check, seconds }) = made.get(number) else { return };
        number += 1;
        let verdict = if restored.is_fine { "ok" } else { "FAILED" };
        println!(
            "flink: {name:<60} {:>5} lines{}, esker {seconds:>5.2} s, Flink {:>5.2} s: {verdict}",
            check.lines,
            if check.runs_job() { ", job" } else { "" },
            restored.seconds
        );
        if !restored.is_fine {
            println!("{}", restored.said);
            failed.push(name.clone());
        }
    })?;
    match made.get(number) {
        Some(missing) => Err(format!("the lab said nothing of {}", missing.name)),
        None => Ok((failed, all)),
    }
}

/// Scenarios with their backends; in a hurry one backend for each, in turn.
fn chosen(asked: &Asked) -> Vec<(&'static Scenario, &'static str)> {
    let mut chosen = Vec::new();
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        if asked.only.as_ref().is_some_and(|only| !scenario.name.contains(only.as_str())) {
            continue;
        }
        let possible = BACKENDS.iter().filter(|backend| scenario.backends.contains(backend));
        let possible: Vec<&'static str> = possible.copied().collect();
        match asked.quick {
            true => {
                chosen.extend(possible.get(number % possible.len().max(1)).map(|b| (scenario, *b)))
            }
            false => chosen.extend(possible.into_iter().map(|backend| (scenario, backend))),
        }
    }
    chosen
}
