//! `cargo xtask servers`: the object stores that tests start, in the user's cache. `esker_test_support::server` starts
//! them.

use crate::apt::{self, answers};
use crate::{WORKSPACE_TESTS, cache, command, run};
use esker_test_support::server::{AZURITE_VERSION, MOTO_VERSION, STORE_VARIABLE, folder};
use esker_test_support::{soak, tool};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What pip is told to install; moto is in it, at [`MOTO_VERSION`].
const MOTO: &str = include_str!("servers/moto.txt");

/// Puts both where they are missing. Where one cannot be, says so in one line, as its tests will.
///
/// # Errors
/// If the cache cannot be written.
pub(crate) fn install() -> Result<(), String> {
    one("moto", MOTO_VERSION, "S3, by moto", moto)?;
    one("azurite", AZURITE_VERSION, "Azure's blobs, by Azurite", azurite)
}

/// How much of the suite runs on S3 where nothing is said: a fifth of what runs in memory, as each call takes
/// milliseconds.
const SHARE: &str = "0.01";
/// What does not run on S3: what is of the local disk, RocksDB's databases among it, and what takes minutes there.
const NOT_HERE: [&str; 5] = ["rocksdb", "on_disk", "full::", "a_chain_of_a_hundred", "sixty_four"];

/// The suite on S3.
///
/// # Errors
/// If a test fails.
pub(crate) fn suite() -> Result<(), String> {
    if !folder("moto", MOTO_VERSION)?.is_dir() {
        tool::skip("the suite on S3", "there is no moto");
        return Ok(());
    }
    let mut test = command(&format!("{WORKSPACE_TESTS} --test it --"));
    for skipped in NOT_HERE {
        test.args(["--skip", skipped]);
    }
    if std::env::var_os(soak::SHARE_VARIABLE).is_none() {
        test.env(soak::SHARE_VARIABLE, SHARE);
    }
    run(test.env(STORE_VARIABLE, "s3"))
}

/// Installs a server into a folder that then takes its place, so that it is whole where it is there at all.
fn one(
    server: &str,
    version: &str,
    what: &str,
    install: impl Fn(&Path) -> Result<(), String>,
) -> Result<(), String> {
    let folder = folder(server, version)?;
    if folder.is_dir() {
        return Ok(());
    }
    let cache = folder.parent().ok_or("the cache has no folder")?;
    fs::create_dir_all(cache).map_err(|error| cache::failed(cache, &error))?;
    let _one_at_a_time = cache::lock(&cache.join("lock"), "installing the tests' servers")?;
    if folder.is_dir() {
        return Ok(());
    }
    cache::cleared(cache)?;
    let building = cache.join(format!("{}{}", cache::BUILDING, std::process::id()));
    fs::create_dir_all(&building).map_err(|error| cache::failed(&building, &error))?;
    match install(&building) {
        Ok(()) => fs::rename(&building, &folder).map_err(|error| cache::failed(&folder, &error)),
        Err(error) => {
            tool::skip(&format!("tests of {what}"), &error);
            cache::removed(&building)
        }
    }
}

/// An environment of Python's own; it may be moved, as only its `python` is run.
fn moto(folder: &Path) -> Result<(), String> {
    if !has_venv() {
        if !answers("apt-get") {
            return Err("there is no python3 with venv".to_owned());
        }
        apt::install("python3 python3-venv")?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let needed = folder.join("moto.txt");
    fs::write(&needed, MOTO).map_err(|error| cache::failed(&needed, &error))?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    run(pip.arg(needed))
}

/// Whether Python can make an environment with pip in it, which Debian has a package for.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).output().is_ok_and(|said| said.status.success())
}

fn azurite(folder: &Path) -> Result<(), String> {
    if !answers("npm") {
        if !answers("apt-get") {
            return Err("there is no npm".to_owned());
        }
        apt::install("npm")?;
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]).arg(folder);
    run(npm.arg(format!("azurite@{AZURITE_VERSION}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_its_version_and_moto_the_one_of_its_folder() {
        let packages: Vec<_> = MOTO.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(packages.iter().all(|line| line.contains("==")), "{packages:?}");
        assert!(packages.contains(&format!("moto=={MOTO_VERSION}").as_str()));
    }
}
