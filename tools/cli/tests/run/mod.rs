//! The binary, run by whoever tests what it says.
#![allow(unreachable_pub, reason = "of tests alone")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// As [`esker`], with some variables of the environment.
#[allow(dead_code, reason = "of some tests")]
pub fn esker_with(
    folder: &Path,
    args: &[&str],
    variables: &[(&str, String)],
) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let variables = variables.iter().map(|(name, value)| (name, value));
    let said = command.args(args).current_dir(folder).envs(variables).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (said.status.code().unwrap(), text(said.stdout), text(said.stderr))
}

/// Exit code, standard output and standard error of `esker`.
#[allow(dead_code, reason = "of most tests")]
pub fn esker(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let (code, out, err) = piped(folder, args, &[]);
    (code, String::from_utf8(out).unwrap(), err)
}

/// The same, with `input` in a pipe on standard input, and whatever bytes on standard output.
pub fn piped(folder: &Path, args: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let command = command.args(args).current_dir(folder).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Whoever does not read it to its end has seen enough.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    (output.status.code().unwrap(), output.stdout, String::from_utf8(output.stderr).unwrap())
}
