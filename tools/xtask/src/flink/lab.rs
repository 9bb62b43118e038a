//! A real Flink, started by the script of `tools/flink`.

use super::place::Check;
use crate::apt::{self, answers};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPT: &str = "tools/flink/flink.sh";
/// How the script ends where there is no Java, or no pip; and where there is no way to PyPI.
const MISSING: i32 = 3;
const UNREACHABLE: i32 = 4;
/// What has both, by the names of Debian and its kin; newer ones have no Java 17, but a newer one.
const PACKAGES: [&str; 2] =
    ["openjdk-17-jdk-headless python3 python3-pip", "default-jdk-headless python3 python3-pip"];

/// Flink of one version.
pub(super) struct Lab {
    version: String,
}

/// Why there is no Flink.
pub(super) enum NoLab {
    /// What it takes is not to be had on this machine.
    Missing(String),
    /// It does not work.
    Failed(String),
}

impl NoLab {
    pub(super) fn message(self) -> String {
        match self {
            Self::Missing(message) | Self::Failed(message) => message,
        }
    }
}

/// What Flink said of one check.
pub(super) struct Restored {
    pub(super) is_fine: bool,
    pub(super) seconds: f64,
    pub(super) said: String,
}

impl Lab {
    /// Flink of that version, downloaded from PyPI if it is not there yet. What that takes is installed where apt is.
    ///
    /// # Errors
    /// What is missing and has to be installed, or what cannot be reached; what the compiler says of its programs.
    pub(super) fn install(version: &str) -> Result<Self, NoLab> {
        let mut tried = installed(version);
        if let Err(NoLab::Missing(_)) = tried
            && answers("apt-get")
        {
            let [old, new] = PACKAGES;
            if apt::install(old).or_else(|_| apt::install(new)).is_ok() {
                tried = installed(version);
            }
        }
        match tried {
            Ok(()) => Ok(Self { version: version.to_owned() }),
            Err(NoLab::Missing(missing)) => Err(NoLab::Missing(format!(
                "{missing}: restores by a real Flink need a JDK of Java 17 or newer (java and javac), Python 3 with pip, and the \
                 way to PyPI once (on Debian: apt-get install {})",
                PACKAGES[1]
            ))),
            Err(failed) => Err(failed),
        }
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Has Flink restore what `checks` name, in one JVM, and tells `each` of them in order.
    ///
    /// # Errors
    /// If the JVM cannot be started or dies.
    pub(super) fn restore(
        &self,
        checks: &[&Check],
        folder: &Path,
        each: &mut dyn FnMut(Restored),
    ) -> Result<(), String> {
        let list = folder.join("checks.tsv");
        let lines: Vec<String> = checks.iter().map(|check| check.arguments.join("\t")).collect();
        fs::write(&list, lines.join("\n") + "\n")
            .map_err(|error| crate::cache::failed(&list, &error))?;
        let mut command = Command::new(SCRIPT);
        command.args(["java", &self.version, "RestoreCheck", "--list"]).arg(&list);
        let mut java =
            command.stdout(Stdio::piped()).spawn().map_err(|error| format!("{SCRIPT}: {error}"))?;
        let (mut said, mut told) = (String::new(), 0);
        for line in java.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
            let line = line.map_err(|error| format!("{SCRIPT}: {error}"))?;
            match done(&line) {
                Some((is_fine, seconds)) => {
                    told += 1;
                    each(Restored { is_fine, seconds, said: std::mem::take(&mut said) });
                }
                None => said += &format!("  {line}\n"),
            }
        }
        let status = java.wait().map_err(|error| format!("{SCRIPT}: {error}"))?;
        match (told == checks.len(), status.code()) {
            (true, Some(0 | 1)) => Ok(()),
            _ => Err(format!("{SCRIPT} java {} RestoreCheck: {status}\n{said}", self.version)),
        }
    }
}

/// Installs Flink.
///
/// # Errors
/// If it cannot be downloaded, or its programs cannot be compiled.
fn installed(version: &str) -> Result<(), NoLab> {
    let output = Command::new(SCRIPT).args(["install", version]).output();
    let output = output.map_err(|error| NoLab::Failed(format!("{SCRIPT}: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(MISSING | UNREACHABLE) => {
            let last = said.trim().lines().last().unwrap_or_default();
            Err(NoLab::Missing(last.trim_start_matches("flink.sh: ").to_owned()))
        }
        _ => {
            let message = format!("{SCRIPT} install {version}: {}: {}", output.status, said.trim());
            Err(NoLab::Failed(message))
        }
    }
}

/// Whether a check is fine, and its seconds, of the line that ends it.
fn done(line: &str) -> Option<(bool, f64)> {
    let mut words = line.strip_prefix("done ")?.split(' ').skip(1);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_ends_a_check_is_known() {
        assert_eq!(done("done 0 true 2.75"), Some((true, 2.75)));
        assert_eq!(done("done 12 false 0.50"), Some((false, 0.5)));
        assert_eq!(done("OK: restored state is as expected, 3 lines"), None);
    }
}
