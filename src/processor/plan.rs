//! What a copy consists of: a pure function of the snapshot.

use crate::snapshot::{Count, EncodedManifest, NewOperator, OpenSnapshot};
use crate::{Error, ErrorKind, Result};
use esker_format::manifest::{Manifest, SnapshotKind};
use esker_format::part::Part;
use esker_format::{Digest, RelativeName};
use std::collections::{BTreeMap, HashSet};

/// A file to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its name below the source's root.
    pub(super) from: RelativeName,
    /// Its name in the copy.
    pub(super) to: RelativeName,
    pub(super) len_bytes: u64,
    pub(super) digest: Digest,
}

/// All files of a copy.
#[derive(Debug)]
pub(super) struct Plan {
    /// Runs and files of databases, by their names in the copy.
    pub(super) files: BTreeMap<RelativeName, Planned>,
    /// Parts and manifest.
    pub(super) encoded: EncodedManifest,
}

impl Plan {
    /// The copy of a snapshot whose parts could all be read: a savepoint, in which every file has its
    /// digest for a name, whatever it was called before. So the copy of a copy is the same to the
    /// byte, and what a stranger's part calls its files decides nothing.
    ///
    /// # Errors
    /// `Corrupt` if the parts contradict each other.
    pub(super) fn of(snapshot: &OpenSnapshot) -> Result<Self> {
        let mut files = BTreeMap::new();
        let mut operators = Vec::new();
        for (operator, parts) in snapshot.manifest.operators.iter().zip(&snapshot.parts) {
            let renamed = parts.iter().flatten().map(|part| Ok((renamed(part, &mut files)?, None)));
            let parts = renamed.collect::<Result<Vec<_>>>()?;
            operators.push(NewOperator { operator: operator.clone(), parts });
        }
        let (kind, operators_of_none) = (SnapshotKind::Savepoint, Vec::new());
        let manifest = Manifest { kind, operators: operators_of_none, ..snapshot.manifest.clone() };
        Ok(Self { files, encoded: EncodedManifest::new(manifest, operators)? })
    }

    /// All of its files, parts and manifest too.
    pub(super) fn count(&self) -> Count {
        let mut count = Count::default();
        self.files.values().for_each(|file| count.add(file.len_bytes));
        self.encoded.parts.values().for_each(|bytes| count.add(bytes.len() as u64));
        count.add(self.encoded.bytes.len() as u64);
        count
    }

    /// Whether a file of that name belongs to the copy.
    pub(super) fn has(&self, name: &RelativeName) -> bool {
        self.encoded.references.contains(name) || self.encoded.path == *name
    }
}

/// `part` with the names of the copy, its files among `files`.
fn renamed(part: &Part, files: &mut BTreeMap<RelativeName, Planned>) -> Result<Part> {
    let mut part = part.clone();
    for run in part.runs.iter_mut().chain(&mut part.operator_run) {
        let to = RelativeName::new(format!("{}.run", run.digest))?;
        run.file = add(files, &run.file, to, (run.len_bytes, run.digest))?;
    }
    // Two files of a database may be alike, an empty log say, and no two may have one name.
    let mut taken = HashSet::new();
    for file in part.native.iter_mut().flat_map(|native| &mut native.files) {
        let kind = if file.holds.is_some() { "sst" } else { "native" };
        let mut to = RelativeName::new(format!("{}.{kind}", file.digest))?;
        let mut alike = 0;
        while !taken.insert(to.clone()) {
            alike += 1;
            to = RelativeName::new(format!("{}-{alike}.{kind}", file.digest))?;
        }
        file.file = add(files, &file.file, to, (file.len_bytes, file.digest))?;
    }
    Ok(part)
}

fn add(
    files: &mut BTreeMap<RelativeName, Planned>,
    from: &RelativeName,
    to: RelativeName,
    (len_bytes, digest): (u64, Digest),
) -> Result<RelativeName> {
    let new = Planned { from: from.clone(), to: to.clone(), len_bytes, digest };
    let known = files.entry(to.clone()).or_insert(new);
    if known.len_bytes != len_bytes {
        let message = format!(
            "parts disagree about a file's length: digest={digest} bytes={len_bytes} and bytes={}",
            known.len_bytes
        );
        return Err(Error::new(ErrorKind::Corrupt, message).at_path(from.as_str()));
    }
    Ok(to)
}
