//! `cargo xtask rocksdb`: RocksDB's static library, compiled once into the user's cache.
//!
//! What compiles it is `tools/rocksdb-sys/compile`; what links it into every later build,
//! `tools/rocksdb-sys`.

mod packages;
#[path = "../../rocksdb-sys/place.rs"]
mod place;

use crate::cache::{BUILDING, cleared, failed, lock, removed};
use crate::run;
use std::env::consts::{ARCH, OS};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// What follows processor and system in the name of this target.
const ABI: &str = match (cfg!(target_env = "gnu"), cfg!(target_env = "musl")) {
    (true, _) => "gnu",
    (_, true) => "musl",
    _ => "",
};

/// Says where the library is, or puts it there. Two at once compile it once; what is killed leaves
/// no half library, and what it did leave the next one clears.
///
/// # Errors
/// If a compiler or libclang is missing and cannot be installed, or RocksDB does not compile.
pub(crate) fn rocksdb() -> Result<(), String> {
    let folder = place::folder(ARCH, OS, ABI)?;
    if place::is_there(&folder) {
        return said_where(&folder);
    }
    let cache = folder.parent().ok_or("the cache has no folder")?;
    fs::create_dir_all(cache).map_err(|error| failed(cache, &error))?;
    let _one_at_a_time = lock(&cache.join("lock"), "compiling RocksDB")?;
    if place::is_there(&folder) {
        return said_where(&folder);
    }

    packages::install()?;
    eprintln!("compiling RocksDB, once: 15 to 20 minutes on two cores");
    let started = Instant::now();
    cleared(cache)?;
    // Of another name each time: the compilers of one that was killed may still be writing to theirs.
    let building = cache.join(format!("{BUILDING}{}", std::process::id()));
    let out = building.join("out");
    fs::create_dir_all(&out).map_err(|error| failed(&out, &error))?;
    let compiled = run(&mut compile(&building.join("target"), &out));
    compiled.map_err(|error| format!("{error}; {}", packages::NEEDED))?;
    kept(&out, &folder)?;
    removed(&building)?;
    eprintln!("compiled RocksDB in {} s", started.elapsed().as_secs());
    said_where(&folder)
}

fn said_where(folder: &Path) -> Result<(), String> {
    eprintln!("RocksDB is compiled: {}", folder.display());
    Ok(())
}

/// Cargo, told to compile the genuine crate for this machine, and to do it whatever library the
/// environment names. No Rust is linked, so that the archive is not copied either: hence `check`.
fn compile(target: &Path, out: &Path) -> Command {
    let root = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let mut cargo = Command::new("cargo");
    cargo
        .args(["check", "--release", "--locked", "--manifest-path"])
        .arg(root.join("../rocksdb-sys/compile/Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .env("ESKER_ROCKSDB_TO", out)
        .env("ROCKSDB_COMPILE", "1")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS");
    if ARCH == "x86_64" {
        cargo.env("RUSTFLAGS", format!("-C target-cpu={}", place::X86_64));
    }
    cargo
}

/// Moves what was compiled to its place, where it is whole as soon as it is there at all.
fn kept(out: &Path, folder: &Path) -> Result<(), String> {
    for file in place::FILES.map(|file| out.join(file)) {
        let synced = File::open(&file).and_then(|file| file.sync_all());
        synced.map_err(|error| failed(&file, &error))?;
    }
    // One of its files may have been deleted.
    removed(folder)?;
    fs::rename(out, folder).map_err(|error| failed(folder, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_takes_its_place_whole_or_not_at_all() {
        let cache = tempfile::tempdir().unwrap();
        let (out, folder) = (cache.path().join("out"), cache.path().join("folder"));
        let [library, snappy, bindings] = place::FILES;
        for round in ["first", "second"] {
            fs::create_dir(&out).unwrap();
            fs::write(out.join(library), round).unwrap();
            assert!(kept(&out, &folder).is_err());
            fs::write(out.join(snappy), round).unwrap();
            fs::write(out.join(bindings), round).unwrap();
            kept(&out, &folder).unwrap();
            assert!(place::is_there(&folder) && !out.exists());
            assert_eq!(fs::read_to_string(folder.join(library)).unwrap(), round);
            // As if somebody had cleaned up a little.
            fs::remove_file(folder.join(bindings)).unwrap();
            assert!(!place::is_there(&folder));
        }
    }

    #[test]
    fn what_is_compiled_is_what_stands_in_its_place_and_what_its_name_says() {
        let version = |manifest: &str| {
            let (_, found) = manifest.split_once("name = \"librocksdb-sys\"\n").unwrap();
            let line = found.lines().find(|line| line.starts_with("version = ")).unwrap();
            line.trim_start_matches("version = ").trim_matches('"').to_owned()
        };
        let locked = version(include_str!("../../rocksdb-sys/compile/Cargo.lock"));
        let stands_in = version(include_str!("../../rocksdb-sys/Cargo.toml"));
        assert_eq!((&*locked, &*stands_in), (place::VERSION, place::VERSION));
    }
}
