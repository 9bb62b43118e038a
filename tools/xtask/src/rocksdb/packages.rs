//! What RocksDB needs to compile, and how Debian and its kin call it.

use crate::apt::{self, answers};
use crate::command;
use std::path::Path;

/// What to say if it does not compile.
pub(crate) const NEEDED: &str = "RocksDB needs a C++20 compiler, and libclang with its headers \
    (Debian 12: g++ libclang1-14 libclang-common-14-dev; Fedora: gcc-c++ clang-devel; Arch: gcc clang; \
    elsewhere LIBCLANG_PATH says where libclang is)";

/// Where Debian puts LLVM, a folder for each release.
const LLVM: &str = "/usr/lib";

/// Installs what is missing, where there is apt. Elsewhere the compiler says what it misses.
///
/// # Errors
/// If apt fails, or if there is none and no C++ compiler either.
pub(crate) fn install() -> Result<(), String> {
    // Whoever says which one is meant need not be helped.
    let compiler = std::env::var_os("CXX").is_some() || answers("c++");
    let clang = std::env::var_os("LIBCLANG_PATH").is_some() || has_libclang(Path::new(LLVM));
    if compiler && clang {
        return Ok(());
    }
    if !answers("apt-get") {
        return if compiler { Ok(()) } else { Err(format!("there is no c++; {NEEDED}")) };
    }

    let mut packages = Vec::new();
    if !compiler {
        packages.push("g++".to_owned());
    }
    if !clang {
        packages.extend(libclang()?);
    }
    apt::install(&packages.join(" ")).map_err(needed)
}

fn needed(error: String) -> String {
    format!("{error}; {NEEDED}")
}

/// The library and its headers of this release: 7 MB, of the 100 that `libclang-dev` stands for.
fn libclang() -> Result<Vec<String>, String> {
    let mut release = release_of(&said_by_apt());
    if release.is_none() {
        apt::update().map_err(needed)?;
        release = release_of(&said_by_apt());
    }
    Ok(match release {
        Some(n) => vec![format!("libclang1-{n}"), format!("libclang-common-{n}-dev")],
        None => vec!["libclang-dev".to_owned()],
    })
}

fn said_by_apt() -> String {
    let output = command("apt-cache depends libclang-dev").output();
    output.map_or_else(|_| String::new(), |said| String::from_utf8_lossy(&said.stdout).into_owned())
}

/// The release of LLVM in what apt says of `libclang-dev`: `14` of `Depends: libclang-14-dev`.
fn release_of(depends: &str) -> Option<u32> {
    depends.lines().find_map(|line| {
        let name = line.trim().strip_prefix("Depends: libclang-")?;
        name.strip_suffix("-dev")?.parse().ok()
    })
}

/// Whether a release of LLVM below `usr_lib` has libclang, and the headers that it comes without.
fn has_libclang(usr_lib: &Path) -> bool {
    let of_clang = |name: &str| name.starts_with("libclang") && !name.starts_with("libclang-cpp");
    names(usr_lib).iter().filter(|name| name.starts_with("llvm-")).any(|release| {
        let lib = usr_lib.join(release).join("lib");
        let shared = |name: &String| of_clang(name) && name.contains(".so");
        let headers = lib.join("clang");
        names(&lib).iter().any(shared)
            && names(&headers)
                .iter()
                .any(|version| headers.join(version).join("include/stdbool.h").is_file())
    })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn apt_says_which_libclang_its_release_has() {
        let bookworm = "libclang-dev\n  Depends: libclang-14-dev\n";
        let other = "libclang-dev\n  PreDepends: x\n |Depends: y\n  Depends: libclang-19-dev\n";
        assert_eq!((release_of(bookworm), release_of(other)), (Some(14), Some(19)));
        assert_eq!((release_of(""), release_of("Depends: libclang-cpp-dev")), (None, None));
    }

    #[test]
    fn libclang_is_there_with_its_headers_of_the_same_release_only() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            has_libclang(folder.path())
        };
        assert!(!put("llvm-14/lib/libclang-cpp.so.14"));
        assert!(!put("llvm-14/lib/clang/14.0.6/include/stdbool.h"));
        assert!(!put("llvm-13/lib/libclang-13.so.1"));
        assert!(!put("llvm-13/lib/clang/13.0.1/share/list.txt"));
        assert!(put("llvm-14/lib/libclang-14.so.1"));
    }
}
