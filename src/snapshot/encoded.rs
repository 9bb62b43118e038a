//! A manifest and its parts as the files that they are to be.

use super::manifest::{MANIFEST_NAME, NewOperator, manifest_folder};
use crate::Result;
use bytes::Bytes;
use esker_format::manifest::{Manifest, PartRef, SnapshotKind};
use esker_format::{Digest, RelativeName};
use std::collections::{BTreeMap, BTreeSet};

/// A manifest, its operators filled in, and what is to be written for it.
#[derive(Debug)]
pub(crate) struct EncodedManifest {
    pub(crate) manifest: Manifest,
    /// The name of its file.
    pub(crate) path: RelativeName,
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    /// The parts that no manifest before has.
    pub(crate) parts: BTreeMap<RelativeName, Bytes>,
    /// Every name that the manifest reaches, its own aside.
    pub(crate) references: BTreeSet<RelativeName>,
}

impl EncodedManifest {
    /// The files of `manifest` with `operators` as its operators. Memory: all parts.
    ///
    /// # Errors
    /// `Invalid` if a part or the manifest cannot be written.
    pub(crate) fn new(mut manifest: Manifest, operators: Vec<NewOperator>) -> Result<Self> {
        let folder = manifest_folder(&manifest)?;
        // A savepoint's parts lie in a folder too, as a part's name has one.
        let dir = match &folder {
            Some(folder) => folder.clone(),
            None => RelativeName::new("parts")?,
        };
        let mut parts: BTreeMap<RelativeName, Bytes> = BTreeMap::new();
        let mut references = BTreeSet::new();
        let reuses = manifest.kind == SnapshotKind::Checkpoint;
        for NewOperator { mut operator, parts: of_operator } in operators {
            operator.parts.clear();
            for (part, before) in of_operator {
                references.extend(part.files().map(|found| found.file.clone()));
                let bytes = part.encode()?;
                let digest = Digest::of(&bytes);
                let name = match before.filter(|before| reuses && before.digest == digest) {
                    Some(before) => before,
                    None => {
                        let name = PartRef { dir: dir.clone(), digest };
                        parts.insert(name.name()?, bytes.into());
                        name
                    }
                };
                references.insert(name.name()?);
                operator.parts.push(name);
            }
            manifest.operators.push(operator);
        }
        manifest.operators.sort_by(|a, b| a.uid.cmp(&b.uid));
        let bytes: Bytes = manifest.encode()?.into();
        let path = folder.map_or(MANIFEST_NAME.into(), |dir| format!("{dir}/{MANIFEST_NAME}"));
        let (path, digest) = (RelativeName::new(path)?, Digest::of(&bytes));
        Ok(Self { manifest, path, bytes, digest, parts, references })
    }
}
