//! Runs each workload on each backend, in a process of its own.

use super::job::Job;
use super::result::Run;
use super::settings::{Settings, WorkloadName};
use crate::demo::BackendName;
use crate::outcome::say;
use clap::ValueEnum;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What all runs have in common.
pub(super) struct Runs<'a> {
    /// Where checkpoints go, and stay; a temporary folder for each run if none.
    pub(super) store: Option<String>,
    /// Where backends keep what they have on disk; likewise.
    pub(super) local: Option<PathBuf>,
    pub(super) settings: &'a Settings,
    pub(super) talk: bool,
}

/// The process of a run, which ends with this one.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Runs<'_> {
    /// Runs `workload` on `backend` to its end.
    ///
    /// # Errors
    /// If it cannot be started, or fails; what it said of that is on standard error.
    pub(super) fn run(&self, workload: WorkloadName, backend: BackendName) -> Result<Run, String> {
        let name = backend.to_possible_value().map(|value| value.get_name().to_owned());
        let name = format!("{workload}-{}", name.unwrap_or_default());
        if self.talk {
            say(format_args!("bench: {name}"));
        }
        // Removed when the run is over.
        let folder = tempfile::Builder::new().prefix("esker-bench-").tempdir();
        let folder = folder.map_err(|error| format!("no temporary folder: {error}"))?;
        let below = |part: &str| folder.path().join(part);
        let store = match &self.store {
            // One in memory has no folders, and is each process's own.
            Some(store) if store.ends_with("://") => store.clone(),
            Some(store) => format!("{}/{name}", store.trim_end_matches('/')),
            None => below("store").to_string_lossy().into_owned(),
        };
        let local = self.local.as_ref().map_or_else(|| below("local"), |local| local.join(&name));
        let settings = self.settings.clone();
        let job = Job { workload, backend, settings, store, local, talk: self.talk };
        let job = serde_json::to_string(&job).map_err(|error| error.to_string())?;

        let esker = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
        let mut command = Command::new(esker);
        command.args(["bench", "--job", &job]).stdin(Stdio::null()).stdout(Stdio::piped());
        let started = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut process = Process(started);
        let mut told = String::new();
        if let Some(stdout) = &mut process.0.stdout {
            stdout.read_to_string(&mut told).map_err(|error| format!("{name}: {error}"))?;
        }
        let status = process.0.wait().map_err(|error| format!("{name}: {error}"))?;
        match status.success() {
            true => serde_json::from_str(&told).map_err(|error| format!("{name}: {error}")),
            false => Err(format!("{name} failed: {status}")),
        }
    }
}
