//! Settings of a job: `serde` data, from TOML and the environment.

use crate::checkpoint::Retention;
use crate::checkpoint::coordinator::CoordinatorSettings;
use crate::snapshot::SnapshotSettings;
use crate::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// What can be set for a job. A field that is not named keeps its default.
///
/// ```
/// # use esker::Settings;
/// let settings = Settings::from_toml("[snapshot]\nthreads = 4\n[retention]\nlast = 5\n")?;
/// assert_eq!((settings.snapshot.threads, settings.retention.last.get()), (4, 5));
/// let error = Settings::from_toml("[snapshot]\nthreads = 0\n").unwrap_err();
/// assert!(error.to_string().contains("snapshot.threads"));
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How snapshots are written and read.
    pub snapshot: SnapshotSettings,
    /// Which checkpoints are retained.
    pub retention: RetentionSettings,
    /// When they are taken.
    pub checkpoints: CoordinatorSettings,
}

/// Which checkpoints are retained: those that any of these rules keeps, as [`Retention`] has them, and
/// those that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// How many, the newest ones.
    pub last: NonZeroU32,
    /// Those that are older than the newest by so many milliseconds at most; 0 for none.
    pub within_ms: u64,
    /// The newest of each of the last so many hours that have one.
    pub hours: u32,
    /// The newest of each of the last so many days that have one.
    pub days: u32,
    /// The newest of each of the last so many weeks that have one.
    pub weeks: u32,
    /// What becomes of a job's checkpoints when it is cancelled.
    pub on_cancel: OnCancel,
}

/// What becomes of the checkpoints of a job that is cancelled, as by
/// [`LocalJob::cancel`](crate::engine::LocalJob::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCancel {
    /// They stay as they are.
    #[default]
    Retain,
    /// All go but those that are held and the last one: what can be restored is never deleted to the end.
    Delete,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            last: NonZeroU32::MIN.saturating_add(2),
            within_ms: 0,
            hours: 0,
            days: 0,
            weeks: 0,
            on_cancel: OnCancel::Retain,
        }
    }
}

impl From<RetentionSettings> for Retention {
    fn from(settings: RetentionSettings) -> Self {
        let RetentionSettings { last, within_ms, hours, days, weeks, .. } = settings;
        Self { within_ms, hours, days, weeks, ..Self::last(last) }
    }
}

impl RetentionSettings {
    /// Checks every field.
    ///
    /// # Errors
    /// `Invalid`, with the field named.
    pub fn check(&self) -> Result<()> {
        if i64::try_from(self.within_ms).is_err() {
            let message = "setting retention.within_ms: at most 9223372036854775807";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        Ok(())
    }
}

impl Settings {
    /// Settings as a TOML document has them.
    ///
    /// # Errors
    /// `Invalid`, with the field named.
    pub fn from_toml(text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text).map_err(|error| invalid(&error.to_string()))?;
        settings.check()?;
        Ok(settings)
    }

    /// The same settings with what variables of the environment say in place of some:
    /// `ESKER_SNAPSHOT_THREADS` is `snapshot.threads`. Their values are written as in TOML.
    ///
    /// # Errors
    /// `Invalid`, with the variable named; also for one that begins so and is no setting.
    pub fn with_env(self, variables: impl Iterator<Item = (String, String)>) -> Result<Self> {
        let mut table =
            toml::Table::try_from(&self).map_err(|error| invalid(&error.to_string()))?;
        for (name, value) in variables {
            let Some((section, field)) = name
                .strip_prefix("ESKER_")
                .and_then(|rest| rest.split_once('_'))
                .map(|(section, field)| (section.to_lowercase(), field.to_lowercase()))
            else {
                continue;
            };
            let Some(fields) = table.get_mut(&section).and_then(toml::Value::as_table_mut) else {
                continue;
            };
            let value = format!("value = {value}").parse::<toml::Table>();
            let value = value.ok().and_then(|mut value| value.remove("value"));
            let value = value.ok_or_else(|| invalid(&format!("{name}: not a value of TOML")))?;
            if fields.insert(field, value).is_none() {
                return Err(invalid(&format!("{name}: there is no such setting")));
            }
        }
        let settings: Self = table.try_into().map_err(|error: toml::de::Error| {
            invalid(&format!("in the environment: {}", error.message()))
        })?;
        settings.check()?;
        Ok(settings)
    }

    /// Checks every field.
    ///
    /// # Errors
    /// `Invalid`, with the field named.
    pub fn check(&self) -> Result<()> {
        self.snapshot.check()?;
        self.retention.check()?;
        self.checkpoints.check()
    }
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("settings: {}", message.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Result<Settings> {
        let variables = [(name.to_owned(), value.to_owned())];
        Settings::default().with_env(variables.into_iter())
    }

    #[test]
    fn the_environment_overrides_and_what_is_wrong_is_named() {
        let settings = with("ESKER_SNAPSHOT_MERGE_FACTOR", "1.5").unwrap();
        assert!((settings.snapshot.merge_factor - 1.5).abs() < f64::EPSILON);
        assert_eq!(with("ESKER_RETENTION_LAST", "9").unwrap().retention.last.get(), 9);
        assert_eq!(with("ESKER_SOAK", "1").unwrap(), Settings::default());
        assert_eq!(with("PATH", "/bin").unwrap(), Settings::default());
        for (name, value, part) in [
            ("ESKER_SNAPSHOT_THREADS", "0", "snapshot.threads"),
            ("ESKER_SNAPSHOT_THREADS", "many threads", "ESKER_SNAPSHOT_THREADS"),
            ("ESKER_SNAPSHOT_THREAD", "1", "ESKER_SNAPSHOT_THREAD"),
            ("ESKER_RETENTION_LAST", "0", "nonzero"),
            ("ESKER_RETENTION_HOURS", "-1", "u32"),
            ("ESKER_RETENTION_ON_CANCEL", "'keep'", "keep"),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{error}");
        }
        let retention = "[retention]\nlast = 2\nwithin_ms = 60000\nhours = 24\ndays = 7\nweeks = 4\non_cancel = \"delete\"\n";
        let settings = Settings::from_toml(retention).unwrap().retention;
        let policy = Retention::from(settings);
        assert_eq!((policy.within_ms, policy.hours, policy.days, policy.weeks), (60_000, 24, 7, 4));
        assert_eq!((policy.last_count.get(), settings.on_cancel), (2, OnCancel::Delete));
        let long = RetentionSettings { within_ms: u64::MAX, ..settings };
        assert!(long.check().unwrap_err().to_string().contains("retention.within_ms"));
        let error = Settings::from_toml("[snapshot]\nthread = 1\n").unwrap_err().to_string();
        assert!(error.contains("thread") && error.contains("line 2"), "{error}");
    }
}
