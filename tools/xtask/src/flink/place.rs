//! Where a scenario runs: its golden snapshot, a folder of its own, and the tool.

use super::lines::Lines;
use crate::cache::failed;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const GOLDEN: &str = "format/flink/golden";

/// A temporary folder for all that is made; it stays if told to, and is named then.
pub(super) fn temporary(keep: bool) -> Result<TempDir, String> {
    let mut folder = TempDir::with_prefix("esker-flink-").map_err(|error| error.to_string())?;
    if keep {
        folder.disable_cleanup(true);
        println!("flink: in {}", folder.path().display());
    }
    Ok(folder)
}

/// What Flink is to restore, and to find there.
pub(super) struct Check {
    /// Those of the lab's `RestoreCheck`.
    pub(super) arguments: Vec<String>,
    /// How many lines are expected.
    pub(super) lines: usize,
}

impl Check {
    /// The same, restored at this parallelism.
    pub(super) fn parallelism(self, parallelism: u32) -> Self {
        self.with(&["--parallelism", &parallelism.to_string()])
    }

    /// And then by the job that wrote the golden snapshot, which goes on for some records if told to.
    pub(super) fn job(self, spec: &str, keys: u32, records: u32, more: u32) -> Self {
        let [keys, records, more] = [keys, records, more].map(|number| number.to_string());
        self.with(&["--spec", spec, "--keys", &keys, "--records", &records, "--continue", &more])
    }

    /// That job having this much of maximum parallelism.
    pub(super) fn max_parallelism(self, max_parallelism: u32) -> Self {
        self.with(&["--max-parallelism", &max_parallelism.to_string()])
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Whether a real job is started from it.
    pub(super) fn runs_job(&self) -> bool {
        self.arguments.iter().any(|argument| argument == "--spec")
    }
}

/// Of one scenario.
pub(super) struct Place {
    version: String,
    /// The backend that Flink restores into.
    pub(super) backend: &'static str,
    folder: PathBuf,
}

impl Place {
    /// # Errors
    /// If the folder cannot be made.
    pub(super) fn new(
        version: &str,
        backend: &'static str,
        folder: PathBuf,
    ) -> Result<Self, String> {
        fs::create_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
        Ok(Self { version: version.to_owned(), backend, folder })
    }

    /// The folder of a golden snapshot of this version, with `BACKEND-` before its name.
    pub(super) fn golden(&self, name: &str) -> PathBuf {
        let name = format!("{}-{name}", self.backend);
        Path::new(GOLDEN).join(&self.version).join(name).join("snapshot")
    }

    /// The same of the version before.
    pub(super) fn older_golden(&self, name: &str) -> PathBuf {
        let version = if self.version.starts_with("2.") { "1.20.5" } else { "1.16.3" };
        let name = format!("{}-{name}", self.backend);
        Path::new(GOLDEN).join(version).join(name).join("snapshot")
    }

    /// The last checkpoint in such a folder.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn last_checkpoint(&self, name: &str) -> Result<PathBuf, String> {
        let mut folder = self.golden(name);
        for _level in ["job", "checkpoint"] {
            let entries = fs::read_dir(&folder).map_err(|error| failed(&folder, &error))?;
            let names = entries.flatten().map(|entry| entry.path());
            let wanted = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.len() == 32 || name.starts_with("chk-")
            };
            folder = names.filter(wanted).max().ok_or("there is no checkpoint")?;
        }
        Ok(folder)
    }

    /// As `--flink-version` takes it.
    pub(super) fn feature_version(&self) -> String {
        match self.version.split_once('.') {
            Some(("2", _)) => "2.x".to_owned(),
            _ => self.version.rsplit_once('.').map_or(&*self.version, |(it, _)| it).to_owned(),
        }
    }

    /// A path in the folder of this scenario.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The lines of a file of `expected/`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn expected(&self, name: &str) -> Result<Lines, String> {
        let path = Path::new(GOLDEN).join("expected").join(name);
        let text = fs::read_to_string(&path).map_err(|error| failed(&path, &error))?;
        Ok(Lines::of(&text))
    }

    /// Writes a file into the folder of this scenario.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
        Ok(path)
    }

    /// Runs the tool.
    ///
    /// # Errors
    /// What it says if its answer is not yes.
    pub(super) fn esker(&self, arguments: &[&dyn AsRef<OsStr>]) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program.with_file_name("esker"));
        command.args(arguments.iter().map(|argument| argument.as_ref()));
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        match output.status.success() {
            true => Ok(()),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(format!("{command:?}: {}\n{said}", output.status))
            }
        }
    }

    /// That Flink restores `snapshot` and finds `lines` there.
    ///
    /// # Errors
    /// If the lines cannot be written.
    pub(super) fn check(&self, snapshot: &Path, lines: &Lines) -> Result<Check, String> {
        let expected = self.write("expected.jsonl", &lines.text())?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let words = ["--backend", self.backend, "--snapshot", &text(snapshot), "--expected"];
        let mut arguments: Vec<String> = words.map(str::to_owned).to_vec();
        arguments.push(text(&expected));
        Ok(Check { arguments, lines: lines.len() })
    }
}
