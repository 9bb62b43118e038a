//! `cargo xtask`: the one entry point for people who work on esker.
//!
//! `ci` runs the lints, has a real Apache Flink restore what the tool writes for it, which is `flink --quick`, and then the test
//! command of README.md, which is `test`: every test of the
//! workspace, the feature `rocksdb` on, and the suite once more on S3; `rocksdb` compiles what that links, once;
//! `servers` installs the object stores that tests start; `asan` runs the tests of the module that holds `unsafe`, under
//! AddressSanitizer; `soak` the tests that are scaled
//! by `ESKER_SOAK`, in full; `fuzz` the decoders under libFuzzer; `bench` puts esker beside its peers
//! (`bench --help`).

mod apt;
mod browser;
mod cache;
mod flink;
mod fuzz;
mod rocksdb;
mod servers;
mod soak;

use esker_test_support::tool;
use std::process::{Command, ExitCode};

/// The test command of README.md; `ci` refuses to run if README.md does not give it.
const TEST: &str = "cargo xtask test";

/// The tests of all crates, with all that they may have.
const WORKSPACE_TESTS: &str = "cargo test --workspace --features esker-cli/rocksdb";

const USAGE: &str = "usage: cargo xtask ci | test [ARGUMENT OF cargo test]... | rocksdb | servers | asan | soak | \
                     flink [--quick] | fuzz [--seconds N] [TARGET] | \
                     bench [--only P]... [--quick] [--json] [--flink-lab DIR]";

/// The host that sanitizers run on.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Where the servers are that tests start.
const LOOPBACK: &str = "127.0.0.1";

fn main() -> ExitCode {
    let steps = match std::env::args().nth(1).as_deref() {
        Some("ci") => ci(),
        Some("asan") => asan(),
        Some("bench") => bench(),
        Some("flink") => flink::flink(std::env::args().skip(2)),
        Some("fuzz") => fuzz::fuzz(std::env::args().skip(2)),
        Some("rocksdb") => rocksdb::rocksdb(),
        Some("servers") => servers::install(),
        Some("soak") => soak::soak(),
        Some("test") => test(),
        _ => Err(USAGE.to_owned()),
    };
    match steps {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> Result<(), String> {
    readme_gives_the_test_command()?;
    cargo("fmt --all --check")?;
    cargo("clippy --workspace --all-targets -- -D warnings")?;
    rocksdb::rocksdb()?;
    cargo("clippy --workspace --all-features --all-targets -- -D warnings")?;
    run(command("cargo doc --workspace --all-features --no-deps --document-private-items")
        .env("RUSTDOCFLAGS", "-D warnings"))?;
    the_format_crates_stay_pure()?;
    deny()?;
    asan()?;
    fuzz::all(fuzz::CI_SECONDS)?;
    cargo("test --package esker --features metrics,rocksdb --lib metrics")?;
    flink::ci()?;
    browser::install();
    run(&mut command(TEST))
}

/// Every test of the workspace, the RocksDB backend's among them, and the suite once more on S3; what follows `test`
/// goes to cargo, and then the suite runs once.
fn test() -> Result<(), String> {
    rocksdb::rocksdb()?;
    servers::install()?;
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    run(command(WORKSPACE_TESTS).args(&arguments))?;
    if arguments.is_empty() { servers::suite() } else { Ok(()) }
}

fn readme_gives_the_test_command() -> Result<(), String> {
    let readme = std::fs::read_to_string("README.md").map_err(|e| format!("README.md: {e}"))?;
    if readme.lines().any(|line| line == TEST) {
        Ok(())
    } else {
        Err(format!("README.md does not give the test command `{TEST}`"))
    }
}

/// Bytes to values needs no runtime, no store and no C++.
fn the_format_crates_stay_pure() -> Result<(), String> {
    ["esker-format", "esker-flink"].into_iter().try_for_each(stays_pure)
}

fn stays_pure(format: &str) -> Result<(), String> {
    let tree = command(&format!("cargo tree --package {format} --edges normal --prefix none"))
        .output()
        .map_err(|e| format!("cargo tree: {e}"))?;
    let tree = String::from_utf8_lossy(&tree.stdout);
    if !tree.starts_with(&format!("{format} ")) {
        return Err(format!("cargo tree printed no tree of {format}"));
    }
    let banned = ["tokio", "object_store", "rocksdb", "librocksdb-sys"];
    let found =
        tree.lines().filter_map(|line| line.split(' ').next()).find(|name| banned.contains(name));
    match found {
        Some(name) => Err(format!("{format} pulls in {name}: keep I/O out of it")),
        None => Ok(()),
    }
}

/// Bans, licences and sources of all that is compiled: the fuzz targets of libFuzzer, and what
/// compiles RocksDB, included.
/// Advisories need the network: `cargo deny check advisories`.
fn deny() -> Result<(), String> {
    if !tool::is_there("cargo-deny", "bans, licences and sources (cargo install cargo-deny)")? {
        return Ok(());
    }
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "tools/rocksdb-sys/compile/Cargo.toml"] {
        cargo(&format!(
            "deny --log-level error --manifest-path {manifest} --config deny.toml --workspace \
             --all-features check bans licenses sources"
        ))?;
    }
    Ok(())
}

/// The table is the one module with `unsafe`. Miri needs a nightly component; the sanitizer only
/// needs the compiler to accept its flag.
fn asan() -> Result<(), String> {
    if std::env::consts::ARCH != "x86_64" || std::env::consts::OS != "linux" {
        tool::skip("AddressSanitizer", &format!("this is not {HOST}"));
        return Ok(());
    }
    let test = format!("cargo test --package esker --lib --target {HOST} table");
    run(command(&test).env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address"))
}

/// esker beside its peers, in RocksDB too; the arguments after `bench` go to `versus`.
fn bench() -> Result<(), String> {
    rocksdb::rocksdb()?;
    // Rows `tool.*` run it.
    cargo("build --release --package esker-cli --features rocksdb")?;
    let mut command =
        command("cargo run --release --package esker-benches --features rocksdb --bin versus --");
    run(command.args(std::env::args().skip(2)))
}

fn cargo(arguments: &str) -> Result<(), String> {
    run(&mut command(&format!("cargo {arguments}")))
}

fn command(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    // The servers that tests start are on this machine, whatever proxy leads elsewhere.
    for variable in ["NO_PROXY", "no_proxy"] {
        let said = std::env::var(variable).unwrap_or_default();
        let hosts = said.split(',').filter(|host| !host.is_empty() && *host != LOOPBACK);
        command.env(variable, hosts.chain([LOOPBACK]).collect::<Vec<_>>().join(","));
    }
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    eprintln!("\n== {command:?}");
    let status = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}
