//! A real Flink, started by the script of `tools/flink`.

use super::place::Check;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const SCRIPT: &str = "tools/flink/flink.sh";
/// How the script ends where there is no Java, no pip or no way to PyPI.
const MISSING: i32 = 3;

/// Flink of one version.
pub(super) struct Lab {
    version: String,
}

/// A lab, or what is missing for one.
pub(super) enum Installed {
    Yes(Lab),
    No(String),
}

/// What Flink said of one check.
pub(super) struct Restored {
    pub(super) is_fine: bool,
    pub(super) seconds: f64,
    pub(super) said: String,
}

impl Lab {
    /// # Errors
    /// If Flink is there and its programs cannot be compiled.
    pub(super) fn install(version: &str) -> Result<Installed, String> {
        let output = Command::new(SCRIPT).args(["install", version]).output();
        let output = output.map_err(|error| format!("{SCRIPT}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => Ok(Installed::Yes(Self { version: version.to_owned() })),
            Some(MISSING) => {
                let last = said.trim().lines().last().unwrap_or_default();
                Ok(Installed::No(last.trim_start_matches("flink.sh: ").to_owned()))
            }
            _ => Err(format!("{SCRIPT} install {version}: {}: {said}", output.status)),
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
