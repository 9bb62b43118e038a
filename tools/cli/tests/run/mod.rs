//! The binary, run by whoever tests what it says.
#![allow(unreachable_pub, reason = "of tests alone")]

use std::path::Path;
use std::process::Command;

/// Exit code, standard output and standard error of `esker`.
pub fn esker(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_esker"));
    let output = command.args(args).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
