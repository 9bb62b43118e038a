//! Programs that a test or a step of CI needs, and that may be missing.

use std::io::{self, ErrorKind, Write};
use std::process::Command;

/// Whether `program` is there. If not, says in one line that `what` is skipped.
///
/// # Errors
/// If it is there and does not answer `--version`: that is no reason to skip anything.
pub fn is_there(program: &str, what: &str) -> Result<bool, String> {
    let there = answers(program)?;
    if !there {
        skip(what, &format!("there is no {program}"));
    }
    Ok(there)
}

/// Programs that are a headless Chromium, the first that is there being taken.
pub const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The first of `programs` that is there. If none is, says in one line that `what` is skipped.
///
/// # Errors
/// As for [`is_there`].
pub fn first_of<'a>(programs: &[&'a str], what: &str) -> Result<Option<&'a str>, String> {
    for program in programs {
        if answers(program)? {
            return Ok(Some(program));
        }
    }
    skip(what, &format!("there is none of {programs:?}"));
    Ok(None)
}

fn answers(program: &str) -> Result<bool, String> {
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => Ok(true),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("{program} --version: {}: {}", output.status, said.trim()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(format!("{program} --version: {error}")),
    }
}

/// Says in one line that `what` does not run, and why.
pub fn skip(what: &str, why: &str) {
    // `println!` would be captured, and not be seen of a test that passes.
    let _ = writeln!(io::stdout(), "SKIPPED {what}: {why}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_program_that_is_there_is_taken() {
        let found = first_of(&["esker-has-no-such-program", "cargo", "false"], "nothing");
        assert_eq!(found, Ok(Some("cargo")));
        assert_eq!(first_of(&["esker-has-no-such-program"], "this test's end"), Ok(None));
        assert!(first_of(&["false", "cargo"], "nothing").is_err());
    }

    #[test]
    fn a_program_is_there_or_not_or_broken() {
        assert_eq!(answers("cargo"), Ok(true));
        assert_eq!(answers("esker-has-no-such-program"), Ok(false));
        // What fails, and what cannot be run.
        assert!(answers("false").is_err());
        assert!(answers("/").is_err());
    }
}
