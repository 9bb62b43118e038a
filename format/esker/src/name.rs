//! Names of files, relative to a root that they cannot leave (SPEC.md, "Names").

use crate::{FormatError, Result};
use std::fmt;
use std::str::FromStr;

/// The longest name that is accepted, in bytes.
pub const NAME_LEN_BYTES_MAX: usize = 1024;

/// A file's name below a root: segments joined by single slashes.
///
/// No segment is empty, `.` or `..`, and none holds a backslash, a colon (a drive letter on some
/// systems) or a control character, so that joining the name to a root always stays below it.
///
/// ```
/// # use esker_format::RelativeName;
/// assert!("shared/3/7-0.run".parse::<RelativeName>().is_ok());
/// assert!("../secrets".parse::<RelativeName>().is_err());
/// ```
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct RelativeName(String);

impl RelativeName {
    /// Checks `name` and takes it.
    ///
    /// # Errors
    /// `Corrupt` if the name could leave its root, is empty, or is longer than
    /// [`NAME_LEN_BYTES_MAX`].
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let refuse = |why: &str| Err(FormatError::corrupt("name", format!("{why}: name={name:?}")));
        if name.len() > NAME_LEN_BYTES_MAX {
            let message = format!("longer than {NAME_LEN_BYTES_MAX} bytes: bytes={}", name.len());
            return Err(FormatError::corrupt("name", message));
        }
        if name.contains(['\\', ':']) || name.contains(char::is_control) {
            return refuse("a backslash, colon or control character");
        }
        match name.split('/').find(|segment| matches!(*segment, "" | "." | "..")) {
            Some("") => refuse("an empty segment"),
            Some(_) => refuse("a segment that is `.` or `..`"),
            None => Ok(Self(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RelativeName {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<String> for RelativeName {
    type Error = FormatError;

    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl From<RelativeName> for String {
    fn from(name: RelativeName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_root_are_refused() {
        let bad =
            ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\\b", "C:a", "a\0", "a\nb"];
        for name in bad {
            assert!(RelativeName::new(name).is_err(), "{name:?}");
            let json = serde_json::to_string(name).unwrap();
            assert!(serde_json::from_str::<RelativeName>(&json).is_err(), "{name:?}");
        }
        assert!(RelativeName::new("a".repeat(NAME_LEN_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn other_names_are_kept_as_they_are() {
        for name in ["a", "a/b", "..a", "a..", "chk-1-2/_metadata", "ü/…", &"a".repeat(1024)] {
            assert_eq!(RelativeName::new(name).unwrap().as_str(), name);
        }
    }
}
