//! Packages of Debian and its kin.

use crate::{command, run};
use std::process::Command;

/// Installs `packages`, names with spaces between.
///
/// # Errors
/// If apt fails.
pub(crate) fn install(packages: &str) -> Result<(), String> {
    let install = format!("install --yes --no-install-recommends {packages}");
    // What apt knows may be too old to be found.
    apt(&install).or_else(|_| update().and_then(|()| apt(&install)))
}

/// Reads anew which packages there are.
///
/// # Errors
/// If apt fails.
pub(crate) fn update() -> Result<(), String> {
    apt("update")
}

/// Whether a program is there, and runs.
pub(crate) fn answers(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success())
}

fn apt(arguments: &str) -> Result<(), String> {
    let sudo = if is_root() { "" } else { "sudo " };
    run(&mut command(&format!("{sudo}env DEBIAN_FRONTEND=noninteractive apt-get {arguments}")))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout == b"0\n")
}
