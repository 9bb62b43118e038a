//! What of a snapshot is damaged, by names: file, states, key groups.

use crate::outcome::Status;
use esker::format::KeyGroupRange;
use esker::format::manifest::{Operator, StateInfo};
use esker::snapshot::{Damage, Lost};
use esker::{Error, ErrorKind};
use serde::Serialize;
use std::error::Error as _;
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Harm {
    /// The file, below the root of names.
    pub(crate) file: Option<String>,
    pub(crate) status: Status,
    pub(crate) message: String,
    /// How many entries it takes, where that is known.
    pub(crate) entries: Option<u64>,
    pub(crate) lost: Vec<LostState>,
}

/// What entries of a state may be damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LostState {
    pub(crate) operator: String,
    pub(crate) state: String,
    pub(crate) key_group_first: u16,
    pub(crate) key_group_last: u16,
}

/// Whether what failed may work in a while: something other than damage.
pub(super) fn is_passing(error: &Error) -> bool {
    error.kind() == ErrorKind::Retry && !error.is_damage()
}

impl Harm {
    /// Of an error that takes nothing else with it than what it says.
    pub(crate) fn of(error: &Error) -> Self {
        let text = error.to_string();
        let file = error.path().map(str::to_owned);
        let suffix = file.as_ref().map(|file| format!(": path={file}"));
        let message = suffix.and_then(|suffix| text.strip_suffix(&suffix)).unwrap_or(&text);
        let status = match error.kind() {
            // A codec that is not one of esker's is no damage.
            ErrorKind::Unsupported | ErrorKind::Incompatible => Status::Refused,
            _ if error.is_damage() => Status::Damaged,
            ErrorKind::Retry | ErrorKind::Conflict => Status::Unreadable,
            // What a store refuses has the store's own error below it: no access, for one.
            ErrorKind::Invalid if error.source().is_some() => Status::Unreadable,
            ErrorKind::Invalid => Status::Absent,
            _ => Status::Damaged,
        };
        Self { message: message.to_owned(), file, status, entries: None, lost: Vec::new() }
    }

    /// Of an error of who writes to a target: what may not be written to is refused, as is a plan that does
    /// not fit; nothing is unreadable or absent.
    pub(crate) fn of_target(error: &Error) -> Self {
        let harm = Self::of(error);
        match (error.kind(), error.source()) {
            (ErrorKind::Conflict | ErrorKind::Invalid, None) => {
                Self { status: Status::Refused, ..harm }
            }
            // What has a source is the store's own: no access, for one.
            _ => harm,
        }
    }

    /// The worst status of `harms`; none if there are none.
    pub(crate) fn worst<'a>(harms: impl IntoIterator<Item = &'a Self>) -> Option<Status> {
        harms.into_iter().map(|harm| harm.status).max_by_key(|status| status.outcome())
    }

    /// Of damage to a file of `operator` that can hold states of which `holds` is true.
    pub(crate) fn of_damage(
        damage: &Damage,
        operator: &Operator,
        holds: impl Fn(&StateInfo) -> bool,
    ) -> Self {
        let harm = Self::of(&damage.error);
        Self { entries: damage.entries, ..harm }.losing(operator, &damage.lost, holds)
    }

    /// The same, with what of `operator` is lost.
    pub(crate) fn losing(
        mut self,
        operator: &Operator,
        lost: &[Lost],
        holds: impl Fn(&StateInfo) -> bool,
    ) -> Self {
        for Lost { state, range } in lost {
            let states = operator.states.iter();
            let states = states.filter(|info| holds(info) && state.is_none_or(|id| info.id == id));
            self.lost.extend(states.map(|info| LostState::of(operator, &info.name, *range)));
        }
        self
    }

    /// Whether it takes something of what `wanted` says by operator, state and key groups.
    pub(crate) fn touches(&self, wanted: impl Fn(&LostState) -> bool) -> bool {
        self.lost.is_empty() || self.lost.iter().any(wanted)
    }

    /// As it is shown of a snapshot that was asked for as `name`.
    pub(crate) fn within(&self, name: &str) -> String {
        let file = self.file.as_deref().filter(|file| *file != name);
        let file = file.map_or(name.to_owned(), |file| format!("{name}: {file}"));
        Self { file: Some(file), ..self.clone() }.to_string()
    }

    pub(crate) fn to_error(&self) -> Error {
        let kind = match self.status {
            Status::Refused => ErrorKind::Unsupported,
            Status::Unreadable => ErrorKind::Retry,
            Status::Absent => ErrorKind::Invalid,
            _ => ErrorKind::Corrupt,
        };
        Error::new(kind, self.to_string())
    }
}

impl LostState {
    fn of(operator: &Operator, state: &str, range: KeyGroupRange) -> Self {
        Self {
            operator: operator.uid.clone(),
            state: state.to_owned(),
            key_group_first: range.first(),
            key_group_last: range.last(),
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(file) = &self.file {
            write!(f, " {file}")?;
        }
        write!(f, ": {}", self.message)?;
        for (number, lost) in self.lost.iter().enumerate() {
            let LostState { operator, state, key_group_first, key_group_last } = lost;
            let lead = if number == 0 { "; lost may be" } else { "," };
            write!(f, "{lead} {operator}/{state} key groups {key_group_first}-{key_group_last}")?;
        }
        match self.entries {
            Some(entries) => write!(f, " ({entries} entries)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_of_somebody_else_is_no_damage() {
        let error = Error::new(ErrorKind::Incompatible, "codec 900 is not one of esker's");
        assert_eq!(Harm::of(&error).status, Status::Refused);
        let error = Error::new(ErrorKind::Corrupt, "what");
        assert_eq!(Harm::of(&error).status, Status::Damaged);
    }
}
