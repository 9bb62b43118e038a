//! Where the compiled RocksDB is: `cargo xtask rocksdb` puts it there, and `build.rs` finds it there.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// `librocksdb-sys` and the RocksDB in it, as in `Cargo.toml` and `compile/Cargo.toml`.
pub(crate) const VERSION: &str = "0.19.0+11.8.1";
/// The processors that it is compiled for on x86-64: without their instructions a CRC is slow.
pub(crate) const X86_64: &str = "x86-64-v2";
/// The static library, Snappy for it, and the Rust that declares its functions.
pub(crate) const FILES: [&str; 3] = ["librocksdb.a", "libsnappy.a", "bindings.rs"];

/// The folder of the library for a target, whether it is there or not. All that would make another
/// library is in its name.
///
/// # Errors
/// If nothing says where the user's cache is.
pub(crate) fn folder(arch: &str, os: &str, abi: &str) -> Result<PathBuf, String> {
    let cache = cache(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))?;
    Ok(cache.join("esker").join("rocksdb").join(name(arch, os, abi)))
}

/// Whether the library is there; if it is, it is whole, as it comes by renaming.
pub(crate) fn is_there(folder: &Path) -> bool {
    FILES.iter().all(|file| folder.join(file).is_file())
}

fn name(arch: &str, os: &str, abi: &str) -> String {
    let processor = if arch == "x86_64" { X86_64 } else { arch };
    let words = [VERSION, os, abi, processor, "lz4", "snappy", "zstd"];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

/// As the XDG base directory specification has it, where a relative path counts for none.
fn cache(xdg: Option<OsString>, home: Option<OsString>) -> Result<PathBuf, String> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|p| p.is_absolute());
    absolute(xdg)
        .or_else(|| absolute(home).map(|home| home.join(".cache")))
        .ok_or_else(|| "neither XDG_CACHE_HOME nor HOME is an absolute path".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_user_has_it() {
        let cache = |xdg: &str, home: &str| cache(Some(xdg.into()), Some(home.into()));
        assert_eq!(cache("/x", "/h"), Ok("/x".into()));
        assert_eq!(cache("", "/h"), Ok("/h/.cache".into()));
        assert_eq!(cache("relative", "/h"), Ok("/h/.cache".into()));
        assert!(cache("relative", "").is_err());
    }

    #[test]
    fn what_makes_another_library_is_in_its_name() {
        let names = [
            name("x86_64", "linux", "gnu"),
            name("x86_64", "linux", "musl"),
            name("aarch64", "linux", "gnu"),
            name("aarch64", "macos", ""),
        ];
        assert_eq!(names[0], "0.19.0+11.8.1-linux-gnu-x86-64-v2-lz4-snappy-zstd");
        assert_eq!(names[3], "0.19.0+11.8.1-macos-aarch64-lz4-snappy-zstd");
        assert!((1..4).all(|i| !names[..i].contains(&names[i])), "{names:?}");
    }

    #[test]
    fn a_library_is_there_with_all_its_files_only() {
        let folder = env::temp_dir().join(format!("esker-place-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [library, snappy, bindings] = FILES.map(|file| folder.join(file));
        for file in [bindings, snappy] {
            std::fs::write(&file, "").unwrap();
            assert!(!is_there(&folder));
        }
        std::fs::write(&library, "").unwrap();
        assert!(is_there(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
