//! Links the RocksDB of the user's cache. Where there is none, says how to get it, and compiles nothing.

mod place;

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    for variable in ["XDG_CACHE_HOME", "HOME"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let found = of_target().and_then(|folder| link(&folder));
    if let Err(message) = found {
        println!("cargo::error={message}");
    }
}

fn of_target() -> Result<PathBuf, String> {
    let of = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let (arch, os) = (of("CARGO_CFG_TARGET_ARCH")?, of("CARGO_CFG_TARGET_OS")?);
    place::folder(&arch, &os, &env::var("CARGO_CFG_TARGET_ENV").unwrap_or_default())
}

fn link(folder: &Path) -> Result<(), String> {
    for file in place::FILES {
        println!("cargo::rerun-if-changed={}", folder.join(file).display());
    }
    if !place::is_there(folder) {
        return Err(format!(
            "the feature `rocksdb` links a RocksDB that is compiled once, and there is none in {}: \
             run `cargo xtask rocksdb` (15 to 20 minutes on two cores), then build again",
            folder.display()
        ));
    }
    let [.., bindings] = place::FILES;
    println!("cargo::rustc-env=ESKER_ROCKSDB_BINDINGS={}", folder.join(bindings).display());
    println!("cargo::rustc-link-search=native={}", folder.display());
    // Taken from the cache when a program is linked: no copy of it in each target folder.
    println!("cargo::rustc-link-lib=static:-bundle=rocksdb");
    println!("cargo::rustc-link-lib=static:-bundle=snappy");
    let cpp = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos" | "ios" | "freebsd" | "openbsd") => "c++",
        _ => "stdc++",
    };
    println!("cargo::rustc-link-lib=dylib={cpp}");
    Ok(())
}
