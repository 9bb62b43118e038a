//! The frozen shape of version 1 of parts. Never changed once released: a new version gets structs
//! of its own.

use super::v1_stats::Stats;
use crate::digest::ShortDigest;
use crate::dirs::{self, DirTable};
use crate::record::Extra;
use crate::run::{FOOTER_LEN_BYTES, IndexLocation};
use crate::{FormatError, FormatErrorKind, KeyGroupRange, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    dirs: Vec<String>,
    runs: Vec<RunRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator_run: Option<RunRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    native: Option<Native>,
    states: Vec<PartState>,
    #[serde(flatten)]
    extra: Extra,
}

#[derive(Serialize, Deserialize)]
struct Native {
    engine: String,
    files: Vec<NativeFile>,
    #[serde(flatten)]
    extra: Extra,
}

/// Name within the database, the file, and what it holds: a state's id, first and last key group.
#[derive(Serialize, Deserialize)]
struct NativeFile(String, FileRef, Option<(u32, u16, u16)>);

/// Arrays, not objects: dozens of them stand in one part.
#[derive(Serialize, Deserialize)]
struct RunRef(FileRef, IndexRef, u64, (u16, u16), Base);

/// Folder, name, length, digest.
#[derive(Serialize, Deserialize)]
struct FileRef(u32, String, u64, ShortDigest);

/// Offset, digest; the index ends where the footer begins.
#[derive(Serialize, Deserialize)]
struct IndexRef(u64, ShortDigest);

/// All of the run's range or none of it, or the first and last of each.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Base {
    Whole(bool),
    Ranges(Vec<(u16, u16)>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartState {
    id: u32,
    entries: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earliest_timer_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_time_ms: Option<i64>,
    stats: Stats,
    #[serde(flatten)]
    extra: Extra,
}

impl Part {
    pub(super) fn of(model: &super::Part) -> Result<Self> {
        let mut table = DirTable::default();
        let runs = model.runs.iter().map(|run| RunRef::of(run, &mut table));
        let runs = runs.collect::<Result<_>>()?;
        let operator_run = model.operator_run.iter().map(|run| RunRef::of(run, &mut table));
        let operator_run = operator_run.collect::<Result<Vec<_>>>()?.pop();
        let native = model.native.iter().map(|native| Native::of(native, &mut table));
        let native = native.collect::<Result<Vec<_>>>()?.pop();
        let states = model.states.iter().map(PartState::of).collect();
        let (dirs, extra) = (table.dirs, model.extra.clone());
        Ok(Self { dirs, runs, operator_run, native, states, extra })
    }

    pub(super) fn into_part(self) -> Result<super::Part> {
        dirs::check_table(&self.dirs)?;
        let runs = self.runs.into_iter().map(|run| run.into_run(&self.dirs));
        let states = self.states.into_iter().map(PartState::into_state);
        Ok(super::Part {
            runs: runs.collect::<Result<_>>()?,
            operator_run: self.operator_run.map(|run| run.into_run(&self.dirs)).transpose()?,
            native: self.native.map(|native| native.into_native(&self.dirs)).transpose()?,
            states: states.collect::<Result<_>>()?,
            extra: self.extra,
        })
    }
}

fn ends(range: &KeyGroupRange) -> (u16, u16) {
    (range.first(), range.last())
}

fn range((first, last): (u16, u16)) -> Result<KeyGroupRange> {
    KeyGroupRange::new(first, last)
        .map_err(|error| FormatError { kind: FormatErrorKind::Corrupt, ..error })
}

impl Native {
    fn of(model: &super::Native, table: &mut DirTable) -> Result<Self> {
        let files = model.files.iter().map(|file| {
            let (dir, name) = table.split(&file.file, file.digest)?;
            let holds = file.holds.map(|(state, groups)| (state, groups.first(), groups.last()));
            let stored = FileRef(dir, name, file.len_bytes, ShortDigest(file.digest));
            Ok(NativeFile(file.local.clone(), stored, holds))
        });
        let (engine, extra) = (model.engine.clone(), model.extra.clone());
        Ok(Self { engine, files: files.collect::<Result<_>>()?, extra })
    }

    fn into_native(self, dirs: &[String]) -> Result<super::Native> {
        let files = self.files.into_iter().map(|NativeFile(local, file, holds)| {
            let FileRef(dir, name, len_bytes, ShortDigest(digest)) = file;
            let file = dirs::join(dirs, dir, &name, digest)?;
            let holds = holds.map(|(state, first, last)| Ok((state, range((first, last))?)));
            let holds = holds.transpose()?;
            Ok(super::NativeFile { local, file, len_bytes, digest, holds })
        });
        let files = files.collect::<Result<_>>()?;
        Ok(super::Native { engine: self.engine, files, extra: self.extra })
    }
}

impl RunRef {
    fn of(run: &super::RunRef, table: &mut DirTable) -> Result<Self> {
        let (dir, name) = table.split(&run.file, run.digest)?;
        let base = match run.base.as_slice() {
            [] => Base::Whole(false),
            [base] if *base == run.range => Base::Whole(true),
            ranges => Base::Ranges(ranges.iter().map(ends).collect()),
        };
        Ok(Self(
            FileRef(dir, name, run.len_bytes, ShortDigest(run.digest)),
            IndexRef(run.index.offset, ShortDigest(run.index.digest)),
            run.entries,
            ends(&run.range),
            base,
        ))
    }

    fn into_run(self, dirs: &[String]) -> Result<super::RunRef> {
        let Self(file, index, entries, whole, base) = self;
        let FileRef(dir, name, len_bytes, ShortDigest(digest)) = file;
        let IndexRef(offset, ShortDigest(index_digest)) = index;
        let file = dirs::join(dirs, dir, &name, digest)?;
        let index_len = len_bytes.checked_sub(offset);
        let index_len = index_len.and_then(|len| len.checked_sub(FOOTER_LEN_BYTES as u64));
        let index_len = index_len.ok_or_else(|| {
            let message = format!("the index does not lie before the footer: file={file}");
            FormatError::corrupt(super::check::WHAT, message)
        })?;
        let whole = range(whole)?;
        let base = match base {
            Base::Whole(true) => vec![whole],
            Base::Whole(false) => vec![],
            Base::Ranges(ranges) => ranges.into_iter().map(range).collect::<Result<_>>()?,
        };
        let index = IndexLocation { offset, len_bytes: index_len, digest: index_digest };
        Ok(super::RunRef { file, len_bytes, digest, index, range: whole, base, entries })
    }
}

impl PartState {
    fn of(state: &super::PartState) -> Self {
        Self {
            id: state.id,
            entries: state.entries,
            earliest_timer_ms: state.earliest_timer_ms,
            ttl_time_ms: state.ttl_time_ms,
            stats: Stats::of(&state.stats),
            extra: state.extra.clone(),
        }
    }

    fn into_state(self) -> Result<super::PartState> {
        Ok(super::PartState {
            id: self.id,
            entries: self.entries,
            earliest_timer_ms: self.earliest_timer_ms,
            ttl_time_ms: self.ttl_time_ms,
            stats: self.stats.into_stats(self.id)?,
            extra: self.extra,
        })
    }
}
