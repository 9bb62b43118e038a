//! Copies what `librocksdb-sys` compiled to the folder that `cargo xtask rocksdb` names.

use std::error::Error;
use std::path::PathBuf;

/// The static library, Snappy for it, and the Rust that declares its functions.
const FILES: [&str; 3] = ["librocksdb.a", "libsnappy.a", "bindings.rs"];

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo tells where a dependency that links a library compiled it.
    let from = PathBuf::from(std::env::var("DEP_ROCKSDB_OUT_DIR")?);
    let to = PathBuf::from(std::env::var("ESKER_ROCKSDB_TO")?);
    for file in FILES {
        let (from, to) = (from.join(file), to.join(file));
        std::fs::copy(&from, &to)
            .map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))?;
    }
    Ok(())
}
