//! Writes the seeds of every target below a folder, for libFuzzer, and the targets' names to
//! standard output: what `cargo xtask fuzz` begins with.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let root = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| "fuzz/corpus".into()));
    for target in esker_fuzz::TARGETS {
        let dir = root.join(target.name);
        std::fs::create_dir_all(&dir)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            std::fs::write(dir.join(format!("seed-{number}")), seed)?;
        }
        writeln!(std::io::stdout(), "{}", target.name)?;
    }
    Ok(())
}
