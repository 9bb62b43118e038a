//! Rows `tool.*`: whole commands of the tool on snapshots on disk. The binary `esker` is looked for beside
//! this one, in the same target folder.

mod large;
mod state;

use crate::measure::seconds;
use crate::report::Report;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Measures all rows that are asked for.
pub(crate) fn run(report: &mut Report) -> Result<(), String> {
    state::run(report)?;
    large::run(report)
}

/// A folder for snapshots, removed with what is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let path = std::env::temp_dir().join(format!("esker-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(text)?;
        Ok(Self(path))
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The tool, if it was built for release as this binary was.
pub(crate) fn tool() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name("esker");
    path.is_file().then_some(path)
}

pub(crate) const NO_TOOL: &str =
    "no binary esker beside this one: cargo build --release --package esker-cli";

/// `esker`, to be run with `arguments` and no output.
fn esker(arguments: &[&dyn AsRef<OsStr>]) -> Result<Command, String> {
    let mut command = Command::new(tool().ok_or(NO_TOOL)?);
    command.args(arguments.iter().map(|argument| argument.as_ref()));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
    Ok(command)
}

/// Seconds that `esker` takes with `arguments`.
///
/// # Errors
/// If it ends with another code than `code`; what it says then.
pub(crate) fn timed(arguments: &[&dyn AsRef<OsStr>], code: i32) -> Result<f64, String> {
    let mut command = esker(arguments)?;
    let mut ended = None;
    let time = seconds(|| ended = Some(command.output()));
    let output = ended.ok_or("not run")?.map_err(text)?;
    match output.status.code() {
        Some(found) if found == code => Ok(time),
        _ => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// How many lines `esker` writes with `arguments`.
///
/// # Errors
/// If it does not end well; what it says then.
pub(crate) fn counted(arguments: &[&dyn AsRef<OsStr>]) -> Result<u64, String> {
    let mut command = esker(arguments)?;
    command.stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = command.spawn().map_err(text)?;
    let mut lines = 0;
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(|out| out.split(b'\n'))
    {
        line.map_err(text)?;
        lines += 1;
    }
    match child.wait().map_err(text)? {
        status if status.success() => Ok(lines),
        status => Err(format!("{command:?}: {status}")),
    }
}

/// All files below `folder`, with their lengths in bytes.
pub(crate) fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).map_err(text)? {
            let entry = entry.map_err(text)?;
            let metadata = entry.metadata().map_err(text)?;
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => found.push((entry.path(), metadata.len())),
            }
        }
    }
    Ok(found)
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
