//! Flink, started by the lab's script and read by its JSON lines.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VERSION: &str = "2.3.0";
/// What the lab's bench wants of memory at most; its state of 10,000,000 keys takes less.
const HEAP_GIB_MAX: u64 = 12;
const HEAP_GIB_MIN: u64 = 6;

/// A folder with `flink.sh` and the bench `bench/`.
pub(super) struct Lab {
    folder: PathBuf,
    heap_gib: u64,
}

/// What Flink answered.
pub(super) struct Figures {
    lines: Vec<Value>,
    system: String,
}

impl Lab {
    /// The lab in `folder`, or why there is none to ask.
    pub(super) fn at(folder: Option<&Path>) -> Result<Self, String> {
        let folder = folder.ok_or("needs --flink-lab DIR")?;
        let folder = folder.canonicalize().map_err(|e| format!("{}: {e}", folder.display()))?;
        if !folder.join("flink.sh").is_file() || !folder.join("bench").is_dir() {
            return Err(format!("{} has no flink.sh and bench/", folder.display()));
        }
        for program in ["java", "javac"] {
            let started = Command::new(program).arg("-version").output();
            if !started.is_ok_and(|output| output.status.success()) {
                return Err(format!("{program} is missing"));
            }
        }
        let heap_gib = (crate::machine::available_gib()? * 3 / 4).min(HEAP_GIB_MAX);
        if heap_gib < HEAP_GIB_MIN {
            return Err(format!("needs {} GiB of free memory", HEAP_GIB_MIN * 4 / 3));
        }
        Ok(Self { folder, heap_gib })
    }

    /// Asks `questions` in a JVM of their own.
    pub(super) fn ask(&self, questions: Vec<String>, quick: bool) -> Result<Figures, String> {
        let script = || {
            let mut command = Command::new(self.folder.join("flink.sh"));
            command.current_dir(&self.folder).stderr(Stdio::inherit());
            command
        };
        let installed = script().args(["install", VERSION]).status();
        let installed = installed.map_err(|e| format!("flink.sh: {e}"))?;
        if !installed.success() {
            return Err(format!("flink.sh install {VERSION}: {installed}"));
        }
        let options = format!("-Xmx{}g -XX:+UseG1GC", self.heap_gib);
        let only = format!("^({})$", questions.join("|").replace('.', "\\."));
        let mut command = script();
        command.env("FLINK_EXTRA_SRC", "bench").env("FLINK_JVM_OPTS", &options);
        command.args(["java", VERSION, "StateBench", "--only", &only, "--dir"]);
        command.arg(std::env::temp_dir()).args(quick.then_some("--quick"));
        let output = command.output().map_err(|e| format!("flink.sh: {e}"))?;
        if !output.status.success() {
            return Err(format!("flink.sh java {VERSION} StateBench: {}", output.status));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Value> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        Ok(Figures { lines, system: format!("Flink {VERSION}, {options}, run before esker") })
    }
}

impl Figures {
    /// A field of the line that answers `question`.
    pub(super) fn figure(&self, question: &str, field: &str) -> Result<f64, String> {
        let line = self.lines.iter().find(|line| line["question"] == question);
        let figure = line.and_then(|line| line[field].as_f64());
        figure.ok_or_else(|| format!("the lab printed no {field} of {question}"))
    }

    /// The name of the peer.
    pub(super) fn system(&self) -> &str {
        &self.system
    }
}
